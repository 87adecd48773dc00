"""Jobs after jobs: what a runner's completions set free, cancel or leave held, whoever owns the lanes."""

import contextlib
import json

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask, connect


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture(scope="module")
def runner(db):
    with Errand(db.dsn) as errand:
        yield errand.start().wait_ready()


@pytest.fixture
def scratch():
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        yield db, errand


def after(db, parents, args=None, on_parent="cancel", kind="probe.run", queue=None):
    return db.one("select errand.enqueue(%s, %s::jsonb, queue => %s, after => %s, on_parent => %s)", kind, json.dumps(args or {}),
                  queue, parents, on_parent)


def check_nothing_left(db):
    assert db.sql("select * from errand.dependency") == []
    assert db.sql("select * from errand.parent_ended") == []


def check_order(db, before, behind):
    assert db.job(before).finished_at <= db.job(behind).started_at


@pytest.mark.parametrize("args", [{}, {"result": {"n": 1}}, {"sleep_ms": 1500}])
@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_chain(db, runner, kind, args):
    ids = [db.enqueue(kind, {"sleep_ms": 100, **args})]
    for _ in range(2):
        ids.append(after(db, [ids[-1]], args, kind=kind))
    assert db.wait_ended(ids[-1]).state == "done"
    for before, behind in zip(ids, ids[1:]):
        assert db.job(before).state == "done"
        check_order(db, before, behind)
    check_nothing_left(db)


def test_fan_out_and_in(db, runner):
    first = db.enqueue(args={"sleep_ms": 200})
    middle = [after(db, [first], {"sleep_ms": 20}) for _ in range(60)]
    last = after(db, middle)
    assert db.wait_ended(last).state == "done"
    for id in middle:
        check_order(db, first, id)
        check_order(db, id, last)
    check_nothing_left(db)


def test_batch_of_many(db, runner):
    members = db.enqueue_many(3000)
    last = after(db, members)
    assert db.wait_ended(last).state == "done"
    assert db.one("select max(finished_at) from errand.history where id = any (%s)", members) <= db.job(last).started_at
    check_nothing_left(db)


@pytest.mark.parametrize("outcome,state", [("fail", "dead"), ("cancel", "cancelled"), ("unknown", "unknown")])
def test_policies(db, runner, outcome, state):
    parent = db.enqueue(args={"sleep_ms": 300, "outcome": outcome, "text": "no"})
    ends, runs, held = (after(db, [parent], on_parent=policy) for policy in ("cancel", "run", "hold"))
    behind = after(db, [ends])
    assert db.wait_ended(runs).state == "done"
    assert db.job(parent).state == state
    for id, of in ((ends, parent), (behind, ends)):
        job = db.wait_ended(id)
        assert (job.state, job.started_at) == ("cancelled", None)
        assert f"job {of}" in job.last_error
    db.wait("select held from errand.job where id = %s", held)
    assert db.one("select errand.retry(%s)", held) == "due"
    assert db.wait_ended(held).state == "done"
    check_nothing_left(db)


def test_redriven_parent(db, runner):
    parent = db.enqueue(args={"outcome": "fail", "text": "no"}, run_at="2999-01-01")
    child = after(db, [parent], on_parent="hold")
    assert db.one("select errand.retry(%s)", parent) == "due"
    db.wait("select held from errand.job where id = %s", child)
    db.sql("update errand.dead_letter set args = '{}' where id = %s", parent)
    assert db.one("select errand.redrive(%s)", parent) == "redriven"
    job = db.wait_ended(child)
    assert job.state == "done"
    check_order(db, parent, child)
    check_nothing_left(db)


def test_kind_that_the_history_does_not_keep(db, runner):
    db.sql("insert into errand.kind_setting (name, keep) values ('probe.retry', 'none')")
    db.sql("select pg_notify('errand.' || id, 'queue') from errand.runner")
    parents = [db.enqueue("probe.retry", {"sleep_ms": 700}) for _ in range(3)]
    parents.append(db.enqueue("probe.retry", {"sleep_ms": 700, "outcome": "cancel", "text": "no"}))
    child = after(db, parents, on_parent="run")
    assert db.wait_ended(child).state == "done"
    assert db.one("select count(*) from errand.history where id = any (%s)", parents) == 0
    check_nothing_left(db)


def test_parent_that_is_tried_again_has_not_ended(db, runner):
    parent = db.enqueue(args={"outcome": "retry", "text": "no", "delay_ms": 300, "times": 2})
    child = after(db, [parent])
    assert db.wait_ended(child).state == "done"
    assert db.job(parent).attempt == 3
    check_order(db, parent, child)


def test_several_runners_and_queues(scratch):
    """Parents and children stand in lanes of different runners."""
    db, errand = scratch
    for name in ("here", "there"):
        db.sql("select errand.queue_create(%s, 4)", name)
    for name in ("here", "there", "here,there"):
        errand.start("--queues", name).wait_ready()
    ids = [db.enqueue(queue="here", args={"sleep_ms": 50})]
    for n in range(12):
        ids.append(after(db, [ids[-1]], queue="there" if n % 2 == 0 else "here"))
    assert db.wait_ended(ids[-1]).state == "done"
    for before, behind in zip(ids, ids[1:]):
        check_order(db, before, behind)
    check_nothing_left(db)


def test_what_a_killed_runner_left(scratch):
    """It had committed the parent's end, and told nobody: the next owner of the lane does."""
    db, errand = scratch
    parent = db.enqueue()
    child = after(db, [parent])
    db.sql("""
        with gone as (delete from errand.job where id = %s returning *),
            told as (insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args)
                select lane, 1, priority, id, run_at, created_at, now(), current_date + 14, 'done', kind, args from gone)
        insert into errand.parent_ended select lane, id, 'done' from gone""", parent)
    errand.start().wait_ready()
    assert db.wait_ended(child).state == "done"
    check_nothing_left(db)


def test_telling_fails_for_a_while(scratch):
    """It is tried until it succeeds, and other jobs go on."""
    db, errand = scratch
    runner = errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    db.sql("alter function errand.dependents_release rename to gone")
    parent = db.enqueue(args={"sleep_ms": 100})
    child = after(db, [parent])
    db.wait_ended(parent)
    runner.wait_log("telling jobs that wait for others failed, trying again")
    for id in db.enqueue_many(20):
        db.wait_ended(id)
    assert db.job(child).state == "waiting"
    db.sql("alter function errand.gone rename to dependents_release")
    assert db.wait_ended(child).state == "done"
    check_nothing_left(db)


def test_stop_right_after_the_end(scratch):
    """A runner that stops tells first."""
    db, errand = scratch
    runner = errand.start().wait_ready()
    parent = db.enqueue("probe.claim", {"sleep_ms": 500})
    child = after(db, [parent])
    db.wait_state(parent, "running")
    assert runner.terminate() == 0
    assert db.job(parent).state == "done"
    check_nothing_left(db)
    assert db.row("select waiting_for, run_at < 'infinity' from errand.job where id = %s", child) == (0, True)


def test_open_transaction_that_binds_a_job_holds_up_that_parent_only(scratch):
    """Its parent cannot end before the transaction does; all else goes on."""
    db, errand = scratch
    errand.start().wait_ready()
    parents = [db.enqueue(args={"sleep_ms": 300}) for _ in range(20)]
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[child]] = ask(other, "select errand.enqueue('probe.run', after => array[%s::bigint])", parents[0])
        for id in parents[1:]:
            assert db.wait_ended(id, timeout=10).state == "done"
        assert db.wait_ended(db.enqueue(), timeout=10).state == "done"
        assert db.job(parents[0]).state != "done"
        ask(other, "commit")
    assert db.wait_ended(child).state == "done"
    check_order(db, parents[0], child)


def test_end_that_a_lost_runner_commits_after_its_lane_was_taken_over(scratch):
    """As when the server was still busy with it: the mark of the end comes behind the new owner's first look."""
    db, errand = scratch
    first = errand.start().wait_ready()
    parent = db.enqueue(args={"sleep_ms": 60000})
    child = db.one("select errand.enqueue('probe.run', after => array[%s::bigint])", parent)
    db.wait_state(parent, "running")
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "with gone as (delete from errand.job j where j.id = %s returning j.lane, j.id)"
                   " insert into errand.parent_ended (lane, id, outcome) select lane, id, 'done' from gone", parent)
        first.kill()
        errand.start().wait_ready().wait_log(r"lanes acquired.* taken_over=[1-9]", timeout=10)
        assert db.job(child).state == "waiting"
        ask(other, "commit")
    assert db.wait_ended(child, timeout=15).state == "done"
