"""Heavy work on threads: all others go on meanwhile; work that is to end and looks ends at once, work that does not look is
named and keeps its slot, and nothing that it uses is taken from it."""

import time

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_THREADS="2", ERRAND_STOP_TIMEOUT_MS="300") as errand:
        yield errand


def test_others_go_on_meanwhile(db, errand):
    """Two threads, four pieces of a second: two seconds."""
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(4, {"ms": 1000}, kind="probe.thread")
    begun = time.monotonic()
    for _ in range(10):
        db.wait_ended(db.enqueue(), timeout=1)
    assert time.monotonic() - begun < 1.9 and not db.sql("select from errand.history where kind = 'probe.thread' and attempt > 1")
    for id in ids:
        assert db.wait_ended(id).state == "done"
    assert 1.9 < time.monotonic() - begun < 5
    assert "kept the loop" not in runner.log()
    assert runner.terminate() == 0


def test_work_that_looks_ends_at_once(db, errand):
    runner = errand.start("--concurrency", "1").wait_ready()
    id = db.enqueue("probe.thread", {"ms": 60000, "looks": True}, timeout="0.5 seconds", max_attempts=1)
    job = db.wait_ended(id, timeout=3)
    assert (job.state, job.last_error) == ("dead", "timed out")
    db.wait_ended(db.enqueue(), timeout=2)
    assert "does not return" not in runner.log()
    assert runner.terminate() == 0


def test_work_that_does_not_look_is_named(db, errand):
    runner = errand.start("--concurrency", "1").wait_ready()
    id = db.enqueue("probe.thread", {"ms": 4000}, timeout="0.5 seconds", max_attempts=1)
    runner.wait_log(rf'event="thread of a job that is to end does not return" kind=probe.thread job={id}\b')
    assert db.job(id).state == "running"
    job = db.wait_ended(id, timeout=4)
    assert (job.state, job.last_error) == ("dead", "timed out")
    db.wait_ended(db.enqueue(), timeout=2)
    assert runner.terminate() == 0


def test_stop_does_not_wait_for_it(db, errand):
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(3, {"ms": 60000}, kind="probe.thread")
    for id in ids[:2]:
        db.wait_state(id, "running")
    begun = time.monotonic()
    assert runner.terminate() == 0
    assert time.monotonic() - begun < 5
    assert db.one("select count(*) from errand.job where attempt = 0 and claimed_by is null") == 3
