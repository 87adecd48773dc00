"""Keys: at most one job of a queue bears a key at a time, whoever enqueues at the same moment, and at most one is made in the time
of unique_for."""

import contextlib
import threading
from decimal import Decimal

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

THREADS = 20


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1) as one, errand.queue_create('wide', 64) as other")
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.job, errand.recent_key, errand.history")


def job(db, id):
    return db.row("select *, args::text as text from errand.job where id = %s", id)


def keyed(db, args, **named):
    return db.enqueue("some.kind", args, key="k", **named)


def test_keep(db):
    first = keyed(db, {"n": 1}, priority=3)
    assert keyed(db, {"n": 2}, priority=0, max_attempts=3, after=100) == first
    found = job(db, first)
    assert (found.text, found.priority, found.max_attempts, found.revision) == ('{"n": 1}', 3, None, 0)


def test_replace_takes_everything_and_bumps_the_revision(db):
    first = keyed(db, {"n": 1}, priority=3, run_at="2999-01-01")
    again = db.one("""select errand.enqueue('other.kind', '{"n": 2}', run_at => '2998-01-01', priority => 0, key => 'k',
        on_conflict => 'replace', max_attempts => 3, timeout => '1 s', trace => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')""")
    assert again == first
    found = job(db, first)
    assert (found.kind, found.text, found.priority, found.max_attempts, found.timeout_ms, found.trace, found.revision) == (
        "other.kind", '{"n": 2}', 0, 3, 1000, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1)
    assert found.run_at.year == 2998
    assert keyed(db, {}, on_conflict="replace") == first
    assert job(db, first).revision == 2


def test_replace_without_anything_to_replace(db):
    id = keyed(db, {"n": 1}, on_conflict="replace")
    assert (job(db, id).revision, job(db, id).text) == (0, '{"n": 1}')


def test_replace_leaves_a_claimed_job_alone(db):
    id = keyed(db, {"n": 1})
    db.sql("update errand.job set claimed_by = 1, started_at = now(), attempt = 1 where id = %s", id)
    before = job(db, id)
    assert keyed(db, {"n": 2}, on_conflict="replace") == id
    assert job(db, id) == before


def test_key_is_free_when_its_job_has_ended(db):
    first = keyed(db, {})
    assert db.one("select errand.cancel(%s)", first) == "cancelled"
    assert keyed(db, {}) != first


def test_same_key_same_lane(db):
    for queue in ("default", "wide"):
        for n in range(40):
            first = db.enqueue("some.kind", queue=queue, key=f"key {n}")
            lane = job(db, first).lane
            assert db.one("select errand.cancel(%s)", first) == "cancelled"
            second = db.enqueue("other.kind", queue=queue, key=f"key {n}")
            [third] = db.row("select errand.enqueue_many('some.kind', array['{}'::jsonb], keys => array[%s], queue => %s)",
                             f"key {n}", queue)
            assert (job(db, second).lane, third) == (lane, second)
    assert db.one("select count(distinct lane) from errand.job") > 30


def test_same_key_in_two_queues_is_two_jobs(db):
    assert keyed(db, {}, queue="single") != keyed(db, {}, queue="wide")


@pytest.mark.parametrize("key", ["", " ", "ä" * 500, "it's", "a\nb"])
def test_any_text_is_a_key(db, key):
    id = db.enqueue("some.kind", key=key)
    assert job(db, id).key == key
    assert db.enqueue("some.kind", key=key) == id


# ---- Beside each other ----

def test_allow(db):
    first = keyed(db, {"n": 1})
    second, third = (keyed(db, {"n": n}, on_conflict="allow") for n in (2, 3))
    assert len({first, second, third}) == 3
    assert [row.key_shared for row in db.sql("select key_shared from errand.job where key = 'k' order by id")] == [False, True, True]
    assert db.one("select count(distinct lane) from errand.job") == 1
    assert keyed(db, {"n": 4}) == first, "keep looks at those that are not shared"
    assert keyed(db, {"n": 5}, on_conflict="replace") == first
    assert [job(db, id).text for id in (first, second, third)] == ['{"n": 5}', '{"n": 2}', '{"n": 3}']


def test_allow_without_others(db):
    shared = keyed(db, {}, on_conflict="allow")
    kept = keyed(db, {})
    assert shared != kept and job(db, shared).key_shared and not job(db, kept).key_shared


def test_allow_in_sets(db):
    ids = [row[0] for row in db.sql("select errand.enqueue_many('some.kind', (select array_agg(to_jsonb(n) order by n) from generate_series(1, 4) n),"
                                    " keys => array['a', 'a', null, 'b'], on_conflict => 'allow', queue => 'wide', tags => '{t}')")]
    assert [(job(db, id).text, job(db, id).key, job(db, id).key_shared, job(db, id).tags) for id in ids] == [
        ("1", "a", True, ["t"]), ("2", "a", True, ["t"]), ("3", None, False, ["t"]), ("4", "b", True, ["t"])]
    assert job(db, ids[0]).lane == job(db, ids[1]).lane


# ---- Once in a time ----

def unique(db, args=None, unique_for="1 hour", connection=None, **named):
    text = "".join(f", {name} => %s" for name in named)
    [[id]] = ask(connection or db.connection, f"select errand.enqueue('some.kind', jsonb_build_object('n', %s::integer), key => 'k',"
                 f" unique_for => %s{text})", args, unique_for, *named.values())
    return id


def passes(db, seconds):
    """As if so much time had gone by since the last one."""
    db.sql("update errand.recent_key set enqueued_at = enqueued_at - make_interval(secs => %s)", seconds)


def finish(db, id):
    assert db.one("select errand.cancel(%s)", id) == "cancelled"


def test_unique_while_it_stands_and_after_it_ended(db):
    first = unique(db, 1)
    assert unique(db, 2) == first and job(db, first).text == '{"n": 1}'
    finish(db, first)
    assert unique(db, 3) == first and db.one("select count(*) from errand.job") == 0
    passes(db, 3599)
    assert unique(db, 4) == first
    passes(db, 2)
    second = unique(db, 5)
    assert second != first and job(db, second).text == '{"n": 5}'
    assert unique(db, 6) == second


def test_a_call_that_finds_a_job_standing_leaves_its_time(db):
    """It had taken the key, as its own time was over; who asks for a longer one, or asked a moment before, still meets the job."""
    first = unique(db)
    passes(db, 10)
    assert unique(db, unique_for="5 seconds") == first
    finish(db, first)
    assert unique(db) == first
    assert unique(db, unique_for="5 seconds") != first


def test_time_counts_from_the_job_not_from_the_last_call(db):
    first = unique(db)
    finish(db, first)
    for _ in range(3):
        passes(db, 1500)
        last = unique(db)
    assert last != first, "4500 s after it was made"


def test_job_that_still_bears_the_key_is_kept(db):
    first = unique(db, 1)
    passes(db, 4000)
    assert unique(db, 2) == first, "the time is over, and it stands"
    finish(db, first)
    second = unique(db, 3)
    assert second != first, "that call made no job, so it began no new time"
    assert unique(db, 4) == second


def test_calls_without_unique_for_do_not_count(db):
    first = keyed(db, {"n": 1})
    assert unique(db, 2) == first, "it bears the key"
    finish(db, first)
    second = unique(db, 3)
    assert second != first
    finish(db, second)
    third = keyed(db, {"n": 4})
    assert third != second, "it asks for nothing"
    assert unique(db, 5) == second


def test_time_is_the_callers(db):
    first = unique(db)
    finish(db, first)
    passes(db, 100)
    assert unique(db, unique_for="101 s") == first
    assert unique(db, unique_for="99 s") != first


def test_keys_and_queues_are_told_apart(db):
    assert unique(db, queue="single") != unique(db, queue="wide")
    ids = [row[0] for row in db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[4]), keys => array['a', 'b', 'a', 'c'],"
                                    " unique_for => '1 hour')")]
    assert ids[0] == ids[2] and len(set(ids)) == 3


def test_unique_and_replace(db):
    first = unique(db, 1)
    assert unique(db, 2, on_conflict="replace") == first and job(db, first).text == '{"n": 2}'
    db.sql("update errand.job set claimed_by = 1 where id = %s", first)
    assert unique(db, 3, on_conflict="replace") == first and job(db, first).text == '{"n": 2}', "it runs"
    db.sql("update errand.job set claimed_by = null where id = %s", first)
    finish(db, first)
    assert unique(db, 4, on_conflict="replace") == first and db.one("select count(*) from errand.job") == 0
    passes(db, 4000)
    second = unique(db, 5, on_conflict="replace")
    assert second != first and job(db, second).revision == 0
    passes(db, 4000)
    assert unique(db, 6, on_conflict="replace") == second and job(db, second).text == '{"n": 6}'
    finish(db, second)
    assert unique(db, 7, on_conflict="replace") == second, "what was replaced was enqueued then"


def test_rolled_back_is_as_if_it_had_not_been(db):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        gone = unique(db, connection=other)
        ask(other, "rollback")
    assert unique(db) != gone and db.one("select count(*) from errand.recent_key") == 1


def test_deleted_job_was_enqueued_all_the_same(db):
    first = unique(db)
    db.sql("select errand.delete(%s)", first)
    assert unique(db) == first


@pytest.mark.parametrize("named, message", [
    ("unique_for => '1 hour'", "unique_for needs a key"),
    ("key => 'k', unique_for => '0'", "unique_for 00:00:00 is not a length of time"),
    ("key => 'k', unique_for => '-1 second'", "unique_for -00:00:01 is not a length of time"),
    ("key => 'k', unique_for => '1001 years'", "unique_for 1001 years is too long"),
    ("key => 'k', unique_for => '1 hour', on_conflict => 'allow'", "exclude each other"),
])
def test_unique_refuses(db, named, message):
    with pytest.raises(psycopg2.Error) as caught:
        db.sql(f"select errand.enqueue('some.kind', {named})")
    assert caught.value.pgcode == "22023" and message in caught.value.diag.message_primary and caught.value.diag.message_hint
    assert db.one("select count(*) from errand.recent_key") == 0
    with pytest.raises(psycopg2.Error):
        db.sql("select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[2]), keys => array['a', null], unique_for => '1 hour')")


def test_old_keys_are_forgotten(db):
    unique(db)
    db.sql("select errand.enqueue('some.kind', key => 'old', unique_for => '1 hour')")
    db.sql("update errand.recent_key set until = now() - interval '1 second' where key = 'old'")
    db.sql("select errand.history_maintain()")
    assert [row.key for row in db.sql("select key from errand.recent_key")] == ["k"]


# ---- At the same moment ----

def at_once(db, work):
    """Calls work(connection, n) in many threads, all released at one moment; returns what each returned."""
    barrier, results, errors = threading.Barrier(THREADS), [None] * THREADS, []

    def run(n):
        try:
            with contextlib.closing(connect(db.dsn)) as connection:
                ask(connection, "select errand.enqueue('warm.up', key => %s)", f"warm {n}")
                barrier.wait(30)
                results[n] = work(connection, n)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    db.sql("delete from errand.job where kind = 'warm.up'")
    return results


@pytest.mark.parametrize("queue", ["single", "default"])
def test_keep_by_many_at_once(db, queue):
    def enqueue(connection, n):
        return [ask(connection, "select errand.enqueue('some.kind', jsonb_build_object('n', %s::integer), queue => %s,"
                    " key => %s)", n, queue, f"k{round}")[0][0] for round in range(10)]
    results = at_once(db, enqueue)
    for ids in zip(*results):
        assert len(set(ids)) == 1
    assert db.one("select count(*) from errand.job") == 10
    assert db.one("select max(revision) from errand.job") == 0


def test_replace_by_many_at_once(db):
    def enqueue(connection, n):
        return ask(connection, "select errand.enqueue('some.kind', jsonb_build_object('n', %s::integer), queue => 'single',"
                   " key => 'k', on_conflict => 'replace')", n)[0][0]
    results = at_once(db, enqueue)
    assert len(set(results)) == 1
    found = db.row("select (args->>'n')::integer as n, revision from errand.job")
    assert found.revision == THREADS - 1 and 0 <= found.n < THREADS


def test_keep_and_cancel_at_once(db):
    """The job that stands vanishes in between, again and again: every call still returns a job of that moment."""
    def enqueue(connection, n):
        ids = []
        for _ in range(20):
            [[id]] = ask(connection, "select errand.enqueue('some.kind', queue => 'single', key => 'k')")
            assert id is not None
            ids.append(id)
            ask(connection, "select errand.cancel(%s)", id)
        return ids
    results = at_once(db, enqueue)
    given = {id for ids in results for id in ids}
    assert db.one("select count(*) from errand.job") == 0
    found = [row.id for row in db.sql("select id from errand.history where kind = 'some.kind' and key = 'k'")]
    assert set(found) >= given and len(found) == len(set(found))


def test_sets_by_many_at_once(db):
    """The same keys in every call, in one order: none waits for another for ever."""
    def enqueue(connection, n):
        return [row[0] for row in ask(
            connection, "select errand.enqueue_many('some.kind', array_fill('{}'::jsonb, array[30]), keys =>"
            " (select array_agg('k' || i order by i) from generate_series(1, 30) i), on_conflict => %s)",
            "keep" if n % 2 else "replace")]
    results = at_once(db, enqueue)
    assert all(ids == results[0] for ids in results)
    assert db.one("select count(*) from errand.job") == 30


def test_second_waits_for_the_first_to_commit(db):
    """Whether the key stands is decided by the other's end."""
    for end in ("commit", "rollback"):
        with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
            ask(one, "begin")
            [[first]] = ask(one, "select errand.enqueue('some.kind', key => 'k')")
            second = []
            thread = threading.Thread(target=lambda: second.append(
                ask(two, "select errand.enqueue('some.kind', key => 'k')")[0][0]))
            thread.start()
            db.wait("select exists (select from pg_stat_activity where pid = %s and wait_event_type = 'Lock')",
                    two.info.backend_pid)
            ask(one, end)
            thread.join(10)
            assert (second == [first]) == (end == "commit") and len(second) == 1
        db.sql("delete from errand.job")


@pytest.mark.parametrize("on_conflict", ["keep", "replace"])
def test_unique_by_many_at_once(db, on_conflict):
    """Jobs end at once, so only the time keeps the next from being made: exactly one each."""
    def enqueue(connection, n):
        ids = []
        for round in range(10):
            [[id]] = ask(connection, "select errand.enqueue('some.kind', queue => 'wide', key => %s, unique_for => '1 hour', on_conflict => %s)",
                         f"k{round}", on_conflict)
            ask(connection, "select errand.cancel(%s)", id)
            ids.append(id)
        return ids
    results = at_once(db, enqueue)
    for ids in zip(*results):
        assert len(set(ids)) == 1
    assert db.one("select count(*) from errand.history where kind = 'some.kind'") + db.one("select count(*) from errand.job") == 10


def test_unique_again_and_again_by_many_at_once(db):
    """The time is over each moment: never two within it."""
    def enqueue(connection, n):
        for _ in range(30):
            [[id]] = ask(connection, "select errand.enqueue('some.kind', key => 'k', unique_for => '20 ms')")
            ask(connection, "select errand.cancel(%s)", id)
    at_once(db, enqueue)
    found = [row[0] for row in db.sql("select extract(epoch from created_at - lag(created_at) over (order by created_at)) from errand.history"
                                      " where kind = 'some.kind'")][1:]
    assert len(found) > 1 and min(found) >= Decimal("0.02")


def test_allow_by_many_at_once(db):
    def enqueue(connection, n):
        return [ask(connection, "select errand.enqueue('some.kind', key => 'k', on_conflict => 'allow')")[0][0] for _ in range(10)]
    results = at_once(db, enqueue)
    assert len({id for ids in results for id in ids}) == db.one("select count(*) from errand.job") == 10 * THREADS
