"""One runner and its jobs: when they start, in which order, and every way in which they end."""

import time

import pytest

from support.cluster import shared_cluster
from support.errand import SANITIZER_ENV, Errand
from support.process import resident_kib
from support.wait import QueueDatabase, until

CLOCKS = 0.02  # seconds: a runner knows the database's clock from its answers


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        yield db


@pytest.fixture(scope="module")
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


@pytest.fixture(scope="module")
def shared_runner(errand):
    yield errand.start().wait_ready()


@pytest.fixture
def runner(shared_runner):
    assert shared_runner.running, shared_runner.log()
    return shared_runner


def attempts(db, id):
    return db.sql("select attempt, error, runner is not null as by_runner, started_at, finished_at from errand.attempt"
                  " where id = %s order by attempt", id)


def dead_letter(db, id):
    return db.sql("select attempt, max_attempts, error, args::text, kind from errand.dead_letter where id = %s", id)


# ---- When ----

def test_runs_now(db, runner):
    job = db.wait_ended(db.enqueue(args={"a": 1}))
    assert (job.state, job.attempt, job.last_error) == ("done", 1, None)
    assert job.created_at <= job.run_at
    assert (job.started_at - job.run_at).total_seconds() > -CLOCKS
    assert (job.finished_at - job.started_at).total_seconds() > -CLOCKS
    assert job.runner == db.one("select id from errand.runner")
    assert db.one("select args::text from errand.history where id = %s", job.id) == '{"a": 1}'


def test_runs_at_its_time(db, runner):
    ids = [db.enqueue(after=after) for after in (0.3, 0.7, 1.2, 1.8)]
    jobs = [db.wait_ended(id) for id in ids]
    for job in jobs:
        late = (job.started_at - job.run_at).total_seconds()
        assert -CLOCKS < late < 0.5, job


def test_not_before_its_time(db, runner):
    later, now = db.enqueue(after=3600), db.enqueue()
    db.wait_ended(now)
    assert db.job(later).state == "scheduled"
    assert db.one("select errand.cancel(%s)", later) == "cancelled"


def test_priority_then_time_then_id():
    """With one slot and one lane the order of starts is visible."""
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        db.sql("select errand.queue_create('single', 1)")
        wanted = [db.enqueue(queue="single", priority=priority, after=after, args={"sleep_ms": 5})
                  for priority, after in ((2, 0), (2, 0), (3, -1), (0, 0.1), (1, 0.1), (0, 0))]
        db.wait("select max(run_at) < clock_timestamp() from errand.job")
        errand.start("--queues", "single", "--concurrency", "1").wait_ready()
        db.wait_empty()
        order = [row.id for row in db.sql("select id from errand.history order by started_at")]
    assert order == [wanted[n] for n in (5, 3, 4, 0, 1, 2)]


def test_batch_among_others():
    """Jobs that end together in a lane between such as are not due, close to each other and far apart: each is told of once with its own start, and
    the others stay."""
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        db.sql("select errand.queue_create('single', 1)")
        due, later = [], []
        for every in (2, 40):
            made = db.sql("""select errand.enqueue('probe.run', queue => 'single', priority => n / 7 %% 4,
                    run_at => case when n %% %s = 0 then '2000-01-01' else clock_timestamp() + interval '1 day' end) as id, n %% %s = 0 as due
                from generate_series(1, 4000) n""", every, every)
            due += [row.id for row in made if row.due]
            later += [row.id for row in made if not row.due]
        errand.start("--queues", "single", "--concurrency", "1000").wait_ready()
        db.wait("select count(*) = %s from errand.history", len(due))
        assert sorted(due) == [row.id for row in db.sql("select id from errand.history order by id")]
        assert later == [row.id for row in db.sql("select id from errand.job order by id")]
        in_order = [row.id for row in db.sql("select id from errand.history order by priority, started_at, id")]
        assert in_order == [row.id for row in db.sql("select id from errand.history order by priority, id")]


# ---- How it ends ----

def test_retry_with_delay_and_attempt_rows(db, runner):
    id = db.enqueue(args={"outcome": "retry", "text": "not yet", "delay_ms": 200, "times": 2})
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("done", 3)
    rows = attempts(db, id)
    assert [(row.attempt, row.error, row.by_runner) for row in rows] == [(1, "not yet", True), (2, "not yet", True)]
    for row, next_start in zip(rows, [rows[1].started_at, job.started_at]):
        assert (row.finished_at - row.started_at).total_seconds() > -CLOCKS
        assert 0.15 < (next_start - row.finished_at).total_seconds() < 2
    assert dead_letter(db, id) == []


def test_retry_with_the_kinds_backoff(db, runner):
    id = db.enqueue(args={"outcome": "retry", "text": "later", "times": 1})
    job = db.wait_ended(id)
    assert (job.state, job.attempt) == ("done", 2)
    [row] = attempts(db, id)
    assert (row.attempt, row.error) == (1, "later")
    assert -CLOCKS < (job.run_at - row.finished_at).total_seconds() <= 2.01


def test_what_waits_for_its_next_attempt(db, runner):
    id = db.enqueue(args={"outcome": "retry", "text": "later", "delay_ms": 60000})
    db.wait("select exists (select from errand.attempt where id = %s)", id)
    job = db.job(id)
    assert (job.state, job.attempt, job.last_error, job.runner) == ("scheduled", 1, "later", None)
    assert db.one("select errand.cancel(%s)", id) == "cancelled"


def test_last_attempt_makes_a_dead_letter(db, runner):
    id = db.enqueue(args={"outcome": "retry", "text": "no", "delay_ms": 1}, max_attempts=3)
    job = db.wait_ended(id)
    assert (job.state, job.attempt, job.last_error) == ("dead", 3, "no")
    assert [row.attempt for row in attempts(db, id)] == [1, 2]
    [letter] = dead_letter(db, id)
    assert (letter.attempt, letter.max_attempts, letter.error, letter.kind) == (3, 3, "no", "probe.run")
    assert '"outcome": "retry"' in letter.args


def test_fail_is_dead_at_once(db, runner):
    id = db.enqueue(args={"outcome": "fail", "text": "bad \"input\", {with} \\ and ünïcode"})
    job = db.wait_ended(id)
    assert (job.state, job.attempt, job.last_error) == ("dead", 1, "bad \"input\", {with} \\ and ünïcode")
    assert [row.error for row in dead_letter(db, id)] == [job.last_error]
    assert attempts(db, id) == []


@pytest.mark.parametrize("outcome", ["cancel", "unknown"])
@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_cancelled_and_unknown(db, runner, kind, outcome):
    id = db.enqueue(kind, {"outcome": outcome, "text": "because"})
    job = db.wait_ended(id)
    assert (job.state, job.attempt, job.last_error) == ({"cancel": "cancelled"}.get(outcome, outcome), 1, "because")
    assert dead_letter(db, id) == []


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_snooze_is_no_attempt(db, runner, kind):
    id = db.enqueue(kind, {"outcome": "snooze", "text": "nap", "delay_ms": 60000}, max_attempts=1)
    db.wait("select run_at > now() + interval '30 seconds' and claimed_by is null from errand.job where id = %s", id)
    job = db.job(id)
    assert (job.state, job.attempt, job.last_error) == ("scheduled", 0, "nap")
    assert attempts(db, id) == []
    assert db.one("select errand.cancel(%s)", id) == "cancelled"


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_snoozed_job_runs_again_and_again(db, runner, kind):
    """Any number of snoozes, and then its one attempt."""
    id = db.enqueue(kind, {"outcome": "snooze", "text": "nap", "delay_ms": 20}, max_attempts=1)
    first = db.job(id).run_at
    until(lambda: db.job(id).run_at > first, "never snoozed")
    second = db.job(id).run_at
    until(lambda: db.job(id).run_at > second, "snoozed only once")
    assert db.one("select errand.cancel(%s)", id) in ("cancelled", "requested")
    assert db.wait_ended(id).state == "cancelled"
    assert attempts(db, id) == []


# ---- Cancel and timeout ----

def test_cancel_of_a_waiting_job(db, runner):
    id = db.enqueue(after=0.6)
    after = db.enqueue(after=0.6)
    assert db.one("select errand.cancel(%s)", id) == "cancelled"
    db.wait_ended(after)
    job = db.job(id)
    assert (job.state, job.started_at, job.last_error) == ("cancelled", None, "cancelled by errand.cancel")
    assert db.one("select count(*) from errand.history where id = %s", id) == 1
    assert db.one("select errand.cancel(%s)", id) == "not found"


@pytest.mark.parametrize("kind", ["probe.run", "probe.claim"])
def test_cancel_of_a_running_job(db, runner, kind):
    """A sleeping handler is woken, and tells so itself; a lazily claimed one can be asked once it was written down."""
    id = db.enqueue(kind, {"progress": ["begun"], "sleep_ms": 10000})
    db.wait_state(id, "running")
    # A handler in a process of its own begins a little later than its job is written down.
    db.wait("select progress is not null from errand.job where id = %s", id)
    begun = time.monotonic()
    assert db.one("select errand.cancel(%s)", id) == "requested"
    job = db.wait_ended(id, timeout=15)
    assert (job.state, job.attempt, job.last_error) == ("cancelled", 1, "asked to end")
    assert time.monotonic() - begun < 3


def test_timeout_ends_a_sleeping_handler(db, runner):
    """A failed attempt, whatever the handler says of it."""
    id = db.enqueue(args={"sleep_ms": 30000}, timeout="300 milliseconds", max_attempts=1)
    job = db.wait_ended(id, timeout=10)
    assert (job.state, job.attempt, job.last_error) == ("dead", 1, "timed out")
    assert 0.25 < (job.finished_at - job.started_at).total_seconds() < 3
    runner.wait_log(rf"attempt timed out.* job={id}\b")
    id = db.enqueue(args={"sleep_ms": 30000}, timeout="100 milliseconds")
    db.wait("select exists (select from errand.attempt where id = %s)", id)
    assert [(row.attempt, row.error) for row in attempts(db, id)] == [(1, "timed out")]
    assert db.one("select errand.cancel(%s)", id) == "cancelled"


# ---- Many, and foreign ones ----

def test_ten_thousand_once_in_the_history(db, runner):
    db.wait_empty()
    db.sql("truncate errand.history")
    ids = db.enqueue_many(10000)
    assert len(set(ids)) == 10000
    db.wait_empty()
    db.check_history(ids)
    assert db.one("select count(*) from errand.history where outcome <> 'done' or attempt <> 1") == 0
    # Committed in batches: far fewer transactions than jobs.
    assert db.one("select count(distinct finished_at) from errand.history") < 2000


def test_kind_of_nobody_is_left_alone(db, runner):
    """Far more of them than one read brings, in the way of others in the same lane."""
    ids = [row[0] for row in db.sql(
        "select errand.enqueue_many('later.release', array_fill('{}'::jsonb, array[3000]), queue => 'single',"
        " priority => 0)")]
    behind = db.enqueue(queue="single", priority=0)
    beside = db.enqueue(queue="single")
    db.wait_ended(behind)
    db.wait_ended(beside)
    assert db.one("select count(*) from errand.job where id = any (%s) and attempt = 0 and claimed_by is null", ids) == 3000
    db.sql("delete from errand.job")


def test_pause_and_resume_reach_a_running_runner(db, runner):
    db.sql("select errand.queue_pause('default', 'maintenance')")
    # The runner is told by a notification; a job enqueued before it has read it may still start.
    until(lambda: db.job(db.enqueue(args={"probe": 1})) and paused_job(db), "the pause is never seen", timeout=10, every=0)
    held = db.enqueue()
    other = db.enqueue(queue="single")
    db.wait_ended(other)
    assert db.job(held).state == "ready"
    assert db.row("select paused, pause_reason from errand.queues where name = 'default'") == (True, "maintenance")
    db.sql("select errand.queue_resume('default')")
    begun = time.monotonic()
    db.wait_ended(held)
    assert time.monotonic() - begun < 1.5
    db.wait_empty()


def paused_job(db):
    """A job that is due and does not start while another queue's jobs run."""
    id = db.enqueue()
    db.wait_ended(db.enqueue(queue="single"))
    return db.job(id).state == "ready"


def test_pause_until_a_time_ends_by_itself(db, runner):
    db.sql("select errand.queue_pause('default', 'a moment', clock_timestamp() + interval '1.5 seconds')")
    until_at = db.one("select paused_until from errand.queue where name = 'default'")
    until(lambda: paused_job(db) or db.one("select clock_timestamp()") > until_at, "the pause is never seen", every=0)
    job = db.wait_ended(db.enqueue())
    assert job.state == "done"
    assert not db.one("select paused from errand.queues where name = 'default'")
    db.wait_empty()


def test_queue_made_while_the_runner_runs(db, runner):
    db.sql("select errand.queue_create('newcomer', 2)")
    job = db.wait_ended(db.enqueue(queue="newcomer"), timeout=8)
    assert job.queue == "newcomer"


def test_runner_of_a_queue_that_is_made_later():
    """It goes on renewing its lease, and sees the queue when it is there."""
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        late = errand.start("--queues", "afterwards", "--lease-ttl-ms", "2000").wait_ready()
        for _ in range(3):
            lease = db.one("select lease_until from errand.runner")
            db.wait("select lease_until > %s from errand.runner", lease, timeout=3)
        db.sql("select errand.queue_create('afterwards', 1)")
        assert db.wait_ended(db.enqueue(queue="afterwards"), timeout=8).runner is not None
        assert late.terminate() == 0


def test_queues_are_the_border():
    """A runner touches no lane and no job of a queue that it does not serve."""
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        for name in ("ours", "theirs"):
            db.sql("select errand.queue_create(%s, 1)", name)
        errand.start("--queues", "ours").wait_ready()
        foreign = db.enqueue(queue="theirs")
        db.wait_ended(db.enqueue(queue="ours"))
        assert db.job(foreign).state == "ready"
        assert [row.queue for row in db.sql("select queue from errand.lane where owner is not null")] == ["ours"]


def test_large_args_are_not_read_all_at_once():
    """A lane that holds hundreds of large jobs is looked through again and again while it works: never by more of them at a time than
    some megabytes, whatever their number."""
    options = f"{SANITIZER_ENV['ASAN_OPTIONS']}:quarantine_size_mb=1"
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn, ASAN_OPTIONS=options) as errand:
        db.sql("select errand.queue_create('large', 1)")
        runner = errand.start("--queues", "large", "--concurrency", "8").wait_ready()
        args = "array_fill(jsonb_build_object('sleep_ms', 40, 'text', repeat('x', 400000)), array[450])"
        db.sql(f"select count(*) from errand.enqueue_many('probe.run', {args}, queue => 'large')")
        db.wait("select count(*) = 450 from errand.history where outcome = 'done'", timeout=120, every=0.2)
        peak = resident_kib(runner.pid) / 1024
    assert peak < 250, f"{peak} MB, for args of 180"


def test_all_of_it_ends_in_order(db, runner):
    """Last: the runner that did all of the above stops in order, and left nothing behind."""
    assert db.sql("select * from errand.job") == []
    assert runner.terminate() == 0
    assert db.one("select count(*) from errand.lane where owner is not null or armed") == 0
    assert db.sql("select * from errand.runner where lease_until > clock_timestamp()") == []
