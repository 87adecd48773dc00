"""A peer's worker process: started, asked, stopped. What differs between the peers is in the peers' files."""

import json
import os
import queue
import signal
import struct
import subprocess
import threading
import time

from bench import meter
from bench.tools import bench_dir, node, npm_dir


class Worker:
    """A process in the background."""

    def __init__(self, command, env, log, cwd=None, stdout=None):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout or out,
                                            stderr=out, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def memory_mb(self, what="VmRSS"):
        return meter.memory_mb(self.pid, what)

    def fail(self, what):
        raise RuntimeError(f"{what}; the end of {self.log}:\n{self.log.read_text(errors='replace')[-1500:]}")

    def stop(self, timeout=40):
        """SIGTERM, and SIGKILL for what does not end by itself."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class NodeWorker(Worker):
    """A Node script that speaks as node/worker.mjs says."""

    def __init__(self, script, database, config, target, record):
        self.records = bench_dir() / f"{script}.starts"
        self.records.unlink(missing_ok=True)
        self.events, self.first_s = queue.Queue(), None
        env = {**os.environ, **node_env(database, config), "BENCH_TARGET": str(target)}
        if record:
            env["BENCH_OUT"] = str(self.records)
        super().__init__([node(), f"{script}.mjs"], env, bench_dir() / f"{script}.log", npm_dir(), subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == "first":
                self.first_s = event["t"]
            self.events.put(event)
        self.events.put({"event": "end"})

    def wait(self, name, timeout):
        """The next event of that name."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.fail(f"no {name!r} within {timeout} s")
            if event["event"] == name:
                return event
            if event["event"] == "end":
                self.fail("the worker ended")

    def starts(self):
        """After stop: when each job's handler started first, {number: us}."""
        starts = {}
        for number, at_us in struct.iter_unpack("<qq", self.records.read_bytes()):
            starts.setdefault(number, at_us)
        return starts


def node_env(database, config):
    return {"BENCH_URI": database.dsn, "BENCH_CONFIG": json.dumps(config), "NODE_ENV": "production"}


def run_node(script, database, config, **env):
    """A script that ends; returns the object that it printed last."""
    env = {name: str(value) for name, value in env.items()}
    done = subprocess.run([node(), f"{script}.mjs"], env={**os.environ, **node_env(database, config), **env},
                          cwd=npm_dir(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{script} failed: {done.stderr[-1500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def wait_none(database, pending_sql, timeout, first_pause_s=0.005):
    """Polls until the boolean is false; returns when, in seconds since 1970. Polls less often where that is dear."""
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        if not database.value(pending_sql):
            return time.time()
        if time.monotonic() > deadline:
            raise RuntimeError(f"jobs are left after {timeout} s")
        time.sleep(max(first_pause_s, 20 * (time.monotonic() - asked)))


def wait_calm(database, pending_sql, timeout):
    """As wait_none, for those who learn the time from elsewhere: asks only when nothing was written for a while, because the
    question reads every row that was deleted since."""
    deadline, last = time.monotonic() + timeout, 0
    while True:
        position = database.wal_position()
        if position - last < 10000 and not database.value(pending_sql):
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"jobs are left after {timeout} s")
        last = position
        time.sleep(0.05)
