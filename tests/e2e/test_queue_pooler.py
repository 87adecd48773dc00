"""Behind PgBouncer in transaction mode: no LISTEN, no session of one's own. Polling alone must do."""

import time

import pytest

from support.bouncer import PGBOUNCER, Bouncer
from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="pgbouncer is not installed (./dev test installs it)")
POOL = 4  # server connections: fewer than a runner opens of its own


@pytest.fixture(scope="module")
def cluster():
    return shared_cluster(vector=False)


@pytest.fixture(scope="module")
def bouncer(cluster):
    bouncer = Bouncer(cluster, POOL)
    yield bouncer
    bouncer.destroy()


@pytest.fixture
def db(cluster):
    """Reached directly, for the test to look at."""
    with QueueDatabase(cluster) as db:
        yield db


@pytest.fixture
def errand(db, bouncer):
    with Errand(bouncer.dsn(db.dsn), ERRAND_LEASE_TTL_MS="3000") as errand:
        yield errand


def backends(db):
    return db.one("select count(*) from pg_stat_activity where application_name like 'errand%%'"
                  " and datname = current_database()")


def test_everything_by_polling(db, errand):
    runner = errand.start().wait_ready()
    runner.wait_log("polling without notifications.*pooled=true")
    ids = {
        "done": [db.enqueue(), db.enqueue("probe.claim"), db.enqueue(after=1.5), db.enqueue(args={"sleep_ms": 1500}),
                 db.enqueue(args={"outcome": "retry", "text": "again", "delay_ms": 50, "times": 2})],
        "dead": [db.enqueue(args={"outcome": "fail", "text": "no"})],
        "unknown": [db.enqueue(args={"outcome": "unknown", "text": "no"})],
    }
    cancelled = db.enqueue(after=3600)
    assert db.one("select errand.cancel(%s)", cancelled) == "cancelled"
    for state, jobs in ids.items():
        for id in jobs:
            job = db.wait_ended(id)
            assert job.state == state
            assert (job.started_at - job.run_at).total_seconds() < 3
    assert db.one("select count(*) from errand.runner where backend_pid is null") == 1
    assert db.one("select count(*) from errand.lane where armed") == 0
    assert 0 < backends(db) <= POOL
    assert runner.terminate() == 0
    assert db.one("select count(*) from errand.lane where owner is not null") == 0
    errors = [line for line in runner.log().splitlines() if "level=error" in line]
    assert len(errors) == 2 and all('event="job ' in line for line in errors), errors


def test_idle_runner_finds_a_job_within_its_poll(db, errand):
    errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    waits = []
    for _ in range(4):
        before = db.one("select count(*) from errand.history")
        job = db.wait_ended(db.enqueue())
        waits.append((job.started_at - job.created_at).total_seconds())
        assert before + 1 == db.one("select count(*) from errand.history")
    assert max(waits) < 2


def test_many_once(db, errand):
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(3000) + db.enqueue_many(200, {"sleep_ms": 10}, "probe.claim")
    db.wait_empty()
    db.check_history(ids)
    assert "prepared statement" not in runner.log()
    assert runner.terminate() == 0


def test_cancel_of_a_running_job(db, errand):
    """Nobody can be told; it is seen when the lane is looked at."""
    errand.start().wait_ready()
    id = db.enqueue("probe.claim", {"sleep_ms": 20000})
    db.wait_state(id, "running")
    assert db.one("select errand.cancel(%s)", id) == "requested"
    assert db.wait_ended(id, timeout=8).state == "cancelled"


def test_pause_and_resume(db, errand):
    errand.start().wait_ready()
    db.sql("select errand.queue_pause('default')")
    lease = db.one("select lease_until from errand.runner")
    db.wait("select lease_until > %s from errand.runner", lease)
    lease = db.one("select lease_until from errand.runner")
    db.wait("select lease_until > %s from errand.runner", lease)
    id = db.enqueue()
    lease = db.one("select lease_until from errand.runner")
    db.wait("select lease_until > %s from errand.runner", lease)
    assert db.job(id).state == "ready"
    db.sql("select errand.queue_resume('default')")
    db.wait_ended(id, timeout=4)


def test_killed_runner_is_taken_over_when_its_lease_ends(db, errand):
    """Its backend is the pooler's: only the lease tells."""
    first = errand.start().wait_ready()
    id = db.enqueue("probe.claim", {"sleep_ms": 1500})
    db.wait_state(id, "running")
    first.kill()
    begun = time.monotonic()
    errand.start().wait_ready()
    job = db.wait_ended(id, timeout=12)
    assert (job.state, job.attempt) == ("done", 2)
    assert time.monotonic() - begun < 10


def test_lines_and_further_jobs(db, errand):
    """What handlers write beside their end comes through: their log while they run, and jobs of their own."""
    runner = errand.start().wait_ready()
    id = db.enqueue(args={"log": ["a", "b"], "sleep_ms": 3000})
    db.wait("select count(*) = 2 from errand.job_logs where id = %s", id)
    assert db.job(id).finished_at is None
    made = db.wait_ended(db.enqueue("probe.enqueue", {"new": {"kind": "probe.run", "args": {"log": ["made"]}}})).result["id"]
    db.wait_ended(made)
    assert db.one("select message from errand.job_logs where id = %s", made) == "made"
    assert runner.terminate() == 0


def test_pooler_restarts_in_the_middle(db, errand, bouncer):
    runner = errand.start("--concurrency", "20").wait_ready()
    ids = db.enqueue_many(3000, {"sleep_ms": 4})
    db.wait("select count(*) > 300 from errand.history", every=0)
    bouncer.kill()
    runner.wait_log("database away")
    assert db.one("select count(*) from errand.job") > 0
    bouncer.start()
    db.wait_empty()
    db.check_history(ids)
    assert runner.terminate() == 0


def test_listening_switched_off_on_a_direct_connection(db):
    with Errand(db.dsn, ERRAND_LISTEN="false") as errand:
        runner = errand.start().wait_ready()
        runner.wait_log("polling without notifications.*pooled=false")
        job = db.wait_ended(db.enqueue())
        assert (job.started_at - job.created_at).total_seconds() < 2
        assert db.one("select backend_pid is not null from errand.runner")
        assert runner.terminate() == 0


def test_signals_by_polling(db, errand):
    runner = errand.start().wait_ready()
    ids = [db.enqueue("probe.wait", {"signals": ["go"], **more}) for more in ({}, {"timeout_ms": 60000}, {"timeout_ms": 1000})]
    db.wait("select count(*) = 3 from errand.job where waits_signal = 'go' and claimed_by is null")
    assert [db.one("select errand.signal(%s, 'go', '1')", id) for id in ids[:2]] == ["delivered"] * 2
    for id, wanted in zip(ids, ([1], [1], [None])):
        assert db.wait_ended(id).state == "done" and db.one("select result from errand.history where id = %s", id) == wanted
    assert runner.terminate() == 0
