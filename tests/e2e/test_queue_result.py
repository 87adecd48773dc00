"""What jobs show: progress while they run, a result when they have ended; and what the history keeps of them."""

import json

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, until


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture(scope="module")
def runner(db):
    with Errand(db.dsn) as errand:
        yield errand.start().wait_ready()


def result(db, id):
    db.wait_ended(id)
    return db.one("select result from errand.history where id = %s", id)


# ---- Results ----

@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
@pytest.mark.parametrize("value", [{"sent": 3, "to": ["ä", "\"{}\\,"]}, [], 0, "text", None])
def test_result_stands_in_the_history(db, runner, kind, value):
    id = db.enqueue(kind, {"result": value})
    assert result(db, id) == value
    job = db.job(id)
    assert (job.state, job.attempt, job.last_error) == ("done", 1, None)
    assert db.one("select jsonb_typeof(result) from errand.history where id = %s", id) == {
        dict: "object", list: "array", int: "number", str: "string"}.get(type(value), "null")


def test_without_a_result(db, runner):
    id = db.enqueue()
    db.wait_ended(id)
    assert db.one("select result is null from errand.history where id = %s", id)


def test_results_among_many(db, runner):
    """One batch holds jobs with and without a result, and some that end otherwise."""
    ids = [db.enqueue(args={"result": n} if n % 3 == 0 else {"n": n} if n % 3 == 1
                      else {"outcome": "fail", "text": "no", "result": n}) for n in range(60)]
    for n, id in enumerate(ids):
        job = db.wait_ended(id)
        assert (job.state, job.last_error) == (("dead", "no") if n % 3 == 2 else ("done", None))
        assert result(db, id) == (None if n % 3 == 1 else n)


def test_result_that_the_server_refuses(db, runner):
    """For its value, whatever that may be: the attempt has failed, and those beside it have not."""
    db.sql("create function public.refuse() returns trigger language plpgsql as $$ begin "
           "if new.result = '13' then raise 'no thirteen' using errcode = '22003'; end if; return new; end $$")
    db.sql("create trigger refuse before insert on errand.history for each row execute function public.refuse()")
    try:
        ids = db.enqueue_many(10, {"result": 12}) + [db.enqueue(args={"result": 13}, max_attempts=1)] + db.enqueue_many(10)
        job = db.wait_ended(ids[10])
        assert (job.state, job.attempt, job.last_error) == ("dead", 1, "completing the job failed: no thirteen")
        assert {db.wait_ended(id).state for id in ids[:10] + ids[11:]} == {"done"}
    finally:
        db.sql("drop trigger refuse on errand.history")


def test_retried_attempt_leaves_no_result(db, runner):
    id = db.enqueue(args={"outcome": "retry", "text": "no", "delay_ms": 1, "times": 1, "result": 1})
    assert result(db, id) == 1 and db.job(id).attempt == 2
    id = db.enqueue(args={"outcome": "snooze", "text": "nap", "delay_ms": 60000, "result": 1})
    db.wait("select last_error = 'nap' from errand.job where id = %s", id)
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    assert result(db, id) is None


def test_result_at_and_past_its_limit(db, runner):
    text = "x" * (1048576 - 2)
    id = db.enqueue(args={"result": text})
    assert result(db, id) == text
    id = db.enqueue(args={"result": text + "x"})
    assert result(db, id) is None and db.job(id).state == "done"
    runner.wait_log(rf"result refused: it is too large.*job={id}\b")


def test_many_large_results(db, runner):
    ids = db.enqueue_many(60, {"result": "x" * 700000})
    for id in ids:
        assert db.wait_ended(id).state == "done"
    assert db.row("select count(*), min(length(result #>> '{}')) from errand.history where id = any (%s)", ids) == (60, 700000)


def test_result_that_is_too_deep(db, runner):
    deep = 1
    for _ in range(30):
        deep = [deep]
    id = db.enqueue(args={"result": deep})
    assert result(db, id) == deep


# ---- Progress ----

def progress(db, id):
    return db.one("select progress from errand.job where id = %s", id)


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_progress_is_seen_while_it_runs(db, runner, kind):
    id = db.enqueue(kind, {"progress": [{"at": n, "of": "ä\"{}\\"} for n in range(1, 7)], "sleep_ms": 600})
    seen = []
    while not db.job(id).finished_at:
        job = db.job(id)
        if job.progress is not None and (not seen or seen[-1] != job.progress):
            assert job.state == "running"
            seen.append(job.progress)
    steps = [step["at"] for step in seen]
    assert steps == sorted(steps) and 3 <= len(steps) <= 5, "once a second, of six in 3.6 s"
    assert all(step["of"] == "ä\"{}\\" for step in seen)
    assert db.job(id).state == "done" and db.job(id).attempt == 1


def test_progress_of_many_in_few_statements(db, runner):
    ids = [db.enqueue(args={"progress": [n, n + 1, n + 2], "sleep_ms": 700}) for n in range(40)]
    until(lambda: db.one("select count(*) from errand.job where progress is not null and id = any (%s)", ids) == 40,
          "not all of them told something", timeout=3)
    for n, id in enumerate(ids):
        assert db.wait_ended(id).state == "done"


def test_large_progress_of_many(db, runner):
    """More than goes at once."""
    ids = db.enqueue_many(200, {"progress": ["x" * 60000], "sleep_ms": 4000})
    db.wait("select count(*) = 200 and min(length(progress #>> '{}')) = 60000 from errand.job where id = any (%s)", ids, timeout=10)
    for id in ids:
        assert db.wait_ended(id).state == "done"


def test_short_job_with_progress_is_never_written_down(db, runner):
    id = db.enqueue(args={"progress": [1, 2, 3]})
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("done", 1)


def test_progress_past_its_limit(db, runner):
    id = db.enqueue(args={"progress": ["x" * 65534, "x" * 65535], "sleep_ms": 1500})
    db.wait("select length(progress #>> '{}') = 65534 from errand.job where id = %s", id)
    runner.wait_log(rf"progress refused: it is too large.*job={id}\b")
    assert db.wait_ended(id).state == "done"


def test_progress_of_a_job_that_is_tried_again(db, runner):
    """What the attempt before told stands until the next one tells something."""
    id = db.enqueue("probe.claim", {"progress": ["half"], "sleep_ms": 1200, "outcome": "retry", "text": "no", "delay_ms": 60000})
    db.wait("select last_error = 'no' from errand.job where id = %s", id)
    assert progress(db, id) == "half"
    assert db.one("select errand.cancel(%s)", id) == "cancelled"


# ---- What the history keeps ----

OUTCOMES = [{}, {"outcome": "fail", "text": "no"}, {"outcome": "cancel", "text": "no"}, {"outcome": "unknown", "text": "no"}]


def set_keep(db, kind, keep):
    db.sql("insert into errand.kind_setting (name, keep) values (%s, %s) on conflict (name) do update set keep = excluded.keep",
           kind, keep)
    db.sql("select pg_notify('errand.' || id, 'queue') from errand.runner")


def kept(db, kind="probe.run"):
    """Which outcomes of four jobs stand in the history once nothing is owed any more."""
    ids = [db.enqueue(kind, args) for args in OUTCOMES]
    ids.append(db.enqueue(kind, {"result": 1}))
    db.wait("select not exists (select from errand.job where id = any (%s))", ids)
    assert db.one("select count(*) from errand.dead_letter where id = any (%s)", ids) == 1
    return sorted(row[0] for row in db.sql("select outcome from errand.history where id = any (%s)", ids))


def test_keep(db, runner):
    all_of_them = ["cancelled", "dead", "done", "done", "unknown"]
    assert kept(db) == all_of_them
    set_keep(db, "probe.run", "errors")
    until(lambda: kept(db) == ["cancelled", "dead", "unknown"], "the setting is never seen")
    set_keep(db, "probe.run", "none")
    until(lambda: kept(db) == [], "the setting is never seen")
    assert kept(db, "probe.claim") == all_of_them, "another kind"
    ids = db.enqueue_many(2000)
    db.wait_empty()
    assert db.one("select count(*) from errand.history where id = any (%s)", ids) == 0
    set_keep(db, "probe.run", "all")
    until(lambda: kept(db) == all_of_them, "the setting is never seen")


def test_keep_none_and_retries(db, runner):
    """Failed attempts that end nothing are told all the same."""
    set_keep(db, "probe.retry", "none")
    until(lambda: not kept(db, "probe.retry"), "the setting is never seen")
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "delay_ms": 1, "times": 2})
    db.wait_empty()
    assert db.one("select count(*) from errand.attempt where id = %s", id) == 2
    assert db.job(id) is None


def test_all_of_it_ends_in_order(db, runner):
    assert db.sql("select * from errand.job") == []
    assert json.dumps(db.one("select count(*) from errand.lane where owner is null")) == "0"
    assert runner.terminate() == 0
