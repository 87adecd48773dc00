"""What a handler must not do is named in the log, with kind and job: in debug builds the runner ends there."""

import re

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.wait import QueueDatabase

IS_DEBUG = b"__asan_init" in binary().read_bytes()


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def runner(db):
    with Errand(db.dsn) as errand:
        yield errand.start().wait_ready()


def test_handler_that_keeps_the_loop(db, runner):
    id = db.enqueue("probe.misuse", {"what": "block", "ms": 300})
    db.wait_ended(id)
    found = runner.wait_log(r'event="handler kept the loop, all others waited" kind=probe.misuse job=(\d+) ms=(\d+) after=(\w+)')
    assert (int(found[1]), found[3]) == (id, "errand_sleep") and 290 <= int(found[2]) < 2000
    db.wait_ended(db.enqueue("probe.run", {"sleep_ms": 300}))
    assert len(re.findall("kept the loop", runner.log())) == 1, "one that waits keeps nothing"


def test_handler_that_does_not_come_back(db, runner):
    """It is named while it still keeps the loop: the line before the one of its end."""
    id = db.enqueue("probe.misuse", {"what": "block", "ms": 4500})
    runner.wait_log(rf'handler does not come back.* kind=probe.misuse job={id} ms=[23]\d\d\d after=errand_sleep')
    assert "kept the loop" not in runner.log()
    assert db.wait_ended(id).state == "done"
    assert "kept the loop" in runner.log()


@pytest.mark.parametrize("what, call, mistake, state, error", [
    ("twice", "errand_fail", "the job is finished twice, the first one counts", "done", None),
    ("late", "errand_query", "the job is finished", "done", None),
    ("enqueue", "errand_enqueue_effect", "the job is finished", "done", None),
    ("statement", "errand_effect", r"there is no statement 999: module probe has \d+", "dead", "errand_effect: there is no statement 999"),
])
def test_mistake_is_named(db, runner, what, call, mistake, state, error):
    id = db.enqueue("probe.misuse", {"what": what})
    runner.wait_log(rf'event="mistake of a handler" call={call} mistake="{mistake}" kind=probe.misuse job={id}\b')
    if IS_DEBUG:
        assert runner.wait() == -6
        return
    job = db.wait_ended(id)
    [[line]] = db.sql("select message from errand.job_logs where id = %s", id)
    assert re.match(f"mistake: {call}: {mistake}", line)
    assert job.state == state and (error or "") in (job.last_error or "")
