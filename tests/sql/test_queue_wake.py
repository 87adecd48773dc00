"""Who is told of what: notifications of enqueue, cancel and the queues' settings."""

import contextlib

import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

OWNER, OTHER = 7001, 7002
MINUTE_US = 60 * 1000000


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        db.lane = db.one("select lane from errand.lane where queue = 'single'")
        yield db


@pytest.fixture
def db(database):
    database.sql("update errand.lane set owner = %s, armed = true where queue = 'single'", OWNER)
    database.sql("update errand.lane set owner = %s, armed = false where queue <> 'single'", OTHER)
    yield database
    database.sql("delete from errand.job")


@pytest.fixture
def heard(db):
    """A connection that listens for both owners; call it for what came until now."""
    with contextlib.closing(connect(db.dsn)) as connection:
        for owner in (OWNER, OTHER):
            ask(connection, f'listen "errand.{owner}"')

        def heard():
            ask(connection, "select 1")  # what was committed before is delivered with the answer
            connection.poll()
            told = [(note.channel, note.payload) for note in connection.notifies]
            connection.notifies.clear()
            return told
        yield heard


def microseconds(db, text="now()"):
    return db.one(f"select (extract(epoch from {text}) * 1000000)::bigint")


def check_told(db, heard, at_us, tolerance_us=MINUTE_US):
    [(channel, payload)] = heard()
    word, lane, at = payload.split(" ")
    assert (channel, word, int(lane)) == (f"errand.{OWNER}", "lane", db.lane)
    assert at_us - tolerance_us <= int(at) <= at_us, "from which time on to look"


# ---- Enqueue ----

def test_armed_owner_is_told(db, heard):
    id = db.enqueue(queue="single")
    run_at = microseconds(db, f"(select run_at from errand.job where id = {id})")
    check_told(db, heard, run_at, tolerance_us=1000000)


def test_disarmed_owner_is_not(db, heard):
    db.sql("update errand.lane set armed = false")
    db.enqueue(queue="single")
    db.enqueue()
    assert heard() == []


def test_armed_lane_without_owner_tells_nobody(db, heard):
    db.sql("update errand.lane set owner = null")
    db.enqueue(queue="single")
    assert heard() == []


def test_others_lanes_are_not_told(db, heard):
    db.enqueue()
    assert heard() == []


@pytest.mark.parametrize("run_at, at", [
    ("now() + interval '1 hour'", "now() + interval '1 hour'"),
    ("'2001-01-01'", "now()"),
    ("now() - interval '1 second'", "now()"),
])
def test_time_to_look_from(db, heard, run_at, at):
    wanted = microseconds(db, at)
    db.one(f"select errand.enqueue('some.kind', queue => 'single', run_at => {run_at})")
    check_told(db, heard, wanted + 5000000, tolerance_us=10000000)


def test_never_is_a_time_too(db, heard):
    db.one("select errand.enqueue('some.kind', queue => 'single', run_at => 'infinity')")
    [(_, payload)] = heard()
    assert payload == f"lane {db.lane} 9000000000000000"


def test_once_a_transaction_and_lane(db, heard):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[start]] = ask(other, "select (extract(epoch from now()) * 1000000)::bigint")
        for _ in range(20):
            ask(other, "select errand.enqueue('some.kind', queue => 'single')")
            ask(other, "select pg_sleep(0.01)")
        assert heard() == [], "nothing before the commit"
        ask(other, "commit")
    [(_, payload)] = heard()
    # The transaction's start: nothing that it enqueued bears an earlier run_at.
    assert payload == f"lane {db.lane} {start}"
    assert microseconds(db, "(select min(run_at) from errand.job)") >= start


def test_rolled_back_tells_nobody(db, heard):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "select errand.enqueue('some.kind', queue => 'single')")
        ask(other, "rollback")
    assert heard() == []


def test_set_tells_once_with_the_least_time(db, heard):
    wanted = microseconds(db, "now() + interval '2 hours'")
    db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[3]), queue => 'single',"
           " run_at => array[now() + interval '3 hours', now() + interval '2 hours', now() + interval '4 hours'])")
    check_told(db, heard, wanted + 5000000, tolerance_us=10000000)


def test_set_without_times_tells_that_it_is_due(db, heard):
    wanted = microseconds(db)
    db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[300]), queue => 'single')")
    check_told(db, heard, wanted + 5000000, tolerance_us=10000000)


def test_set_with_a_job_that_is_due_among_later_ones(db, heard):
    """null is now, and now is earlier than in an hour."""
    wanted = microseconds(db)
    db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[2]), queue => 'single',"
           " run_at => array[now() + interval '1 hour', null])")
    check_told(db, heard, wanted + 5000000, tolerance_us=10000000)


def test_every_lane_of_a_set_is_told(db, heard):
    db.sql("update errand.lane set armed = true")
    db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[512]))")
    told = heard()
    assert {channel for channel, _ in told} == {f"errand.{OTHER}"}
    lanes = sorted(int(payload.split(" ")[1]) for _, payload in told)
    assert lanes == [row.lane for row in db.sql("select lane from errand.lane where queue = 'default' order by lane")]


def test_replaced_job_is_told_of(db, heard):
    """Its owner, who may hold it as it was, armed or not; and of the new time like of any job."""
    id = db.enqueue(queue="single", key="k", after=3600)
    heard()
    wanted = microseconds(db)
    db.enqueue(queue="single", key="k", on_conflict="replace")
    told = heard()
    assert (f"errand.{OWNER}", f"changed {db.lane} {id}") in told
    check_told(db, lambda: [note for note in told if note[1].startswith("lane ")], wanted + 5000000, tolerance_us=10000000)


# ---- Cancel ----

def test_cancel_of_a_waiting_job(db, heard):
    id = db.enqueue("some.kind", {"a": 1}, queue="single", priority=1, key="k", trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                    after=3600)
    heard()
    row = db.row("select * from errand.job where id = %s", id)
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    assert heard() == [(f"errand.{OWNER}", f"cancel {db.lane} {id}")]
    assert db.sql("select * from errand.job where id = %s", id) == []
    told = db.row("select * from errand.history where id = %s", id)
    for column in ("lane", "attempt", "priority", "id", "run_at", "created_at", "kind", "key", "args", "trace"):
        assert getattr(told, column) == getattr(row, column), column
    assert (told.outcome, told.error, told.started_at, told.runner) == ("cancelled", "cancelled by errand.cancel", None, None)
    assert told.finished_at >= row.created_at
    assert db.one("select errand.cancel(%s)", id) == "not found"
    assert db.one("select count(*) from errand.history where id = %s", id) == 1
    assert heard() == []


def test_cancel_of_a_running_job(db, heard):
    id = db.enqueue(queue="single")
    db.sql("update errand.job set claimed_by = %s, started_at = now(), attempt = 1 where id = %s", OWNER, id)
    heard()
    for _ in range(2):
        assert db.one("select errand.cancel(%s)", id) == "requested"
        assert heard() == [(f"errand.{OWNER}", f"cancel {db.lane} {id}")]
    assert db.row("select cancel_requested, revision, attempt from errand.job where id = %s", id) == (True, 0, 1)
    assert db.sql("select id from errand.history where id = %s", id) == []


def test_cancel_tells_a_disarmed_owner_too(db, heard):
    id = db.enqueue()
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    [(channel, payload)] = heard()
    assert channel == f"errand.{OTHER}" and payload.endswith(f" {id}")


@pytest.mark.parametrize("id", ["0", "-1", "9223372036854775807", "null"])
def test_cancel_of_nothing(db, heard, id):
    assert db.one(f"select errand.cancel({id})") == "not found"
    assert heard() == []


def test_cancel_that_is_rolled_back(db, heard):
    id = db.enqueue()
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        assert ask(other, "select errand.cancel(%s)", id) == [("cancelled",)]
        ask(other, "rollback")
    assert db.one("select count(*) from errand.job where id = %s", id) == 1 and heard() == []


# ---- Settings of a queue ----

def test_owners_are_told_of_a_pause_once(db, heard):
    db.sql("select errand.queue_pause('default')")
    assert heard() == [(f"errand.{OTHER}", "queue")]
    db.sql("select errand.queue_resume('single')")
    assert heard() == [(f"errand.{OWNER}", "queue")]
    db.sql("select errand.queue_resume('default')")
    assert heard() == [(f"errand.{OTHER}", "queue")]
    db.sql("update errand.lane set owner = null")
    db.sql("select errand.queue_pause('default')")
    assert heard() == []
    db.sql("select errand.queue_resume('default')")
