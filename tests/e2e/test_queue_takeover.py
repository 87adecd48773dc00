"""Several runners, and runners that are lost: a lane has one owner, and no job is lost with its runner.

That a job ran twice shows in the logs only: the history has it once, because the second completion changes no row."""

import re
import signal
import time

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, until


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_LOG_LEVEL="debug", ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand


def executed(*runners):
    """The ids of the jobs that handlers of these runners have done."""
    return [int(id) for runner in runners for id in re.findall(r'event="job done".* job=(\d+) ', runner.log())]


def check_once(db, ids, *runners):
    db.check_history(ids)
    until(lambda: len(executed(*runners)) >= len(ids), "jobs that no log knows", timeout=5)
    found = executed(*runners)
    twice = sorted(id for id in set(found) if found.count(id) > 1)
    assert not twice, f"{len(twice)} of {len(ids)} jobs ran twice: {twice[:10]}"
    assert sorted(found) == sorted(ids)


def lanes_of(db, name):
    return db.one("select count(*) from errand.lane l join errand.runner r on r.id = l.owner where r.name = %s", name)


# ---- Lost runners ----

def test_killed_runner_is_taken_over_at_once(db, errand):
    """With the lease of ten seconds that is the default: its backend is gone."""
    slow = {"ERRAND_LEASE_TTL_MS": "10000"}
    first = errand.start(env=slow).wait_ready()
    first_id = db.one("select id from errand.runner")
    claimed = [db.enqueue(kind, {"sleep_ms": 1500}) for kind in ("probe.claim", "probe.run")]
    for id in claimed:
        db.wait_state(id, "running")
    short = db.enqueue_many(50, {"sleep_ms": 800})
    db.wait_ended(db.enqueue())
    first.kill()
    begun = time.monotonic()
    second = errand.start(env=slow).wait_ready()
    second.wait_log(r"lanes acquired.* taken_over=[1-9]", timeout=5)
    assert time.monotonic() - begun < 3
    # At most an attempt of each is lost: the claimed ones are counted, of the others nobody knows.
    for id in claimed:
        job = db.wait_ended(id)
        assert (job.state, job.attempt) == ("done", 2)
        assert job.runner not in (None, first_id)
    for id in short:
        job = db.wait_ended(id)
        assert (job.state, job.attempt) == ("done", 1)
    assert second.terminate() == 0


def test_standby_takes_over_within_seconds(db, errand):
    first = errand.start("--name", "first").wait_ready()
    second = errand.start("--name", "second").wait_ready()
    assert lanes_of(db, "first") > 0
    first.kill()
    begun = time.monotonic()
    db.wait("select count(*) = 0 from errand.lane where owner is distinct from"
            " (select id from errand.runner where name = 'second')", timeout=5)
    assert time.monotonic() - begun < 2
    db.wait_ended(db.enqueue())
    assert second.terminate() == 0


def test_attempts_of_lost_runners_are_counted_to_the_end(db, errand):
    id = db.enqueue("probe.claim", {"sleep_ms": 60000}, max_attempts=2)
    for attempt in (1, 2):
        runner = errand.start().wait_ready()
        db.wait("select attempt = %s and claimed_by is not null from errand.job where id = %s", attempt, id, timeout=5)
        runner.kill()
    errand.start().wait_ready()
    job = db.wait_ended(id, timeout=5)
    assert (job.state, job.attempt, job.last_error) == ("dead", 2, "the runner ended during the last attempt")
    [letter] = db.sql("select attempt, error, args::text from errand.dead_letter where id = %s", id)
    assert letter == (2, "the runner ended during the last attempt", '{"sleep_ms": 60000}')


def test_short_job_that_ends_its_runner_is_counted_after_the_first_time(db, errand):
    """Nobody knows what ended the first runner; from then on the lane is run cautiously, claimed first."""
    id = db.enqueue("probe.run", {"sleep_ms": 900}, max_attempts=3)
    runner = errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    assert db.job(id).attempt == 0
    runner.kill()
    for attempt in (1, 2, 3):
        runner = errand.start().wait_ready()
        db.wait("select attempt = %s from errand.job where id = %s", attempt, id, timeout=5)
        runner.kill()
    errand.start().wait_ready()
    job = db.wait_ended(id, timeout=5)
    assert (job.state, job.attempt) == ("dead", 3)


def test_cancel_of_a_job_whose_runner_is_lost(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.claim", {"sleep_ms": 60000})
    db.wait_state(id, "running")
    runner.kill()
    assert db.one("select errand.cancel(%s)", id) == "requested"
    errand.start().wait_ready()
    job = db.wait_ended(id, timeout=5)
    assert (job.state, job.last_error) == ("cancelled", "cancelled by errand.cancel")


# ---- Two runners ----

@pytest.mark.parametrize("listen", ["true", "false"])
def test_cancel_of_a_job_that_runs_on_after_its_lane_was_handed_over(db, errand, listen):
    """Its runner reads the lane no more, and the lane's owner does not run it; also where nobody can be told."""
    env = {"ERRAND_LISTEN": listen}
    first = errand.start(env=env).wait_ready()
    ids = [db.enqueue("probe.claim", {"sleep_ms": 60000}, key=str(n)) for n in range(40)]
    db.wait("select count(*) = 40 from errand.jobs where state = 'running'")
    second = errand.start(env=env).wait_ready()
    astray = ("select count(*) from errand.job j join errand.lane l using (lane)"
              " where j.claimed_by is not null and j.claimed_by <> l.owner")
    db.wait(f"select ({astray}) >= 10")
    for id in ids:
        assert db.one("select errand.cancel(%s)", id) == "requested"
    begun = time.monotonic()
    db.wait("select count(*) = 40 from errand.jobs where id = any (%s) and state = 'cancelled'", ids, timeout=6)
    print(f"cancelled within {time.monotonic() - begun:.2f} s")
    assert listen == "false" or time.monotonic() - begun < 2
    assert first.terminate() == 0 and second.terminate() == 0


def test_two_runners_never_share_a_job(db, errand):
    ids = db.enqueue_many(1000)
    runners = [errand.start("--name", name) for name in ("first", "second")]
    for runner in runners:
        runner.wait_ready()
    db.wait("select count(*) = 0 from errand.lane where owner is null", timeout=5)
    ids += db.enqueue_many(1000)
    db.wait_empty()
    check_once(db, ids, *runners)
    # One stops in the middle of work; the other one has the rest.
    owner, other = runners
    ids += db.enqueue_many(2000, {"sleep_ms": 20})
    db.wait("select count(*) > 2000 from errand.history")
    assert owner.terminate() == 0
    db.wait_empty()
    check_once(db, ids, *runners)
    assert other.terminate() == 0
    assert db.one("select count(*) from errand.lane where owner is not null") == 0


def test_last_lane_of_a_runner_whose_slots_are_taken_by_long_jobs(db, errand):
    """What waits in it goes to a runner with free slots, and the long ones run on where they began."""
    db.sql("select errand.queue_create('one', 1)")
    full = errand.start("--name", "full", "--concurrency", "2").wait_ready()
    long = [db.enqueue(queue="one", args={"sleep_ms": 12000}) for _ in range(2)]
    db.wait("select count(*) = 2 from errand.job where claimed_by is not null")
    waiting = db.enqueue(queue="one")
    free = errand.start("--name", "free", "--queues", "one").wait_ready()
    found = db.wait_ended(waiting, timeout=8)
    assert db.one("select name from errand.runner where id = %s", found.runner) == "free"
    assert [db.job(id).state for id in long] == ["running"] * 2 and lanes_of(db, "free") == 1
    assert {(job.state, job.attempt, job.runner) for job in map(db.wait_ended, long)} == {
        ("done", 1, db.one("select id from errand.runner where name = 'full'"))}
    check_once(db, [*long, waiting], full, free)


@pytest.mark.parametrize("kind", ["probe.run", "nobody.knows"])
def test_last_lane_stays_where_no_job_waits_that_the_other_knows(db, errand, kind):
    db.sql("select errand.queue_create('one', 1)")
    full = errand.start("--name", "full", "--concurrency", "1").wait_ready()
    db.enqueue(queue="one", args={"sleep_ms": 20000})
    db.wait("select count(*) = 1 from errand.job where claimed_by is not null")
    db.enqueue(queue="one", kind=kind, after=3600 if kind == "probe.run" else None)
    errand.start("--name", "free", "--queues", "one").wait_ready()
    for _ in range(3):
        lease = db.one("select lease_until from errand.runner where name = 'free'")
        db.wait("select lease_until > %s from errand.runner where name = 'free'", lease, timeout=3)
    assert db.row("select epoch, owner = (select id from errand.runner where name = 'full'), wanted_by from errand.lane where queue = 'one'") == (
        1, True, None)
    assert full.running


def test_frozen_runner_finds_its_lanes_taken_and_takes_them_again(db, errand):
    first = errand.start("--name", "first").wait_ready()
    second = errand.start("--name", "second").wait_ready()
    ids = db.enqueue_many(100)
    db.wait_empty()
    lanes = db.one("select count(*) from errand.lane")
    first.process.send_signal(signal.SIGSTOP)
    try:
        # Its backends stand: only the lease tells.
        until(lambda: lanes_of(db, "second") == lanes, db.state, timeout=10)
        ids += db.enqueue_many(200)
        db.wait_empty()
    finally:
        first.process.send_signal(signal.SIGCONT)
    first.wait_log("lane lost to another runner", timeout=5)
    ids += db.enqueue_many(200)
    db.wait_empty()
    check_once(db, ids, first, second)
    # And back: what was lost once can be owned again.
    assert second.terminate() == 0
    until(lambda: lanes_of(db, "first") == lanes, db.state, timeout=5)
    ids += db.enqueue_many(200)
    db.wait_empty(timeout=5)
    check_once(db, ids, first, second)
    assert first.terminate() == 0


@pytest.fixture
def blockable(db):
    """A login for one runner, which can be kept from connecting."""
    db.sql("create role blockable login in role errand_runner")
    yield psycopg2.extensions.make_dsn(db.dsn, user="blockable")
    db.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'blockable'")
    db.sql("drop role blockable")


def test_runner_that_lost_only_its_control_connection(db, errand, blockable):
    """Its lease still stands when its backend is gone, and the other one takes its lanes then. It must notice."""
    first = errand.start("--name", "first", env={"ERRAND_DATABASE_URL": blockable,
                                                 "ERRAND_LEASE_TTL_MS": "30000"}).wait_ready()
    second = errand.start("--name", "second").wait_ready()
    ids = db.enqueue_many(100)
    db.wait_empty()
    lanes = db.one("select count(*) from errand.lane")
    db.sql("alter role blockable nologin")
    db.sql("select pg_terminate_backend(backend_pid) from errand.runner where name = 'first'")
    until(lambda: lanes_of(db, "second") == lanes, db.state, timeout=5)
    ids += db.enqueue_many(100)
    db.wait_empty()
    db.sql("alter role blockable login")
    first.wait_log("database back")
    # Long enough that it would read them, too.
    for _ in range(3):
        ids += db.enqueue_many(50, {"sleep_ms": 900})
        db.wait_empty()
    check_once(db, ids, first, second)
    assert second.terminate() == 0
    until(lambda: lanes_of(db, "first") == lanes, db.state, timeout=10)
    db.wait_ended(db.enqueue(), timeout=5)
    assert first.terminate() == 0


def test_all_start_at_the_same_moment_on_an_empty_database(db, errand):
    runners = [errand.start("--name", f"runner{n}") for n in range(3)]
    ids = db.enqueue_many(300)
    for runner in runners:
        runner.wait_ready()
    db.wait("select count(*) = 0 from errand.lane where owner is null", timeout=5)
    db.wait_empty()
    ids += db.enqueue_many(300)
    db.wait_empty()
    check_once(db, ids, *runners)
    # A share for each, when they have asked one another.
    db.wait("select min(n) >= 2 and count(*) = 3 from (select count(*) as n from errand.lane where queue = 'default'"
            " group by owner) x", timeout=10)
    for runner in runners:
        assert runner.terminate() == 0


def test_lane_that_is_ours_and_unknown(db, errand):
    """As when the answer to its acquisition was lost: who looks at what it owns lets it go, and acquires it like any other."""
    runner = errand.start(env={"ERRAND_LEASE_TTL_MS": "2000"}).wait_ready()
    with db.connection.cursor() as cursor:
        cursor.execute("begin; select errand.queue_create('lost', 1);"
                       " update errand.lane set owner = (select id from errand.runner), epoch = 1 where queue = 'lost'; commit")
    id = db.enqueue(queue="lost")
    runner.process.send_signal(signal.SIGSTOP)
    db.wait("select lease_until < now() from errand.runner", timeout=5)
    runner.process.send_signal(signal.SIGCONT)
    assert db.wait_ended(id).state == "done"
