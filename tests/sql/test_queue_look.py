"""The look at many lanes in one statement: which rows it brings of each, and what it says of them."""

import pytest

from support.cluster import shared_cluster
from support.statements import run_statement
from support.wait import QueueDatabase

LANES = 4
RUNNER = 7001


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('many', %s)", LANES)
        db.sql("insert into errand.runner (id, name, version, queues, kinds, concurrency, lease_until) overriding system value"
               " values (%s, 'lives', '1', '{*}', '{}', 1, now() + interval '1 hour'), (%s, 'gone', '1', '{*}', '{}', 1, now())",
               RUNNER, RUNNER + 1)
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.job")


@pytest.fixture
def lanes(database):
    return [row[0] for row in database.sql("select lane from errand.lane where queue = 'many' order by lane")]


def add(db, lane, due=0, priority=2, **named):
    """A job of a lane that is due in so many seconds. Returns the id."""
    columns = "".join(f", {name}" for name in named)
    return db.one(f"insert into errand.job (lane, kind, args, priority, run_at, max_attempts{columns})"
                  f" values (%s, 'a', '{{}}', %s, now() + make_interval(secs => %s), 3{', %s' * len(named)}) returning id",
                  lane, priority, due, *named.values())


def look(db, lanes, since=None, horizon=1, until=30, limit=9):
    at = [db.one("select now() + make_interval(secs => %s)", seconds) for seconds in (horizon, until)]
    return run_statement(db.connection, "lanes_look", lanes, since or "-infinity", *at, limit)


def test_lanes_come_in_the_order_that_they_are_named_in(db, lanes):
    ids = {lane: add(db, lane) for lane in lanes}
    asked = [lanes[2], lanes[0], lanes[3]]
    assert [(row.lane, row.id) for row in look(db, asked)] == [(lane, ids[lane]) for lane in asked]


def test_nothing_in_them(db, lanes):
    add(db, lanes[0])
    assert look(db, lanes[1:]) == []


def test_all_classes_and_no_more_than_the_limit_of_each(db, lanes):
    ids = [[add(db, lanes[0], due, priority) for due in (-3, -2, -1)] for priority in range(4)]
    found = look(db, lanes[:1], limit=2)
    assert sorted((row.priority, row.id) for row in found) == [(priority, id) for priority in range(4) for id in ids[priority][:2]]


def test_between_two_times(db, lanes):
    add(db, lanes[0], -60)
    inside = [add(db, lanes[0], due) for due in (-5, 0, 20)]
    add(db, lanes[0], 40)
    db.sql("insert into errand.job (lane, kind, args, priority, run_at, max_attempts) values (%s, 'a', '{}', 2, 'infinity', 3)", lanes[0])
    since = db.one("select now() - interval '30 seconds'")
    assert [row.id for row in look(db, lanes, since)] == inside


def test_what_comes_behind_the_horizon_is_told_as_such(db, lanes):
    now, later = add(db, lanes[0], 0.5), add(db, lanes[0], 1.5)
    assert [(row.id, row.later) for row in look(db, lanes)] == [(now, None), (later, True)]


def test_what_is_told_of_a_job(db, lanes):
    plain = add(db, lanes[0], -4)
    changed = add(db, lanes[0], -3, revision=2, cancel_requested=True)
    running = [add(db, lanes[0], -2 + n, claimed_by=RUNNER + n) for n in range(2)]
    assert [(row.id, row.kind, row.args, row.revision, row.cancel_requested, row.claimed_by, row.claimer_alive) for row in look(db, lanes)] == [
        (plain, "a", None, None, None, None, None), (changed, "a", None, 2, True, None, None),
        (running[0], "a", None, None, None, RUNNER, True), (running[1], "a", None, None, None, RUNNER + 1, False)]
