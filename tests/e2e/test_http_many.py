"""Handlers that wait for HTTP, thousands at once in one runner: all wait together, all end, and what it costs.

ERRAND_TEST_WAITING=10000 with ERRAND_BIN set to a release build is the measurement of docs/benchmarks.md.
"""

import json
import os
import resource

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.late import LateServer
from support.wait import QueueDatabase, until

COUNT = int(os.environ.get("ERRAND_TEST_WAITING", "2000"))
MOST_KB = 200 * 1024


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


def enqueue(db, count, **args):
    db.sql("select count(*) from (select errand.enqueue('probe.http', %s::jsonb) from generate_series(1, %s)) job",
           json.dumps(args), count)


def memory_kb(runner, what="VmRSS"):
    with open(f"/proc/{runner.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))


def test_all_wait_and_all_end(db):
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > COUNT + 100, "this machine allows too few open files"
    with LateServer(COUNT + 1) as server, Errand(db.dsn) as errand:
        runner = errand.start(env={"ERRAND_CONCURRENCY": str(COUNT)})
        runner.wait_ready()
        idle_kb = memory_kb(runner)
        enqueue(db, COUNT, url=server.url, timeout_ms=120000)
        until(lambda: server.most == COUNT, lambda: f"{server.most} waiting\n{runner.log()[-3000:]}", timeout=60)
        waiting_kb = memory_kb(runner)
        server.answer_all()
        db.wait("select count(*) = %s from errand.history where kind = 'probe.http'", COUNT, timeout=60, every=0.2)
        peak_kb = memory_kb(runner, "VmHWM")
        print(f"{COUNT} at once: {idle_kb / 1024:.1f} MB idle, {waiting_kb / 1024:.1f} MB while they wait"
              f" ({(waiting_kb - idle_kb) / COUNT:.1f} kB each), {peak_kb / 1024:.1f} MB at most, when all end together")
        failed = db.sql("select error, count(*) from errand.attempt group by error limit 5")
        assert (server.most, server.requests, failed) == (COUNT, COUNT, []), runner.log()[-3000:]
        assert db.one("select count(*) from errand.history where outcome = 'done' and attempt = 1") == COUNT
        assert b"__asan_init" in binary().read_bytes() or peak_kb < MOST_KB
        assert runner.terminate() == 0


def test_takes_all_files_it_may_have(db):
    with Errand(db.dsn) as errand:
        runner = errand.start(env={"ERRAND_CONCURRENCY": "100"})
        runner.wait_ready()
        limits = open(f"/proc/{runner.pid}/limits").read().split("Max open files")[1].split()
        assert limits[0] == limits[1]
        assert "fewer open files" not in runner.log()


def test_says_when_files_are_too_few(db):
    with Errand(db.dsn) as errand:
        limited = errand.dir / "limited"
        limited.write_text(f"#!/bin/sh\nulimit -n 300\nexec {binary()} \"$@\"\n")
        limited.chmod(0o755)
        runner = errand.start(program=limited, env={"ERRAND_CONCURRENCY": "1000"})
        runner.wait_ready()
        assert "limit=300 concurrency=1000 needed=1064" in runner.log()
        assert runner.terminate() == 0
