"""Kinds that are workers: what they are given, what their lines mean, and that no job is lost whatever they do."""

import json
import os
import re
import shutil
from datetime import timedelta

import pytest

from kind_support import JobsDirectory, runner_with
from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import until
from support.worker import DOCS, worker

FAST = "select errand.kind_retry_set('mix.it', 'fixed', delays => '{10 milliseconds}')"

# What a job asks for, in the order of its args
MIXED = """\
    do = job["args"].get("do")
    if do == "hang": time.sleep(600)
    if do == "die": os._exit(3)
    if do == "crash": os.kill(os.getpid(), 9)
    if do == "again" and job["attempt"] == 1: raise ValueError("again")
    if do == "fail": return {"outcome": "fail", "error": "no"}
    if do == "pid": return {"outcome": "done", "result": os.getpid()}
    return {"outcome": "done", "result": job["id"]}"""


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


def wait_kind(db, name="mix.it"):
    db.wait("select exists (select from errand.kind where name = %s)", name)


def processes(runner):
    """Those that the runner has started: the warden and workers."""
    with open(f"/proc/{runner.pid}/task/{runner.pid}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def test_what_a_worker_is_given(jobs):
    jobs.put("mix.it.worker", worker('    return {"outcome": "done", "result": {**job, "env": os.environ["ERRAND_KIND"]}}',
                                     "queue = mixed"))
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        id = db.enqueue("mix.it", {"text": "ä \"x\"\n", "list": [1, None]}, max_attempts=4)
        assert db.wait_ended(id).result == {
            "id": id, "kind": "mix.it", "queue": "mixed", "attempt": 1, "max_attempts": 4, "env": "mix.it",
            "args": {"text": "ä \"x\"\n", "list": [1, None]}}


# answer, state, attempts that were taken of 2, last error, class
ANSWERS = {
    "done": ('{"outcome": "done"}', "done", 1, None, None),
    "fail": ('{"outcome": "fail", "error": "bad args"}', "dead", 1, "bad args", None),
    "retry": ('{"outcome": "retry", "error": "busy", "class": "mine", "delay_ms": 5}', "dead", 2, "busy", "mine"),
    "cancelled": ('{"outcome": "cancelled", "error": "not wanted"}', "cancelled", 1, "not wanted", None),
    "raises": ("1 / 0", "dead", 2, "ZeroDivisionError('division by zero')", None),
    "unknown": ('{"outcome": "fine"}', "dead", 2, "the worker's line is wrong: outcome is none of done,", "worker.line"),
    "types": ('{"outcome": "retry", "delay_ms": "1"}', "dead", 2, "the worker's line is wrong: delay_ms is", "worker.line"),
    "no_json": ('print("{\\"id\\": %s, oops" % job["id"]) or {}', "dead", 2,
                "the worker's line is wrong: the line is no JSON object: string or '}' expected near 'oops'", "worker.line"),
    "no_outcome": ('{"outcom": "done"}', "dead", 2, "the worker's line is wrong: it has neither outcome nor progress", "worker.line"),
    "large_integer": ('{"outcome": "done", "result": 2 ** 64}', "dead", 2,
                      "the worker's line is wrong: the line is no JSON object: too big integer near '18446744073709551616'", "worker.line"),
    "too_long": ('{"outcome": "done", "result": "x" * 1200000}', "dead", 2,
                 "the worker's line is wrong: the line is too long", "worker.line"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(jobs, name):
    answer, state, attempts, error, error_class = ANSWERS[name]
    jobs.put("mix.it.worker", worker(f"    return {answer}"))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        db.sql(FAST)
        job = db.wait_ended(db.enqueue("mix.it", max_attempts=2))
        assert (job.state, job.attempt) == (state, attempts)
        assert error is None or job.last_error.startswith(error)
        assert [row[0] for row in db.sql("select distinct error_class from errand.attempt where error_class <> ''")] == (
            [error_class] if error_class else [])
        assert len(processes(runner)) == 2  # it was not ended for that


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_in_node(jobs):
    """The docs' own."""
    [text] = re.findall(r"```js\n(#!/usr/bin/env node\n.*?)```", DOCS.read_text(), re.S)
    jobs.put("mix.it.worker", text)
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        ids = [db.enqueue("mix.it", {"ä" * n: n}) for n in range(30)]
        db.wait_empty()
        assert {(db.job(id).state, db.job(id).result) for id in ids} == {("done", 1)}


def test_snooze(jobs):
    jobs.put("mix.it.worker", worker('    if job["args"].pop("late", 0) and time.time() < START + 1:\n'
                                     '        return {"outcome": "snooze", "delay_ms": 200}\n'
                                     '    return {"outcome": "done", "result": job["attempt"]}', top="START = time.time()"))
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        assert db.wait_ended(db.enqueue("mix.it", {"late": 1})).result == 1


def test_bad_line_ends_its_own_job(jobs):
    """Of jobs that are with the process at once; lines of nobody's are logged."""
    jobs.put("mix.it.worker", worker('    if job["args"].get("bad"): print("]", "{}", \'{"id": 1e3}\', sep="\\n"); return {"outcome": 1}\n'
                                     '    return {"outcome": "done", "result": os.getpid()}', "jobs_at_once = 50\nmax_attempts = 1"))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        db.sql("select errand.kind_pause('mix.it')")
        good = db.enqueue_many(20, kind="mix.it")
        bad = db.enqueue("mix.it", {"bad": True})
        good += db.enqueue_many(20, kind="mix.it")
        db.sql("select errand.kind_resume('mix.it')")
        db.wait_empty()
        db.check_history(good + [bad])
        assert db.job(bad).state == "dead"
        assert len({db.job(id).result for id in good}) == 1
        runner.wait_log("the line is no JSON object.*line=\"?]")


def test_progress_and_log(jobs):
    jobs.put("mix.it.worker", worker('    print(json.dumps({"id": job["id"], "progress": {"half": True}, "log": "is under way", "level": "warn"}))\n'
                                     '    print("says \\"this\\"", file=sys.stderr, flush=True)\n'
                                     '    sys.stdout.flush()\n'
                                     '    while not os.path.exists(sys.argv[0] + ".go"): time.sleep(0.01)\n'
                                     '    return {"outcome": "done"}'))
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        id = db.enqueue("mix.it")
        db.wait("select progress = '{\"half\": true}' from errand.jobs where id = %s", id)
        (jobs.path / "mix.it.worker.go").touch()
        db.wait_ended(id)
        db.wait("select count(*) = 2 from errand.job_logs where id = %s", id)
        assert {tuple(row) for row in db.sql("select level, message from errand.job_logs where id = %s", id)} == {
            ("warn", "is under way"), ("info", 'says "this"')}


@pytest.mark.parametrize("how,error,error_class", [
    ("die", "the worker ended: exit status 3", "exit.3"), ("crash", "the worker was ended by signal 9 (Killed)", "signal.9")])
def test_death(jobs, how, error, error_class):
    """What it held has failed, what another process holds has not; the next jobs find a new one."""
    jobs.put("mix.it.worker", worker(MIXED, "processes = 2\nmax_attempts = 2\nconcurrency = 10"))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        db.sql(FAST)
        beside = db.enqueue("mix.it", {"do": "hang"})
        db.wait_state(beside, "running")
        dead = [db.enqueue("mix.it", {"do": how}) for _ in range(3)]
        good = db.enqueue_many(20, kind="mix.it")
        for id in good:
            assert db.wait_ended(id).state == "done"
        for id in dead:
            job = db.wait_ended(id)
            assert (job.state, job.attempt, job.last_error) == ("dead", 2, error)
        assert db.job(beside).state == "running"
        assert db.sql("select distinct error_class from errand.attempt where error_class <> ''") == [(error_class,)]
        db.sql("select errand.cancel(%s)", beside)
        db.wait_ended(beside)


def test_that_cannot_start_is_tried_less_and_less(jobs):
    jobs.script("mix.it.worker", "echo no such module >&2\nexit 1")
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        db.sql(FAST)
        id = db.enqueue("mix.it", max_attempts=4)
        job = db.wait_ended(id)
        assert (job.state, job.last_error) == ("dead", "the worker ended: exit status 1: no such module")
        times = [row[0] for row in db.sql("select finished_at from errand.attempt where id = %s order by attempt", id)]
        assert times[2] - times[0] > timedelta(seconds=0.25)  # 0.1, then 0.2
        assert runner.log().count('event="worker ended"') >= 4  # what it was not sent is not counted
        jobs.put("mix.it.worker", worker(MIXED))
        wait_kind(db)
        assert db.wait_ended(db.enqueue("mix.it")).state == "done"


@pytest.mark.parametrize("how", ["timeout", "cancel"])
def test_job_that_does_not_end(jobs, how):
    """Its process is ended; what it held beside is put back and runs, and no attempt of that is counted."""
    jobs.put("mix.it.worker", worker(MIXED, "jobs_at_once = 50\ngrace_ms = 100\nmax_attempts = 1"))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        long = db.enqueue("mix.it", {"do": "hang"}, **({"timeout": "1 second"} if how == "timeout" else {}))
        db.wait_state(long, "running")
        beside = db.enqueue_many(20, kind="mix.it")
        if how == "cancel":
            db.wait("select count(*) = 21 from errand.jobs where state = 'running'")
            db.sql("select errand.cancel(%s)", long)
        db.wait_empty()
        job = db.job(long)
        assert (job.state, job.last_error) == (("dead", "timed out") if how == "timeout" else ("cancelled", job.last_error))
        db.check_history([long] + beside)
        assert {(db.job(id).state, db.job(id).attempt) for id in beside} == {("done", 1)}
        until(lambda: len(processes(runner)) == 2, "the process that was ended is still there")


def test_cancel_that_is_listened_to(jobs):
    """The answer counts, and the process goes on."""
    jobs.put("mix.it.worker", "#!/usr/bin/python3\n# errand: jobs_at_once = 2\nimport json, os, sys\n"
             "for line in sys.stdin:\n    line = json.loads(line)\n"
             "    if 'cancel' in line:\n"
             "        print(json.dumps({'id': line['cancel'], 'outcome': 'done', 'result': os.getpid()}), flush=True)\n")
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        ids = [db.enqueue("mix.it"), db.enqueue("mix.it", timeout="500 ms")]
        db.wait_state(ids[0], "running")
        assert db.wait_ended(ids[1]).state == "done"
        db.sql("select errand.cancel(%s)", ids[0])
        assert db.wait_ended(ids[0]).state == "done"
        assert db.job(ids[0]).result == db.job(ids[1]).result


def test_silence(jobs):
    jobs.put("mix.it.worker", worker('    for _ in range(10 if job["args"].get("beats") else 0):\n'
                                     '        print(json.dumps({"heartbeat": True}), flush=True); time.sleep(0.1)\n' + MIXED,
                                     "heartbeat_ms = 600\nmax_attempts = 1\ngrace_ms = 100"))
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        beats, silent = db.enqueue("mix.it", {"beats": 1}), db.enqueue("mix.it", {"do": "hang"})
        assert db.wait_ended(beats).state == "done"
        job = db.wait_ended(silent)
        assert (job.state, job.last_error) == ("dead", "the worker said nothing for 600 ms")
        assert db.wait_ended(db.enqueue("mix.it")).state == "done"


def test_change_under_load(jobs):
    """Old processes finish what they hold and end; no job fails."""
    def put(number):
        jobs.put("mix.it.worker", worker(f'    return {{"outcome": "done", "result": {number}}}',
                                         "jobs_at_once = 20\nprocesses = 2\nclaim = lazy\nmax_attempts = 1"))
    put(0)
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        ids = []
        for number in range(1, 6):
            ids += db.enqueue_many(300, kind="mix.it")
            put(number)
            runner.wait_log(f"(?s)(kind changed.*){{{number}}}")
        ids += db.enqueue_many(100, kind="mix.it")
        db.wait_empty(60)
        db.check_history(ids)
        assert db.sql("select distinct outcome, attempt from errand.history") == [("done", 1)]
        assert {db.job(id).result for id in ids[-100:]} == {5}
        until(lambda: len(processes(runner)) <= 3, "old processes are still there")


def test_slow_start_and_idle_end(jobs):
    jobs.put("mix.it.worker", worker(MIXED, "jobs_at_once = 10\nidle_ms = 200\nmax_attempts = 1", top="time.sleep(1)"))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        ids = db.enqueue_many(20, {"do": "pid"}, kind="mix.it")
        db.wait_empty()
        assert len({db.job(id).result for id in ids}) == 1
        until(lambda: len(processes(runner)) == 1, "the idle process does not end")
        assert db.wait_ended(db.enqueue("mix.it", {"do": "pid"})).result != db.job(ids[0]).result


@pytest.mark.parametrize("how", ["idle", "busy", "killed"])
def test_stop(jobs, how):
    """No process is left; a job that did not end in time is another runner's, and not counted."""
    jobs.put("mix.it.worker", worker(MIXED, top="import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)"))
    with runner_with(jobs, ERRAND_STOP_TIMEOUT_MS="300") as (_, db, runner):
        wait_kind(db)
        pid = db.wait_ended(db.enqueue("mix.it", {"do": "pid"})).result
        if how != "idle":
            id = db.enqueue("mix.it", {"do": "hang"})
            db.wait_state(id, "running")
        if how == "killed":
            runner.kill()
        else:
            runner.terminate()
        until(lambda: not os.path.exists(f"/proc/{pid}"), "the worker is still there")
        if how == "busy":
            assert (db.job(id).state, db.job(id).attempt) == ("ready", 0)


def test_flood(jobs):
    """200 MB without a newline, and lines of nobody's: the memory of the runner stays, and the log is short."""
    jobs.put("mix.it.worker", worker('    os.write(1, b"\\n")\n'
                                     '    for _ in range(200): sys.stdout.write("x" * 1000000)\n'
                                     '    print()\n'
                                     '    for _ in range(100000): print("nobody", file=sys.stderr); print("{}")\n'
                                     '    return {"outcome": "done"}'))
    with runner_with(jobs) as (_, db, runner):
        wait_kind(db)
        def memory():
            with open(f"/proc/{runner.pid}/status", encoding="ascii") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
        before = memory()
        assert db.wait_ended(db.enqueue("mix.it"), timeout=60).state == "done"
        assert memory() < before + 60000
        assert len(runner.log()) < 300000


def test_input_that_nobody_reads(jobs):
    """A worker that closed its stdin: jobs that it was not sent go to the next one."""
    jobs.put("mix.it.worker", "#!/usr/bin/python3\n# errand: jobs_at_once = 10\n# errand: timeout_ms = 2000\nimport json, os, time\n"
             "job = json.loads(os.fdopen(0).readline())\n"
             "print(json.dumps({'id': job['id'], 'outcome': 'done', 'result': os.getpid()}), flush=True)\nos.close(0)\ntime.sleep(0.2)\n")
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        db.sql(FAST)
        ids = db.enqueue_many(10, {"text": "x" * 70000}, kind="mix.it")
        db.wait_empty()
        assert {db.job(id).state for id in ids} == {"done"}


def test_signals_are_those_of_a_program(jobs):
    """A worker has errand's environment as a program has, and no blocked signal."""
    jobs.put("mix.it.worker", worker('    return {"outcome": "done", "result": [signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,\n'
                                     '        sorted(os.listdir("/proc/self/fd"))[:3], "ERRAND_DATABASE_URL" in os.environ]}', top="import signal"))
    with runner_with(jobs) as (_, db, _runner):
        wait_kind(db)
        assert db.wait_ended(db.enqueue("mix.it")).result == [True, ["0", "1", "2"], False]


def test_a_thousand_that_share_processes(jobs):
    """With failures, timeouts and cancels among them, whose processes are ended under the others: all accounted for, none counted twice."""
    jobs.put("mix.it.worker", worker(MIXED, "jobs_at_once = 50\nprocesses = 2\nmax_attempts = 2\ngrace_ms = 50"))
    counts = {"good": 820, "fail": 70, "again": 90, "hang": 10}
    ends = {"good": ("done", 1), "fail": ("dead", 1), "again": ("done", 2), "hang": ("cancelled", 1), "late": ("dead", 2)}
    with runner_with(jobs, ERRAND_CONCURRENCY="128") as (_, db, runner):
        wait_kind(db)
        db.sql(FAST)
        ids = {"late": [db.enqueue("mix.it", {"do": "hang"}, timeout="400 ms") for _ in range(10)]}
        ids |= {how: db.enqueue_many(count, {"do": how}, kind="mix.it") for how, count in counts.items()}

        def cancelled():
            db.sql("select errand.cancel(id) from errand.jobs where id = any (%s) and state = 'running'", ids["hang"])
            return db.one("select not exists (select from errand.job where id = any (%s))", ids["hang"])
        until(cancelled, "jobs that hang are not cancelled", timeout=40)
        db.wait_empty(40)
        db.check_history(sum(ids.values(), []))
        for how, end in ends.items():
            assert db.sql("select distinct outcome, attempt from errand.history where id = any (%s)", ids[how]) == [end], how
        assert db.one("select every(result = to_jsonb(id)) from errand.history where outcome = 'done'")
        assert len(processes(runner)) <= 3


def test_tried_alone(jobs):
    """errand test: the process ends with it, also one that has to be made to."""
    jobs.put("mix.it.worker", worker('    print(json.dumps({"id": job["id"], "log": "hello", "progress": 1}))\n'
                                     '    return {"outcome": "done", "result": os.getpid()}', "grace_ms = 200",
                                     top="import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)") + "time.sleep(600)\n")
    with Errand(shared_cluster(vector=False).dsn("postgres"), ERRAND_JOBS=str(jobs.path)) as errand:
        report = json.loads(errand.run("test", "mix.it", "{}", "--only", "queue", "--json").stdout)
    [job] = report["jobs"]
    assert job["outcome"] == "done" and {call["call"] for call in report["calls"]} == {"log", "progress"}, report
    assert not os.path.exists(f"/proc/{job['result']}")
