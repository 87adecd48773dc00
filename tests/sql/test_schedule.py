"""Schedules in SQL: what may be set, that a fire is made once for what was seen, overlap, and what is told of it. The fire
times, which a runner computes, are given here."""

import contextlib
import datetime
import threading

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.schedule, errand.schedule_fire, errand.job, errand.dependency, errand.history, errand.runner")
    database.sql("set enable_seqscan = on")


@contextlib.contextmanager
def refused(sqlstate, message, hint=""):
    with pytest.raises(psycopg2.Error) as caught:
        yield
    assert caught.value.pgcode == sqlstate, caught.value
    assert message in caught.value.diag.message_primary
    assert hint in (caught.value.diag.message_hint or "")


def make(db, name="s", cron="@hourly", kind="some.kind", **named):
    given = "".join(f", {key} => %s" for key in named)
    return db.one(f"select errand.schedule_set(%s, %s, %s{given})", name, cron, kind, *named.values())


def seen(db, name="s"):
    return db.row("select * from errand.schedule where name = %s", name)


def at(minute, hour=12):
    return datetime.datetime(2026, 5, 1, hour, minute, tzinfo=UTC)


def time_text(time):
    return time if isinstance(time, str) else time.isoformat()


def fire(db, fires, next_at, as_seen=None, name="s", problem=None, passed=None, connection=None):
    s = as_seen or seen(db, name)
    text = ("select errand.schedules_fire(%s, %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[], %s::timestamptz[], '{1}',"
            " %s, %s::timestamptz[])")
    params = ([s.name], [s.revision], [ask(connection or db.connection, "select next_at::text from errand.schedule where name = %s",
                                           name)[0][0] if as_seen is None else as_seen.seen], [time_text(next_at)], [problem], [passed],
              [len(fires)], [time_text(f) for f in fires])
    return ask(connection or db.connection, text, *params)[0][0]


class Seen:
    """A schedule as a runner saw it."""

    def __init__(self, db, name="s"):
        self.name, self.revision, self.seen = db.row(
            "select name, revision, next_at::text as seen from errand.schedule where name = %s", name)


def fires(db, name="s"):
    return [(f.fire_at, f.outcome, f.job_id) for f in db.sql(
        "select * from errand.schedule_fire where schedule = %s order by fire_at, decided_at", name)]


def jobs(db):
    return [row.id for row in db.sql("select id from errand.job order by created_at, id")]


# ---- Setting ----

def test_set_says_what_it_did(db):
    assert [make(db), make(db), make(db, args='{"a": 1}'), make(db, args='{"a": 1}'), make(db, missed="all", args='{"a": 1}')] == [
        "created", "unchanged", "changed", "unchanged", "changed"]
    assert seen(db).revision == 3


@pytest.mark.parametrize("named, message, hint", [
    ({"name": ""}, 'name "" is not valid', "like report.daily"),
    ({"name": "a b"}, 'name "a b" is not valid', ""),
    ({"cron": "* * * *"}, 'cron "* * * *" has 4 fields', "five fields"),
    ({"cron": "* * * * * * * *"}, "has 8 fields", ""),
    ({"cron": "a;b * * * *"}, "is not valid", "five fields"),
    ({"cron": None}, "is not valid", ""),
    ({"kind": "No"}, 'kind "No" is not valid', ""),
    ({"timezone": "Europe/Nowhere"}, 'time zone "Europe/Nowhere" not recognized', ""),
    ({"timezone": ""}, 'time zone "" is not valid', "Europe/Berlin"),
    ({"missed": "never"}, 'missed "never" is not known', "'once'"),
    ({"overlap": "wait"}, 'overlap "wait" is not known', "'queue'"),
    ({"missed_max": "-1 day"}, "missed_max -1 days is not valid", ""),
    ({"jitter": "2 days"}, "jitter 2 days is not valid", ""),
    ({"starts_at": "2026-01-02", "ends_at": "2026-01-02"}, "is not later than starts_at", ""),
    ({"tags": ["x" * 101]}, "tags are not valid", ""),
])
def test_set_refuses(db, named, message, hint):
    with refused("22023", message, hint):
        make(db, **named)
    assert db.one("select count(*) from errand.schedule") == 0


def test_set_refuses_an_unknown_queue(db):
    with refused("42704", 'queue "nosuch" does not exist'):
        make(db, queue="nosuch")


@pytest.mark.parametrize("call", ["schedule_remove", "schedule_enable", "schedule_disable", "schedule_run_now"])
def test_nothing_of_that_name(db, call):
    with refused("42704", 'schedule "nosuch" does not exist', "errand.schedules lists"):
        db.sql(f"select errand.{call}('nosuch')")


def test_what_passed_is_kept_by_the_same_times_only(db):
    """To set a schedule anew with the same times forgets nothing that is still to be dealt with; with others it does."""
    make(db)
    fire(db, [], at(0))
    make(db, args='{"other": true}')
    assert seen(db).next_at == at(0)
    for named in ({"cron": "@daily"}, {"timezone": "Europe/Berlin"}, {"ends_at": "2100-01-01"}):
        db.sql("update errand.schedule set next_at = %s", at(0))
        assert make(db, **named) == "changed"
        assert db.one("select next_at = '-infinity' from errand.schedule"), named
        db.sql("select errand.schedule_remove('s')")
        make(db)
    fire(db, [], at(0))
    make(db, enabled=False)
    make(db)
    assert db.one("select next_at = '-infinity' from errand.schedule"), "what passed while it was disabled is not made up for"


def test_enable_counts_from_now(db):
    make(db)
    fire(db, [], at(0))
    db.sql("select errand.schedule_disable('s')")
    assert db.row("select enabled, next_at from errand.schedules") == (False, None)
    db.sql("select errand.schedule_enable('s')")
    assert db.one("select next_at = '-infinity' from errand.schedule")


def test_changes_are_told(db):
    db.sql("insert into errand.runner (id, name, version, queues, kinds, concurrency, lease_until) values (7, 'r', '1', '{*}', '{}', 1, now())")
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, 'listen "errand.7"')
        for n, call in enumerate(("schedule_set('s', '@hourly', 'a')", "schedule_disable('s')", "schedule_enable('s')",
                                  "schedule_set('s', '@hourly', 'a')", "schedule_set('s', '@daily', 'a')")):
            db.sql(f"select errand.{call}")
        other.poll()
        ask(other, "select 1")
        assert [n.payload for n in other.notifies] == ["schedule"] * 3


# ---- Firing ----

def test_fire_makes_the_job_and_moves_on(db):
    make(db, args='{"when": "{{fire_time}}", "n": [1, "at {{fire_time}}"]}', timezone="Asia/Kolkata", priority=1, max_attempts=3,
         timeout="2 seconds", tags=["t"])
    assert fire(db, [at(0)], at(0, 13)) == 1
    [job] = db.sql("select * from errand.job")
    assert (job.kind, job.priority, job.max_attempts, job.timeout_ms, job.key, job.key_shared, job.tags) == (
        "some.kind", 1, 3, 2000, "schedule:s", True, ["t", "schedule:s"])
    assert job.args == {"when": "2026-05-01T17:30:00+05:30", "n": [1, "at 2026-05-01T17:30:00+05:30"]}
    s = seen(db)
    assert (s.next_at, s.last_at, s.last_job, s.last_lane) == (at(0, 13), at(0), job.id, job.lane)
    assert fires(db) == [(at(0), "made", job.id)]


@pytest.mark.parametrize("zone, text", [("UTC", "2026-05-01T12:00:00Z"), ("America/St_Johns", "2026-05-01T09:30:00-02:30"),
                                        ("Europe/Berlin", "2026-05-01T14:00:00+02:00"), ("Moon/Base", "2026-05-01T12:00:00Z")])
def test_fire_time_as_text(db, zone, text):
    assert db.one("select errand.schedule_time(%s, %s)", at(0), zone) == text


def test_the_lane_is_that_of_the_key(db):
    for n in range(20):
        make(db, name=f"n{n}")
        fire(db, [at(0)], at(1), name=f"n{n}")
    by_key = db.sql("select lane, key from errand.job order by key")
    made = {row.key: row.lane for row in by_key}
    for key, lane in made.items():
        id = db.enqueue("some.kind", key=key, on_conflict="allow")
        assert db.one("select lane from errand.job where id = %s", id) == lane
    assert len(set(made.values())) > 3


def test_stale_fires_do_nothing(db):
    make(db)
    fire(db, [], at(0))
    old = Seen(db)
    assert fire(db, [at(0)], at(1), old) == 1
    assert fire(db, [at(0)], at(1), old) == 0
    old = Seen(db)
    make(db, args='{"new": 1}')
    assert fire(db, [at(1)], at(2), old) == 0
    old = Seen(db)
    db.sql("select errand.schedule_disable('s')")
    assert fire(db, [at(1)], at(2), old) == 0
    db.sql("select errand.schedule_remove('s')")
    assert fire(db, [at(1)], at(2), old) == 0
    assert len(jobs(db)) == 1 and len(fires(db)) == 1


def test_next_at_moves_forward_only(db):
    make(db)
    fire(db, [], at(10))
    assert fire(db, [at(10)], at(10)) == 0
    assert fire(db, [at(10)], at(9)) == 0
    assert jobs(db) == [] and seen(db).next_at == at(10)


def test_fired_by_several_at_once(db):
    """Eight at a time fire what they all have seen: each fire time makes one job, and all end."""
    for n in range(30):
        make(db, name=f"n{n}")
        fire(db, [], at(0), name=f"n{n}")
    names = [f"n{n}" for n in range(30)]
    errors, barrier, moved = [], threading.Barrier(8), []

    def run(number):
        try:
            with contextlib.closing(connect(db.dsn)) as connection:
                for minute in range(5):
                    barrier.wait(30)
                    order = names if number % 2 else names[::-1]
                    rows = {row.name: row for row in ask(connection, "select name, revision, next_at::text from errand.schedule")}
                    barrier.wait(30)
                    [[n]] = ask(connection, "select errand.schedules_fire(%s, %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[],"
                                " %s::timestamptz[], %s, %s, %s::timestamptz[])", order, [rows[o].revision for o in order],
                                [rows[o].next_at for o in order], [at(minute + 1).isoformat()] * 30, [None] * 30, [None] * 30,
                                list(range(1, 31)), [1] * 30, [at(minute).isoformat()] * 30)
                    moved.append(n)
        except Exception as error:  # noqa: BLE001
            errors.append(error)
            barrier.abort()
    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert sum(moved) == len(jobs(db)) == 150
    assert db.one("select count(*) from (select distinct schedule, fire_at from errand.schedule_fire where outcome = 'made') d") == 150


def test_rollback_takes_back_both(db):
    make(db)
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        assert fire(db, [at(0)], at(1), Seen(db), connection=other) == 1
        ask(other, "rollback")
    assert jobs(db) == [] and fires(db) == [] and db.one("select next_at = '-infinity' from errand.schedule")


def test_several_fires_and_those_passed_over(db):
    make(db)
    fire(db, [], at(0))
    assert fire(db, [at(3), at(4)], at(5), passed=at(3).isoformat()) == 1
    first, second = jobs(db)
    assert fires(db) == [(at(0), "missed", None), (at(3), "made", first), (at(4), "made", second)]
    assert db.one("select until_at from errand.schedule_fire where outcome = 'missed'") == at(3)


def test_overlap_skip(db):
    make(db, overlap="skip")
    fire(db, [at(0), at(1)], at(2))
    [first] = jobs(db)
    fire(db, [at(2)], at(3))
    assert jobs(db) == [first] and seen(db).last_job == first and seen(db).last_at == at(2)
    db.sql("select errand.cancel(%s)", first)
    fire(db, [at(3)], at(4))
    [second] = jobs(db)
    assert fires(db) == [(at(0), "made", first), (at(1), "skipped", first), (at(2), "skipped", first), (at(3), "made", second)]


def test_overlap_queue(db):
    """Each waits for the one before it, however that one ends."""
    make(db, overlap="queue")
    fire(db, [at(0), at(1)], at(2))
    fire(db, [at(2)], at(3))
    ids = [f[2] for f in fires(db)]
    assert [(row.parent_id, row.child_id, row.on_parent) for row in db.sql("select * from errand.dependency order by parent_id")] == [
        (ids[0], ids[1], "run"), (ids[1], ids[2], "run")]
    assert [db.job(id).state for id in ids] == ["ready", "waiting", "waiting"]
    db.sql("select errand.cancel(%s)", ids[0])
    assert [db.job(id).state for id in ids] == ["cancelled", "ready", "waiting"]


def test_overlap_queue_waits_for_nobody_who_holds_the_job(db):
    """Another transaction is just ending the job before: that fire stays due, and others go on."""
    make(db, overlap="queue")
    make(db, name="other")
    fire(db, [at(0)], at(1))
    [first] = jobs(db)
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "delete from errand.job where id = %s", first)
        assert fire(db, [at(1), at(2)], at(3)) == 0
        assert seen(db).next_at == at(1) and len(fires(db)) == 1
        ask(other, "commit")
    assert fire(db, [at(1)], at(3)) == 1
    assert [db.job(id).state for id in jobs(db)] == ["ready"]


def test_jitter(db):
    """Of each fire time its own, the same however often it is asked."""
    make(db, jitter="10 minutes")
    db.sql("update errand.schedule set next_at = '-infinity'")
    ahead = [datetime.datetime(2100, 1, 1, 0, n, tzinfo=UTC) for n in range(50)]
    fire(db, ahead, datetime.datetime(2100, 1, 2, tzinfo=UTC))
    late = [row.late for row in db.sql("select extract(epoch from j.run_at - f.fire_at)::float8 as late"
                                       " from errand.schedule_fire f join errand.job j on j.id = f.job_id order by f.fire_at")]
    assert all(0 <= seconds < 600 for seconds in late) and max(late) > 400 and min(late) < 200 and len(set(late)) == 50


def test_problem_stops_it_until_it_is_set_anew(db):
    make(db, cron="61 * * * *")
    assert fire(db, [], "infinity", problem="minute 61 is none") == 1
    assert db.row("select problem, next_at from errand.schedules") == ("minute 61 is none", None)
    assert fire(db, [at(0)], at(1)) == 0
    db.sql("select errand.schedule_enable('s')")
    assert seen(db).problem is None
    fire(db, [], "infinity", problem="still")
    assert make(db, cron="1 * * * *") == "changed"
    assert seen(db).problem is None and db.one("select next_at = '-infinity' from errand.schedule")


def test_queue_that_cannot_take_it_is_a_problem_of_that_one_alone(db):
    db.sql("select errand.queue_create('gone', 1)")
    make(db, queue="gone")
    make(db, name="well")
    db.sql("delete from errand.lane where queue = 'gone'")
    db.sql("delete from errand.queue where name = 'gone'")
    assert fire(db, [at(0)], at(1)) == 1 and fire(db, [at(0)], at(1), name="well") == 1
    assert seen(db).problem == "queue gone does not exist" and len(jobs(db)) == 1


def test_run_now(db):
    make(db, args='{"when": "{{fire_time}}"}', enabled=False, overlap="skip")
    ids = [db.one("select errand.schedule_run_now('s')") for _ in range(2)]
    assert jobs(db) == ids
    assert db.one("select args ->> 'when' from errand.job where id = %s", ids[0]).startswith("20")
    assert [f[1:] for f in fires(db)] == [("run now", id) for id in ids]
    s = seen(db)
    assert (s.last_job, s.last_at) == (ids[1], None) and db.one("select next_at = '-infinity' from errand.schedule")


# ---- What is told ----

def test_view(db):
    make(db, timezone="Europe/Berlin")
    assert db.one("select problem from errand.schedules") == "no runner is there"
    db.sql("insert into errand.runner (name, version, queues, kinds, concurrency, lease_until)"
           " values ('r', '1', '{*}', '{other.kind}', 1, now() + interval '1 minute')")
    assert db.row("select next_at, last_job, last_state, problem from errand.schedules") == (
        None, None, None, "no runner here knows kind some.kind")
    db.sql("update errand.runner set kinds = '{some.kind}'")
    fire(db, [at(0)], at(1))
    [id] = jobs(db)
    assert db.row("select next_at, last_at, last_job, last_state, problem from errand.schedules") == (at(1), at(0), id, "ready", None)
    db.sql("select errand.cancel(%s)", id)
    assert db.one("select last_state from errand.schedules") == "cancelled"
    fire(db, [], "infinity")
    assert db.row("select next_at, problem from errand.schedules") == (None, "it has no fire time any more")


def test_due_ones_are_found_by_the_index(db):
    """100,000 schedules of which few are due: a tick reads those."""
    db.sql("insert into errand.schedule (name, cron, timezone, kind, args, priority, tags, missed, missed_max, overlap, jitter, enabled, next_at)"
           " select 's' || n, '@hourly', 'UTC', 'a', '{}', 2, '{}', 'once', '1 day', 'allow', '0', true,"
           " case when n <= 5 then now() - interval '1 s' else now() + n * interval '1 second' end from generate_series(1, 20000) n")
    db.sql("analyze errand.schedule")
    from support.statements import QUEUE_SQL, read_statements
    text = read_statements(QUEUE_SQL.read_text(encoding="utf-8"))["schedules_due"].replace("$1", "2000")
    db.sql("set enable_seqscan = off")
    plan = "\n".join(row[0] for row in db.sql("explain (analyze, buffers, costs off, timing off, summary off) " + text))
    assert "Seq Scan" not in plan and "Sort" not in plan, plan
    assert len(db.sql(text)) == 6
    [buffers] = db.sql("explain (analyze, buffers, format json) " + text)[0]
    assert buffers[0]["Plan"]["Shared Hit Blocks"] + buffers[0]["Plan"]["Shared Read Blocks"] < 40, plan
