"""What operators do to a job: cancel with a reason, retry, redrive, reprioritize, delete; who is told, and what two of them do at once."""

import contextlib
import threading

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.statements import end_jobs, run_statement
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
    database.sql("update errand.lane set armed = false")
    yield database
    database.sql("truncate errand.job, errand.dead_letter, errand.history, errand.kind_setting, errand.dependency")


@pytest.fixture
def heard(db):
    with contextlib.closing(connect(db.dsn)) as connection:
        ask(connection, f'listen "errand.{RUNNER}"')

        def heard():
            ask(connection, "select 1")
            connection.poll()
            told = [note.payload for note in connection.notifies]
            connection.notifies.clear()
            return told
        yield heard


def job(db, id):
    return db.row("select * from errand.job where id = %s", id)


def history(db, id):
    return db.row("select * from errand.history where id = %s order by finished_at desc limit 1", id)


def claim(db, id):
    db.sql("update errand.job set claimed_by = %s, started_at = now(), attempt = 1 where id = %s", RUNNER, id)


def bury(db, **named):
    """A dead letter; every field of it is said."""
    id = db.one("select errand.enqueue('some.kind', '{\"a\": 1}', queue => 'single', priority => 1, key => %s, on_conflict => %s, max_attempts => 7,"
                " timeout => '5 s', trace => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tags => '{x}', expires_at => %s::timestamptz)",
                named.get("key"), named.get("on_conflict", "keep"), named.get("expires_at", "2999-01-01"))
    end_jobs(db.connection, RUNNER, [id], "dead", "it broke")
    return id


def refuses_null(db, call):
    assert db.one(f"select errand.{call}") == "not found"


# ---- Cancel ----

def test_cancel_with_a_reason(db):
    id = db.enqueue()
    assert db.one("select errand.cancel(%s, 'not wanted any more')", id) == "cancelled"
    assert history(db, id).error == "not wanted any more"


def test_reason_reaches_the_history_of_one_that_runs(db):
    ids = [db.enqueue(queue="single") for _ in range(3)]
    for id in ids:
        claim(db, id)
    assert db.one("select errand.cancel(%s, 'too slow')", ids[0]) == "requested"
    assert db.one("select errand.cancel(%s)", ids[0]) == "requested"
    assert db.one("select errand.cancel(%s)", ids[1]) == "requested"
    assert db.one("select errand.cancel(%s, 'too slow')", ids[2]) == "requested"
    end_jobs(db.connection, RUNNER, ids[:2], "cancelled", "cancelled by errand.cancel")
    end_jobs(db.connection, RUNNER, ids[2:], "dead", "it broke")
    assert [history(db, id).error for id in ids] == ["too slow", "cancelled by errand.cancel", "it broke"]


@pytest.mark.parametrize("keep, rows", [("all", 1), ("errors", 1), ("none", 0)])
def test_cancel_keeps_what_the_kind_says(db, keep, rows):
    db.sql("select errand.kind_keep('probe.run', %s)", keep)
    assert db.one("select errand.cancel(%s)", db.enqueue()) == "cancelled"
    assert db.one("select count(*) from errand.history") == rows


def test_cancelled_jobs_are_counted(db):
    db.sql("truncate errand.statistic")
    top = db.enqueue("a", queue="single")
    for kind in ("a", "b", "b"):
        db.sql("select errand.enqueue(%s, after => array[%s::bigint], queue => 'single')", kind, top)
    kept = db.enqueue("a", queue="single")
    db.sql("select errand.kind_keep('b', 'none')")
    db.sql("select errand.cancel(%s)", top)
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "select errand.cancel(%s)", kept)
    found = db.sql("select kind, outcome, sum(jobs) as jobs, sum(wait_us + run_us), bool_and(waits = array_fill(0::bigint, array[32])) from"
                   " errand.statistics where queue = 'single' group by 1, 2 order by 1")
    assert [tuple(row) for row in found] == [("a", "cancelled", 3, 0, True), ("b", "cancelled", 2, 0, True)]
    assert db.one("select count(distinct runner) >= 2 and max(runner) < 0 from errand.statistic")
    assert db.one("select bool_and(keep_until = timezone('UTC', minute)::date + 35 and minute > now() - interval '2 minutes') from errand.statistic")


# ---- Retry ----

def test_retry_of_one_that_backs_off(db, heard):
    id = db.enqueue(queue="single")
    db.sql("update errand.job set attempt = 3, last_error = 'x', run_at = now() + interval '1 hour' where id = %s", id)
    lane = job(db, id).lane
    db.sql("update errand.lane set armed = true where lane = %s", lane)
    assert db.one("select errand.retry(%s)", id) == "due"
    found = job(db, id)
    assert (found.attempt, found.last_error, found.revision) == (3, "x", 0) and found.run_at <= db.one("select clock_timestamp()")
    told = heard()
    assert told[0] == f"changed {lane} {id}" and told[1].startswith(f"lane {lane} ") and len(told) == 2


def test_retry_of_one_that_is_due_changes_no_time(db):
    id = db.enqueue()
    before = job(db, id).run_at
    assert db.one("select errand.retry(%s)", id) == "due" and job(db, id).run_at == before


def test_retry_otherwise(db):
    running = db.enqueue()
    claim(db, running)
    assert db.one("select errand.retry(%s)", running) == "running"
    dead = bury(db)
    assert db.one("select errand.retry(%s)", dead) == "redriven"
    for outcome in ("done", "cancelled", "unknown"):
        id = db.enqueue(queue="single")
        end_jobs(db.connection, RUNNER, [id], outcome)
        assert db.one("select errand.retry(%s)", id) == "ended"
    assert db.one("select errand.retry(999999)") == "not found"
    refuses_null(db, "retry(null)")


# ---- Redrive ----

def test_redrive_makes_it_as_it_was(db, heard):
    id = bury(db, key="k")
    letter = db.row("select * from errand.dead_letter")
    lane = letter.lane
    db.sql("update errand.lane set armed = true where lane = %s", lane)
    heard()
    before = db.one("select clock_timestamp()")
    assert db.one("select errand.redrive(%s)", id) == "redriven"
    assert db.sql("select * from errand.dead_letter") == []
    found = job(db, id)
    for column in ("lane", "id", "priority", "created_at", "timeout_ms", "max_attempts", "key_shared", "expires_at", "kind", "key", "args",
                   "trace", "tags"):
        assert getattr(found, column) == getattr(letter, column), column
    assert (found.attempt, found.revision, found.claimed_by, found.dependents, found.last_error) == (0, 0, None, False, "it broke")
    assert before <= found.run_at <= db.one("select clock_timestamp()")
    assert [payload.rsplit(" ", 1)[0] for payload in heard()] == [f"lane {lane}"]
    assert db.one("select errand.redrive(%s)", id) == "not found"
    end_jobs(db.connection, RUNNER, [id])
    assert [row.outcome for row in db.sql("select outcome from errand.history order by finished_at")] == ["dead", "done"]
    assert db.job(id).state == "done"


def test_redrive_when_the_key_is_taken(db):
    id = bury(db, key="k")
    other = db.enqueue(queue="single", key="k")
    assert db.one("select errand.redrive(%s)", id) == "key taken" == db.one("select errand.retry(%s)", id)
    assert db.one("select count(*) from errand.dead_letter") == 1
    db.sql("select errand.cancel(%s)", other)
    assert db.one("select errand.redrive(%s)", id) == "redriven"


def test_redrive_of_one_that_shares_its_key(db):
    id = bury(db, key="k", on_conflict="allow")
    db.enqueue(queue="single", key="k")
    assert db.one("select errand.redrive(%s)", id) == "redriven" and job(db, id).key_shared


def test_redrive_of_one_that_has_expired_since(db):
    id = bury(db)
    db.sql("update errand.dead_letter set expires_at = now() - interval '1 hour'")
    assert db.one("select errand.redrive(%s)", id) == "redriven" and job(db, id).expires_at is None


def test_redrive_many_by_a_filter(db):
    ids = [bury(db) for _ in range(20)]
    db.sql("update errand.dead_letter set error = 'other' where id = any (%s)", ids[:5])
    assert db.sql("select errand.redrive(id) as what, count(*) from errand.dead_letter where error = 'it broke' group by 1") == [("redriven", 15)]
    assert sorted(row.id for row in db.sql("select id from errand.job")) == ids[5:]


def test_redrive_by_two_at_once(db):
    id = bury(db)
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        assert ask(one, "select errand.redrive(%s)", id) == [("redriven",)]
        second = []
        thread = threading.Thread(target=lambda: second.append(ask(two, "select errand.redrive(%s)", id)))
        thread.start()
        db.wait("select exists (select from pg_stat_activity where pid = %s and wait_event_type = 'Lock')", two.info.backend_pid)
        ask(one, "commit")
        thread.join(10)
    assert second == [[("not found",)]] and db.one("select count(*) from errand.job") == 1


def test_redrive_of_nothing(db):
    assert db.one("select errand.redrive(%s)", db.enqueue()) == "not found"
    refuses_null(db, "redrive(null)")


# ---- Reprioritize ----

def test_reprioritize(db, heard):
    id = db.enqueue(queue="single")
    found = job(db, id)
    assert db.one("select errand.reprioritize(%s, 0)", id) == "changed"
    changed = job(db, id)
    assert (changed.priority, changed.revision, changed.run_at) == (0, 0, found.run_at)
    at = db.one("select floor(extract(epoch from run_at) * 1000000)::bigint from errand.job")
    assert heard() == [f"changed {found.lane} {id}", f"lane {found.lane} {at}"], "armed or not: it may have read past that time"


def test_reprioritize_of_one_that_waits_tells_no_time(db, heard):
    parent = db.enqueue(queue="single")
    id = db.one("select errand.enqueue('a', after => array[%s::bigint], queue => 'single')", parent)
    assert db.one("select errand.reprioritize(%s, 3)", id) == "changed" and job(db, id).priority == 3
    assert heard() == [f"changed {job(db, id).lane} {id}"]


def test_reprioritize_otherwise(db):
    id = db.enqueue()
    for priority in (-1, 4, 70000, None):
        with pytest.raises(psycopg2.Error) as caught:
            db.one("select errand.reprioritize(%s, %s)", id, priority)
        said = caught.value.diag
        assert said.message_primary == f"priority is {'null' if priority is None else priority}, and not a number from 0 to 3"
        assert (caught.value.pgcode, said.message_hint, said.message_detail) == ("22023", "0 goes first, 3 last.", None)
    claim(db, id)
    assert db.one("select errand.reprioritize(%s, 1)", id) == "running" and job(db, id).priority == 2
    assert db.one("select errand.reprioritize(%s, 1)", bury(db)) == "not found"
    refuses_null(db, "reprioritize(null, 1)")


def test_completion_after_reprioritize(db):
    """It ran all the while, unclaimed: its completion stands."""
    id = db.enqueue(queue="single")
    lane = job(db, id).lane
    db.sql("select errand.reprioritize(%s, 0)", id)
    [[done, *_]] = run_statement(db.connection, "job_done", lane, 1, 1, [id], [0], [0], [1], RUNNER, 14)
    assert done == 1 and history(db, id).outcome == "done"


# ---- Delete ----

def test_delete_leaves_nothing(db, heard):
    id = db.enqueue(queue="single", key="k")
    lane = job(db, id).lane
    heard()
    assert db.one("select errand.delete(%s)", id) == "deleted"
    assert db.sql("select * from errand.job") == [] == db.sql("select * from errand.history") and db.job(id) is None
    assert heard() == [f"cancel {lane} {id}"]
    assert db.one("select errand.delete(%s)", id) == "not found"


def test_delete_of_a_dead_letter(db):
    id = bury(db)
    assert db.job(id).state == "dead"
    assert db.one("select errand.delete(%s)", id) == "deleted"
    assert db.sql("select * from errand.dead_letter") == [] and db.job(id) is None


def test_delete_otherwise(db):
    id = db.enqueue(queue="single")
    claim(db, id)
    assert db.one("select errand.delete(%s)", id) == "running" and job(db, id).id == id
    end_jobs(db.connection, RUNNER, [id])
    assert db.one("select errand.delete(%s)", id) == "not found" and db.one("select count(*) from errand.history") == 1
    refuses_null(db, "delete(null)")


# ---- With the runner ----

@pytest.mark.parametrize("call", ["cancel(%s)", "delete(%s)"])
def test_completion_of_a_job_that_is_gone(db, call):
    """It ran unclaimed and was taken away meanwhile: nothing is done, and nothing is told twice."""
    id = db.enqueue(queue="single")
    lane = job(db, id).lane
    db.sql(f"select errand.{call}", id)
    [[done, *_]] = run_statement(db.connection, "job_done", lane, 1, -1, [id], [0], [0], [1], RUNNER, 14)
    assert done == 0
    assert db.one("select count(*) from errand.history") == (1 if "cancel" in call else 0)


def test_cancel_that_waits_for_the_completion(db):
    id = db.enqueue(queue="single")
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        end_jobs(one, RUNNER, [id])
        answer = []
        thread = threading.Thread(target=lambda: answer.append(ask(two, "select errand.cancel(%s)", id)))
        thread.start()
        db.wait("select exists (select from pg_stat_activity where pid = %s and wait_event_type = 'Lock')", two.info.backend_pid)
        ask(one, "commit")
        thread.join(10)
    assert answer == [[("not found",)]]
    assert history(db, id).outcome == "done" and db.one("select count(*) from errand.history") == 1
