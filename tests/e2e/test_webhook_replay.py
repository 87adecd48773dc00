"""`errand webhook replay`: one event, or all that failed, acted on again when their jobs have ended; and what `show` says of it."""

import json

import psycopg2
import pytest

from cli_support import refused
from support.cluster import shared_cluster
from support.errand import Errand, make_runner_login
from support.wait import ask, connect, until

BAD = b"no json"
WELL = b'{"type": "contact.created"}'


class Database:
    """With mail: its events are what is replayed."""

    def __init__(self):
        self.dsn = shared_cluster().create_database("replay")
        with Errand(self.dsn) as errand:
            errand.run("migrate", "up")
        make_runner_login(self.dsn)
        self.connection = connect(self.dsn)

    def sql(self, text, *params):
        return ask(self.connection, text, *params)

    def row(self, text, *params):
        [row] = self.sql(text, *params)
        return row

    def one(self, text, *params):
        return self.row(text, *params)[0]


@pytest.fixture(scope="module")
def database():
    database = Database()
    yield database
    database.connection.close()
    shared_cluster().drop_database(database.dsn)


@pytest.fixture
def db(database):
    database.sql("truncate errand.webhook_event, errand.job, errand.history, errand.dead_letter, errand.attempt")
    return database


@pytest.fixture
def errand(database):
    with Errand(database.dsn) as errand:
        yield errand


def accept(db, id, body=BAD, source="resend", kind="email.event"):
    return db.one("select errand.webhook_accept(%s, %s, 'a.type', '{}', %s, %s)", source, id, psycopg2.Binary(body), kind)


def mend(db, *ids):
    db.sql("update errand.webhook_event set body = %s where event_id = any (%s)", psycopg2.Binary(WELL), list(ids))


def status(db, id):
    return db.one("select status from errand.webhook_event where event_id = %s", id)


def settled(db):
    until(lambda: db.one("select count(*) = 0 from errand.webhook_event where status = 'stored'"), "all are acted on")
    until(lambda: db.one("select count(*) = 0 from errand.jobs where kind = 'email.event' and state = 'running'"), "their jobs have ended")


def test_a_dead_letter_and_one_that_is_done(db, errand):
    first, second = accept(db, "e:1"), accept(db, "e2", WELL)
    runner = errand.start().wait_ready()
    settled(db)
    until(lambda: db.one("select count(*) from errand.history where id = any (%s)", [first, second]) == 2, "both have ended")
    assert [status(db, "e:1"), status(db, "e2")] == ["failed", "ignored"]
    mend(db, "e:1")
    assert errand.run("webhook", "replay", "resend:e:1", "resend:e2").stdout.splitlines() == ["id\tresult", "resend:e:1\tredriven", "resend:e2\tenqueued"]
    settled(db)
    assert [status(db, "e:1"), status(db, "e2")] == ["ignored", "ignored"]
    jobs = dict(db.sql("select event_id, job_id from errand.webhook_event"))
    assert jobs["e:1"] == first and jobs["e2"] > second
    runner.terminate()


def test_not_before_its_job_has_ended(db, errand):
    accept(db, "e1")
    text = refused(errand, "webhook", "replay", "resend:e1", status=1, stdout="id\tresult\nresend:e1\tnot ended\n")
    assert "event resend:e1 was not replayed: not ended" in text and "`errand webhook show EVENT` says why" in text
    assert db.one("select count(*) from errand.job where kind = 'email.event'") == 1


def test_the_queue_it_went_to(db, errand):
    db.sql("select errand.queue_create('hooks', 1)")
    db.sql("select errand.webhook_accept('shop', 'q1', null, '{}', '', 'shop.event', 'hooks')")
    db.sql("select errand.cancel(id) from errand.jobs where key = 'shop:q1'")
    assert json.loads(errand.run("webhook", "replay", "shop:q1", "--json").stdout) == {"events": [{"id": "shop:q1", "result": "enqueued"}]}
    assert tuple(db.row("select j.queue, j.kind, j.args from errand.jobs j join errand.webhook_event e on e.job_id = j.id where e.event_id = 'q1'")) == (
        "hooks", "shop.event", {"source": "shop", "event_id": "q1"})


def test_one_that_never_had_a_job(db, errand):
    db.sql("insert into errand.webhook_event (source, event_id, headers, body, kind) values ('x', 'with', '{}', '', 'some.kind'), ('x', 'without', '{}', '', null)")
    assert errand.run("webhook", "replay", "x:with").returncode == 0
    assert "no kind" in refused(errand, "webhook", "replay", "x:without", status=1, stdout="id\tresult\nx:without\tno kind\n")


def test_all_that_failed(db, errand):
    for n in range(12):
        accept(db, f"f{n:02}", kind="none.such")
        accept(db, f"g{n}", source="shop", kind="none.such")
    db.sql("select errand.cancel(id) from errand.jobs where kind = 'none.such'")
    db.sql("update errand.webhook_event set status = 'failed', effect = 'x'")
    db.sql("update errand.webhook_event set received_at = '2020-01-01' where event_id in ('f00', 'g0')")
    db.sql("update errand.webhook_event set status = 'applied' where event_id = 'f01'")
    args = ("webhook", "replay", "--failed", "--since", "-1d", "--source", "resend")
    done = errand.run(*args, check=False)
    assert done.returncode == 2 and "10 events would be replayed" in done.stderr and "Add --yes" in done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()[1:]] == [f"resend:f{n:02}" for n in range(11, 1, -1)]
    assert db.one("select count(*) from errand.job where kind = 'none.such'") == 0
    assert errand.run(*args, "--yes").stdout == "enqueued\t10\n"
    assert db.one("select count(*) from errand.job where kind = 'none.such'") == 10
    assert {status(db, "f00"), status(db, "f02"), status(db, "g1")} == {"failed", "stored"}
    assert errand.run(*args, "--yes").stdout == "no event was found\n"
    found = json.loads(errand.run("webhook", "replay", "--failed", "--json", check=False).stdout)
    assert found["count"] == 13 and len(found["events"]) == 10
    assert json.loads(errand.run("webhook", "replay", "--failed", "--json", "--yes").stdout) == {"count": 13, "results": {"enqueued": 13}}


def test_list_since(db, errand):
    accept(db, "old")
    accept(db, "new")
    db.sql("update errand.webhook_event set received_at = '2020-01-01' where event_id = 'old'")
    assert "resend:old" not in errand.run("webhook", "list", "--since", "-1h").stdout
    assert "resend:old" in errand.run("webhook", "list", "--since", "2019-12-31").stdout


def test_show_says_what_its_job_does(db, errand):
    id = accept(db, "e1")
    text = errand.run("webhook", "show", "resend:e1").stdout
    assert "signature     right when it was received\n" in text and f"job           {id}\n" in text and "kind          email.event\n" in text
    assert "why           " in text
    errand.start().wait_ready()
    settled(db)
    until(lambda: db.one("select count(*) from errand.history where id = %s", id), "its job has ended")
    row = json.loads(errand.run("webhook", "show", "resend:e1", "--json").stdout)
    assert row["signature"] == "right" and row["why"].startswith("It is dead since") and row["job_id"] == id
    assert row["status"] == "failed" and row["effect"].startswith("the body cannot be used")


@pytest.mark.parametrize("args, text", [
    ([], "takes events or --failed"), (["resend:x", "--failed"], "not both"), (["resend:x", "--yes"], "go with --failed"),
    (["resend"], "it is SOURCE:ID"), (["resend:x", "--source", "resend"], "go with --failed")])
def test_refusals(errand, args, text):
    assert text in refused(errand, "webhook", "replay", *args, status=2)


def test_no_such_event(db, errand):
    text = refused(errand, "webhook", "replay", "resend:none", status=3, stdout="id\tresult\nresend:none\tnot found\n")
    assert "event resend:none was not replayed: not found" in text and "`errand webhook list`" in text
    assert "invalid input syntax" in refused(errand, "webhook", "replay", "--failed", "--since", "yore", status=2)
