"""Plug-ins of strangers: whatever they do costs their own job an attempt, and nobody else anything."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.cluster import shared_cluster
from support.errand import ROOT, Errand, binary
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, until
from test_plugins import SOURCE, compile_plugin, errand_with, listed, plugins  # noqa: F401

HOSTILE = (ROOT / "tests" / "support" / "hostile.c").read_text()
INNOCENT = 100
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def directory():
    directory = make_tempdir("hostile")
    directory.chmod(0o755)
    compile_plugin(directory, "hostile", HOSTILE)
    return directory


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("create table public.hostile_effect (job bigint)")
        yield db


@pytest.fixture(scope="module")
def errand(db, directory):
    # No quarantine of freed memory: a build with sanitizers gives it back, too.
    asan = "quarantine_size_mb=0:thread_local_quarantine_size_kb=0:exitcode=99"
    with Errand(db.dsn, ERRAND_JOBS=str(directory), ERRAND_HOSTILE_ISOLATION_MEMORY_BYTES=str(256 * MEGABYTE),
                ASAN_OPTIONS=asan) as errand:
        yield errand


@pytest.fixture(scope="module")
def runner(db, errand):
    runner = errand.start("--concurrency", "8").wait_ready()
    for id in db.enqueue_many(200, kind="hostile.calm") + [db.enqueue("hostile.run", {"do": "large"})]:
        db.wait_ended(id)  # what memory it takes at work it has from now on
    return runner


def descendants(pid):
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def hosts(directory):
    """Whatever runs the host's program with a plug-in from there, also when its parent is gone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
            if b"errand-host" in command.split(b"\0")[0] and str(directory).encode() in command:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def descriptors(db, pid):
    """But those of connections to the database, which come and go."""
    connections = db.one("select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
    return len(os.listdir(f"/proc/{pid}/fd")) - connections


def memory(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024


def attempts(db, id):
    return [tuple(row) for row in db.sql("select attempt, error_class, error from errand.attempt where id = %s order by 1", id)]


DEEDS = {
    "null": ("crashed", r"its process ended: SIGSEGV \(Segmentation fault\), after a call of errand_log"),
    "loop": ("timeout", "timed out"),
    "leak": ("crashed", r"its process ended: SIGABRT \(Aborted\), before any call"),
    "effect": ("crashed", r"its process ended: SIGABRT \(Aborted\), after a call of errand_result"),
    "exit": ("crashed", "its process ended: exit status 0, before any call"),
    "abort": ("crashed", r"its process ended: SIGABRT \(Aborted\), before any call"),
    "print": ("crashed", r"its process ended: SIGABRT \(Aborted\), before any call"),
    "fork": ("crashed", r"its process ended: SIGABRT \(Aborted\), before any call"),
    "leave": ("crashed", r"its process ended: SIGABRT \(Aborted\), before any call"),
    "close": ("crashed", "its process "),
    "close_and_stay": ("crashed", "its process was ended: it closed its socket to errand, before any call"),
    "garbage": ("crashed", "its process was ended: it sent what is no frame"),
    "nonsense": ("crashed", "its process was ended: it sent what is no call"),
    "huge": ("crashed", "its process was ended: it sent what is no frame, or too large a one"),
    "large": ("crashed", r"its process ended: SIGABRT \(Aborted\), after a call of errand_progress"),
    "hoard": ("crashed", "its process was ended: its effects and results are more than 64 MiB, after a call of errand_effect"),
    "chatter": ("crashed", r"its process ended: SIGABRT \(Aborted\), after a call of errand_log"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_costs_its_own_job_one_attempt(db, runner, directory, deed):
    error_class, error = DEEDS[deed]
    before, open_before = memory(runner.pid), descriptors(db, runner.pid)
    innocent = db.enqueue_many(INNOCENT // 2, kind="hostile.calm") + db.enqueue_many(INNOCENT // 2, kind="probe.run")
    id = db.enqueue("hostile.run", {"do": deed})
    job = db.wait_ended(id, timeout=40)
    assert (job.state, job.attempt) == ("done", 2), job
    [(_, told_class, told)] = attempts(db, id)
    assert told_class == error_class and re.match(error, told), told
    assert job.result is None and db.one("select count(*) from public.hostile_effect") == 0
    db.wait("select count(*) = %s from errand.history where id = any(%s) and outcome = 'done' and attempt = 1",
            INNOCENT, innocent)
    until(lambda: not hosts(directory), lambda: f"still run {hosts(directory)}")
    until(lambda: all(is_warden(pid) for pid in descendants(runner.pid)), lambda: f"still run {descendants(runner.pid)}")
    until(lambda: descriptors(db, runner.pid) <= open_before, lambda: f"{descriptors(db, runner.pid)} descriptors, {open_before} before")
    until(lambda: memory(runner.pid) < before + 20 * MEGABYTE,
          lambda: f"{(memory(runner.pid) - before) // MEGABYTE} MiB more than before")
    assert runner.running


def is_warden(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "errand-warden"
    except OSError:
        return False


def test_what_it_printed_is_in_the_log(db, runner):
    db.wait_ended(db.enqueue("hostile.run", {"do": "abort"}))
    runner.wait_log("this cannot be.*kind=hostile.run")


def test_runner_that_is_killed_takes_its_hosts_along(db, errand, directory):
    with QueueDatabase(db.cluster) as other:
        runner = errand.start(env={"ERRAND_DATABASE_URL": other.dsn}).wait_ready()
        ids = [other.enqueue("hostile.run", {"do": "loop"}) for _ in range(3)]
        until(lambda: len([1 for pid in descendants(runner.pid) if str(pid) in hosts(directory)]) >= len(ids), "not all run")
        mine = {str(pid) for pid in descendants(runner.pid)}
        runner.kill()
        until(lambda: not mine & set(hosts(directory)), lambda: f"still run {hosts(directory)}", timeout=5)


def test_cancel_ends_what_loops_and_frees_the_slot(db, runner, errand, directory):
    id = db.enqueue("hostile.run", {"do": "loop"}, timeout="1 hour")
    db.wait_state(id, "running")
    errand.run("jobs", "cancel", str(id))
    assert db.wait_ended(id).state == "cancelled"
    until(lambda: not hosts(directory), lambda: f"still run {hosts(directory)}")


# ---- Loading ----

def source_with(name, code, members=""):
    values = {"kind_size": "sizeof(struct errand_kind)", "size": "sizeof(struct errand_module)", "abi": "ERRAND_ABI",
              "kind": f"{name}.run", "symbol": name, "named": name, "name": name}
    source = SOURCE % values
    at = source.index("static const struct errand_kind")
    return source[:at] + code + source[at:].replace(".kind_count = 1", ".kind_count = 1" + members)


REFUSED = {
    "crashes": ("__attribute__((constructor)) static void early(void) { __builtin_trap(); }\n", "",
                "loading it ended its process: SIGILL (Illegal instruction)"),
    "waits": ("#include <unistd.h>\n__attribute__((constructor)) static void early(void) { for (;;) pause(); }\n", "",
              "loading it took more than 5 s"),
    "leaves": ("#include <stdlib.h>\n__attribute__((constructor)) static void early(void) { exit(3); }\n", "",
               "loading it ended its process: exit status 3"),
    "takes": ('static const struct errand_setting own[] = {{"isolation", ERRAND_SETTING_TEXT, "none", NULL, 0, 0, "x"}};\n',
              ", .settings = own, .setting_count = 1", "its setting isolation is errand's own name"),
    "wild": ("", ", .settings = (const void *)16, .setting_count = 1", "loading it ended its process: SIGSEGV"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_when_it_loads(plugins, name):  # noqa: F811
    code, members, reason = REFUSED[name]
    compile_plugin(plugins, name, source_with(name, code, members))
    compile_plugin(plugins, "good")
    with errand_with(plugins) as errand:
        found = listed(errand)
        assert found[name]["state"] == "refused" and reason in found[name]["reason"], found[name]
        assert found["good"]["state"] == "loaded"
    assert not hosts(plugins)


START = """static bool start(struct errand_host *host)
{
    const char *wanted = errand_host_setting(host, "wanted");
    errand_host_queue_rate(host, "slow", 5, 1);
    if (!wanted)
        errand_host_error(host, "%s is not set", "wanted");
    return wanted != NULL;
}
static const struct errand_setting own[] = {{"wanted", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "x"}};
"""


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_start_hook(db, plugins, isolation):  # noqa: F811
    """It has its settings, its refusal keeps errand from starting, and its rates hold."""
    members = ", .start = start, .settings = own, .setting_count = 1"
    compile_plugin(plugins, "starts", source_with("starts", START, members))
    with QueueDatabase(db.cluster) as db, errand_with(plugins, db.dsn, ERRAND_STARTS_ISOLATION=isolation) as errand:
        runner = errand.start()
        assert runner.wait() != 0 and "module starts: wanted is not set" in runner.log()
        runner = errand.start(env={"ERRAND_STARTS_WANTED": "yes"}).wait_ready()
        db.sql("select errand.queue_create('slow', 1)")
        ids = [db.enqueue("starts.run", queue="slow") for _ in range(4)]
        for id in ids:
            assert db.wait_ended(id).state == "done"
        took = db.one("select extract(epoch from max(started_at) - min(started_at)) from errand.history where id = any(%s)", ids)
        assert took > 0.4


def test_isolation_is_process_or_none(db, plugins):  # noqa: F811
    compile_plugin(plugins, "good")
    with errand_with(plugins, db.dsn, ERRAND_GOOD_ISOLATION="thread") as errand:
        done = errand.run("run", check=False)
        assert done.returncode == 2 and "good.isolation is 'thread'; allowed: process, none" in done.stderr


PID = "#include <unistd.h>\nstatic void tell(struct errand_job *job) { errand_result_text(job, errand_printf(job, \"%d\", (int)getpid()), NULL); }\n"


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_where_it_runs(db, plugins, isolation):  # noqa: F811
    source = source_with("where", PID).replace(".run = run", ".run = tell")
    compile_plugin(plugins, "where", source)
    with QueueDatabase(db.cluster) as db, errand_with(plugins, db.dsn, ERRAND_WHERE_ISOLATION=isolation) as errand:
        runner = errand.start().wait_ready()
        assert (db.wait_ended(db.enqueue("where.run")).result == runner.pid) == (isolation == "none")


FORGOTTEN = """static void forget(struct errand_job *job)
{
    static const char *const argv[] = {"true", 0};
    const struct errand_request request = {.method = "GET", .url = "http://127.0.0.1:1/"};
    const struct errand_child child = {.argv = argv};
    const struct errand_new_job new_job = {.kind = "forgets.run"};
    struct errand_response response;
    struct errand_child_result result = {.size = sizeof result};
    const char *error;
    errand_http(job, &request, &response);
    errand_child(job, &child, &result);
    errand_enqueue(job, &new_job, 0, &error);
    errand_fail(job, "%s; %s; %s", response.error, result.error, error);
}
"""


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_size_that_was_forgotten(db, plugins, isolation):  # noqa: F811
    """The commonest mistake: the error names it."""
    compile_plugin(plugins, "forgets", source_with("forgets", FORGOTTEN).replace(".run = run", ".run = forget"))
    with QueueDatabase(db.cluster) as db, errand_with(plugins, db.dsn, ERRAND_FORGETS_ISOLATION=isolation) as errand:
        errand.start().wait_ready()
        job = db.wait_ended(db.enqueue("forgets.run"))
        assert job.last_error.split("; ") == [
            "the request has no url, or no size (.size = sizeof(struct errand_request))",
            "no program was named, or the struct has no size (.size = sizeof(struct errand_child))",
            "new job: it has no kind, or no size (.size = sizeof(struct errand_new_job))"]


# ---- All of the ABI is there ----

def exported(program):
    symbols = subprocess.run(["nm", "-D", "--defined-only", program], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r" T (errand_\w+)$", symbols, re.M))


def test_host_has_what_errand_has():
    assert exported(binary().parent / "errand-host") == exported(binary())


def test_host_alone_says_what_it_is():
    done = subprocess.run([binary().parent / "errand-host"], capture_output=True, text=True)
    assert done.returncode == 2 and "errand's own" in done.stderr


def test_batch(db, plugins):  # noqa: F811
    """Jobs of one batch end each in its own way; one that crashes leaves those that were finished before as they are."""
    code = """#include <stdlib.h>
static void batch(struct errand_job *const *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *text = errand_args_text(jobs[i]);
        errand_result_text(jobs[i], errand_printf(jobs[i], "%zu", count), NULL);
        if (*text == '1')
            errand_fail(jobs[i], "one");
        else if (*text == '2')
            abort();
        else
            errand_done(jobs[i]);
    }
}
"""
    source = source_with("many", code).replace(".run = run", ".run_batch = batch, .batch_max = 10")
    compile_plugin(plugins, "many", source.replace("static void run(struct errand_job *job) { errand_done(job); }", ""))
    with QueueDatabase(db.cluster) as db, errand_with(plugins, db.dsn) as errand:
        db.sql("select errand.queue_create('one', 1)")
        ids = [db.enqueue("many.run", number, queue="one", max_attempts=1) for number in (0, 1, 2, 3)]
        errand.start().wait_ready()
        jobs = [db.wait_ended(id) for id in ids]
        assert [job.state for job in jobs] == ["done", "dead", "dead", "dead"]
        assert jobs[0].result == 4
        rows = db.sql("select error_class, error from errand.history where id = any(%s) order by id", ids[1:])
        assert rows[0].error == "one" and [row.error_class for row in rows[1:]] == ["crashed", "crashed"], rows
