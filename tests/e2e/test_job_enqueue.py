"""Jobs that enqueue others: at once, or once with their own end."""

import datetime
import re

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import EFFECT_TABLE
from support.wait import QueueDatabase, until


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(EFFECT_TABLE)
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand


def enqueue(db, new, **args):
    return db.enqueue("probe.enqueue", {"new": {"kind": "not.served", **new}, **args})


def made(db):
    """The jobs that others made."""
    return db.sql("select j.*, l.queue, j.args::text as text from errand.job j join errand.lane l on l.lane = j.lane"
                  " where kind = 'not.served' order by id")


@pytest.mark.parametrize("with_end", [False, True])
def test_every_member_arrives(db, errand, with_end):
    errand.start().wait_ready()
    db.sql("select errand.queue_create('mail', 2)")
    parent = db.enqueue("not.served", key="parent")
    run_at = datetime.datetime(2999, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)
    id = enqueue(db, {"args": {"a": [1, "ä"]}, "queue": "mail", "key": 'k"', "on_conflict": "allow", "priority": 0, "max_attempts": 7,
                      "run_at_us": 32472241445678901, "timeout_ms": 1500, "expires_at_us": 32472241446678901,
                      "after": [parent], "on_parent": "run", "tags": ["one two", 'q"'],
                      "trace": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}, **{"with": with_end})
    ended = db.wait_ended(id)
    assert ended.state == "done", ended.last_error
    _, job = made(db)
    assert ended.result["id"] == (0 if with_end else job.id)
    assert (job.queue, job.text, job.key, job.priority, job.max_attempts) == ("mail", '{"a": [1, "ä"]}', 'k"', 0, 7)
    assert (job.timeout_ms, job.tags, job.waiting_for, job.wanted_at) == (1500, ["one two", 'q"'], 1, run_at)
    assert job.expires_at == run_at + datetime.timedelta(seconds=1)
    assert job.trace == "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def test_what_is_left_out_has_its_default(db, errand):
    errand.start().wait_ready()
    assert db.wait_ended(enqueue(db, {})).state == "done"
    assert db.wait_ended(enqueue(db, {"args_text": "[1.50]", "delay_ms": 3600000, "priority": 3})).state == "done"
    first, second = made(db)
    assert (first.queue, first.text, first.key, first.priority, first.trace, first.run_at) == (
        "default", "{}", None, 2, None, first.created_at)
    assert (second.text, second.priority, second.run_at - second.created_at > datetime.timedelta(minutes=59)) == ("[1.50]", 3, True)


def test_a_job_of_a_kind_that_is_served_runs(db, errand):
    errand.start().wait_ready()
    id = db.wait_ended(enqueue(db, {"kind": "probe.run", "args": {"result": "made"}})).result["id"]
    assert db.wait_ended(id).result == "made"


def test_at_once_stands_again_for_each_attempt_unless_it_has_a_key(db, errand):
    errand.start().wait_ready()
    ended = db.wait_ended(enqueue(db, {}, retry=True))
    assert ended.attempt == 2 and [job.id for job in made(db)][1] == ended.result["id"]
    keyed = db.wait_ended(enqueue(db, {"key": "once"}, retry=True))
    assert keyed.attempt == 2 and [job.id for job in made(db)][2:] == [keyed.result["id"]]


def test_with_its_end_stands_once_across_a_killed_runner(db, errand):
    ids = [enqueue(db, {"args": {"n": n}}, **{"with": True}) for n in range(20)]
    runner = errand.start(env={"ERRAND_FAILPOINT": "probe.before_commit"})
    until(lambda: not runner.running, "the runner lives")
    assert not made(db)
    runner = errand.start(env={"ERRAND_FAILPOINT": "probe.after_commit"})
    until(lambda: not runner.running, "the runner lives")
    errand.start().wait_ready()
    for id in ids:
        db.wait_ended(id)
    assert sorted(job.args["n"] for job in made(db)) == list(range(20))


@pytest.mark.parametrize("new, with_end, error", [
    ({"kind": None}, True, "permanent: new job: it has no kind"),
    ({"args": {}, "args_text": "{}"}, True, "permanent: new job: it has args and args_text"),
    ({"args_text": "{"}, True, "permanent: new job: of its args: it is not JSON"),
    ({"delay_ms": -1}, False, "permanent: new job: its delay_ms is negative"),
    ({"delay_ms": 1, "run_at_us": 1}, False, "permanent: new job: it has run_at_us and delay_ms"),
    ({"priority": 4}, True, "permanent: new job: its priority is not one of"),
    ({"kind": "No Kind"}, False, 'permanent: .*kind "No Kind" is not valid'),
    ({"queue": "no.queue"}, False, 'permanent: .*queue "no.queue" does not exist'),
    ({"trace": "00-x"}, False, 'permanent: .*trace "00-x" is not a traceparent'),
])
def test_what_is_wrong_with_it(db, errand, new, with_end, error):
    errand.start().wait_ready()
    job = db.wait_ended(enqueue(db, new, **{"with": with_end}))
    assert job.state == "dead" and not made(db)
    assert re.match(error, job.last_error), job.last_error


def test_what_the_database_refuses_fails_the_attempt(db, errand):
    errand.start().wait_ready()
    id = enqueue(db, {"queue": "no.queue"}, **{"with": True})
    job = db.wait("select last_error from errand.job where id = %s", id)
    assert 'completing the job failed: ' in job and 'queue "no.queue" does not exist' in job
    assert db.one("select attempt from errand.job where id = %s", id) == 1 and not made(db)
