"""Who may run a runner, and what it says when it cannot: exit status, one message, what to do."""

import psycopg2
import pytest

from support.cluster import Cluster, shared_cluster
from support.errand import RUNNER_LOGIN, Errand
from support.wait import QueueDatabase


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def login(db):
    """A login role without anything; what it is a member of is the test's."""
    db.sql("create role plain_login login")
    yield psycopg2.extensions.make_dsn(db.dsn, user="plain_login")
    db.sql("drop owned by plain_login")
    db.sql("drop role plain_login")


def run(dsn, status, **env):
    with Errand(dsn, **env) as errand:
        done = errand.run("run", check=False, timeout=20)
    assert done.returncode == status, done.stderr
    assert done.stdout == "" and len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


def test_member_of_the_runners_role_is_enough(db, login):
    """Everything that a runner does, kinds, partitions, pauses and dead letters included."""
    db.sql("grant errand_runner to plain_login")
    [flags] = db.sql("select rolsuper, rolbypassrls, rolcreatedb from pg_roles where rolname = 'plain_login'")
    assert flags == (False, False, False)
    last = db.one("select 'errand.history_' || to_char(timezone('UTC', now()) + interval '17 days', 'YYYYMMDD')")
    db.sql(f"drop table {last}")
    with Errand(login, ERRAND_LOG_LEVEL="debug") as errand:
        runner = errand.start().wait_ready()
        ids = {
            "done": [db.enqueue(), db.enqueue("probe.claim"), db.enqueue(args={"sleep_ms": 1500}),
                     db.enqueue(args={"outcome": "retry", "text": "again", "delay_ms": 1, "times": 1})],
            "dead": [db.enqueue(args={"outcome": "fail", "text": "no"})],
            "cancelled": [db.enqueue(args={"outcome": "cancel", "text": "no"})],
            "unknown": [db.enqueue(args={"outcome": "unknown", "text": "no"})],
        }
        for state, jobs in ids.items():
            for id in jobs:
                assert db.wait_ended(id).state == state
        db.wait("select to_regclass(%s) is not null", last, timeout=5)
        assert runner.terminate() == 0
        log = runner.log()
    assert "permission denied" not in log and "level=error" in log and "upkeep failed" not in log
    assert db.one("select count(*) from errand.kind where name in ('probe.run', 'probe.claim')") == 2


@pytest.mark.skipif(not RUNNER_LOGIN, reason="ctest names the login")
def test_all_tests_of_runners_use_such_a_login(db):
    """So what is missing in the grants is found by the test of the feature that needs it."""
    with Errand(db.dsn) as errand:
        runner = errand.start().wait_ready()
        db.wait_ended(db.enqueue())
        users = db.sql("select distinct usename from pg_stat_activity where application_name like 'errand %%'"
                       " and datname = current_database()")
        assert users == [(RUNNER_LOGIN,)]
        assert runner.terminate() == 0
    roles = db.sql("select g.rolname from pg_auth_members m join pg_roles g on g.oid = m.roleid"
                   " join pg_roles r on r.oid = m.member where r.rolname = %s", RUNNER_LOGIN)
    assert roles == [("errand_runner",)]
    [flags] = db.sql("select rolsuper, rolbypassrls, rolcreatedb, rolcreaterole from pg_roles where rolname = %s", RUNNER_LOGIN)
    assert not any(flags)


def test_login_without_grants(login):
    text = run(login, 1)
    assert 'grant errand_runner to "plain_login"' in text


@pytest.mark.parametrize("role", ["errand_viewer", "errand_operator", "errand_enqueue"])
def test_membership_that_is_not_enough(db, login, role):
    """Said before it starts or as soon as it registers, and the process ends."""
    db.sql(f"grant {role} to plain_login")
    with Errand(login) as errand:
        done = errand.run("run", check=False, timeout=20)
    assert done.returncode == 1
    assert "permission denied" in done.stderr and "runner ready" not in done.stderr
    assert db.sql("select * from errand.runner") == []


def test_wrong_password():
    with Cluster(tcp=True, fsync=False, vector=False) as cluster:
        connection = psycopg2.connect(cluster.dsn("postgres"))
        connection.autocommit = True
        connection.cursor().execute("create role locked login password 'the-right-one'")
        connection.close()
        hba = cluster.data / "pg_hba.conf"
        hba.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        cluster.stop()
        cluster.start()
        text = run(f"postgres://locked:wrong-secret@127.0.0.1:{cluster.port}/postgres", 4)
        assert 'password authentication failed for user "locked"' in text and "wrong-secret" not in text
        text = run(f"postgres://locked@127.0.0.1:{cluster.port}/postgres", 4)
        assert "password" in text


def test_no_such_database(db):
    text = run(shared_cluster(vector=False).dsn("nosuch"), 4)
    assert 'database "nosuch" does not exist' in text


def test_missing_schema():
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("bare")
    try:
        text = run(dsn, 5)
        assert "errand migrate up" in text
    finally:
        cluster.drop_database(dsn)


def test_table_that_is_missing_though_its_migration_stands():
    """An error that a person must look at: the process ends."""
    with QueueDatabase(shared_cluster(vector=False)) as mine:
        mine.sql("alter table errand.runner rename to runner_gone")
        with Errand(mine.dsn) as errand:
            done = errand.run("run", check=False, timeout=20)
        assert done.returncode == 1
        assert "errand cannot go on" in done.stderr and "errand.runner" in done.stderr
