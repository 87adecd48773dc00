"""`errand webhook list` and `show`: filters, pages, the body as it was received, and who may see it."""

import json
import subprocess

import psycopg2
import psycopg2.extensions
import pytest

from cli_support import dsn, refused, sql  # noqa: F401
from support.errand import Errand, binary

BODY = bytes(range(256)) + b"\r\n\0"


@pytest.fixture(scope="module")
def stored(dsn):  # noqa: F811
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for n in range(7):
            cursor.execute("select errand.webhook_accept(%s, %s, %s, '{\"a\": \"b\"}', %s, 'some.kind')",
                           ("resend" if n < 5 else "shop", f"e:{n}", "sent" if n % 2 else "bounced", psycopg2.Binary(BODY)))
        cursor.execute("update errand.webhook_event set status = 'failed', effect = 'no such mail' where event_id = 'e:3'")
        # Times that are the same must not make pages lose or repeat an event.
        cursor.execute("update errand.webhook_event set received_at = '2030-01-01' where event_id < 'e:5'")
    connection.close()


@pytest.fixture
def errand(dsn, stored):  # noqa: F811
    with Errand(dsn) as errand:
        yield errand


def listed(errand, *args):
    answer = json.loads(errand.run("webhook", "list", "--json", *args).stdout)
    return [f"{row['source']}:{row['event_id']}" for row in answer["webhooks"]], answer["next"]


@pytest.mark.parametrize("args, wanted", [
    ([], {0, 1, 2, 3, 4, 5, 6}), (["--source", "shop"], {5, 6}), (["--status", "failed"], {3}), (["--status", "stored", "--type", "sent"], {1, 5}),
    (["--type", "bounced", "--source", "resend"], {0, 2, 4}), (["--type", "none"], set())])
def test_filters(errand, args, wanted):
    found, next = listed(errand, *args)
    assert {int(name[-1]) for name in found} == wanted and len(found) == len(wanted) and next is None


def test_pages_hold_each_event_once(errand):
    whole, _ = listed(errand)
    for limit in (1, 2, 3, 7):
        found, next = [], None
        while True:
            page, next = listed(errand, "--limit", str(limit), *(["--before", next] if next else []))
            found += page
            if not next:
                break
        assert found == whole


def test_table(errand):
    lines = [line.split("\t") for line in errand.run("webhook", "list", "--status", "failed").stdout.splitlines()]
    assert lines[0] == ["event", "type", "received_at", "status", "job", "effect"]
    assert lines[1][0] == "resend:e:3" and lines[1][1:4] == ["sent", "2030-01-01T00:00:00Z", "failed"] and lines[1][5] == "no such mail"


def test_show(errand):
    text = errand.run("webhook", "show", "resend:e:3").stdout
    assert "event_id      e:3\n" in text and 'headers       {"a": "b"}\n' in text and "effect        no such mail\n" in text
    row = json.loads(errand.run("webhook", "show", "resend:e:3", "--json").stdout)
    assert (row["source"], row["event_id"], row["status"], row["headers"]) == ("resend", "e:3", "failed", {"a": "b"})
    assert "body" not in row


def test_the_body_as_it_was_received(errand):
    done = subprocess.run([binary(), "webhook", "show", "resend:e:3", "--body"], env=errand.env, capture_output=True)
    assert (done.returncode, done.stdout) == (0, BODY)


def test_a_viewer_sees_all_but_the_body(dsn, stored):  # noqa: F811
    sql(dsn, "create role hook_list_viewer login in role errand_viewer")
    try:
        with Errand(psycopg2.extensions.make_dsn(dsn, user="hook_list_viewer")) as errand:
            assert len(listed(errand)[0]) == 7
            assert "no such mail" in errand.run("webhook", "show", "resend:e:3").stdout
            assert "permission denied for table webhook_event" in refused(errand, "webhook", "show", "resend:e:3", "--body", status=1)
    finally:
        sql(dsn, "drop role hook_list_viewer")


def test_refusals(errand):
    assert "there is no event resend:none" in refused(errand, "webhook", "show", "resend:none", status=3)
    assert "it is SOURCE:ID" in refused(errand, "webhook", "show", "resend", status=2)
    assert "it is SOURCE:ID" in refused(errand, "webhook", "list", "--before", ":x", status=2)
    assert "--status" in refused(errand, "webhook", "list", "--status", "lost", status=2)
    assert "--limit" in refused(errand, "webhook", "list", "--limit", "0", status=2)
