"""Plug-ins whose attempts come often: a fork server, in which the plug-in is loaded once, and a process of its own for each
attempt all the same."""

import json
import os
import signal
from pathlib import Path

import pytest

from support.cluster import shared_cluster
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, until
from test_isolation import descendants, source_with
from test_plugins import compile_plugin, errand_with

COUNT = 200

# Its result: its process, that process's parent, the one in which it was loaded, and how often a handler ran there.
TELL = """#include <string.h>
#include <unistd.h>
static int loaded_by, runs;
static const int edition = %d;
__attribute__((constructor)) static void load(void) { loaded_by = (int)getpid(); %s }
static void tell(struct errand_job *job)
{
    if (strcmp(errand_args_text(job), "\\"loop\\"") == 0)
        for (volatile int turns = 0;; turns++)
            continue;
    errand_result_text(job, errand_printf(job, "[%%d, %%d, %%d, %%d, %%d]", (int)getpid(), (int)getppid(), loaded_by, ++runs, edition), NULL);
    errand_done(job);
}
"""


def compile_tell(directory, edition=1, load="", head=""):
    source = source_with("tell", head + TELL % (edition, load)).replace(".run = run", ".run = tell")
    source = source.replace("static void run(struct errand_job *job) { errand_done(job); }", "")
    compile_plugin(directory, "tell", source)


@pytest.fixture
def directory():
    directory = make_tempdir("fork")
    directory.chmod(0o755)
    return directory


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


def results(db, count=COUNT):
    ids = db.enqueue_many(count, kind="tell.run")
    db.wait("select count(*) = %s from errand.history where id = any(%s) and outcome = 'done' and attempt = 1", count, ids)
    return [json.loads(text) for (text,) in db.sql("select result::text from errand.history where id = any(%s)", ids)]


def server(runner):
    """Its number, when one runs."""
    for pid in descendants(runner.pid):
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0fork\0") and os.getsid(pid) == pid and loads(pid):
                return pid
        except OSError:
            continue
    return None


def loads(pid):
    """It is the server, and not one that it forked: its descriptor 3 is a socket of packets."""
    inode = os.readlink(f"/proc/{pid}/fd/3").strip("socket:[]")
    return any(line.split()[6] == inode and line.split()[4] == "0005" for line in Path("/proc/net/unix").read_text().splitlines()[1:])


def test_each_attempt_has_a_process_of_its_own(db, directory):
    compile_tell(directory)
    with errand_with(directory, db.dsn) as errand:
        runner = errand.start().wait_ready()
        told = results(db)
        assert len({pid for pid, *_ in told}) == COUNT
        assert {parent for _, parent, *_ in told} == {runner.pid}
        assert {runs for *_, runs, _ in told} == {1}
        assert any(loaded_by != pid for pid, _, loaded_by, *_ in told), "none was forked"
        until(lambda: not server(runner), "the server stays when nothing comes", timeout=5)


def test_server_ends_with_its_runner(db, directory):
    compile_tell(directory)
    with errand_with(directory, db.dsn) as errand:
        for end in ("kill", "terminate"):
            runner = errand.start().wait_ready()
            results(db)
            pid = server(runner)
            assert pid
            getattr(runner, end)()
            until(lambda: not Path(f"/proc/{pid}").exists(), "the server stays", timeout=5)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_server_that_is_gone_costs_no_job(db, directory, number):
    compile_tell(directory)
    with errand_with(directory, db.dsn) as errand:
        runner = errand.start().wait_ready()
        results(db)
        os.kill(server(runner), number)
        told = results(db)
        assert len({pid for pid, *_ in told}) == COUNT


def test_file_that_is_replaced(db, directory):
    compile_tell(directory)
    with errand_with(directory, db.dsn) as errand:
        runner = errand.start().wait_ready()
        assert {edition for *_, edition in results(db)} == {1}
        assert server(runner)
        (directory / "new").mkdir()
        compile_tell(directory / "new", edition=2)
        os.replace(directory / "new" / "tell.so", directory / "tell.so")
        assert {edition for *_, edition in results(db)} == {2}


def test_file_that_has_gone_fails_no_job(db, directory):
    """While it is replaced by removing it first; jobs wait until it is there again."""
    compile_tell(directory)
    with errand_with(directory, db.dsn) as errand:
        runner = errand.start().wait_ready()
        (directory / "tell.so").rename(directory / "kept")
        id = db.enqueue("tell.run")
        db.wait("select errand.why(%s) like '%%No such file%%' or (select last_error from errand.job where id = %s) like '%%No such file%%'", id, id)
        (directory / "kept").rename(directory / "tell.so")
        job = db.wait_ended(id)
        assert (job.state, job.attempt) == ("done", 1)
        assert "level=error" not in runner.log()


def test_plugin_with_threads_is_loaded_each_time(db, directory):
    head = "#include <pthread.h>\n#include <unistd.h>\nstatic void *wait(void *x) { for (;;) pause(); return x; }\n"
    compile_tell(directory, load="pthread_t thread; pthread_create(&thread, NULL, wait, NULL);", head=head)
    with errand_with(directory, db.dsn) as errand:
        errand.start().wait_ready()
        assert all(loaded_by == pid for pid, _, loaded_by, *_ in results(db))


def test_processor_time_is_each_attempts(db, directory):
    compile_tell(directory)
    with errand_with(directory, db.dsn, ERRAND_TELL_ISOLATION_CPU_SECONDS="1") as errand:
        runner = errand.start().wait_ready()
        results(db)
        assert server(runner)
        id = db.enqueue("tell.run", "loop", max_attempts=1)
        assert db.wait_ended(id, timeout=30).state == "dead"
        error = db.one("select error from errand.history where id = %s", id)
        assert error.startswith("its process ended: SIGXCPU"), error
