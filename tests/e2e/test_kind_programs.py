"""Kinds that are programs: what they are given, what their end means, and that nothing of them is left behind."""

import pytest

from kind_support import JobsDirectory, runner_with
from support.wait import until


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_a_program_is_given(jobs):
    jobs.put("show.all", "#!/usr/bin/python3\n# errand: queue = shows\n"
             "import json, os, sys\n"
             "print(json.dumps({'args': json.loads(sys.stdin.readline()), 'end': sys.stdin.read(), 'argv': sys.argv,\n"
             "                  'env': {name: value for name, value in os.environ.items() if name.startswith('ERRAND')}}))\n")
    with runner_with(jobs) as (_, db, _runner):
        db.wait("select exists (select from errand.kind where name = 'show.all')")
        id = db.enqueue("show.all", {"text": "ä \"x\"\n", "list": [1, None]}, max_attempts=4)
        given = db.wait_ended(id).result
        assert given["env"].pop("ERRAND_CHILD")  # by which errand knows its programs
        assert given == {
            "args": {"text": "ä \"x\"\n", "list": [1, None]}, "end": "", "argv": [str(jobs.path / "show.all")],
            "env": {"ERRAND_JOB_ID": str(id), "ERRAND_ATTEMPT": "1", "ERRAND_MAX_ATTEMPTS": "4", "ERRAND_KIND": "show.all",
                    "ERRAND_QUEUE": "shows"}}


# script, state, attempts that were taken of 2, last error
ENDS = {
    "done": ("exit 0", "done", 1, None),
    "fail_65": ("echo bad args >&2; exit 65", "dead", 1, "exit status 65: bad args"),
    "fail_78": ("exit 78", "dead", 1, "exit status 78"),
    "retry_75": ("exit 75", "dead", 2, "exit status 75"),
    "other": ("echo one >&2; echo >&2; echo 'two  ' >&2; echo >&2; exit 3", "dead", 2, "exit status 3: two"),
    "signal": ("kill -9 $$", "dead", 2, "ended by signal 9 (Killed)"),
    "second_time": ("exit $((75 * (ERRAND_ATTEMPT < 2)))", "done", 2, None),
}


@pytest.mark.parametrize("name", ENDS)
def test_end(jobs, name):
    script, state, attempt, error = ENDS[name]
    jobs.script("end.it", script)
    with runner_with(jobs) as (_, db, _runner):
        db.sql("select errand.kind_retry_set('end.it', 'fixed', delays => '{10 milliseconds}')")
        job = db.wait_ended(db.enqueue("end.it", max_attempts=2))
        assert (job.state, job.attempt) == (state, attempt)
        assert error is None or job.last_error == error


def test_class_of_an_exit_status(jobs):
    """Operators may set what follows it."""
    jobs.script("end.it", "exit 9")
    with runner_with(jobs) as (_, db, _runner):
        db.sql("select errand.kind_retry_set('end.it', 'never', error_class => 'exit.9')")
        assert db.wait_ended(db.enqueue("end.it")).attempt == 1


def test_program_that_cannot_start(jobs):
    jobs.put("end.it", "#!/no/such/interpreter\n")
    with runner_with(jobs) as (_, db, _runner):
        job = db.wait_ended(db.enqueue("end.it", max_attempts=1))
        assert job.state == "dead"
        assert job.last_error == (f"cannot start {jobs.path}/end.it: the file is there, what is to run it is not (the program "
                                  "behind #!, or the loader): No such file or directory")


# What it writes; the result; a line of the log
OUTPUTS = {
    "object": ("echo '{\"a\": [1]}'", {"a": [1]}, None),
    "text": ("printf '\"x\"'", "x", None),
    "empty": ("printf ' \\n'", None, None),
    "no_json": ("echo done", None, "stdout is no result, the job has none: "),
    "two": ("echo 1; echo 2", None, "stdout is no result"),
    "tiny": ("echo 1e-20000", None, "a number has more than 16383 digits behind the point"),
    "long": ("head -c 2000000 /dev/zero", None, "stdout is longer than 1 MiB"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_result(jobs, name):
    script, result, said = OUTPUTS[name]
    jobs.script("say.it", script)
    with runner_with(jobs) as (_, db, runner):
        job = db.wait_ended(db.enqueue("say.it"))
        assert (job.state, job.result) == ("done", result)
        if said:
            runner.wait_log(said)
            assert "level=error" not in runner.log()
        else:
            assert "level=warn" not in runner.log()


def test_stderr_is_the_log(jobs):
    jobs.script("say.it", "echo first >&2; echo 'with \"quotes\"' >&2; yes line | head -n 300 >&2; exit 0")
    with runner_with(jobs) as (_, db, runner):
        db.wait_ended(db.enqueue("say.it"))
        runner.wait_log("103 more lines of stderr were left out")
        log = runner.log()
        assert "first" in log and "quotes" in log
        assert 190 < sum(" kind=say.it " in line for line in log.splitlines()) < 205


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_whole_group_ends(jobs, how):
    """The program and what it has started, which does not listen to SIGTERM."""
    jobs.script("stay.on", "# errand: max_attempts = 1\n# errand: grace_ms = 100\n"
                "(trap '' TERM; sleep 600; sleep 600) &\n"
                "echo $$ $! > \"${0%/*}/pids\"; mv \"${0%/*}/pids\" \"${0%/*}/told\"; wait; sleep 600")
    with runner_with(jobs) as (_, db, _runner):
        id = db.enqueue("stay.on", **({"timeout": "1 second"} if how == "timeout" else {}))
        told = until(lambda: (jobs.path / "told").exists() and (jobs.path / "told").read_text().split(), "it does not start")
        pids = [int(pid) for pid in told]
        assert how == "timeout" or all(is_alive(pid) for pid in pids)
        if how == "cancel":
            db.sql("select errand.cancel(%s)", id)
        job = db.wait_ended(id, timeout=10)
        assert job.state == ("dead" if how == "timeout" else "cancelled")
        assert not any(is_alive(pid) for pid in pids)
        assert db.wait_ended(db.enqueue("probe.run"), timeout=5).state == "done"


def test_input_that_nobody_reads(jobs):
    jobs.script("end.it", "exit 0")
    with runner_with(jobs) as (_, db, _runner):
        assert db.wait_ended(db.enqueue("end.it", {"text": "x" * 300000})).state == "done"
