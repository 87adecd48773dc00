"""Jobs after jobs: who waits for whom, what becomes of it when the others end, and that no end is missed whatever happens at
the same moment."""

import contextlib
import random
import threading
import time

import psycopg2
import psycopg2.extras
import pytest

from support.cluster import shared_cluster
from support.statements import end_jobs, release
from support.wait import QueueDatabase, ask, connect

RUNNER = 7001


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        db.sql("update errand.lane set owner = %s, epoch = 1", RUNNER)
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.job, errand.dependency, errand.parent_ended, errand.dead_letter, errand.history")


def after(db, parents, connection=None, **named):
    named = {"after": list(parents), **named}
    text = ", ".join(f"{name} => %s" + {"after": "::bigint[]", "run_at": "::timestamptz"}.get(name, "") for name in named)
    [[id]] = ask(connection or db.connection, f"select errand.enqueue('child', {text})", *named.values())
    return id


def job(db, id):
    return db.row("select *, run_at = 'infinity' as never from errand.job where id = %s", id)


def end(db, ids, outcome="done"):
    """As the runner does: the completion, and then the dependents of its lanes."""
    return release(db.connection, end_jobs(db.connection, RUNNER, ids, outcome))


def is_waiting(db, id, number=None):
    found = job(db, id)
    assert found.never and not found.held and found.waiting_for == (number or found.waiting_for) > 0, found


def is_free(db, id):
    found = job(db, id)
    assert not found.never and not found.held and found.waiting_for == 0, found
    assert db.sql("select * from errand.dependency where child_id = %s", id) == []


def ended(db, id):
    """(outcome, error) of the history."""
    assert db.sql("select id from errand.job where id = %s", id) == []
    assert db.sql("select * from errand.dependency where child_id = %s", id) == []
    return tuple(db.row("select outcome, error from errand.history where id = %s", id))


# ---- Waiting ----

def test_waits_until_the_other_has_ended(db):
    parent = db.enqueue()
    child = after(db, [parent])
    is_waiting(db, child, 1)
    assert job(db, parent).dependents and not job(db, child).dependents
    before = db.one("select clock_timestamp()")
    assert end(db, [parent]) == 1
    is_free(db, child)
    assert before <= job(db, child).run_at <= db.one("select clock_timestamp()")
    assert db.sql("select * from errand.parent_ended") == [] == db.sql("select * from errand.dependency")


def test_waits_for_its_time_too(db):
    parent = db.enqueue()
    child = after(db, [parent], run_at="2999-01-01")
    assert job(db, child).never and job(db, child).wanted_at.year == 2999
    end(db, [parent])
    is_free(db, child)
    assert job(db, child).run_at.year == 2999


def test_same_parent_twice_is_one(db):
    parent = db.enqueue()
    child = after(db, [parent, parent])
    is_waiting(db, child, 1)
    end(db, [parent])
    is_free(db, child)


def test_fan_in(db):
    parents = db.enqueue_many(1000)
    batch = after(db, parents)
    is_waiting(db, batch, 1000)
    random.Random(1).shuffle(parents)
    for start in range(0, 999, 111):
        end(db, parents[start:start + 111])
        is_waiting(db, batch, 1000 - start - 111)
    end(db, parents[999:])
    is_free(db, batch)


def test_parents_that_are_far_apart(db):
    near = db.enqueue_many(30)
    db.sql("alter table errand.job alter id restart with 1000000000")
    far = [db.enqueue(queue="single"), *db.enqueue_many(30)]
    child = after(db, [near[0], *near[10:20], *far])
    is_waiting(db, child, 42)
    assert sorted(row.id for row in db.sql("select id from errand.job where dependents")) == [near[0], *near[10:20], *far]
    end(db, near + far)
    is_free(db, child)


def test_nothing_is_scanned_to_find_the_parents(db):
    db.sql("insert into errand.job (lane, kind, args, run_at) select 1 + n % 8, 'a', '{}', now() from generate_series(1, 50000) n")
    db.sql("vacuum analyze errand.job")
    ids = [row.id for row in db.sql("select id from errand.job order by id")]

    def scans():
        db.sql("select pg_stat_force_next_flush()")
        return db.one("select seq_scan from pg_stat_user_tables where relid = 'errand.job'::regclass")
    for parents in (ids[:1], ids[:10], ids[::5000], ids[100:300], ids[::500]):
        before = scans()
        child = after(db, parents)
        db.sql("select errand.why(%s), errand.retry(%s), errand.reprioritize(%s, 1), errand.cancel(%s)", child, child, child, child)
        assert scans() == before, len(parents)


def test_fan_out(db):
    parent = db.enqueue()
    ids = [row[0] for row in db.sql("select errand.enqueue_many('child', (select array_agg(jsonb_build_object('n', n) order by n)"
                                    " from generate_series(1, 500) n), after => array[%s::bigint])", parent)]
    assert [row[0] for row in db.sql("select (args->>'n')::integer from errand.job where kind = 'child' order by id")] == list(range(1, 501))
    assert len(set(ids)) == 500 and db.one("select count(*) from errand.job where waiting_for = 1") == 500
    assert end(db, [parent]) == 500
    assert db.one("select count(*) from errand.job where waiting_for = 0 and run_at <= now()") == 500


def test_chain(db):
    ids = [db.enqueue()]
    for _ in range(20):
        ids.append(after(db, ids[-1:]))
    for parent, child in zip(ids, ids[1:]):
        is_waiting(db, child, 1)
        end(db, [parent])
        is_free(db, child)
    assert db.one("select count(*) from errand.job") == 1


def test_diamond_across_lanes(db):
    top = db.enqueue()
    sides = [after(db, [top], key=f"side {n}") for n in range(10)]
    bottom = after(db, [*sides, top])
    assert db.one("select count(distinct lane) from errand.job where id = any (%s)", sides) > 2
    end(db, [top])
    is_waiting(db, bottom, 10)
    end(db, sides)
    is_free(db, bottom)


def test_both_in_one_transaction(db):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[parent]] = ask(other, "select errand.enqueue('parent')")
        child = after(db, [parent], other)
        ask(other, "commit")
    end(db, [parent])
    is_free(db, child)


def test_nothing_stays_of_what_was_rolled_back(db):
    parent = db.enqueue()
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        after(db, [parent], other)
        ask(other, "rollback")
    assert not job(db, parent).dependents and db.sql("select * from errand.dependency") == []
    assert end_jobs(db.connection, RUNNER, [parent]) == []


@pytest.mark.parametrize("keys", ["", ", keys => array['a', null, 'b'], on_conflict => 'allow'", ", keys => array['a', null, 'b']"])
def test_sets_wait_however_they_are_made(db, keys):
    parent = db.enqueue()
    ids = [row[0] for row in db.sql("select errand.enqueue_many('child', (select array_agg(to_jsonb(n) order by n) from"
                                    f" generate_series(1, 3) n), after => array[%s::bigint]{keys})", parent)]
    assert [db.one("select args::text from errand.job where id = %s", id) for id in ids] == ["1", "2", "3"]
    for id in ids:
        is_waiting(db, id, 1)
    end(db, [parent])
    for id in ids:
        is_free(db, id)


def test_no_parents_is_an_ordinary_job(db):
    child = after(db, [])
    assert not job(db, child).never and job(db, child).waiting_for is None


# ---- Ends other than done ----

BAD = ["dead", "cancelled", "unknown"]


@pytest.mark.parametrize("outcome", BAD)
def test_cancelled_with_its_parent(db, outcome):
    parent = db.enqueue()
    child = after(db, [parent])
    assert end(db, [parent], outcome) == 1
    assert ended(db, child) == ("cancelled", f"job {parent}, which it waited for, ended {outcome}")


@pytest.mark.parametrize("outcome", BAD)
def test_runs_all_the_same(db, outcome):
    parents = [db.enqueue(), db.enqueue()]
    child = after(db, parents, on_parent="run")
    end(db, parents[:1], outcome)
    is_waiting(db, child, 1)
    end(db, parents[1:])
    is_free(db, child)


@pytest.mark.parametrize("outcome", BAD)
def test_held(db, outcome):
    parents = [db.enqueue(), db.enqueue()]
    child = after(db, parents, on_parent="hold")
    end(db, parents[:1], outcome)
    found = job(db, child)
    assert found.held and found.never and found.waiting_for == 2
    assert tuple(db.row("select outcome, held from errand.dependency where parent_id = %s", parents[0])) == (outcome, True)
    end(db, parents[1:])
    found = job(db, child)
    assert found.held and found.never and found.waiting_for == 1
    assert db.one("select errand.retry(%s)", child) == "due"
    is_free(db, child)


def test_cancel_goes_down_all_levels(db):
    """And every job says whom it waited for."""
    top = db.enqueue()
    levels = [[top]]
    for _ in range(5):
        levels.append([after(db, random.Random(len(levels)).sample(levels[-1], min(2, len(levels[-1]))), key=f"k{len(levels)}.{n}")
                       for n in range(6)])
    aside = after(db, levels[2][:1], on_parent="run")
    below_aside = after(db, [aside])
    assert db.one("select errand.cancel(%s, 'not wanted')", top) == "cancelled"
    assert ended(db, top) == ("cancelled", "not wanted")
    for above, level in zip(levels, levels[1:]):
        for id in level:
            outcome, error = ended(db, id)
            [parent] = [p for p in above if error == f"job {p}, which it waited for, ended cancelled"]
            assert outcome == "cancelled" and parent in above
    is_free(db, aside)
    is_waiting(db, below_aside, 1)
    assert db.one("select count(*) from errand.dependency") == 1


def test_long_chain_is_cancelled_whole(db):
    ids = [db.enqueue()]
    for _ in range(400):
        ids.append(after(db, ids[-1:]))
    db.sql("select errand.cancel(%s)", ids[0])
    assert db.one("select count(*) from errand.job") == 0
    assert db.one("select count(*) from errand.history where outcome = 'cancelled'") == 401


def test_cancelled_child_of_several(db):
    parents = [db.enqueue() for _ in range(5)]
    child = after(db, parents)
    end(db, parents[2:3], "dead")
    assert ended(db, child)[0] == "cancelled"
    assert end(db, parents[:2] + parents[3:]) == 0
    assert db.one("select count(*) from errand.history where id = %s", child) == 1


def test_bad_parents_of_different_policies(db):
    parent = db.enqueue()
    children = {policy: after(db, [parent], on_parent=policy) for policy in ("cancel", "run", "hold")}
    assert end(db, [parent], "dead") == 3
    assert ended(db, children["cancel"])[0] == "cancelled"
    is_free(db, children["run"])
    assert job(db, children["hold"]).held


def test_delete_of_a_parent(db):
    parent, other = db.enqueue(), db.enqueue()
    child, held = after(db, [parent]), after(db, [parent, other], on_parent="hold")
    assert db.one("select errand.delete(%s)", parent) == "deleted"
    assert ended(db, child) == ("cancelled", f"job {parent}, which it waited for, was deleted")
    assert job(db, held).held


def test_cancel_and_delete_of_a_waiting_child(db):
    parents = [db.enqueue(), db.enqueue()]
    one, two = after(db, parents), after(db, parents)
    assert db.one("select errand.cancel(%s)", one) == "cancelled"
    assert db.one("select errand.delete(%s)", two) == "deleted"
    assert db.sql("select * from errand.dependency") == []
    assert ended(db, one) == ("cancelled", "cancelled by errand.cancel")
    assert end(db, parents) == 0


# ---- Parents that have ended before ----

def test_after_one_that_is_done(db):
    parents = [db.enqueue(), db.enqueue()]
    end(db, parents)
    child = after(db, parents)
    assert not job(db, child).never and job(db, child).waiting_for is None
    third = db.enqueue()
    is_waiting(db, after(db, [*parents, third]), 1)


@pytest.mark.parametrize("outcome", BAD)
@pytest.mark.parametrize("key", [None, "k"])
def test_after_one_that_ended_badly(db, outcome, key):
    parent, other = db.enqueue(), db.enqueue()
    end(db, [parent], outcome)
    named = {"key": key} if key else {}
    child = after(db, [parent, other], **named)
    assert ended(db, child) == ("cancelled", f"job {parent}, which it waited for, ended {outcome}")
    child = after(db, [parent], on_parent="run", **named)
    assert not job(db, child).never
    db.sql("select errand.cancel(%s)", child)
    child = after(db, [parent, other], on_parent="hold", **named)
    assert job(db, child).held and job(db, child).waiting_for == 2
    end(db, [other])
    assert job(db, child).held and job(db, child).waiting_for == 1
    assert db.one("select errand.retry(%s)", child) == "due"
    is_free(db, child)


def test_last_end_counts(db):
    parent = db.enqueue()
    end(db, [parent], "dead")
    assert db.one("select errand.redrive(%s)", parent) == "redriven"
    is_waiting(db, after(db, [parent]), 1)
    end(db, [parent])
    assert not job(db, after(db, [parent])).never


@pytest.mark.parametrize("ids, message", [("array[0]", "job 0, which is to end first, does not exist"),
                                          ("array[-1, 5]", "job -1, which is to end first, does not exist"),
                                          ("array[null::bigint]", "after has a null")])
def test_unknown_parent(db, ids, message):
    with pytest.raises(psycopg2.Error) as caught:
        db.sql(f"select errand.enqueue('child', after => {ids})")
    assert caught.value.pgcode in ("22023", "22004") and caught.value.diag.message_primary == message
    assert db.one("select count(*) from errand.job") == 0


def test_unknown_policy(db):
    for call in ("after => array[1::bigint], on_parent => 'skip'", "on_parent => 'skip'", "on_parent => null"):
        with pytest.raises(psycopg2.Error) as caught:
            db.sql(f"select errand.enqueue('child', {call})")
        assert (caught.value.pgcode, caught.value.diag.message_hint) == ("22023", "It is 'cancel', 'run' or 'hold'.")


# ---- Redrive, retry ----

def test_redrive_of_a_parent_lets_the_held_wait_again(db):
    one, two = db.enqueue(), db.enqueue(key="two")
    child = after(db, [one, two], on_parent="hold")
    end(db, [one, two], "dead")
    assert job(db, child).held and job(db, child).waiting_for == 2
    assert db.one("select errand.redrive(%s)", one) == "redriven"
    assert job(db, child).held, "the other one is dead"
    assert db.one("select errand.redrive(%s)", two) == "redriven"
    is_waiting(db, child, 2)
    assert job(db, one).dependents and job(db, two).dependents
    end(db, [one])
    is_waiting(db, child, 1)
    end(db, [two])
    is_free(db, child)


def test_parent_that_dies_again_holds_again(db):
    parent = db.enqueue()
    child = after(db, [parent], on_parent="hold")
    for _ in range(3):
        end(db, [parent], "dead")
        assert job(db, child).held
        assert db.one("select errand.retry(%s)", parent) == "redriven"
        is_waiting(db, child, 1)
    end(db, [parent])
    is_free(db, child)


def test_retry_of_a_waiting_job(db):
    parent = db.enqueue()
    child = after(db, [parent], run_at="2999-01-01")
    assert db.one("select errand.retry(%s)", child) == "due"
    is_free(db, child)
    assert job(db, child).run_at <= db.one("select clock_timestamp()")
    assert end(db, [parent]) == 0


# ---- Replace ----

def test_replaced_job_waits_for_what_the_last_call_says(db):
    one, two = db.enqueue(), db.enqueue()
    child = after(db, [one], key="k")
    assert after(db, [two], key="k", on_conflict="replace") == child
    end(db, [one])
    is_waiting(db, child, 1)
    assert db.one("select errand.enqueue('child', key => 'k', on_conflict => 'replace')") == child
    assert (job(db, child).never, job(db, child).waiting_for) == (False, None)
    assert after(db, [two], key="k", on_conflict="replace") == child
    end(db, [two])
    is_free(db, child)


def test_kept_job_is_bound_to_nothing(db):
    one = db.enqueue()
    child = db.enqueue(key="k")
    assert after(db, [one], key="k") == child
    assert job(db, child).waiting_for is None and db.sql("select * from errand.dependency") == []


def test_replaced_job_keeps_its_own_dependents(db):
    parent = db.enqueue(key="p")
    child = after(db, [parent])
    db.enqueue(key="p", on_conflict="replace")
    end(db, [parent])
    is_free(db, child)


def test_no_job_waits_for_itself(db):
    top = db.enqueue(key="top")
    middle = after(db, [top])
    bottom = after(db, [middle])
    for parents in ([top], [middle], [bottom]):
        with pytest.raises(psycopg2.Error) as caught:
            after(db, parents, key="top", on_conflict="replace")
        assert caught.value.pgcode == "22023" and f"job {top} would wait for itself" in str(caught.value)
    end(db, [top])
    is_free(db, middle)


# ---- Notifications ----

def test_owner_is_woken_when_it_is_due(db):
    parent = db.enqueue(queue="single")
    lane = job(db, parent).lane
    child = after(db, [parent], queue="single")
    db.sql("update errand.lane set armed = true")
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, f'listen "errand.{RUNNER}"')
        waiting = after(db, [parent], queue="single")
        ask(other, "select 1")
        other.poll()
        assert other.notifies == [], "it is not due"
        end(db, [parent])
        ask(other, "select 1")
        other.poll()
        assert [note.payload.rsplit(" ", 1)[0] for note in other.notifies] == [f"lane {lane}"]
    assert job(db, child).run_at and job(db, waiting).run_at
    db.sql("update errand.lane set armed = false")


# ---- At the same moment ----

def in_thread(work):
    result = []

    def run():
        try:
            result.append(work())
        except Exception as error:
            result.append(error)
    thread = threading.Thread(target=run)
    thread.start()

    def join():
        thread.join(30)
        assert result, "it hangs"
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]
    return join


def wait_blocked(db, connection):
    db.wait("select exists (select from pg_stat_activity where pid = %s and wait_event_type = 'Lock')", connection.info.backend_pid)


@pytest.mark.parametrize("outcome", ["done", "dead"])
def test_completion_that_waits_for_the_enqueue(db, outcome):
    """The parent's row is locked by who binds a job to it: the completion goes on after the commit, with a snapshot of before."""
    parent = db.enqueue()
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        child = after(db, [parent], one)
        completed = in_thread(lambda: end_jobs(two, RUNNER, [parent], outcome))
        wait_blocked(db, two)
        ask(one, "commit")
        lanes = completed()
    assert lanes == [db.one("select lane from errand.history where id = %s", parent)]
    assert release(db.connection, lanes) == 1
    if outcome == "done":
        is_free(db, child)
    else:
        assert ended(db, child)[0] == "cancelled"


def test_completion_that_waits_and_had_other_dependents(db):
    parent = db.enqueue()
    first = after(db, [parent])
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        child = after(db, [parent], one)
        completed = in_thread(lambda: end_jobs(two, RUNNER, [parent]))
        wait_blocked(db, two)
        ask(one, "commit")
        assert release(db.connection, completed()) == 2
    is_free(db, first)
    is_free(db, child)


@pytest.mark.parametrize("finish", ["commit", "rollback"])
def test_enqueue_that_waits_for_the_completion(db, finish):
    parent = db.enqueue()
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        end_jobs(one, RUNNER, [parent])
        enqueued = in_thread(lambda: after(db, [parent], two))
        wait_blocked(db, two)
        ask(one, finish)
        child = enqueued()
    if finish == "commit":
        assert not job(db, child).never and job(db, child).waiting_for is None
    else:
        is_waiting(db, child, 1)


def test_enqueue_after_many_is_no_deadlock_with_a_completion(db):
    """The completion holds the last one and wants the first, which the enqueue would hold while it waits for the last."""
    parents = [db.enqueue(queue="single") for _ in range(50)]
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        end_jobs(one, RUNNER, parents[-1:])
        enqueued = in_thread(lambda: after(db, parents, two))
        time.sleep(0.05)
        end_jobs(one, RUNNER, parents[:1])
        ask(one, "commit")
        child = enqueued()
    is_waiting(db, child, 48)
    end(db, parents)
    is_free(db, child)


def test_two_may_bind_to_the_same_parent_at_once(db):
    parent = db.enqueue()
    after(db, [parent])
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(two, "set lock_timeout = '2s'")
        ask(one, "begin")
        after(db, [parent], one)
        after(db, [parent], two)
        ask(one, "commit")
    assert end(db, [parent]) == 3


def test_parents_end_while_children_are_made(db):
    """Eight connections that enqueue after what others complete; in the end nobody waits, and nobody was told twice."""
    parents = db.enqueue_many(400)
    errors, children, stop = [], [], threading.Event()

    def guarded(work):
        def run():
            try:
                with contextlib.closing(connect(db.dsn)) as connection:
                    work(connection)
            except Exception as error:
                errors.append(error)
        return threading.Thread(target=run)

    def enqueue(seed):
        def work(connection):
            choice = random.Random(seed)
            for n in range(60):
                children.append(after(db, choice.sample(parents, choice.choice([1, 3, 40])), connection, on_parent="run"))
        return work

    def complete(part):
        def work(connection):
            choice = random.Random(part)
            mine = parents[part::4]
            choice.shuffle(mine)
            for start in range(0, len(mine), 5):
                ask(connection, "begin")
                lanes = end_jobs(connection, RUNNER, mine[start:start + 5], choice.choice(["done", "dead"]))
                ask(connection, "commit")
                release(connection, lanes)
        return work
    threads = [guarded(enqueue(n)) for n in range(4)] + [guarded(complete(n)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stop.set()
    assert errors == []
    assert len(children) == 240
    assert db.sql("select * from errand.dependency") == [] and db.sql("select * from errand.parent_ended") == []
    assert db.one("select count(*) from errand.job where kind = 'child' and run_at < 'infinity' and coalesce(waiting_for, 0) = 0") == 240


def test_cancel_and_completion_of_two_parents_at_once(db):
    for _ in range(20):
        parents = [db.enqueue(), db.enqueue()]
        child = after(db, parents)
        grandchild = after(db, [child])
        barrier = threading.Barrier(2)

        def complete():
            with contextlib.closing(connect(db.dsn)) as connection:
                barrier.wait(10)
                return release(connection, end_jobs(connection, RUNNER, parents[:1]))

        def cancel():
            with contextlib.closing(connect(db.dsn)) as connection:
                barrier.wait(10)
                return ask(connection, "select errand.cancel(%s)", parents[1])[0][0]
        joins = [in_thread(complete), in_thread(cancel)]
        assert joins[1]() == "cancelled"
        joins[0]()
        assert ended(db, child)[0] == ended(db, grandchild)[0] == "cancelled"
