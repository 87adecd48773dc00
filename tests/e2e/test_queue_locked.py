"""A transaction that somebody leaves open keeps the rows of some jobs locked: those wait, and nothing else does."""

import time

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import EFFECT_TABLE
from support.wait import QueueDatabase, ask, connect


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(EFFECT_TABLE)
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


@pytest.fixture
def other(db):
    """Another session, in a transaction."""
    connection = connect(db.dsn)
    connection.autocommit = False
    yield connection
    connection.close()


def check_others_go_on(db, kind="probe.run", args=None):
    begun = time.monotonic()
    for id in [db.enqueue(kind, args) for _ in range(20)]:
        assert db.wait_ended(id, timeout=5).state == "done"
    ids = db.enqueue_many(1000, args, kind)
    db.wait("select count(*) >= 1000 from errand.history where id = any (%s)", ids, timeout=10)
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("args", [{}, {"effect": "with"}])
def test_job_that_others_are_to_follow(db, errand, other, args):
    """The parent ends while the transaction that enqueued its child is open. Its effect is there once."""
    errand.start().wait_ready()
    parent = db.enqueue(args={"sleep_ms": 700, **args})
    [[child]] = ask(other, "select errand.enqueue('probe.run', after => array[%s]::bigint[])", parent)
    check_others_go_on(db, args=args)
    time.sleep(1)
    check_others_go_on(db)
    assert db.job(parent).state == "ready"
    other.commit()
    assert db.wait_ended(parent, timeout=5).state == "done"
    assert db.wait_ended(child, timeout=5).state == "done"
    assert db.one("select count(*) from public.probe_effect where job = %s", parent) == len(args)


def test_child_that_is_rolled_back(db, errand, other):
    errand.start().wait_ready()
    parent = db.enqueue(args={"sleep_ms": 300})
    ask(other, "select errand.enqueue('probe.run', after => array[%s]::bigint[])", parent)
    time.sleep(0.8)
    other.rollback()
    assert db.wait_ended(parent, timeout=5).state == "done"
    db.wait_empty(timeout=5)


def test_job_that_is_to_be_claimed(db, errand, other):
    """A claim does not wait for it either, and it starts when it is free."""
    errand.start().wait_ready()
    db.sql("select errand.queue_pause('default')")
    parent = db.enqueue("probe.claim")
    ask(other, "select errand.enqueue('probe.run', after => array[%s]::bigint[])", parent)
    db.sql("select errand.queue_resume('default')")
    check_others_go_on(db, "probe.claim")
    assert db.job(parent).state == "ready"
    other.commit()
    assert db.wait_ended(parent, timeout=5).attempt == 1
    db.wait_empty(timeout=5)


def test_long_job_is_claimed_when_it_is_free(db, errand, other):
    errand.start().wait_ready()
    parent = db.enqueue(args={"sleep_ms": 3000})
    ask(other, "select errand.enqueue('probe.run', after => array[%s]::bigint[])", parent)
    long = db.enqueue(args={"sleep_ms": 3000})
    db.wait_state(long, "running", timeout=5)
    assert db.job(parent).state == "ready"
    other.commit()
    db.wait_state(parent, "running", timeout=3)


def test_transactions_that_enqueue_several_do_not_lock_the_runner_out(db, errand, other):
    """Each call locks the parents it names, whatever else the transaction has locked; the runner holds others."""
    errand.start().wait_ready()
    begun = time.monotonic()
    for _ in range(20):
        parents = db.enqueue_many(30, {"sleep_ms": 20})
        for parent in parents[::3] + parents[::-2]:
            ask(other, "select errand.enqueue('probe.run', after => array[%s]::bigint[])", parent)
        other.commit()
    db.wait_empty(timeout=10)
    assert time.monotonic() - begun < 20
