"""Programs that handlers run: how they end, and that nothing of them outlives the job, the runner's end or its death."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.process import Family, children_of, resident_kib
from support.wait import QueueDatabase, until


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_STOP_TIMEOUT_MS="500") as errand:
        yield errand


def run_child(db, argv, **args):
    return db.wait_ended(db.enqueue("probe.child", {"argv": argv, **args}), timeout=40)


def test_how_it_ended_is_the_result(db, errand):
    errand.start().wait_ready()
    job = run_child(db, ["sh", "-c", "cat; echo b >&2; exit 3"], input="a")
    assert (job.state, job.result["end"], job.result["status"]) == ("done", "exited", 3)
    assert (job.result["out"], job.result["err"], job.result["error"]) == ("a", "b\n", "exit status 3")
    result = run_child(db, ["sh", "-c", "kill -9 $$"]).result
    assert (result["end"], result["signal"]) == ("signaled", 9)
    result = run_child(db, ["/nowhere/at/all"]).result
    assert result["end"] == "not_run" and "/nowhere/at/all: No such file" in result["error"]
    result = run_child(db, ["env"]).result
    assert "PATH=" in result["out"] and set(re.findall(r"ERRAND\w*", result["out"])) == {"ERRAND_CHILD"}, "the database's URL is errand's own affair"


def test_open_files_are_not_errands(db, errand):
    """errand takes all it may have; a program that counts on less (select) gets what errand was started with."""
    limited = errand.dir / "limited"
    limited.write_text(f"#!/bin/sh\nulimit -Sn 300\nexec {binary()} \"$@\"\n")
    limited.chmod(0o755)
    errand.start(program=limited).wait_ready()
    assert run_child(db, ["sh", "-c", "ulimit -Sn"]).result["out"].strip() == "300"


def test_program_that_takes_too_long(db, errand):
    errand.start().wait_ready()
    family = Family()
    result = run_child(db, family.argv, timeout_ms=500, grace_ms=300).result
    assert (result["end"], result["signal"]) == ("timeout", 9)
    family.wait_gone()


def test_attempt_that_times_out_ends_its_program_and_frees_the_slot(db, errand):
    errand.start("--concurrency", "1").wait_ready()
    family = Family()
    id = db.enqueue("probe.child", {"argv": family.argv, "grace_ms": 300}, timeout="1 second", max_attempts=1)
    family.wait_runs()
    begun = time.monotonic()
    job = db.wait_ended(id)
    assert job.state == "dead" and "timeout" in db.one("select error_class from errand.history where id = %s", id)
    db.wait_ended(db.enqueue())
    assert time.monotonic() - begun < 8
    family.wait_gone()


def test_cancelled_job_ends_its_program(db, errand):
    errand.start("--concurrency", "1").wait_ready()
    family = Family()
    id = db.enqueue("probe.child", {"argv": family.argv, "grace_ms": 300})
    family.wait_runs()
    db.wait_state(id, "running")
    errand.run("jobs", "cancel", str(id))
    assert db.wait_ended(id).state == "cancelled"
    family.wait_gone()
    db.wait_ended(db.enqueue())


class Daemons(Family):
    """A shell with two daemons: both have left its process group and ignore SIGTERM, and the shell that started one of them
    is gone."""

    LOOP = "trap '' TERM HUP; while :; do sleep 1; done"

    def __init__(self, rest):
        super().__init__(f'setsid sh -c "{self.LOOP}" $0 & (setsid sh -c "{self.LOOP}" $0 &); sleep 0.5; {rest}')

    def wait_runs(self, count=3):
        super().wait_runs(count)


def test_what_has_left_the_group_ends_too(db, errand):
    """With the program, with the attempt, with the runner that stops, and with the one that is killed."""
    runner = errand.start("--concurrency", "1").wait_ready()
    for rest, named in (("exit 3", {}), ("sleep 60", {"timeout": "1.5 seconds", "max_attempts": 1})):
        daemons = Daemons(rest)
        id = db.enqueue("probe.child", {"argv": daemons.argv, "grace_ms": 100}, **named)
        daemons.wait_runs()
        db.wait_ended(id)
        daemons.wait_gone(2)
    daemons = Daemons("sleep 60")
    db.enqueue("probe.child", {"argv": daemons.argv})
    daemons.wait_runs()
    assert runner.terminate() == 0
    daemons.wait_gone(2)
    runner, daemons = errand.start().wait_ready(), Daemons("sleep 60")
    db.enqueue("probe.child", {"argv": daemons.argv})
    daemons.wait_runs()
    os.kill(runner.pid, signal.SIGKILL)
    daemons.wait_gone(2)


def test_runner_that_stops_takes_its_programs_along(db, errand):
    runner = errand.start().wait_ready()
    families = [Family() for _ in range(3)]
    for family in families:
        db.enqueue("probe.child", {"argv": family.argv})
    for family in families:
        family.wait_runs()
    assert runner.terminate() == 0
    for family in families:
        family.wait_gone(2)


def test_runner_that_is_killed_takes_its_programs_along(db, errand):
    """And what they have started, whatever it ignores; then the warden ends, too."""
    runner = errand.start().wait_ready()
    families = [Family() for _ in range(3)]
    for family in families:
        db.enqueue("probe.child", {"argv": family.argv})
    for family in families:
        family.wait_runs()
    children = children_of(runner.pid)
    assert len(children) == 4
    os.kill(runner.pid, signal.SIGKILL)
    for family in families:
        family.wait_gone(2)
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
                          for pid in children), "the warden stays", timeout=2)


def test_gigabyte_of_output_takes_no_memory(db, errand):
    runner = errand.start().wait_ready()
    run_child(db, ["true"])
    before = resident_kib(runner.pid)
    result = run_child(db, ["head", "-c", "1000000000", "/dev/zero"], max_bytes=1000000).result
    assert result["status"] == 0 and result["out_dropped_bytes"] == 999000000
    assert resident_kib(runner.pid) - before < 20000


@pytest.mark.parametrize("kind", ["probe.child", "probe.http", "probe.stream", "probe.stubborn", "probe.misuse", "probe.thread"])
def test_nobody_who_enqueues_has_the_probe_do_harm(db, errand, kind):
    """It is linked in wherever errand runs: what could do harm is off unless the operator has set it."""
    errand.start(env={"ERRAND_PROBE_TRUSTED": ""}).wait_ready()
    mark = errand.dir / "mark"
    job = db.wait_ended(db.enqueue(kind, {"argv": ["touch", str(mark)], "url": "http://127.0.0.1:1/", "wait": "sleep", "what": "block", "ms": 1}))
    assert (job.state, job.last_error) == ("dead", "the setting trusted of the probe does not allow it")
    assert not mark.exists()
