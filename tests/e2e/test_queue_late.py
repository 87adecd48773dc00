"""Finding what is enqueued: at once when the lane sleeps, and also what is committed late, in another order than it began."""

import contextlib
import threading
import time

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask, connect, until

OPEN = 3  # seconds that a transaction stays open


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        yield db


@pytest.fixture(scope="module")
def runner(db):
    with Errand(db.dsn) as errand:
        yield errand.start().wait_ready()


def wait_armed(db, queue):
    db.wait("select bool_and(armed) from errand.lane where queue = %s", queue)


def armed(db, queue):
    return db.one("select bool_and(armed) from errand.lane where queue = %s", queue)


def commit_late(db, queue, during=None):
    """Enqueues, stays open, commits. Returns the id and the time of the commit, on the database's clock."""
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[id]] = ask(other, "select errand.enqueue('probe.run', queue => %s)", queue)
        time.sleep(OPEN)  # that it stays open is what is tested
        assert db.job(id) is None
        ask(other, "commit")
        [[at]] = ask(other, "select clock_timestamp()")
    return id, at


def late(job, at):
    return (job.started_at - at).total_seconds()


@contextlib.contextmanager
def stream(db, queue, every):
    """A job each so many seconds, each in a transaction of its own, until the block ends; yields their ids."""
    ids, stop = [], threading.Event()

    def enqueue():
        with contextlib.closing(connect(db.dsn)) as connection:
            while not stop.wait(every):
                ids.append(ask(connection, "select errand.enqueue('probe.run', queue => %s)", queue)[0][0])
    threads = [threading.Thread(target=enqueue) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield ids
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_enqueue_wakes_an_idle_runner(db, runner):
    wait_armed(db, "default")
    waits = []
    for _ in range(21):
        job = db.wait_ended(db.enqueue())
        waits.append((job.started_at - job.created_at).total_seconds())
    waits.sort()
    print(f"from enqueue to start: median {waits[10] * 1000:.1f} ms, most {waits[-1] * 1000:.1f} ms")
    assert waits[10] < 0.1 and waits[-1] < 1
    assert armed(db, "default"), "so few notifications do not disarm"


def test_enqueue_of_a_set_wakes_too(db, runner):
    wait_armed(db, "default")
    ids = db.enqueue_many(500)
    begun = time.monotonic()
    db.wait_empty()
    assert time.monotonic() - begun < 3
    assert db.one("select count(*) from errand.history where id = any (%s)", ids) == 500


def test_future_job_in_a_sleeping_lane(db, runner):
    """The lane sleeps, is told of a time, and is there when it comes; an earlier one enqueued later is not overslept."""
    wait_armed(db, "single")
    last = db.enqueue(queue="single", after=2.5)
    first = db.enqueue(queue="single", after=1.2)
    for id in (first, last):
        job = db.wait_ended(id)
        assert -0.02 < (job.started_at - job.run_at).total_seconds() < 0.5, job


def test_late_commit_in_an_armed_lane(db, runner):
    wait_armed(db, "single")
    id, at = commit_late(db, "single")
    assert late(db.wait_ended(id), at) < 1


def test_late_commit_behind_others_in_an_armed_lane(db, runner):
    """The lane was read on meanwhile."""
    wait_armed(db, "single")
    with stream(db, "single", 0.2):
        id, at = commit_late(db, "single")
        job = db.wait_ended(id)
    assert late(job, at) < 1
    db.wait_empty()


@contextlib.contextmanager
def busy(db, queue):
    """A lane that finds something new in every look and so stays awake, however slow the machine and this test are:
    besides the stream, a job is due each 10 ms."""
    wait_armed(db, queue)
    db.sql("select errand.enqueue_many('probe.run', array_fill('{}'::jsonb, array[3000]), queue => %s,"
           " run_at => array(select clock_timestamp() + n * interval '10 ms' from generate_series(1, 3000) n))", queue)
    try:
        with stream(db, queue, 0.02):
            disarm(db, queue)
            version = "select xmin::text from errand.lane where queue = %s"  # armed and disarmed again is seen, too
            since = db.one(version, queue)
            yield
            assert not armed(db, queue) and db.one(version, queue) == since, "the lane was to be busy all the time"
    finally:  # those that the runner may hold run
        db.sql("delete from errand.job where run_at > clock_timestamp() + interval '3 s'")


def disarm(db, queue):
    """More notifications than a lane takes."""
    deadline = time.monotonic() + 20
    while armed(db, queue):
        assert time.monotonic() < deadline
        db.sql(f"do $$ begin for i in 1..150 loop perform errand.enqueue('probe.run', queue => '{queue}'); commit;"
               " end loop; end $$")


def test_late_commit_in_a_busy_lane(db, runner):
    """It polls, nobody is told, and a look from the beginning finds it."""
    with busy(db, "single"):
        id, at = commit_late(db, "single")
        job = db.wait_ended(id)
    assert late(job, at) < 3
    db.wait_empty()
    wait_armed(db, "single")


def test_late_commit_behind_many_that_nobody_runs(db, runner):
    """They stand in front of it in every look from the beginning."""
    db.sql("select errand.enqueue_many('later.release', array_fill('{}'::jsonb, array[3000]), queue => 'single')")
    try:
        with busy(db, "single"):
            id, at = commit_late(db, "single")
            job = db.wait_ended(id, timeout=8)
        assert late(job, at) < 3
    finally:
        db.sql("delete from errand.job where kind = 'later.release'")


def test_transactions_that_overlap(db, runner):
    """Many that stay open for different times, while others commit at once: none is forgotten."""
    wait_armed(db, "single")
    ids = []

    def enqueue(seconds):
        with contextlib.closing(connect(db.dsn)) as connection:
            for _ in range(6):
                ask(connection, "begin")
                ids.append(ask(connection, "select errand.enqueue('probe.run', queue => 'single')")[0][0])
                ask(connection, "select pg_sleep(%s)", seconds)
                ask(connection, "commit")
    with stream(db, "single", 0.05):
        threads = [threading.Thread(target=enqueue, args=(0.05 + 0.06 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    begun = time.monotonic()
    db.wait_empty()
    assert time.monotonic() - begun < 3
    assert db.one("select count(*) from errand.history where id = any (%s)", ids) == 48


def test_rollback_leaves_nothing(db, runner):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[id]] = ask(other, "select errand.enqueue('probe.run')")
        ask(other, "rollback")
    db.wait_ended(db.enqueue())
    assert db.job(id) is None


def test_lane_is_armed_again_after_a_burst(db, runner):
    wait_armed(db, "single")
    disarm(db, "single")
    db.wait_empty()
    wait_armed(db, "single")
    job = db.wait_ended(db.enqueue(queue="single"))
    assert (job.started_at - job.created_at).total_seconds() < 0.5


# ---- Replaced before and while it runs ----

def texts_of(runner, id):
    return until(lambda: [line for line in runner.log().splitlines() if f" job={id} " in line], "no line", timeout=5)


def test_replaced_shortly_before_its_time(db, runner):
    """It is in the runner's memory by then; what runs is what stands."""
    wait_armed(db, "single")
    id = db.enqueue(queue="single", after=0.6, key="soon", args={"outcome": "unknown", "text": "old args"})
    # Read ahead of its time: it stands in memory when a job that was enqueued behind it has run.
    db.wait_ended(db.enqueue(queue="single"))
    assert db.enqueue(queue="single", after=0.3, key="soon", on_conflict="replace",
                      args={"outcome": "unknown", "text": "new args"}) == id
    assert db.wait_ended(id, timeout=5).last_error == "new args"
    assert [line for line in texts_of(runner, id) if "old args" in line] == []


@pytest.mark.parametrize("away", [1.5, 3600])
def test_moved_to_later_shortly_before_its_time(db, runner, away):
    """Also when its new time is beyond what the runner reads ahead."""
    wait_armed(db, "single")
    id = db.enqueue(queue="single", after=0.6, key=f"moved {away}", args={"outcome": "unknown", "text": "ran"})
    db.wait_ended(db.enqueue(queue="single"))
    assert db.enqueue(queue="single", after=away, key=f"moved {away}", on_conflict="replace",
                      args={"outcome": "unknown", "text": "ran"}) == id
    db.wait_ended(db.enqueue(queue="single", after=0.8))  # past the old time
    assert [line for line in runner.log().splitlines() if f" job={id} " in line] == []
    if away == 3600:
        assert db.job(id).state == "scheduled" and db.one("select errand.cancel(%s)", id) == "cancelled"
        return
    job = db.wait_ended(id, timeout=5)
    assert (job.started_at - job.run_at).total_seconds() > -0.02
    assert len(texts_of(runner, id)) == 1
