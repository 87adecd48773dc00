"""Fleets whose runners do not know the same kinds, as while a new version is rolled out: each job goes to one that knows it."""

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.wait import QueueDatabase, until

OTHER = binary().parent / "tests" / "errand_other"


@pytest.fixture
def queue():
    with QueueDatabase(shared_cluster(vector=False)) as database, Errand(database.dsn) as errand:
        database.errand = errand
        yield database


def start_other(queue, **env):
    return queue.errand.start(program=OTHER, env={"ERRAND_NAME": "other", **env}).wait_ready()


def test_lanes_go_where_their_jobs_are_known(queue):
    """One lane alone, so that it must go to and fro."""
    queue.sql("select errand.queue_create('single', 1)")
    first = queue.errand.start(env={"ERRAND_NAME": "first"}).wait_ready()
    start_other(queue)
    ids = [queue.enqueue(kind, queue="single") for _ in range(20) for kind in ("probe.run", "other.run")]
    queue.wait_empty(timeout=20)
    queue.check_history(ids)
    ran = dict(queue.sql("select h.kind, string_agg(distinct r.name, ' ') from errand.history h"
                         " join errand.runner r on r.id = h.runner group by h.kind"))
    assert ran == {"probe.run": "first", "other.run": "other"}
    first.wait_log("lane goes to a runner that knows its jobs|lanes acquired")


def test_all_lanes_of_a_queue(queue):
    queue.errand.start(env={"ERRAND_NAME": "first"}).wait_ready()
    start_other(queue)
    queue.wait("select count(distinct owner) = 2 from errand.lane where queue = 'default'", timeout=10)
    ids = queue.enqueue_many(500) + queue.enqueue_many(500, kind="other.run")
    queue.wait_empty(timeout=30)
    queue.check_history(ids)


def test_a_kind_that_nobody_knows_is_left_alone(queue):
    queue.errand.start().wait_ready()
    id = queue.enqueue("other.run")
    queue.wait_ended(queue.enqueue())
    assert queue.one("select errand.why(%s)", id) == "No runner here knows kind other.run."
    start_other(queue)
    queue.wait_ended(id, timeout=10)
    until(lambda: queue.one("select count(*) from errand.lane where owner is null") == 0, "lanes without an owner")
