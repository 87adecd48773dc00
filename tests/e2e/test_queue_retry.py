"""Retry policies: the kind's own, the operators', by class of error; a timeout and a lost runner have classes too."""

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, until

CLOCKS = 0.02  # seconds: a runner knows the database's clock from its answers


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture(scope="module")
def runner(db):
    with Errand(db.dsn) as errand:
        yield errand.start().wait_ready()


def attempts(db, id):
    return db.sql("select attempt, error_class, error, started_at, finished_at from errand.attempt where id = %s"
                  " order by attempt", id)


def waits(db, id):
    """Seconds between each failed attempt's end and the next one's start."""
    rows = attempts(db, id)
    starts = [row.started_at for row in rows[1:]] + [db.job(id).started_at]
    return [(start - row.finished_at).total_seconds() for row, start in zip(rows, starts)]


def set_policy(db, kind, policy, delays="{}", error_class="", max_attempts=None):
    db.sql("insert into errand.kind_retry (kind, error_class, policy, delays_ms, max_attempts) values (%s, %s, %s, %s, %s)",
           kind, error_class, policy, delays, max_attempts)
    tell(db)


def forget_policies(db):
    db.sql("delete from errand.kind_retry")
    tell(db)


def tell(db):
    db.sql("select pg_notify('errand.' || id, 'queue') from errand.runner")


def check_near(found, wanted):
    assert len(found) == len(wanted)
    for seconds, least in zip(found, wanted):
        assert least - CLOCKS <= seconds < least + 0.25, (found, wanted)


def test_a_kinds_own_list(db, runner):
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "times": 3})
    assert db.wait_ended(id).attempt == 4
    check_near(waits(db, id), [0.3, 0.6, 0.6])
    assert {row.error_class for row in attempts(db, id)} == {""}


def test_a_class_of_its_own(db, runner):
    """The last attempt's class stands in the history."""
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "error_class": "fixed"})
    job = db.wait_ended(id)
    assert (job.state, job.attempt, job.last_error) == ("dead", 2, "no")
    check_near(waits(db, id), [0.4])
    assert [row.error_class for row in attempts(db, id)] == ["fixed"]
    assert db.one("select error_class from errand.history where id = %s", id) == "fixed"
    assert db.one("select error from errand.dead_letter where id = %s", id) == "no"


def test_never_is_dead_at_once(db, runner):
    """Whatever the delay that the handler asks for."""
    for delay_ms in (-1, 10):
        id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "error_class": "never", "delay_ms": delay_ms})
        job = db.wait_ended(id)
        assert (job.state, job.attempt) == ("dead", 1)
        assert attempts(db, id) == []


def test_class_without_a_line_takes_the_kinds(db, runner):
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "error_class": "other", "times": 1})
    db.wait_ended(id)
    check_near(waits(db, id), [0.3])
    assert [row.error_class for row in attempts(db, id)] == ["other"]


def test_the_handlers_delay_goes_first(db, runner):
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "error_class": "fixed", "delay_ms": 10, "times": 1})
    db.wait_ended(id)
    check_near(waits(db, id), [0.01])


def test_class_that_is_none(db, runner):
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "error_class": "Not a class", "times": 1})
    assert db.wait_ended(id).state == "done"
    assert [row.error_class for row in attempts(db, id)] == [""]
    runner.wait_log(r"handler named a class of errors that is none")


def probe(db, kind, **args):
    """One failed attempt, and how long after it the next began; None: there was none."""
    id = db.enqueue(kind, {"outcome": "retry", "text": "no", "times": 1, **args})
    return (waits(db, id) if db.wait_ended(id).state == "done" else [None])[0]


def wait_policy(db, kind, wanted, **args):
    """A job that was enqueued before the runner has read the new policies may still follow the old ones."""
    def holds():
        found = probe(db, kind, **args)
        return found is None if wanted is None else found is not None and wanted - CLOCKS <= found < wanted + 0.25
    until(holds, f"{kind} never waits {wanted}")


def test_operators_go_before_the_kind(db, runner):
    set_policy(db, "probe.retry", "fixed", "{20}")
    wait_policy(db, "probe.retry", 0.02)
    assert probe(db, "probe.retry", error_class="fixed") > 0.35 # a line of its own
    set_policy(db, "probe.retry", "list", "{900}", error_class="fixed", max_attempts=3)
    wait_policy(db, "probe.retry", 0.9, error_class="fixed")
    id = db.enqueue("probe.retry", {"outcome": "retry", "text": "no", "delay_ms": 1, "error_class": "fixed"})
    assert db.wait_ended(id).attempt == 3
    set_policy(db, "probe.retry", "never", error_class="other")
    wait_policy(db, "probe.retry", None, error_class="other")
    forget_policies(db)
    wait_policy(db, "probe.retry", 0.3)


def test_operators_and_a_kind_that_says_nothing(db, runner):
    set_policy(db, "probe.run", "list", "{500,0}", max_attempts=22)
    wait_policy(db, "probe.run", 0.5)
    id = db.enqueue("probe.run", {"outcome": "retry", "text": "no"})
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("dead", 22), "more than the job's own 20"
    forget_policies(db)


def test_timeout_is_a_class(db, runner):
    set_policy(db, "probe.run", "fixed", "{10}", error_class="timeout", max_attempts=3)
    tell(db)
    db.wait_ended(db.enqueue())
    until(lambda: timed_out(db) == ("dead", 3, "timed out"), "the policy is never seen")
    forget_policies(db)


def timed_out(db):
    id = db.enqueue(args={"sleep_ms": 30000}, timeout="50 milliseconds", max_attempts=2)
    job = db.wait_ended(id)
    rows = attempts(db, id)
    assert {(row.error_class, row.error) for row in rows} == {("timeout", "timed out")}
    assert db.one("select error_class from errand.history where id = %s", id) == "timeout"
    return job.state, job.attempt, job.last_error


def test_settings_without_notifications():
    """They come with the beats, at most a few seconds later."""
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn, ERRAND_LISTEN="false") as errand:
        db.sql("insert into errand.kind_retry values ('probe.retry', '', 'fixed', '{20}', null)")
        errand.start("--lease-ttl-ms", "2000").wait_ready()
        assert probe(db, "probe.retry") < 0.28, "loaded before the first job"
        db.sql("update errand.kind_retry set delays_ms = '{700}'")
        wait_policy(db, "probe.retry", 0.7)
        db.sql("delete from errand.kind_retry")
        wait_policy(db, "probe.retry", 0.3)


# ---- Lost ----

def lose(db, errand, kind, args, first="lost", **named):
    """A job that was written down as running when its runner was killed."""
    runner = errand.start("--name", first).wait_ready()
    id = db.enqueue(kind, {"sleep_ms": 3000, **args}, **named)
    db.wait_state(id, "running")
    started_at = db.job(id).started_at
    runner.kill()
    db.sql("update errand.job set args = %s where id = %s", "{}", id)
    return id, started_at


@pytest.fixture
def scratch():
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        yield db, errand


def test_lost_attempt_is_told(scratch):
    """It is run again at once, and the attempt that was lost stands beside the others."""
    db, errand = scratch
    id, started_at = lose(db, errand, "probe.claim", {})
    gone = db.one("select id from errand.runner")
    errand.start().wait_ready()
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("done", 2)
    assert db.sql("select attempt, error_class, error, runner, started_at from errand.attempt where id = %s", id) == [
        (1, "lost", "the runner ended during the attempt", gone, started_at)]


def test_lost_with_a_policy_of_its_own(scratch):
    db, errand = scratch
    db.sql("insert into errand.kind_retry values ('probe.claim', 'lost', 'fixed', '{1500}', null)")
    id, _ = lose(db, errand, "probe.claim", {})
    errand.start().wait_ready()
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("done", 2)
    [row] = db.sql("select * from errand.attempt where id = %s", id)
    assert (row.attempt, row.error_class) == (1, "lost")
    assert 1.5 - CLOCKS <= (job.started_at - row.finished_at).total_seconds() < 1.9


@pytest.mark.parametrize("error_class", ["lost", ""])
def test_lost_and_never(scratch, error_class):
    """A kind that must never be tried again is not, whatever ended its attempt."""
    db, errand = scratch
    db.sql("insert into errand.kind_retry values ('probe.claim', %s, 'never', '{}', null)", error_class)
    id, _ = lose(db, errand, "probe.claim", {})
    errand.start().wait_ready()
    job = db.wait_ended(id)
    assert (job.state, job.attempt, job.last_error) == ("dead", 1, "the runner ended during the last attempt")
    assert db.one("select error_class from errand.history where id = %s", id) == "lost"
