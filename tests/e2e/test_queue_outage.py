"""The database goes away in the middle of work, and comes back: nothing is lost, nothing is in the history twice, and
the runner goes on by itself."""

import contextlib
import os
import signal
import time

import pytest

from support.cluster import Cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask, connect, until

JOBS = 5000
AWAY = 3  # seconds


@pytest.fixture(scope="module")
def cluster():
    with Cluster(vector=False, fsync=False) as cluster:
        yield cluster


@pytest.fixture
def db(cluster):
    with QueueDatabase(cluster) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


@contextlib.contextmanager
def stopped(cluster, mode):
    cluster.kill() if mode == "kill" else cluster.stop(mode)
    try:
        yield
    finally:
        cluster.start()


@contextlib.contextmanager
def frozen(cluster, mode):
    """Postmaster and backends: connections stand, and nobody answers."""
    pids = [int(pid) for pid in cluster._backends()]
    assert cluster.process.pid in pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("away, mode, ttl_ms", [
    (stopped, "immediate", 10000),
    (stopped, "kill", 2000),  # longer away than the lease holds
    (frozen, "frozen", 10000),
], ids=["immediate", "kill", "frozen"])
def test_in_the_middle_of_many_jobs(cluster, db, errand, away, mode, ttl_ms):
    runner = errand.start("--lease-ttl-ms", str(ttl_ms), "--concurrency", "20").wait_ready()
    before = db.row("select r.id, max(l.epoch) as epoch from errand.runner r join errand.lane l on l.owner = r.id"
                    " group by r.id")
    ids = db.enqueue_many(JOBS // 2, {"sleep_ms": 4}) + db.enqueue_many(JOBS // 2 - 100)
    ids += db.enqueue_many(50, {"sleep_ms": 100}, "probe.claim")
    ids += db.enqueue_many(50, {"outcome": "retry", "text": "again", "delay_ms": 50, "times": 1})
    db.wait("select count(*) > 500 from errand.history", every=0)
    with away(cluster, mode):
        time.sleep(AWAY if mode != "frozen" else 2 * AWAY)  # how long it is away is what is tested
        assert runner.running, runner.log()
    begun = time.monotonic()
    db.reconnect()
    done = db.one("select count(*) from errand.history")
    assert done < JOBS, "the outage came too late"
    db.wait("select count(*) > %s from errand.history", done, timeout=10)
    works = time.monotonic() - begun
    print(f"{mode}: {done} of {JOBS} done before, working again {works:.2f} s after the return")
    db.wait_empty()
    db.check_history(ids)
    assert db.one("select count(*) from errand.history where outcome <> 'done'") == 0
    assert works < 2
    # Nobody else was there to take over: the same runner, the same epochs.
    assert db.row("select r.id, max(l.epoch) as epoch from errand.runner r join errand.lane l on l.owner = r.id"
                  " group by r.id") == before
    # And it hears of new jobs again.
    db.wait("select bool_and(armed) from errand.lane")
    job = db.wait_ended(db.enqueue())
    assert (job.started_at - job.created_at).total_seconds() < 1
    assert runner.terminate() == 0


def test_stop_while_the_database_is_away(cluster, db, errand):
    """It ends within its grace and the deadline of its last words; its jobs are run by the next one."""
    runner = errand.start(env={"ERRAND_STOP_TIMEOUT_MS": "1000"}).wait_ready()
    claimed = db.enqueue("probe.claim", {"sleep_ms": 500})
    db.wait_state(claimed, "running")
    ids = [claimed, *db.enqueue_many(200, {"sleep_ms": 500})]
    with stopped(cluster, "immediate"):
        runner.wait_log("database away")
        begun = time.monotonic()
        assert runner.terminate(timeout=15) == 0
        assert time.monotonic() - begun < 9  # 1 s, 2 s for what is cut off, 5 s for the last words
    db.reconnect()
    errand.start().wait_ready()
    db.wait_empty()
    db.check_history(ids)


def test_runner_that_is_there_before_the_database(cluster, db, errand):
    """And that is asked to stop and started anew meanwhile."""
    ids = db.enqueue_many(10)
    with stopped(cluster, "fast"):
        early = errand.start()
        early.wait_log(r"database away[^$]*database away")  # the look before the start, then the runner
        assert early.terminate() == 0
        runner = errand.start()
        runner.wait_log("database away")
    begun = time.monotonic()
    db.reconnect()
    db.wait_empty()
    assert time.monotonic() - begun < 3
    db.check_history(ids)
    assert runner.terminate() == 0


def test_connections_that_are_cut_one_by_one(db, errand):
    """Any of the runner's, again and again, while it works."""
    runner = errand.start("--concurrency", "10").wait_ready()
    ids = db.enqueue_many(2000, {"sleep_ms": 5}) + db.enqueue_many(200, {"sleep_ms": 5}, "probe.claim")
    cut = 0
    while cut < 30 and db.one("select count(*) from errand.job"):
        done = db.one("select count(*) from errand.history")
        cut += db.one("select count(*) from (select pg_terminate_backend(pid) from pg_stat_activity"
                      " where application_name like 'errand%%' and datname = current_database()"
                      " order by random() limit 1) x")
        db.wait("select count(*) > %s or count(*) = %s from errand.history", done, len(ids), every=0)
    assert cut > 5
    db.wait_empty()
    db.check_history(ids)
    assert runner.terminate() == 0


# ---- Statements that are cut ----

def test_statements_that_wait_are_cancelled(db, errand):
    """By an operator, or by a limit of the server: work goes on; a table that is locked for longer only makes it wait."""
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(300, {"sleep_ms": 300}) + db.enqueue_many(20, {"sleep_ms": 200}, "probe.claim")
    cut = set()

    def cancel_waiting():
        cut.update(row[0] for row in db.sql(
            "select a.query_start from pg_stat_activity a where a.application_name like 'errand%%'"
            " and a.datname = current_database() and a.wait_event_type = 'Lock' and pg_cancel_backend(a.pid)"))
        return len(cut) > 3
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "lock table errand.history in access exclusive mode")
        until(cancel_waiting, "no statement waits again for the table", timeout=10)
        assert ask(other, "select count(*) from errand.history")[0][0] < len(ids)
        ask(other, "commit")
    db.wait_empty()
    db.check_history(ids)
    assert runner.terminate() == 0
