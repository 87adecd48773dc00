"""expires_at: no attempt starts at or after it."""

import time
from datetime import timedelta

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

CLOCKS = 0.02  # seconds: a runner knows the database's clock from its answers
expiries = {}  # of what expiring() made


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


def expiring(db, seconds, kind="probe.run", args=None, **named):
    """A job that expires so long from now on."""
    with db.connection.cursor() as cursor:
        cursor.execute("begin")
        id = db.enqueue(kind, args, **named)
        at = db.one("update errand.job set expires_at = clock_timestamp() + make_interval(secs => %s) where id = %s"
                    " returning expires_at", seconds, id)
        cursor.execute("commit")
    expiries[db.dsn, id] = at
    return id


def expires_at(db, id):
    """As it was made: the job may have ended by now."""
    return expiries[db.dsn, id]


def check_expired(db, id, at, late=0.3):
    job = db.wait_ended(id)
    assert (job.state, job.started_at) == ("cancelled", None)
    assert job.last_error == f"expired at {at:%Y-%m-%d %H:%M:%S.%f}+00"
    assert -CLOCKS <= (job.finished_at - at).total_seconds() < late
    return job


def test_in_time(db, errand):
    errand.start().wait_ready()
    id = expiring(db, 1, args={"sleep_ms": 1500})
    assert db.wait_ended(id).state == "done", "what has started in time may end later"


def test_paused_queue(db, errand):
    """Told when it is due to expire, not when the queue goes on."""
    db.sql("select errand.queue_pause('single', 'test')")
    errand.start().wait_ready()
    id, other = expiring(db, 1.2, queue="single"), db.enqueue(queue="single")
    at = expires_at(db, id)
    check_expired(db, id, at)
    assert db.job(other).state == "ready"


def test_full_runner(db, errand):
    errand.start("--concurrency", "1").wait_ready()
    long = db.enqueue(args={"sleep_ms": 2500})
    db.wait_state(long, "running")
    ids = [expiring(db, seconds) for seconds in (0.4, 0.8)]
    at = [expires_at(db, id) for id in ids]
    for id, when in zip(ids, at):
        check_expired(db, id, when)
    assert db.job(long).state == "running"
    assert db.wait_ended(long).state == "done"


def test_held_back_by_its_key(db, errand):
    """While another job of its key runs; and the one behind it goes on in its turn."""
    db.sql("select errand.queue_limit('single', key_concurrency => 1, key_ordered => true)")
    errand.start().wait_ready()
    long = db.enqueue(queue="single", key="k", on_conflict="allow", args={"sleep_ms": 2500})
    db.wait_state(long, "running")
    id = expiring(db, 0.5, queue="single", key="k", on_conflict="allow")
    at = expires_at(db, id)
    behind = db.enqueue(queue="single", key="k", on_conflict="allow")
    check_expired(db, id, at)
    assert db.job(long).state == "running" and db.job(behind).state == "ready"
    assert db.wait_ended(behind).started_at >= db.job(long).finished_at - timedelta(seconds=CLOCKS)


def test_paused_kind(db, errand):
    db.sql("select errand.kind_pause('probe.run', 'test')")
    errand.start().wait_ready()
    id, other = expiring(db, 1), db.enqueue()
    check_expired(db, id, expires_at(db, id))
    assert db.job(other).state == "ready"
    db.sql("select errand.kind_resume('probe.run')")
    assert db.wait_ended(other).state == "done"


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_expired_before_any_runner_came(db, errand, kind):
    ids = [expiring(db, 0.2, kind) for _ in range(20)]
    at = [expires_at(db, id) for id in ids]
    db.wait("select max(expires_at) < clock_timestamp() from errand.job")
    errand.start().wait_ready()
    for id, when in zip(ids, at):
        assert check_expired(db, id, when, late=60).attempt == 0
    assert db.one("select count(*) from errand.dead_letter") == 0


def test_retry_that_would_come_too_late(db, errand):
    errand.start().wait_ready()
    id = expiring(db, 30, args={"outcome": "retry", "text": "no answer", "delay_ms": 60000})
    at = expires_at(db, id)
    begun = time.monotonic()
    job = db.wait_ended(id)
    assert time.monotonic() - begun < 5
    assert (job.state, job.attempt) == ("cancelled", 1)
    assert job.last_error == f"expired at {at:%Y-%m-%d %H:%M:%S.%f}+00 (last error: no answer)"
    id = expiring(db, 30, args={"outcome": "retry", "text": "no", "delay_ms": 10, "times": 1})
    assert db.wait_ended(id).state == "done"


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_snooze_that_would_come_too_late(db, errand, kind):
    errand.start().wait_ready()
    id = expiring(db, 30, kind, args={"outcome": "snooze", "text": "nap", "delay_ms": 60000})
    at = expires_at(db, id)
    job = db.wait_ended(id)
    assert (job.state, job.last_error) == ("cancelled", f"expired at {at:%Y-%m-%d %H:%M:%S.%f}+00 (nap)")


def test_last_attempt_is_dead_not_expired(db, errand):
    errand.start().wait_ready()
    id = expiring(db, 30, args={"outcome": "retry", "text": "no", "delay_ms": 60000}, max_attempts=1)
    assert db.wait_ended(id).state == "dead"


def test_lost_attempt_that_has_expired(db, errand):
    runner = errand.start().wait_ready()
    id = expiring(db, 1, "probe.claim", args={"sleep_ms": 60000})
    db.wait_state(id, "running")
    at = expires_at(db, id)
    runner.kill()
    db.wait("select expires_at < clock_timestamp() from errand.job where id = %s", id)
    errand.start().wait_ready()
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("cancelled", 1)
    assert job.last_error == f"expired at {at:%Y-%m-%d %H:%M:%S.%f}+00"
