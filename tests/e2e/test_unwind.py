"""Timeout, cancel and shutdown end a handler that looks at nothing and goes on for ever: its slot is free, and nothing of
it is left behind, no process, no descriptor, no memory (the sanitizer looks when the runner has ended)."""

import time

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.late import LateServer
from support.process import Family, children_of, command_of, open_files
from support.wait import QueueDatabase, until

NEVER = 1_000_000


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        errand.ledger = errand.dir / "ledger"
        errand.env["ERRAND_PROBE_LEDGER"] = str(errand.ledger)
        yield errand


@pytest.fixture
def server():
    with LateServer(NEVER) as server:
        yield server


def ways(server, family):
    return [{"wait": "sleep"}, {"wait": "http", "url": server.url}, {"wait": "query"},
            {"wait": "child", "argv": family.argv}]


def lines(errand, word):
    return sum(line.startswith(word + " ") for line in errand.ledger.read_text().splitlines())


def cleaned(errand):
    return sum(" cleaned " in line for line in errand.ledger.read_text().splitlines())


def counts(db, runner):
    """Descriptors, but connections to the database, of which there may be more or fewer; and processes."""
    connections = db.one("select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
    return len(open_files(runner.pid)) - connections, len(children_of(runner.pid))


def wait_counts(db, runner, wanted):
    until(lambda: counts(db, runner) == wanted,
          lambda: f"descriptors and processes {counts(db, runner)}, not {wanted}: {open_files(runner.pid)}")


def warm_up(db, runner, server, family):
    """What stays for good is there: connections, the warden, the HTTP library. Returns the counts."""
    for args in ways(server, family):
        db.wait_ended(db.enqueue("probe.stubborn", args, timeout="0.1 seconds", max_attempts=1))
    until(lambda: not family.pids() and not server.waiting, "something is left")
    # An isolated plug-in's process that others were forked from ends when it has had nothing to do for a second.
    until(lambda: not [pid for pid in children_of(runner.pid) if command_of(pid)[0].endswith(b"errand-host")], "a host is left")
    return counts(db, runner)


def test_timeout_frees_the_slot_and_leaves_nothing(db, errand, server):
    runner, family = errand.start("--concurrency", "1").wait_ready(), Family()
    before = warm_up(db, runner, server, family)
    for args in ways(server, family):
        id = db.enqueue("probe.stubborn", args, timeout="1 second", max_attempts=1)
        next_id = db.enqueue()
        job = db.wait_ended(id)
        assert (job.state, job.last_error) == ("dead", "timed out")
        started, ended = db.row("select started_at, finished_at from errand.history where id = %s", id)
        assert 0.9 < (ended - started).total_seconds() < 2.5, args
        db.wait_ended(next_id, timeout=2)
        wait_counts(db, runner, before)
        assert not family.pids() and not server.waiting
    assert cleaned(errand) == lines(errand, "start") - 4 == 8
    assert runner.terminate() == 0


def test_cancel_frees_the_slot_and_leaves_nothing(db, errand, server):
    runner, family = errand.start("--concurrency", "1").wait_ready(), Family()
    before = warm_up(db, runner, server, family)
    for args in ways(server, family):
        id = db.enqueue("probe.stubborn", args)
        db.wait_state(id, "running")
        errand.run("jobs", "cancel", str(id))
        assert db.wait_ended(id, timeout=5).state == "cancelled"
        db.wait_ended(db.enqueue(), timeout=2)
        wait_counts(db, runner, before)
    assert runner.terminate() == 0


def test_kind_that_may_end_itself_and_does_not(db, errand):
    runner = errand.start("--concurrency", "1").wait_ready()
    id = db.enqueue("probe.stubborn.late", {"wait": "sleep"}, timeout="0.3 seconds", max_attempts=1)
    assert db.wait_ended(id, timeout=5).state == "dead"
    assert "handler does not end, and is ended" in runner.log() and cleaned(errand) == 1
    assert runner.terminate() == 0


def test_stop_ends_a_hundred_and_leaves_nothing(db, errand, server):
    """Their jobs are given back, as if they had not begun; what they hold is given back, too."""
    runner, family = errand.start(env={"ERRAND_STOP_TIMEOUT_MS": "500"}).wait_ready(), Family("sleep 60 & wait")
    ids = [db.enqueue("probe.stubborn", args) for _ in range(25) for args in ways(server, family)]
    until(lambda: len(server.waiting) == 25 and len(family.pids()) >= 25 and lines(errand, "start") == 100,
          lambda: f"{len(server.waiting)} {len(family.pids())}")
    begun = time.monotonic()
    assert runner.terminate() == 0
    assert 0.5 < time.monotonic() - begun < 4
    until(lambda: not family.pids() and not server.waiting, "something is left", timeout=2)
    assert cleaned(errand) == 100
    assert "stopping before every job ended" not in runner.log()
    assert db.one("select count(*) from errand.job where attempt = 0 and claimed_by is null") == len(ids)
    assert db.sql("select * from errand.runner") == []
