"""A login whose role has limits and habits that are not a runner's: none of them cuts or misleads it."""

import contextlib
import subprocess
import threading

import psycopg2.extensions
import pytest

from support.bouncer import PGBOUNCER, Bouncer
from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.wait import QueueDatabase, ask, connect

HABITS = {
    "statement_timeout": "'200ms'",
    "lock_timeout": "'200ms'",
    "idle_in_transaction_session_timeout": "'200ms'",
    "idle_session_timeout": "'300ms'",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "row_security": "off",
    "client_encoding": "latin1",
    "search_path": "public, pg_catalog",
}

# What stands in public before PostgreSQL's own, for those who look there first; and what errand has, too.
SHADOWS = """
create function public.trap() returns void language plpgsql as $$ begin raise exception 'a trap was called'; end $$;
create function public.clock_timestamp() returns timestamptz language plpgsql as $$ begin perform public.trap(); end $$;
create function public.now() returns timestamptz language plpgsql as $$ begin perform public.trap(); end $$;
create function public.pg_notify(text, text) returns void language plpgsql as $$ begin perform public.trap(); end $$;
create function public.count(bigint) returns bigint language plpgsql as $$ begin perform public.trap(); end $$;
create function public.unnest(anyarray) returns setof anyelement language plpgsql as $$ begin perform public.trap(); end $$;
create function public.set_config(text, text, boolean) returns text language plpgsql as $$ begin perform public.trap(); end $$;
create function public.trap_equal(bigint, bigint) returns boolean language plpgsql as $$ begin perform public.trap(); end $$;
create function public.trap_equal(text, text) returns boolean language plpgsql as $$ begin perform public.trap(); end $$;
create operator public.= (leftarg = bigint, rightarg = bigint, function = public.trap_equal);
create operator public.= (leftarg = text, rightarg = text, function = public.trap_equal);
create table public.job (trap integer);
create table public.lane (trap integer);
create table public.runner (trap integer);
create table public.pg_class (trap integer);
create table public.pg_stat_activity (trap integer);
create domain public.text as pg_catalog.text check (false);
create domain public.jsonb as pg_catalog.jsonb check (false);
grant usage on schema public to public;
"""


@contextlib.contextmanager
def strict(connection, kind):
    ask(connection, f"create role strict login {kind}")
    try:
        for name, value in HABITS.items():
            ask(connection, f"alter role strict set {name} = {value}")
        yield
    finally:
        ask(connection, "reassign owned by strict to postgres")
        ask(connection, "drop owned by strict")
        ask(connection, "drop role strict")


def strict_dsn(db):
    return psycopg2.extensions.make_dsn(db.dsn, user="strict")


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(SHADOWS)
        with strict(db.connection, "in role errand_runner"):
            yield db


@pytest.fixture(params=["direct", "pooled"])
def errand(request, db):
    with contextlib.ExitStack() as stack:
        dsn = strict_dsn(db)
        if request.param == "pooled":
            if not PGBOUNCER:
                pytest.skip("pgbouncer is not installed (./dev test installs it)")
            bouncer = Bouncer(shared_cluster(vector=False), 4, users=["strict"])
            stack.callback(bouncer.destroy)
            dsn = bouncer.dsn(dsn)
        yield stack.enter_context(Errand(dsn, ERRAND_LOG_LEVEL="debug"))


def complaints(runner):
    return [line for line in runner.log().splitlines()
            if any(word in line for word in ("timeout", "read-only", "a trap", "does not exist", "upkeep failed", "already exists",
                                             "serialize", "row-level"))]


def test_the_role_is_as_strict_as_it_is_meant_to_be(db):
    with contextlib.closing(connect(strict_dsn(db))) as connection:
        for text, error in (("select pg_sleep(1)", "statement timeout"), ("delete from errand.job", "read-only"),
                            ("select now()", "a trap"), ("select 1::bigint = 2::bigint", "a trap"),
                            ("select 'x'::text", "check constraint")):
            with pytest.raises(psycopg2.Error, match=error):
                ask(connection, text)


def test_every_kind_of_end(db, errand):
    runner = errand.start().wait_ready()
    ids = {
        "done": [db.enqueue(), db.enqueue("probe.claim"), db.enqueue(args={"sleep_ms": 1500}),
                 db.enqueue(args={"outcome": "retry", "text": "again ä€", "delay_ms": 1, "times": 1})],
        "dead": [db.enqueue(args={"outcome": "fail", "text": "no ä€"})],
        "unknown": [db.enqueue(args={"outcome": "unknown", "text": "no"})],
    }
    for state, jobs in ids.items():
        for id in jobs:
            job = db.wait_ended(id)
            assert job.state == state
            assert state != "dead" or job.last_error == "no ä€"
    many = db.enqueue_many(2000)
    db.wait_empty()
    assert db.one("select count(*) from errand.history where id = any (%s)", many) == 2000
    assert runner.terminate() == 0
    assert complaints(runner) == []
    assert db.one("select count(*) from errand.lane where owner is not null") == 0


def test_statements_that_take_longer(db, errand):
    """Completions, claims, looks at the lanes and the upkeep each take longer than the role would let them."""
    db.sql("""create function public.slow() returns trigger language plpgsql as $$
        begin perform pg_catalog.pg_sleep(0.5); return null; end $$""")
    db.sql("""create function public.slow_ddl() returns event_trigger language plpgsql as $$
        begin perform pg_catalog.pg_sleep(0.5); end $$""")
    db.sql("create trigger slow before insert on errand.history for each statement execute function public.slow()")
    db.sql("create trigger slow before update on errand.job for each statement execute function public.slow()")
    db.sql("create event trigger slow on ddl_command_start when tag in ('CREATE TABLE') execute function public.slow_ddl()")
    last = db.one("select 'errand.history_' || to_char(timezone('UTC', now()) + interval '17 days', 'YYYYMMDD')")
    db.sql(f"drop table {last}")
    ids = db.enqueue_many(3000) + db.enqueue_many(20, {}, "probe.claim")
    runner = errand.start("--concurrency", "500").wait_ready()
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "lock table errand.job in access exclusive mode")
        ask(other, "select pg_sleep(1)")
        ask(other, "commit")
    db.wait_empty(timeout=60)
    db.check_history(ids)
    db.wait("select to_regclass(%s) is not null", last)
    assert runner.terminate() == 0
    assert complaints(runner) == []


def test_idle_for_longer(db, errand):
    """Nothing ends a session that has nothing to do."""
    runner = errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    for _ in range(2):
        lease = db.one("select lease_until from errand.runner")
        db.wait("select lease_until > %s from errand.runner", lease)
    db.wait_ended(db.enqueue())
    assert runner.terminate() == 0
    assert complaints(runner) == []


def test_upkeep_does_not_stand_in_the_way(db):
    """While somebody reads the history for long, a day of it cannot be dropped; the jobs must not wait for that."""
    db.sql("create table errand.history_20010101 partition of errand.history for values from ('2001-01-01') to ('2001-01-02')")
    with contextlib.closing(connect(db.dsn)) as other, Errand(db.dsn) as errand:
        ask(other, "begin")
        ask(other, "select count(*) from errand.history")
        runner = errand.start().wait_ready()
        runner.wait_log("upkeep failed.*lock timeout", timeout=10)
        db.wait_ended(db.enqueue(), timeout=3)
        ask(other, "commit")
        assert runner.terminate() == 0


def test_command_line(db):
    with Errand(strict_dsn(db)) as errand:
        db.sql("grant errand_operator to strict")
        id = int(errand.run("enqueue", "probe.run", "{}").stdout.split()[-1])
        assert str(id) in errand.run("jobs", "list").stdout
        assert "No runner" in errand.run("why", str(id)).stdout
        assert "default" in errand.run("status").stdout


def test_migrations():
    """Several at once, each slower than the role's limits."""
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("strict")
    with contextlib.closing(connect(dsn)) as connection:
        ask(connection, SHADOWS.replace("create table public.runner (trap integer);", ""))
        ask(connection, """create function public.slow_ddl() returns event_trigger language plpgsql as $$
            begin perform pg_catalog.pg_sleep(0.5); end $$""")
        ask(connection, "create event trigger slow on ddl_command_start when tag in ('CREATE SCHEMA', 'CREATE VIEW')"
                        " execute function public.slow_ddl()")
        with strict(connection, "superuser"), Errand(psycopg2.extensions.make_dsn(dsn, user="strict")) as errand:
            errors = []

            def up():
                done = subprocess.run([binary(), "migrate", "up", "--only", "queue"], env=errand.env, text=True,
                                      capture_output=True, timeout=120)
                errors.append(done.stderr)
            threads = [threading.Thread(target=up) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == ["", "", ""]
            assert "nothing to do" in errand.run("migrate", "up", "--only", "queue").stdout
    cluster.drop_database(dsn)
