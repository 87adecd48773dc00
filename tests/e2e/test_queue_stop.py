"""Stopping a runner: what runs may finish, nothing new starts, everything is given back."""

import signal
import socket
import time

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
    with Errand(db.dsn) as errand:
        yield errand


def wait_running(db, *ids):
    for id in ids:
        db.wait_state(id, "running")


def check_given_back(db):
    assert db.sql("select * from errand.runner") == []
    assert db.sql("select lane from errand.lane where owner is not null or armed") == []
    assert db.sql("select id from errand.job where claimed_by is not null or started_at is not null") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_jobs_finish_and_no_other_starts(db, errand, number):
    runner = errand.start("--concurrency", "4").wait_ready()
    running = [db.enqueue("probe.claim", {"sleep_ms": 700}) for _ in range(4)]
    wait_running(db, *running)
    waiting = [db.enqueue() for _ in range(20)]
    runner.process.send_signal(number)
    assert runner.wait(10) == 0
    assert [db.job(id).state for id in running] == ["done"] * 4
    assert {(job.state, job.attempt) for job in map(db.job, waiting)} == {("ready", 0)}
    check_given_back(db)
    runner = errand.start().wait_ready()
    for id in waiting:
        assert db.wait_ended(id).attempt == 1
    assert "taken_over=0" in runner.log()


def test_idle_runner_stops_at_once(db, errand):
    runner = errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    begun = time.monotonic()
    assert runner.terminate() == 0
    assert time.monotonic() - begun < 2
    check_given_back(db)


def test_jobs_that_ended_are_committed_before_the_end(db, errand):
    runner = errand.start("--concurrency", "1000").wait_ready()
    ids = db.enqueue_many(1000, {"sleep_ms": 300})
    until(lambda: db.one("select count(*) from errand.history") or db.one("select running from errand.runner") > 500,
          "nothing runs")
    assert runner.terminate() == 0
    done = db.one("select count(*) from errand.history")
    assert done + db.one("select count(*) from errand.job where attempt = 0 and claimed_by is null") == 1000
    assert done > 0
    errand.start().wait_ready()
    db.wait_empty()
    db.check_history(ids)


def test_handler_that_outlives_the_grace_is_handed_back(db, errand):
    """Whether it was written down before its start, after a second, or only because of the stop; another runner
    finishes them, and the attempt that the stop cut off is not counted: even one that has no other is not lost."""
    runner = errand.start(env={"ERRAND_STOP_TIMEOUT_MS": "400"}).wait_ready()
    ids = [db.enqueue(kind, {"sleep_ms": 3000}, max_attempts=1) for kind in ("probe.claim", "probe.run")]
    wait_running(db, *ids)
    ids.append(db.enqueue(args={"sleep_ms": 3000}, max_attempts=1))
    db.wait_ended(db.enqueue())
    assert [db.job(id).attempt for id in ids] == [1, 1, 0]
    begun = time.monotonic()
    assert runner.terminate() == 0
    assert 0.3 < time.monotonic() - begun < 2
    assert [db.job(id).attempt for id in ids] == [0, 0, 0]
    check_given_back(db)
    runner = errand.start().wait_ready()
    assert [db.wait_ended(id).state for id in ids] == ["done"] * 3
    assert [db.job(id).attempt for id in ids] == [1, 1, 1]
    db.check_history([row.id for row in db.sql("select id from errand.history")])


def wait_all_owned(db, name, timeout):
    db.wait("select count(*) = 0 from errand.lane where owner is distinct from"
            " (select id from errand.runner where name = %s)", name, timeout=timeout)


def test_other_runner_goes_on_while_one_stops(db, errand):
    """The lanes of a runner that stops are another's; what it still runs stays its own until it ends."""
    first = errand.start("--name", "first").wait_ready()
    second = errand.start("--name", "second").wait_ready()
    long = []
    while not db.one("select count(distinct l.owner) = 2 from errand.lane l where l.lane in (select lane from errand.job)"):
        long.append(db.enqueue("probe.claim", {"sleep_ms": 5000}))
    wait_running(db, *long)
    first.process.terminate()
    wait_all_owned(db, "second", timeout=4)
    assert first.running, first.log()
    quick = db.enqueue_many(50)
    for id in quick:
        db.wait_ended(id)
    assert first.running, "the others' jobs are done before its own"
    assert first.wait(10) == 0
    for id in long:
        job = db.wait_ended(id)
        assert (job.state, job.attempt) == ("done", 1), "it was run a second time"
    assert second.terminate() == 0
    check_given_back(db)


HOLD = """
create function public.hold() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock(7); return new; end $$;
create trigger hold before update on errand.lane for each row when (new.queue = 'late' and new.owner is not null)
    execute function public.hold();
"""


def test_stop_while_a_lane_is_being_acquired(db, errand):
    """It comes to a runner that takes no more, and is let go at once, not with the last job that still runs."""
    runner = errand.start().wait_ready()
    long = db.enqueue("probe.claim", {"sleep_ms": 6000})
    db.wait_state(long, "running")
    db.sql(HOLD)
    db.sql("select pg_advisory_lock(7)")
    db.sql("select errand.queue_create('late', 1)")
    db.wait("select count(*) = 1 from pg_locks where locktype = 'advisory' and not granted")
    runner.process.terminate()
    runner.wait_log("stopping")
    db.sql("select pg_advisory_unlock(7)")
    db.wait("select owner is null and epoch > 0 from errand.lane where queue = 'late'", timeout=3)
    assert runner.running
    assert runner.wait(10) == 0
    assert db.wait_ended(long).state == "done"


def test_lanes_of_a_stopping_runner_are_taken_at_once(db, errand):
    """Whatever the other one is doing at that moment: told, it takes them, and needs no look at a later time."""
    stays = errand.start("--name", "stays").wait_ready()
    for _ in range(8):
        goes = errand.start("--name", "goes").wait_ready()
        db.wait("select count(distinct owner) = 2 and bool_and(owner is not null and armed) from errand.lane")
        assert goes.terminate() == 0
        wait_all_owned(db, "stays", timeout=0.7)
    assert stays.terminate() == 0


def test_no_grace_at_all(db, errand):
    runner = errand.start(env={"ERRAND_STOP_TIMEOUT_MS": "0"}).wait_ready()
    id = db.enqueue("probe.claim", {"sleep_ms": 30000})
    wait_running(db, id)
    begun = time.monotonic()
    assert runner.terminate() == 0
    assert time.monotonic() - begun < 2
    check_given_back(db)


def test_second_signal_ends_at_once(db, errand):
    """Nothing is given back then, and still the next runner has it at once: the backend is gone."""
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.claim", {"sleep_ms": 5000})
    wait_running(db, id)
    runner.process.terminate()
    runner.wait_log("stopping")
    assert runner.running
    begun = time.monotonic()
    runner.process.send_signal(signal.SIGINT)
    assert runner.wait(5) == 130
    assert time.monotonic() - begun < 1
    errand.start().wait_ready()
    db.wait("select attempt = 2 from errand.job where id = %s", id, timeout=5)


def test_stop_before_the_database_was_ever_there(errand):
    lost = Errand("host=/nowhere")
    with lost:
        runner = lost.start()
        runner.wait_log("database away")
        assert runner.terminate() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_stop_while_the_database_does_not_answer(number):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        with Errand(f"host=127.0.0.1 port={silent.getsockname()[1]} user=a dbname=a") as errand:
            runner = errand.start()
            connection, _ = silent.accept()
            with connection:
                runner.process.send_signal(signal.SIGHUP)
                runner.process.send_signal(number)
                assert runner.wait(5) == 0
