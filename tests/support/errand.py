"""The real errand binary: commands that run and end, and `errand run` in the background with its log in a file.

Its environment holds only what is said here, so that nothing of the machine's leaks into a test. A report of a
sanitizer fails the test that met it, whatever the exit status was expected to be.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg2

from support.tempdir import make_tempdir

ROOT = Path(__file__).resolve().parents[2]
SANITIZER_STATUS = 99
SANITIZER_ENV = {
    "ASAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:abort_on_error=0:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": f"exitcode={SANITIZER_STATUS}:halt_on_error=1:print_stacktrace=1",
}
SANITIZER_REPORT = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error: |AddressSanitizer:DEADLYSIGNAL")
PR_SET_PDEATHSIG = 1
RUNNER_LOGIN = os.environ.get("ERRAND_TEST_LOGIN")  # runners come as this role, and not as the superuser
TEST_JOBS = os.environ.get("ERRAND_TEST_JOBS")  # a directory, for tests that run once more with plug-ins from files
runner_login_made = set()
LIBC = ctypes.CDLL(None)


def binary():
    path = Path(os.environ.get("ERRAND_BIN") or ROOT / "build" / "debug" / "errand")
    if not path.exists():
        raise RuntimeError(f"there is no {path}: build it with ./dev build, or set ERRAND_BIN")
    return path


def make_runner_login(dsn):
    """The role of the runners, where the environment names one. Tables that a test makes in public later are its, too.
    Where that cannot be done, the runner itself will say what is wrong."""
    if not RUNNER_LOGIN or dsn in runner_login_made:
        return
    with contextlib.suppress(psycopg2.Error), contextlib.closing(psycopg2.connect(dsn, connect_timeout=3)) as connection:
        cursor = connection.cursor()
        cursor.execute("select pg_advisory_xact_lock(0)")
        cursor.execute("select from pg_roles where rolname = %s", (RUNNER_LOGIN,))
        if not cursor.rowcount:
            cursor.execute(f"create role {RUNNER_LOGIN} login in role errand_runner")
        cursor.execute(f"alter default privileges in schema public grant all on tables to {RUNNER_LOGIN}")
        connection.commit()
        runner_login_made.add(dsn)


def check_sanitizers(status, text):
    if status == SANITIZER_STATUS or SANITIZER_REPORT.search(text):
        raise AssertionError(f"a sanitizer reports (exit status {status}):\n{text[-8000:]}")


def die_with_parent():
    # Of the thread that started it: start runners from a thread that stays.
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Errand:
    """errand with one database and, if given, one ResendProvider; usable as a context manager.

    Further arguments are environment variables for every call: Errand(dsn, provider, ERRAND_LOG_LEVEL="debug").
    """

    def __init__(self, database_url, provider=None, **env):
        self.dir = make_tempdir("run")
        self.runners = []
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir)}
        if TEST_JOBS:
            self.env["ERRAND_JOBS"] = TEST_JOBS
        self.env.update(SANITIZER_ENV, TZ="UTC", LC_ALL="C.UTF-8", ERRAND_DATABASE_URL=database_url, ERRAND_PROBE_TRUSTED="true")
        if provider:
            self.env.update(RESEND_API_KEY=provider.API_KEY, ERRAND_EMAIL_URL=provider.url,
                            ERRAND_EMAIL_FROM="Errand <errand@example.com>")
        self.env.update(env)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(check=kind is None)

    def run(self, *args, env=None, check=True, input=None, timeout=60):
        """A command; returns its CompletedProcess (text). check: fails unless the exit status is 0."""
        done = subprocess.run([binary(), *args], env={**self.env, **(env or {})}, input=input, timeout=timeout,
                              capture_output=True, text=True, errors="replace",
                              stdin=None if input is not None else subprocess.DEVNULL)
        check_sanitizers(done.returncode, done.stderr)
        if check and done.returncode != 0:
            raise AssertionError(f"errand {' '.join(args)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def start(self, *args, env=None, program=None):
        """`errand run` in the background, of the real binary or another program; returns its Runner."""
        log = self.dir / f"runner-{len(self.runners) + 1}.log"
        env = {**self.env, **(env or {})}
        if RUNNER_LOGIN and "user=postgres" in env["ERRAND_DATABASE_URL"]:
            make_runner_login(self.env["ERRAND_DATABASE_URL"])
            env["ERRAND_DATABASE_URL"] = env["ERRAND_DATABASE_URL"].replace("user=postgres", f"user={RUNNER_LOGIN}")
        runner = Runner([program or binary(), "run", *args], env, log)
        self.runners.append(runner)
        return runner

    def close(self, check=True):
        """Kills what still runs; fails if any runner met a sanitizer report."""
        for runner in self.runners:
            runner.kill()
        try:
            if check:
                for runner in self.runners:
                    check_sanitizers(runner.process.returncode, runner.log())
                    assert not RUNNER_LOGIN or "permission denied" not in runner.log(), runner.log()[-8000:]
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


class Runner:
    """One `errand run` process."""

    def __init__(self, command, env, log_file):
        self.log_file = log_file
        with open(log_file, "wb") as out:
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True, preexec_fn=die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    def log(self):
        return self.log_file.read_text(errors="replace")

    def wait_log(self, pattern, timeout=20):
        """Waits for a log line that matches the regular expression; returns the match."""
        deadline = time.monotonic() + timeout
        while True:
            ended = not self.running
            match = re.search(pattern, self.log(), re.MULTILINE)
            if match:
                return match
            if ended or time.monotonic() > deadline:
                why = f"ended with status {self.process.returncode}" if ended else f"within {timeout} s"
                raise AssertionError(f"no log line matches {pattern!r}; errand {why}:\n{self.log()[-8000:]}")
            time.sleep(0.01)

    def wait_ready(self, timeout=20):
        self.wait_log(r"\bready\b", timeout)
        return self

    def kill(self):
        """SIGKILL, as a crash; no error if it has ended already."""
        if self.running:
            self.process.kill()
        self.process.wait(10)

    def terminate(self, timeout=30):
        """SIGTERM and the wait for its end; returns the exit status."""
        self.process.terminate()
        return self.wait(timeout)

    def wait(self, timeout=30):
        """Waits until it ends by itself; returns the exit status (negative: the signal that ended it)."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            raise AssertionError(f"errand does not end within {timeout} s:\n{self.log()[-8000:]}") from None
        check_sanitizers(self.process.returncode, self.log())
        return self.process.returncode
