"""`errand webhook endpoints`: where events come in, and what came. `errand webhook rotate-secret`: to another secret without losing an event."""

import json
import os
import re

import psycopg2
import psycopg2.extensions
import pytest

from cli_support import refused, sql
from support.cluster import free_port, shared_cluster
from support.errand import Errand
from support.hooks import PLAIN_SECRET, SECRET
from support.wait import QueueDatabase


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand
    db.sql("truncate errand.webhook_event, errand.job, errand.history")


def endpoints(errand, **env):
    answer = json.loads(errand.run("webhook", "endpoints", "--json", env=env).stdout)
    return {row.pop("source"): row for row in answer["endpoints"]}, answer["http_listen"]


# ---- Endpoints ----

def test_what_came(db, errand):
    def accept(source, id, at, status):
        db.sql("select errand.webhook_accept(%s, %s, null, '{}', '', 'shop.event')", source, id)
        db.sql("update errand.webhook_event set received_at = %s::timestamptz, status = %s where event_id = %s", at, status, id)
    for n, (at, status) in enumerate([("now", "applied"), ("now", "failed"), ("2030-01-01", "stored"), ("2020-01-01", "failed"), ("2020-01-01", "applied")]):
        accept("resend", f"e{n}", at, status)
    accept("shop", "s1", "2020-01-01T10:00:00Z", "unassigned")
    found, listen = endpoints(errand, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_HTTP_LISTEN="127.0.0.1:8080")
    assert listen == "127.0.0.1:8080" and list(found) == ["lemonsqueezy", "resend", "shop"]
    assert found["resend"] == {"path": "/webhooks/resend", "kind": "email.event", "secret": "set", "last_event": "2030-01-01T00:00:00Z",
                               "last_24h": 3, "stored": 1, "unassigned": 0, "failed": 2}
    assert found["lemonsqueezy"] == {"path": "/webhooks/lemonsqueezy", "kind": "billing.event", "secret": "not set", "last_event": None,
                                     "last_24h": 0, "stored": 0, "unassigned": 0, "failed": 0}
    assert found["shop"] == {"path": None, "kind": "shop.event", "secret": None, "last_event": "2020-01-01T10:00:00Z",
                             "last_24h": 0, "stored": 0, "unassigned": 1, "failed": 0}


def test_sources_of_ones_own(errand):
    env = {"ERRAND_WEBHOOK_SOURCES": "forge", "ERRAND_WEBHOOK_FORGE_SECRET": PLAIN_SECRET, "ERRAND_WEBHOOK_FORGE_KIND": "forge.push",
           "ERRAND_WEBHOOK_FORGE_SCHEME": "hex", "ERRAND_WEBHOOK_FORGE_HEADER": "X-Forge"}
    found, _ = endpoints(errand, **env)
    assert (found["forge"]["path"], found["forge"]["kind"], found["forge"]["secret"]) == ("/webhooks/forge", "forge.push", "set")
    assert re.match(r"\[webhook\.forge\]\nsecret = [0-9a-f]{40}\n# secret_old = the secret until now", rotate(errand, "forge", **env))


@pytest.mark.parametrize("env, state", [
    ({}, "not set"), ({"RESEND_WEBHOOK_SECRET": SECRET}, "set"), ({"ERRAND_WEBHOOK_RESEND_SECRET_OLD": SECRET}, "the old one only"),
    ({"RESEND_WEBHOOK_SECRET": SECRET, "ERRAND_WEBHOOK_RESEND_SECRET_OLD": SECRET}, "set, and the old one"), ({"RESEND_WEBHOOK_SECRET": "whsec_x"}, "unusable")])
def test_secrets(errand, env, state):
    done = errand.run("webhook", "endpoints", env=env).stdout
    lines = [line.split("\t") for line in done.splitlines()]
    assert lines[0][:4] == ["source", "path", "kind", "secret"] and lines[2][:4] == ["resend", "/webhooks/resend", "email.event", state]
    assert not any(secret in done for secret in env.values())


def test_a_viewer_may_look(db, errand):
    sql(db.dsn, "create role hook_endpoints_viewer login in role errand_viewer")
    try:
        with Errand(psycopg2.extensions.make_dsn(db.dsn, user="hook_endpoints_viewer")) as viewer:
            assert len(endpoints(viewer)[0]) == 2
    finally:
        sql(db.dsn, "drop role hook_endpoints_viewer")


# ---- Rotating ----

def rotate(errand, source, *args, **env):
    return errand.run("webhook", "rotate-secret", source, *args, env=env).stdout


@pytest.mark.parametrize("source, variable, secret, form", [
    ("resend", "RESEND_WEBHOOK_SECRET", SECRET, r"whsec_[A-Za-z0-9+/]{32}"), ("lemonsqueezy", "LEMONSQUEEZY_WEBHOOK_SECRET", PLAIN_SECRET, r"[0-9a-f]{40}")])
def test_what_is_printed(errand, source, variable, secret, form):
    texts = [rotate(errand, source, **{variable: secret}) for _ in range(2)]
    for text in texts:
        assert re.match(rf"\[webhook\]\n{source}_secret = {form}\n# {source}_secret_old = the secret until now, out of: environment {variable}\n", text)
        assert secret not in text and f"take {source}_secret_old away" in text and "goes before the file" in text
    assert texts[0] != texts[1]
    assert "no secret was set" in rotate(errand, source).lower()


def test_with_a_file_nothing_is_shown(errand):
    path = errand.dir / "new.conf"
    text = rotate(errand, "resend", "--file", str(path), RESEND_WEBHOOK_SECRET=SECRET)
    [new] = re.findall(r"^resend_secret = (whsec_.{32})$", path.read_text(), re.MULTILINE)
    assert f"resend_secret_old = {SECRET}\n" in path.read_text() and os.stat(path).st_mode & 0o777 == 0o600
    assert new not in text and SECRET not in text and str(path) in text
    before = path.read_text()
    assert "File exists" in refused(errand, "webhook", "rotate-secret", "resend", "--file", str(path), status=1)
    assert path.read_text() == before
    found = json.loads(rotate(errand, "resend", "--json", "--file", str(errand.dir / "other.conf"), RESEND_WEBHOOK_SECRET=SECRET))
    assert found == {"source": "resend", "section": "webhook", "setting": "resend_secret", "secret": None, "setting_old": "resend_secret_old",
                     "origin_old": "environment RESEND_WEBHOOK_SECRET", "file": str(errand.dir / "other.conf")}


def test_a_secret_that_the_sender_made(errand):
    path = errand.dir / "sender"
    path.write_text(SECRET + "\n")
    assert f"resend_secret = {SECRET}\n" in rotate(errand, "resend", "--secret-file", str(path))
    call = ("webhook", "rotate-secret", "resend", "--secret-file", str(path))
    assert "set already" in refused(errand, *call, status=1, env={"RESEND_WEBHOOK_SECRET": SECRET})
    path.write_text("no secret\n")
    assert "is not whsec_ and base64" in refused(errand, *call, status=1)
    path.write_text("\n")
    assert "is empty" in refused(errand, *call, status=1)


def test_refusals(errand):
    assert "errand has no secret of 'shop'" in refused(errand, "webhook", "rotate-secret", "shop", status=2)
    assert "No such file" in refused(errand, "webhook", "rotate-secret", "resend", "--file", "/none/x", status=1)


def test_a_rotation_loses_no_event(db, errand):
    """With the written lines as its configuration errand takes what is signed with either."""
    path, port = errand.dir / "rotated.conf", free_port()
    rotate(errand, "lemonsqueezy", "--file", str(path), LEMONSQUEEZY_WEBHOOK_SECRET=PLAIN_SECRET)
    [new] = re.findall(r"^lemonsqueezy_secret = (.*)$", path.read_text(), re.MULTILINE)
    errand.start("--config", str(path), "--http-listen", f"127.0.0.1:{port}").wait_ready()
    for n, (secret, status) in enumerate([(PLAIN_SECRET, 200), (new, 200), ("a third one", 401)]):
        done = errand.run("webhook", "trigger", "order_created", "--json", "--url", f"http://127.0.0.1:{port}", "--with", f"data.id={n}",
                          env={"LEMONSQUEEZY_WEBHOOK_SECRET": secret}, check=False)
        assert json.loads(done.stdout)["status"] == status
    assert db.one("select count(*) from errand.webhook_event") == 2
