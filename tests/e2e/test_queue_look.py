"""Lanes in which nothing happens are looked at together, in one statement: what a look must find although nobody tells of it. The runner
here polls, so that it looks once a second."""

import contextlib

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask, connect

LANES = 64
FOUND = 3  # seconds: a look each second, each second one from the beginning
FUNCTION = "errand.lanes_look(integer[], timestamptz, timestamptz, integer)"
LAST_READ = "from pg_stat_activity where application_name = 'errand reads' and datname = current_database()"


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('many', %s)", LANES)
        yield db


@pytest.fixture(scope="module")
def polling(db):
    with Errand(db.dsn, ERRAND_LISTEN="false", ERRAND_QUEUES="many", ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand.start().wait_ready()


@pytest.fixture
def runner(db, polling):
    """All its lanes are idle."""
    db.wait("select not exists (select from errand.job where run_at <= clock_timestamp())")
    wait_looked(db, 1)
    yield polling
    db.sql("delete from errand.job")


def wait_looked(db, times=2):
    """Until so many looks have begun after this; what the one before the last found was acted on."""
    wait_reads(db, times, "query like '%%errand.lanes_look%%'")


def wait_reads(db, times, which="true"):
    for _ in range(times):
        db.wait(f"select count(*) = 1 {LAST_READ} and query_start > %s and {which}", db.one("select clock_timestamp()"))


def enqueue(db, kind="probe.run", **named):
    return db.enqueue(kind, queue="many", **named)


def enqueue_everywhere(db, kind, count):
    """Keys spread them over the lanes. Returns the ids."""
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ids = [row[0] for row in ask(other, "select errand.enqueue(%s, queue => 'many', key => n::text) from generate_series(1, %s) n", kind, count)]
        assert ask(other, "select count(distinct lane) from errand.job")[0][0] > LANES * 0.9
        ask(other, "commit")
    return ids


def in_its_order(db, ids):
    return [row[0] for row in db.sql("select id from errand.history where id = any (%s) order by started_at", ids)] == ids


def late(job, since=None):
    return (job.started_at - (since or job.run_at)).total_seconds()


def test_new_jobs_in_many_lanes(db, runner):
    ids = enqueue_everywhere(db, "probe.run", 300)
    for id in ids:
        assert late(db.wait_ended(id, timeout=FOUND)) < FOUND


@pytest.mark.parametrize("after", [1.6, 2.4])
def test_job_of_the_near_future(db, runner, after):
    """It starts at its time, not at a look."""
    assert 0 <= late(db.wait_ended(enqueue(db, after=after), timeout=after + FOUND)) < 0.3


def test_late_commit(db, runner):
    """The looks have gone on beyond its time."""
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[id]] = ask(other, "select errand.enqueue('probe.run', queue => 'many')")
        db.wait("select clock_timestamp() > xact_start + interval '1 second' from pg_stat_activity where pid = %s", other.info.backend_pid)
        wait_looked(db)
        [[at]] = ask(other, "select clock_timestamp()")
        ask(other, "commit")
    assert late(db.wait_ended(id, timeout=FOUND), at) < FOUND


def test_replaced_while_it_waits(db, runner):
    """A look has no args: the job is read again for those that it has now."""
    db.sql("select errand.queue_pause('many')")
    try:
        wait_beaten(db)
        id = enqueue(db, key="k", args={"outcome": "unknown", "text": "old args"})
        wait_looked(db, 3)
        assert enqueue(db, key="k", on_conflict="replace", args={"outcome": "unknown", "text": "new args"}) == id
        wait_looked(db)
    finally:
        db.sql("select errand.queue_resume('many')")
    assert db.wait_ended(id, timeout=FOUND + 3).last_error == "new args"
    runner.wait_log(rf"job={id} .*new args")
    assert "old args" not in runner.log()


def wait_beaten(db):
    """Until the runner has asked for its queues' settings anew."""
    for _ in range(2):
        lease = db.one("select lease_until from errand.runner")
        db.wait("select lease_until > %s from errand.runner", lease)


def test_cancel_of_a_running_job(db, runner):
    id = enqueue(db, "probe.claim", args={"sleep_ms": 20000})
    db.wait_state(id, "running")
    wait_looked(db)
    assert db.one("select errand.cancel(%s)", id) == "requested"
    assert db.wait_ended(id, timeout=FOUND).state == "cancelled"


def test_order_of_a_key(db, runner):
    db.sql("select errand.queue_limit('many', key_ordered => true)")
    try:
        wait_beaten(db)
        wait_looked(db)
        ids = [enqueue(db, key="k", on_conflict="allow", args={"sleep_ms": 20}, priority=3 - n % 4) for n in range(8)]
        for id in ids:
            db.wait_ended(id, timeout=FOUND + 1)
        assert in_its_order(db, ids)
    finally:
        db.sql("select errand.queue_limit('many', key_ordered => false)")
        wait_beaten(db)


def test_behind_many_that_nobody_runs(db, runner):
    """More of them than a look brings stand in front in every lane."""
    enqueue_everywhere(db, "later.release", 60 * LANES)
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[hidden]] = ask(other, "select errand.enqueue('probe.run', queue => 'many')")
        ids = [enqueue(db) for _ in range(20)]
        for id in ids:
            assert late(db.wait_ended(id, timeout=FOUND)) < FOUND
        wait_reads(db, 4)
        [[at]] = ask(other, "select clock_timestamp()")
        ask(other, "commit")
    assert late(db.wait_ended(hidden, timeout=2 * FOUND), at) < FOUND


def test_lanes_are_read_one_by_one_where_a_look_fails(db, runner):
    db.sql(f"alter function {FUNCTION} rename to lanes_look_away")
    try:
        runner.wait_log("reading lanes failed.*lanes_look")
        for _ in range(3):
            assert late(db.wait_ended(enqueue(db), timeout=FOUND)) < FOUND
    finally:
        db.sql(f"alter function {FUNCTION.replace('look', 'look_away')} rename to lanes_look")
    wait_looked(db)
    assert late(db.wait_ended(enqueue(db), timeout=FOUND)) < FOUND
