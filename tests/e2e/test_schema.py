"""errand installed in a schema of another name, alone and beside another errand of the same database."""

import json
import re
import uuid
from pathlib import Path

import psycopg2.extensions
import pytest

from email_support import OWNER, WORKSPACE, MailBox
from schema_support import Installation
from support.cluster import shared_cluster
from support.errand import Errand
from support.provider import ResendProvider
from support.wait import QueueDatabase, connect

ROOT = Path(__file__).resolve().parents[2]
NAME = "jobs_of_app"


@pytest.fixture
def bare():
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("schema")
    yield dsn
    cluster.drop_database(dsn)


@pytest.fixture
def app(bare):
    with Installation(bare, NAME) as app:
        yield app


def foreign_bodies(db, schema):
    """Functions and views of a schema that speak of `errand` all the same."""
    found = db.sql("""
        select p.proname, pg_get_functiondef(p.oid) from pg_proc p
        where p.pronamespace = %s::text::regnamespace and p.prokind in ('f', 'p')
        union all
        select c.relname, pg_get_viewdef(c.oid) from pg_class c
        where c.relnamespace = %s::text::regnamespace and c.relkind = 'v'""", schema, schema)
    assert len(found) > 20
    return [name for name, text in found
            if re.search(r"""(?<![\w.])errand\.|schema errand\b|['"]errand['"]""", text)]


def test_nothing_is_called_errand(app):
    assert app.sql("select nspname from pg_namespace where nspname = 'errand'") == []
    assert foreign_bodies(app, NAME) == []
    assert app.one("select count(*) from errand.migration") == len(list((ROOT / "migrations/queue").glob("*.sql")))
    states = {m["state"] for m in json.loads(app.errand.run("migrate", "status", "--json").stdout) if m["set"] == "queue"}
    assert states == {"applied"}
    assert "nothing to do" in app.errand.run("migrate", "up", "--only", "queue").stdout


def test_checksums_are_those_of_the_files(app):
    with QueueDatabase(shared_cluster(vector=False)) as other:
        text = "select set_name, number, name, checksum from errand.migration order by 1, 2"
        assert app.sql(text) == other.sql(text)


def test_plan_shows_what_will_run(bare):
    with Errand(bare, ERRAND_SCHEMA=NAME) as errand:
        shown = errand.run("migrate", "plan", "--sql", "--only", "queue").stdout
        steps = json.loads(errand.run("migrate", "plan", "--sql", "--only", "queue", "--json").stdout)
    assert f"(schema {NAME})" in shown
    for text in [shown, *(step["sql"] for step in steps)]:
        assert f"{NAME}." in text and not re.search(r"(?<![\w.])errand\.|schema errand\b", text)
    assert "errand_runner" in shown, "roles keep their names"
    # What is shown is what an administrator may apply by hand.
    connection = connect(bare)
    with connection.cursor() as cursor:
        cursor.execute(f"create schema {NAME}")
        cursor.execute(f"create table {NAME}.migration ()")
        for step in steps:
            cursor.execute(step["sql"])
    connection.close()


def test_jobs(app):
    """Each way that a job takes, with notifications, from SQL and from the command line."""
    runner = app.errand.start().wait_ready()
    app.wait("select bool_and(armed) from errand.lane")
    for id, state in ((app.enqueue(), "done"), (app.enqueue("probe.claim"), "done"),
                      (app.enqueue(args={"outcome": "retry", "text": "again", "delay_ms": 1, "times": 1}), "done"),
                      (app.enqueue(args={"outcome": "fail", "text": "no"}), "dead"),
                      (app.enqueue(args={"outcome": "unknown", "text": "no"}), "unknown")):
        job = app.wait_ended(id)
        assert job.state == state
    app.wait("select bool_and(armed) from errand.lane")
    job = app.wait_ended(app.enqueue())
    assert (job.started_at - job.created_at).total_seconds() < 0.8, "it was notified"
    id = app.enqueue("probe.claim", {"sleep_ms": 20000})
    app.wait_state(id, "running")
    assert app.one("select errand.cancel(%s)", id) == "requested"
    assert app.wait_ended(id, timeout=4).state == "cancelled"
    id = int(app.errand.run("enqueue", "probe.run", "{}", "--run-at", "+1h").stdout.split()[-1])
    assert app.job(id).state == "scheduled"
    assert str(id) in app.errand.run("jobs", "list", "--state", "scheduled").stdout
    assert "run_at" in app.errand.run("jobs", "show", str(id)).stdout
    assert app.errand.run("why", str(id)).stdout
    assert app.one("select errand.cancel(%s)", id) == "cancelled"
    status = app.errand.run("status").stdout
    assert f"(schema {NAME})" in status and "default" in status
    assert runner.terminate() == 0
    assert [line for line in runner.log().splitlines() if "level=warn" in line and "job again" not in line] == []


def test_two_side_by_side(bare):
    """A runner each: neither sees, wakes or ends what is the other's, and one that is killed leaves the other alone."""
    with Installation(bare, "a") as a, Installation(bare, "errand") as b:
        runners = [each.errand.start("--concurrency", "20").wait_ready() for each in (a, b)]
        ids = {each: each.enqueue_many(500) for each in (a, b)}
        for each in (a, b):
            each.wait_empty()
            each.check_history(ids[each])
            each.wait("select bool_and(armed) from errand.lane")
            assert each.one("select count(*) from errand.runner") == 1
        # Runners and jobs have the same numbers in both.
        assert a.one("select id from errand.runner") == b.one("select id from errand.runner")
        running = [each.enqueue("probe.claim", {"sleep_ms": 20000}) for each in (a, b)]
        [mine, others] = running
        a.wait_state(mine, "running")
        b.wait_state(others, "running")
        assert mine == others
        assert a.one("select errand.cancel(%s)", mine) == "requested"
        assert a.wait_ended(mine).state == "cancelled"
        assert b.job(others).state == "running"
        a.sql("select errand.queue_pause('default')")
        b.wait_ended(b.enqueue())
        runners[0].kill()
        a.sql("select errand.queue_resume('default')")
        b.wait_ended(b.enqueue())
        assert b.job(others).state == "running" and b.job(others).attempt == 1
        assert b.one("select errand.cancel(%s)", others) == "requested"
        b.wait_ended(others)
        assert runners[1].terminate() == 0
        assert "not understood" not in runners[1].log()
        assert "nothing to do" in b.errand.run("migrate", "up", "--only", "queue").stdout
        assert foreign_bodies(a, "a") == []


def test_mail():
    """The email module in another schema; a second errand beside it stays away from the messages."""
    cluster = shared_cluster()
    dsn = cluster.create_database("schema_mail")
    with ResendProvider() as provider, Installation(dsn, NAME, "queue", "auth", "domain", "email", "billing") as app, MailBox(dsn) as box:
        box.sql("insert into auth.users (id, email) values (%s, 'owner@example.com')", OWNER)
        box.sql("insert into public.workspaces (id, name, owner_id) values (%s, 'Test', %s)", WORKSPACE, OWNER)
        with Errand(dsn, provider, ERRAND_SCHEMA=NAME, ERRAND_EMAIL_RATE="1000") as errand:
            runner = errand.start().wait_ready()
            ids = box.insert([{"after": 0}, {"after": 1}])
            late = box.send(after=3600)
            for id in ids:
                box.wait(id, "sent")
                assert len(provider.ledger(tag_message_id=str(id))) == 1
            assert app.one("select count(*) from errand.job where key = 'message:' || %s", str(late)) == 1
            box.sql("update public.scheduled_messages set status = 'cancelled' where id = %s", late)
            assert app.one("select count(*) from errand.job where key = 'message:' || %s", str(late)) == 0
            assert app.one("select count(*) from errand.emails where status = 'sent'") == 2
            assert runner.terminate() == 0
            assert "level=error" not in runner.log()
        assert foreign_bodies(app, NAME) == []
        with Errand(dsn) as errand:
            refused = errand.run("migrate", "up", check=False)
            assert refused.returncode == 5
            assert f"mailed by the errand in schema {NAME}" in refused.stderr
            assert "--only queue,auth,domain" in refused.stderr
            assert box.one("select to_regnamespace('errand') is null")
            errand.run("migrate", "up", "--only", "queue,auth,domain")
            refused = errand.run("migrate", "up", "--only", "billing", check=False)
            assert refused.returncode != 0 and f"billed by the errand in schema {NAME}" in refused.stderr
            assert box.one("select count(*) from errand.migration where adopted") == 11
        with Errand(dsn, ERRAND_SCHEMA=NAME) as errand:
            assert "nothing to do" in errand.run("migrate", "up").stdout
    cluster.drop_database(dsn)


@pytest.mark.parametrize("name", ["Jobs", "pg_jobs", "2jobs", "a.b", "a-b", "public", "user", "j" * 41])
def test_names_that_are_refused(bare, name):
    with Errand(bare, ERRAND_SCHEMA=name) as errand:
        refused = errand.run("migrate", "up", check=False)
    assert refused.returncode == 2
    assert f"environment ERRAND_SCHEMA: errand.schema is '{name}'; allowed: [a-z_][a-z0-9_]*" in refused.stderr
    with connect(bare) as connection, connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_namespace where nspname !~ '^(pg_|information_schema|public)'")
        assert cursor.fetchone()[0] == 0


def test_reserved_words(bare):
    """Every word that this server reserves is one that errand knows of."""
    with connect(bare) as connection, connection.cursor() as cursor:
        cursor.execute("select word from pg_get_keywords() where catcode in ('R', 'T')")
        words = [row[0] for row in cursor.fetchall()]
    listed = re.search(r"schema_reserved\[\] =(.*?);", (ROOT / "src" / "base" / "schema.c").read_text(), re.DOTALL)
    assert set(words) <= set(" ".join(re.findall(r'"([^"]*)"', listed.group(1))).split())


def test_missing_schema_is_named(bare):
    with Errand(bare, ERRAND_SCHEMA=NAME) as errand:
        refused = errand.run("run", check=False)
        assert refused.returncode == 5 and f"(schema {NAME})" in refused.stderr
        refused = errand.run("jobs", "list", check=False)
        assert refused.returncode == 5


def test_flag_and_login(app):
    """The schema by flag, and a login with nothing but the runner's role."""
    app.sql("create role schema_login login in role errand_runner")
    login = psycopg2.extensions.make_dsn(app.dsn, user="schema_login")
    try:
        with Errand(login) as errand:
            runner = errand.start("--schema", NAME).wait_ready()
            assert app.wait_ended(app.enqueue()).state == "done"
            assert app.wait_ended(app.enqueue(key=str(uuid.uuid4()), args={"outcome": "fail", "text": "no"})).state == "dead"
            assert runner.terminate() == 0
            assert "permission denied" not in runner.log()
    finally:
        app.sql("drop owned by schema_login")
        app.sql("drop role schema_login")
