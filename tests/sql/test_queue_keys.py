"""Keys: at most one job of a queue bears a key at a time, whoever enqueues at the same moment."""

import contextlib
import threading

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
    database.sql("delete from errand.job")


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
        on_conflict => 'replace', max_attempts => 3, timeout => '1 s', trace => 't')""")
    assert again == first
    found = job(db, first)
    assert (found.kind, found.text, found.priority, found.max_attempts, found.timeout_ms, found.trace, found.revision) == (
        "other.kind", '{"n": 2}', 0, 3, 1000, "t", 1)
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
