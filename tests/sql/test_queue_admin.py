"""Queues, the history's partitions, and what operators look at."""

import contextlib
import re
import threading

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@contextlib.contextmanager
def refused(sqlstate, message, hint=""):
    with pytest.raises(psycopg2.Error) as caught:
        yield
    assert caught.value.pgcode == sqlstate, caught.value
    assert message in caught.value.diag.message_primary
    assert (caught.value.diag.message_hint or "") == hint


# ---- Queues ----

def lanes(db, queue):
    return db.sql("select lane, shard, owner, epoch, armed from errand.lane where queue = %s order by lane", queue)


def test_migration_makes_the_default_queue(db):
    assert [row.shard for row in lanes(db, "default")] == list(range(8))
    assert db.sql("select name, lanes from errand.queue") == [("default", 8)]


def test_queue_create(db):
    db.sql("select errand.queue_create('a', 3)")
    db.sql("select errand.queue_create('b')")
    assert [(row.shard, row.owner, row.epoch, row.armed) for row in lanes(db, "a")] == [
        (shard, None, 0, False) for shard in range(3)]
    assert len(lanes(db, "b")) == 8
    every = [row.lane for row in db.sql("select lane from errand.lane")]
    assert len(every) == len(set(every)) == 19


def test_queue_create_again_finds_it(db):
    db.sql("select errand.queue_create('a', 3)")
    before = lanes(db, "a")
    db.sql("select errand.queue_create('a', 3)")
    assert lanes(db, "a") == before
    with refused("55000", 'queue "a" has 3 lanes, which cannot be changed',
                 "Leave its number of lanes as it is, or make a queue of another name."):
        db.sql("select errand.queue_create('a', 4)")
    assert lanes(db, "a") == before


NAME_HINT = 'A queue is 1 to 63 characters of a-z, 0-9, "_", "." and "-", like email.'
LANES_HINT = "1 where order or rate is one for all, 8 to spread work over runners."


@pytest.mark.parametrize("name, number, message, hint", [
    *((name, 1, f'queue "{name}" is not valid', NAME_HINT) for name in ("", "A", "a b", "-a", "a" * 64)),
    (None, 1, 'queue "<NULL>" is not valid', NAME_HINT), ("ok", None, "lanes is null, and not a number from 1 to 64", LANES_HINT),
    *(("ok", number, f"lanes is {number}, and not a number from 1 to 64", LANES_HINT) for number in (0, 65, -1))])
def test_queue_create_refuses(db, name, number, message, hint):
    with refused("22023", message, hint):
        db.sql("select errand.queue_create(%s, %s)", name, number)
    assert db.one("select count(*) from errand.queue") == 1 and db.one("select count(*) from errand.lane") == 8


def test_queues_made_at_the_same_moment(db):
    """Each lane has one number, and a queue its lanes once."""
    errors, barrier = [], threading.Barrier(8)

    def create(n):
        try:
            with contextlib.closing(connect(db.dsn)) as connection:
                barrier.wait(30)
                ask(connection, "select errand.queue_create('shared', 4)")
                ask(connection, "select errand.queue_create(%s, 2)", f"own{n}")
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert len(lanes(db, "shared")) == 4
    assert db.one("select count(distinct lane) = count(*) and count(*) = 8 + 4 + 16 from errand.lane")


def test_pause_and_resume(db):
    db.sql("select errand.queue_pause('default', 'a reason')")
    assert db.row("select paused, pause_reason, paused_until = 'infinity' as forever from errand.queues") == (
        True, "a reason", True)
    db.sql("select errand.queue_pause('default', until => null)")
    assert db.row("select paused, pause_reason, paused_until = 'infinity' as forever from errand.queues") == (True, None, True)
    db.sql("select errand.queue_pause('default', 'soon over', now() + interval '1 hour')")
    assert db.row("select paused, pause_reason from errand.queues") == (True, "soon over")
    db.sql("select errand.queue_resume('default')")
    assert db.row("select paused, pause_reason, paused_until from errand.queues") == (False, None, None)


@pytest.mark.parametrize("call", ["queue_pause('default'", "kind_pause('a.kind'"])
def test_pause_that_is_over_is_refused(db, call):
    """It would pause nothing, and nobody would notice."""
    for until in ("2001-01-01 00:00:00+00", "-infinity"):
        with refused("22023", f"until {until}, which is over",
                     "Give a time to come, or none: then it is paused until somebody resumes it."):
            db.sql(f"select errand.{call}, until => %s)", until)
    assert not db.one("select paused from errand.queues") and db.sql("select * from errand.kind_setting") == []


@pytest.mark.parametrize("call", ["queue_pause", "queue_resume"])
def test_pause_of_nothing(db, call):
    with refused("42704", 'queue "nosuch" does not exist', "errand.queues lists the queues."):
        db.sql(f"select errand.{call}('nosuch')")


def test_enqueue_into_a_paused_queue(db):
    db.sql("select errand.queue_pause('default')")
    id = db.enqueue()
    assert db.job(id).state == "ready"


# ---- The history's partitions ----

KEPT = {"history": 14, "attempt": 14, "job_log": 14, "statistic": 35, "schedule_fire": 35}


def partitions(db, parent):
    return [row.name for row in db.sql(
        "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid"
        " where i.inhparent = %s::regclass order by 1", f"errand.{parent}")]


def days(db, *offsets):
    return [db.one("select to_char(timezone('UTC', now()) + %s * interval '1 day', 'YYYYMMDD')", n) for n in offsets]


def ahead(db, parent="history"):
    """Those of what ends today and in the next three days."""
    return [f"{parent}_{day}" for day in days(db, *range(KEPT[parent], KEPT[parent] + 4))]


def add_history(db, id, keep_days):
    """A job that ended now, kept until keep_days from today."""
    db.sql("insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind,"
           " args) values (1, 1, 2, %s, now(), now(), now(), timezone('UTC', now())::date + %s, 'done', 'a', '{}')", id, keep_days)


def add_partition(db, parent, n):
    day, next_day = days(db, n, n + 1)
    db.sql(f"create table errand.{parent}_{day} partition of errand.{parent} for values from ('{day}') to ('{next_day}')")


@pytest.mark.parametrize("parent", KEPT)
def test_partitions_of_the_next_days(db, parent):
    wanted = [*ahead(db, parent), f"{parent}_rest"]
    assert partitions(db, parent) == wanted
    db.sql("select errand.history_maintain()")
    assert partitions(db, parent) == wanted
    db.sql(f"drop table errand.{wanted[1]}, errand.{wanted[3]}")
    db.sql("select errand.history_maintain()")
    assert partitions(db, parent) == wanted


def test_old_partitions_are_dropped(db):
    for n in (-400, -2, -1, 0, 1):
        for parent in KEPT:
            add_partition(db, parent, n)
    for id, n in enumerate((-400, -1, 0)):
        add_history(db, id, n)
    db.sql("select errand.history_maintain()")
    for parent in KEPT:
        assert partitions(db, parent) == [f"{parent}_{day}" for day in days(db, 0, 1)] + ahead(db, parent) + [f"{parent}_rest"]
    assert [row.id for row in db.sql("select id from errand.history")] == [2]


def test_partitions_have_the_parents_indexes(db):
    for name in partitions(db, "history"):
        assert db.one("select count(*) from pg_index i where i.indrelid = %s::regclass", f"errand.{name}") == 2


def test_rows_go_where_they_belong(db):
    for id, n in enumerate((14, 15, 1, 30)):
        add_history(db, id, n)
    first, second = ahead(db)[:2]
    assert [row.place for row in db.sql("select tableoid::regclass::text as place from errand.history order by id")] == [
        f"errand.{first}", f"errand.{second}", "errand.history_rest", "errand.history_rest"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_days_are_of_utc_in_every_time_zone(db, zone):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "select set_config('timezone', %s, false)", zone)
        ask(other, "drop table errand." + ahead(db)[2])
        ask(other, "select errand.history_maintain()")
        [[kept]] = ask(other, "select errand.keep_until('default')")
    assert partitions(db, "history")[:-1] == ahead(db)
    assert kept == db.one("select timezone('UTC', now())::date + 14")


def test_missing_day_fails_no_completion(db):
    """Nobody maintained for days: rows fall into the rest, and are seen as all others."""
    db.sql("drop table " + ", ".join(f"errand.{name}" for name in ahead(db)))
    id = db.enqueue()
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    assert db.job(id).state == "cancelled"
    assert db.one("select count(*) from errand.history_rest") == 1


def test_day_whose_rows_fell_into_the_rest_is_no_obstacle(db):
    """Its partition cannot be made as if they were not there; the days after it must be, and no row may be lost."""
    db.sql("drop table " + ", ".join(f"errand.{name}" for name in ahead(db)))
    id = db.enqueue()
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    add_history(db, 77, 16)
    db.sql("select errand.history_maintain()")
    assert partitions(db, "history") == [*ahead(db), "history_rest"]
    assert sorted(row.id for row in db.sql("select id from errand.history")) == sorted([id, 77])
    assert db.one("select count(*) from errand.history_rest") == 0


def test_old_rows_of_the_rest_do_not_stay_for_ever(db):
    for id, n in enumerate((-400, -1, 0, 5)):
        add_history(db, id, n)
    db.sql("select errand.history_maintain()")
    assert [row.id for row in db.sql("select id from errand.history order by id")] == [2, 3]


def test_maintained_by_two_at_once(db):
    db.sql("drop table errand." + ahead(db)[3])
    with contextlib.closing(connect(db.dsn)) as one:
        ask(one, "begin")
        ask(one, "select errand.history_maintain()")
        with contextlib.closing(connect(db.dsn)) as two:
            ask(two, "set statement_timeout = '5s'")
            ask(two, "select errand.history_maintain()")  # does not wait
        ask(one, "commit")
    assert partitions(db, "history")[-2] == ahead(db)[3]


# ---- Views ----

def test_jobs_view(db):
    db.sql("insert into errand.kind values ('with.kind', 'default', 5, 1000)")
    ready, scheduled = db.enqueue("with.kind"), db.enqueue("a", after=3600, max_attempts=3)
    running = db.enqueue("a", {"x": 1}, key="k", priority=1)
    db.sql("update errand.job set claimed_by = 9, started_at = now(), attempt = 2, last_error = 'why', progress = '50'"
           " where id = %s", running)
    ended = db.enqueue("a")
    db.sql("select errand.cancel(%s)", ended)
    states = dict(db.sql("select id, state from errand.jobs"))
    assert states == {ready: "ready", scheduled: "scheduled", running: "running", ended: "cancelled"}
    assert dict(db.sql("select id, max_attempts from errand.jobs where id in (%s, %s, %s)", ready, scheduled, running)) == {
        ready: 5, scheduled: 3, running: 20}
    found = db.job(running)
    assert (found.queue, found.kind, found.priority, found.key, found.args, found.attempt, found.last_error, found.runner,
            found.progress, found.finished_at) == ("default", "a", 1, "k", {"x": 1}, 2, "why", 9, 50, None)


def test_jobs_view_of_those_that_wait(db):
    parent = db.enqueue("a")
    waiting, held = (db.one("select errand.enqueue('b', after => array[%s::bigint], on_parent => 'hold', run_at => '2999-01-01',"
                            " tags => '{x,y}', expires_at => '3000-01-01')", parent) for _ in range(2))
    db.sql("update errand.job set held = true where id = %s", held)
    found = db.job(waiting)
    assert (found.state, found.run_at.year, found.waiting_for, found.tags, found.expires_at.year) == ("waiting", 2999, 1, ["x", "y"], 3000)
    assert db.job(held).state == "held" and (db.job(parent).waiting_for, db.job(parent).tags) == (0, None)


def test_jobs_view_of_the_dead(db):
    """What was redriven or deleted is dead no longer."""
    for id in (1, 2, 3):
        db.sql("insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args,"
               " error, error_class, result) values (1, 1, 2, %s, now(), now(), '2026-01-01', now(), 'dead', 'a', '{}', 'no', 'x', '7')", id)
        db.sql("insert into errand.dead_letter (lane, attempt, priority, id, run_at, created_at, died_at, kind, args, error)"
               " values (1, 1, 2, %s, now(), now(), '2026-01-01', 'a', '{}', 'no')", id)
    assert db.one("select errand.redrive(2)") == "redriven" and db.one("select errand.delete(3)") == "deleted"
    assert dict(db.sql("select id, state from errand.jobs")) == {1: "dead", 2: "ready"}
    assert (db.job(1).error_class, db.job(1).result, db.job(1).last_error, db.job(2).last_error) == ("x", 7, "no", "no")


def add_runner(db, id, state="{}", lease="1 hour", kinds="{}"):
    db.sql("insert into errand.runner (id, name, version, queues, kinds, concurrency, running, lease_until, state) values"
           " (%s, 'n', 'v', '{*}', %s, 10, 4, now() + %s::interval, %s)", id, kinds, lease, state)


def test_queues_view(db):
    db.sql("select errand.queue_create('idle', 1)")
    db.enqueue_many(3)
    db.enqueue(after=100, priority=0)
    db.enqueue(run_at="infinity")
    db.sql("update errand.job set claimed_by = 1 where id = %s", db.enqueue())
    _, held = (db.one("select errand.enqueue('b', after => array[min(id)]) from errand.job") for _ in range(2))
    db.sql("update errand.job set held = true where id = %s", held)
    add_runner(db, 1, '{"default": {"running": 2}, "idle": {"running": 0, "waits": "rate"}}')
    add_runner(db, 2, '{"default": {"running": 3}}')
    add_runner(db, 3, '{"default": {"running": 100}}', lease="-1 second")
    first = db.one("select min(run_at) from errand.job where claimed_by is null")
    assert db.sql("select name, lanes, paused, ready, scheduled, waiting, held, running, oldest_due, more, waits from errand.queues"
                  " order by name") == [
        ("default", 8, False, 3, 2, 1, 1, 5, first, False, None), ("idle", 1, False, 0, 0, 0, 0, 0, None, False, "rate")]


def test_queues_view_counts_no_further_than_it_must(db):
    db.sql("select errand.queue_create('one', 1)")
    db.sql("insert into errand.job (lane, kind, args, run_at, priority) select (select lane from errand.lane where queue = 'one'), 'a', '{}',"
           " case when n % 2 = 0 then now() else now() + interval '1 day' end, 2 from generate_series(1, 60000) n")
    db.sql("analyze errand.job")
    assert tuple(db.row("select ready, scheduled, more from errand.queues where name = 'one'")) == (10000, 10000, True)
    plan = "\n".join(row[0] for row in db.sql("explain (analyze, costs off, timing off) select * from errand.queues"))
    assert "Seq Scan on job" not in plan, plan
    assert max(int(n) for n in re.findall(r"job.*rows=(\d+)", plan)) <= 10000


def test_queues_view_shows_the_limits(db):
    db.sql("select errand.queue_limit('default', 3, 2.5, 4, 1, 0.5, 2, true)")
    assert tuple(db.row("select concurrency, rate, burst, key_concurrency, key_rate, key_burst, key_ordered, history_days"
                        " from errand.queues")) == (3, 2.5, 4, 1, 0.5, 2, True, 14)


def test_runners_view(db):
    add_runner(db, 1, '{"a": {"running": 4}}')
    add_runner(db, 2, lease="-1 second")
    add_runner(db, 3)
    db.sql("update errand.runner set backend_pid = 1, backend_start = now() where id = 3")
    db.sql("update errand.lane set owner = 1 where shard < 3")
    assert db.sql("select id, alive, lanes, running, concurrency, stopping, state::text from errand.runners order by id") == [
        (1, True, 3, 4, 10, False, '{"a": {"running": 4}}'), (2, False, 0, 4, 10, False, "{}"), (3, False, 0, 4, 10, False, "{}")]


def test_kinds_view(db):
    db.sql("insert into errand.kind values ('a', 'default', 5, 1500)")
    db.sql("select errand.kind_pause('b', 'closed')")
    db.sql("select errand.kind_limit('c', 2), errand.kind_keep('c', 'errors')")
    db.sql("select errand.kind_retry_set('d', 'fixed', 'timeout', array[interval '90 s'], 3)")
    add_runner(db, 1, kinds="{a,c}")
    add_runner(db, 2, kinds="{a}", lease="-1 second")
    assert db.sql("select name, queue, max_attempts, timeout::text, paused, pause_reason, concurrency, keep, retry, runners"
                  " from errand.kinds order by name") == [
        ("a", "default", 5, "00:00:01.5", False, None, None, "all", None, 1),
        ("b", None, None, None, True, "closed", None, "all", None, 0),
        ("c", None, None, None, False, None, 2, "errors", None, 1),
        ("d", None, None, None, False, None, None, "all", {"timeout": {"policy": "fixed", "delays_ms": [90000], "max_attempts": 3}}, 0)]


def test_statistics_view(db):
    for minute, runner, outcome, jobs in ((0, 1, "done", 5), (0, 2, "done", 7), (0, 1, "retry", 1), (1, 1, "done", 2)):
        db.sql("insert into errand.statistic values (timestamptz '2026-01-01' + %s * interval '1 minute', 'default', 'a', %s, %s, now(), %s,"
               " 100, 1000, array_fill(%s, array[32]), array_fill(2, array[32]))", minute, outcome, runner, jobs, jobs)
    found = db.sql("select extract(minute from minute)::integer, queue, kind, outcome, jobs, wait_us, run_us, waits, runs from errand.statistics"
                   " order by 1, 4")
    assert [tuple(row) for row in found] == [
        (0, "default", "a", "done", 12, 200, 2000, [12] * 32, [4] * 32),
        (0, "default", "a", "retry", 1, 100, 1000, [1] * 32, [2] * 32),
        (1, "default", "a", "done", 2, 100, 1000, [2] * 32, [2] * 32)]
    assert db.one("select count(*) from errand.statistics where minute > '2026-01-01'") == 1


def test_table_settings_of_the_hot_table(db):
    """Vacuum by number, not by share of a table that is never the same size; no trigger, no foreign key, few indexes."""
    options = db.one("select array_to_string(reloptions, ' ') from pg_class where oid = 'errand.job'::regclass")
    assert "autovacuum_vacuum_scale_factor=0" in options and "autovacuum_vacuum_threshold=" in options
    assert db.one("select count(*) from pg_trigger where tgrelid in (select oid from pg_class where relnamespace ="
                  " 'errand'::regnamespace)") == 0
    assert db.one("select count(*) from pg_constraint where contype = 'f' and connamespace = 'errand'::regnamespace") == 0
    assert db.one("select count(*) from pg_index where indrelid = 'errand.job'::regclass") == 5
