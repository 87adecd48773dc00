"""Steps: a job of several goes on behind those that it has taken, whatever ends its attempts."""

import json
import signal

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import STEP_TABLE
from support.wait import QueueDatabase, until

STEPS = ["outline", "draft", "review \"ä\""]


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(STEP_TABLE)
        db.sql("grant insert on public.probe_step to errand_runner")
        db.sql("grant usage on sequence public.probe_step_n_seq to errand_runner")
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand


def taken(db, id):
    return [tuple(row) for row in db.sql("select name, attempt from public.probe_step where job = %s order by n", id)]


def stored(db, id):
    return [tuple(row) for row in db.sql("select name, result, attempt from errand.steps where id = %s order by finished_at", id)]


def result(db, id):
    return db.one("select result from errand.history where id = %s and outcome = 'done'", id)


def nothing_left(db):
    return db.one("select count(*) from errand.step") == 0


def test_each_step_once_across_a_killed_runner(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.steps", {"steps": STEPS, "sleep_ms": 1500})
    for n, name in enumerate(STEPS[:2]):
        db.wait("select count(*) = %s from errand.step where job_id = %s", n + 1, id)
        assert [step[:2] for step in stored(db, id)] == list(zip(STEPS, range(n + 1)))
        assert taken(db, id)[-1][0] == name
        runner.kill()
        runner = errand.start().wait_ready()
    assert db.wait_ended(id).state == "done"
    assert [name for name, _ in taken(db, id)] == STEPS
    assert result(db, id) == [0, 1, 2]
    assert nothing_left(db)
    assert runner.terminate() == 0


def test_dead_then_redriven_goes_on(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.steps", {"steps": STEPS, "fail_after": STEPS[1], "value": {"text": "ä"}})
    assert db.wait_ended(id).state == "dead"
    assert stored(db, id) == [(name, {"text": "ä"}, 1) for name in STEPS[:2]]
    shown = json.loads(errand.run("jobs", "show", str(id), "--json").stdout)["steps"]
    assert [(step["name"], step["attempt"], step["bytes"]) for step in shown] == [(name, 1, 14) for name in STEPS[:2]]
    text = errand.run("jobs", "show", str(id)).stdout
    assert "outline" in text and "draft" in text and "bytes" in text
    assert db.one("select errand.redrive(%s)", id) == "redriven"
    db.wait("select count(*) = 1 from errand.history where id = %s and outcome = 'done'", id)
    assert taken(db, id) == [(name, 1) for name in STEPS] and result(db, id) == [{"text": "ä"}] * 3
    assert nothing_left(db)
    assert runner.terminate() == 0


def test_frozen_runner_whose_lane_moved_cannot_write_a_step(db, errand):
    frozen = errand.start("--name", "frozen").wait_ready()
    id = db.enqueue("probe.steps", {"steps": STEPS[:2], "work_ms": 2500})
    until(lambda: taken(db, id) == [("outline", 1)], db.state)
    db.wait("select claimed_by is not null from errand.job where id = %s", id)
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        other = errand.start("--name", "other").wait_ready()
        until(lambda: taken(db, id) == [("outline", 1), ("outline", 2)], db.state)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    frozen.wait_log(r"step \\?\"outline\\?\": the job is no longer this attempt's own")
    assert db.one("select coalesce(min(attempt), 2) from errand.step where job_id = %s", id) == 2
    assert db.wait_ended(id).state == "done"
    assert taken(db, id) == [("outline", 1), ("outline", 2), ("draft", 2)]
    assert result(db, id) == [0, 1] and db.one("select count(*) from errand.history where id = %s", id) == 1
    assert nothing_left(db)
    assert other.terminate() == 0 and frozen.terminate() == 0


@pytest.mark.parametrize("args, error", [
    ({"steps": [""]}, "step: its name is not 1 to 200 bytes long"),
    ({"steps": ["x" * 201]}, "its name is not 1 to 200 bytes long"),
    ({"steps": ["ä" * 100, "a"], "value": "x" * 1048575}, "of its result: it is too large"),
])
def test_refused(db, errand, args, error):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.steps", args)
    job = db.wait_ended(id)
    assert job.state == "dead" and error in job.last_error
    assert nothing_left(db)
    assert runner.terminate() == 0


def test_at_the_limits(db, errand):
    runner = errand.start().wait_ready()
    long = db.enqueue("probe.steps", {"steps": ["ä" * 100], "value": "x" * 1048574, "fail_after": "ä" * 100})
    many = db.enqueue("probe.steps", {"steps": [f"step {n}" for n in range(1001)]})
    assert db.wait_ended(long).state == "dead" and stored(db, long)[0][1] == "x" * 1048574
    job = db.wait_ended(many)
    assert job.state == "dead" and "the job has 1000 steps, which is the most" in job.last_error
    assert len(stored(db, many)) == 1000
    assert [db.one("select errand.delete(%s)", id) for id in (long, many)] == ["deleted"] * 2
    assert nothing_left(db)
    assert runner.terminate() == 0


def owed_with_steps(db, key=None):
    """A job of probe.run that waits for its next attempt, and has a step."""
    id = db.enqueue("probe.claim", {"outcome": "retry", "text": "no", "delay_ms": 3600000, "times": 1}, key=key)
    db.wait("select last_error is not null from errand.job where id = %s", id)
    db.sql("insert into errand.step (lane, job_id, attempt, name, result) select lane, id, 1, 'a', '1' from errand.job where id = %s", id)
    return id


def test_steps_go_with_the_job_however_it_ends(db, errand):
    runner = errand.start().wait_ready()
    cancelled, deleted, done = (owed_with_steps(db) for _ in range(3))
    replaced = owed_with_steps(db, key="k")
    assert db.one("select errand.cancel(%s)", cancelled) == "cancelled" and not stored(db, cancelled)
    assert db.one("select errand.delete(%s)", deleted) == "deleted" and not stored(db, deleted)
    assert db.one("select errand.enqueue('probe.none', key => 'k', on_conflict => 'replace', run_at => now() + interval '1 hour')") == replaced
    assert not stored(db, replaced)
    assert stored(db, done), "it is owed yet"
    assert db.one("select errand.retry(%s)", done) == "due"
    assert db.wait_ended(done).state == "done"
    assert nothing_left(db), "a handler that asks for no step ends its job all the same"
    assert runner.terminate() == 0


def test_jobs_without_steps_pay_nothing(db, errand):
    """Their completions do not look at the table; the upkeep does, lane by lane, once."""
    runner = errand.start().wait_ready()
    db.enqueue_many(20000, kind="probe.claim")
    db.wait_empty()
    assert runner.terminate() == 0
    db.wait("select count(*) = 1 from pg_stat_activity where datname = current_database()")  # the others have told their counts
    assert db.one("select seq_scan + idx_scan from pg_stat_all_tables where relid = 'errand.step'::regclass") <= 2 * 8


def test_upkeep_forgets_what_nobody_dropped(db, errand):
    runner = errand.start().wait_ready()
    owed = owed_with_steps(db)
    db.sql("insert into errand.step (lane, job_id, attempt, name, result) select lane, 999999999, 1, 'a', '1' from errand.job where id = %s", owed)
    assert runner.terminate() == 0
    runner = errand.start().wait_ready()
    db.wait("select array_agg(job_id) = array[%s::bigint] from errand.step", owed)
    assert runner.terminate() == 0
