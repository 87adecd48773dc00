"""`errand suppression list|add|remove`: who gets no mail, why and by which event, and how an operator lifts it."""

import json

import psycopg2.extensions
import pytest

from cli_support import dsn, refused, sql  # noqa: F401
from email_support import MailBox, make_database
from support.cluster import shared_cluster
from support.errand import Errand


@pytest.fixture(scope="module")
def box():
    dsn = make_database()  # noqa: F811
    with MailBox(dsn) as box:
        box.dsn = dsn
        yield box
    shared_cluster().drop_database(dsn)


@pytest.fixture
def errand(box):
    with Errand(box.dsn) as errand:
        yield errand
    box.sql("truncate errand.suppression, errand.suppression_lift")


def listed(errand, *args):
    return json.loads(errand.run("suppression", "list", "--json", *args).stdout)


def test_by_hand_and_lifted(box, errand):
    text = errand.run("suppression", "add", "Ann <Ann@Example.com>", "asked by phone").stdout.splitlines()
    assert text[0] == "recipient\tsince\tevent\treason"
    assert text[1].split("\t")[0] == "ann@example.com" and text[1].split("\t")[2:] == ["", "asked by phone"]
    [row] = listed(errand)
    assert (row["recipient"], row["source"], row["event_id"], row["reason"]) == ("ann@example.com", "manual", None, "asked by phone")
    assert errand.run("suppression", "remove", "ANN@example.com").stdout == "removed\n"
    assert listed(errand) == []
    assert "is not on the suppression list" in refused(errand, "suppression", "remove", "ann@example.com", status=3)
    assert box.one("select count(*) from errand.suppression_lift") == 1


def test_the_newest_first_with_their_events(box, errand):
    for n in range(3):
        box.sql("insert into errand.suppression (recipient, reason, source, event_id, created_at) values (%s, 'complaint', 'resend', %s, %s)",
                f"u{n}@example.com", f"msg_{n}", f"2030-01-0{n + 1}T00:00:00Z")
    assert [row["recipient"] for row in listed(errand, "--limit", "2")] == ["u2@example.com", "u1@example.com"]
    assert errand.run("suppression", "list", "--limit", "1").stdout.splitlines()[1] == "u2@example.com\t2030-01-03T00:00:00Z\tresend:msg_2\tcomplaint"


def test_refusals(errand):
    assert '"nobody" is no mail address' in refused(errand, "suppression", "add", "nobody", "x", status=2)
    assert '"nobody" is no mail address' in refused(errand, "suppression", "remove", "nobody", status=2)
    assert "--limit" in refused(errand, "suppression", "list", "--limit", "0", status=2)


def test_roles(box, errand):
    for role in ("viewer", "operator"):
        box.sql(f"create role suppression_{role} login in role errand_{role}")
    try:
        with Errand(psycopg2.extensions.make_dsn(box.dsn, user="suppression_operator")) as operator:
            assert operator.run("suppression", "add", "ann@example.com", "x").returncode == 0
        with Errand(psycopg2.extensions.make_dsn(box.dsn, user="suppression_viewer")) as viewer:
            assert len(listed(viewer)) == 1
            assert "permission denied" in refused(viewer, "suppression", "remove", "ann@example.com", status=1)
        with Errand(psycopg2.extensions.make_dsn(box.dsn, user="suppression_operator")) as operator:
            assert operator.run("suppression", "remove", "ann@example.com").returncode == 0
    finally:
        for role in ("viewer", "operator"):
            box.sql(f"drop role suppression_{role}")


def test_without_mail(dsn):  # noqa: F811
    with Errand(dsn) as errand:
        assert "errand migrate up" in refused(errand, "suppression", "list", status=5)
