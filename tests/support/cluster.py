"""A PostgreSQL of the test's own: data in a temporary directory, reached over a unix socket.

It is the child of the test process. A small watchdog holds the other end of a pipe, so that the server
and its directory are gone even when the test process is killed. Not for clusters that should be kept.
"""

import atexit
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg2

from support.tempdir import make_tempdir

STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# The pid file may be stale and its pid taken by someone else: a server is only ours if it runs in our directory.
WATCHDOG = """
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; then
    kill -QUIT "$pid"
    n=0
    while readlink "/proc/$pid/cwd" >/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
fi
rm -rf "$1"
"""


def cache_dir():
    """Where ./dev keeps its private PostgreSQL (packaging/dev/cache.sh says the same)."""
    if os.geteuid() == 0:
        return Path("/var/cache/errand")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "errand"


def bindir_has_vector(bindir):
    """Whether the PostgreSQL of that bin directory has pgvector, without starting it."""
    bindir = Path(bindir)
    if not (bindir / "postgres").exists():
        return False
    answer = subprocess.run([bindir / "pg_config", "--sharedir"], capture_output=True, text=True)
    return (Path(answer.stdout.strip()) / "extension" / "vector.control").exists()


def find_bindir(vector=True):
    """The bin directory to test with: the environment's, the newest installed one, or the private tree's."""
    names = ["ERRAND_TEST_PGBIN"] if vector else ["ERRAND_TEST_PGBIN_PLAIN", "ERRAND_TEST_PGBIN"]
    for name in names:
        if os.environ.get(name):
            return Path(os.environ[name])
    private = sorted(cache_dir().glob("postgresql-*/usr/lib/postgresql/*/bin"))
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    for bindir in reversed(private + system):
        if (bindir / "postgres").exists() and (not vector or bindir_has_vector(bindir)):
            return bindir
    what = "PostgreSQL with pgvector" if vector else "PostgreSQL"
    raise RuntimeError(f"no {what} found: run the tests with ./dev test, or set {names[0]} to its bin directory")


def server_account():
    """PostgreSQL refuses to run as root: the account it runs as then, None otherwise."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise RuntimeError("root cannot run PostgreSQL and there is neither a postgres nor a nobody user")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """One server. Made and started by the constructor; usable as a context manager.

    tcp         also listens on a free loopback port
    fsync       off is faster, and loses data only when the whole machine dies
    extra_conf  {setting: value}, appended to postgresql.conf
    """

    def __init__(self, bindir=None, tcp=False, fsync=True, extra_conf=None, vector=True, env=None):
        self.env = env or {}  # of the server
        self.bindir = Path(bindir or find_bindir(vector))
        self.account = server_account()
        self.process = None
        self.port = free_port() if tcp else 5432
        self.tcp = tcp
        self._numbers = itertools.count(1)
        self.dir = make_tempdir("pg")
        self.data = self.dir / "data"
        self.log = self.dir / "log"
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self.dir)],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.dir.chmod(0o755)
        if self.account:
            os.chown(self.dir, self.account.pw_uid, self.account.pw_gid)
        try:
            self._initdb(fsync, extra_conf or {})
            self.start()
        except BaseException:
            self.destroy()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.destroy()

    def _as_server(self, env=None):
        options = {"cwd": str(self.dir), "stdin": subprocess.DEVNULL, "start_new_session": True}
        options["env"] = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", **(env or {})}
        if self.account:
            options.update(user=self.account.pw_uid, group=self.account.pw_gid, extra_groups=[])
        return options

    def _initdb(self, fsync, extra_conf):
        command = [self.bindir / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust",
                   "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self._as_server())
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}")
        conf = {
            "unix_socket_directories": self.dir,
            "listen_addresses": "127.0.0.1" if self.tcp else "",
            "port": self.port,
            "max_connections": 100,
            "shared_buffers": "64MB",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "max_wal_size": "1GB",
            "jit": "off",
            "log_line_prefix": "%m [%p] %a ",
            "timezone": "UTC",
            **extra_conf,
        }
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.writelines(f"{name} = '{value}'\n" for name, value in conf.items())

    def start(self, timeout=60):
        """Starts the server and waits until it takes connections."""
        log = open(self.log, "ab")
        self.process = subprocess.Popen([self.bindir / "postgres", "-D", self.data],
                                        stdout=log, stderr=log, **self._as_server(self.env))
        log.close()
        deadline = time.monotonic() + timeout
        while True:
            try:
                psycopg2.connect(self.dsn("postgres")).close()
                return
            except psycopg2.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not start: {error}\n{self.log_tail()}") from error
            time.sleep(0.02)

    def stop(self, mode="fast", timeout=60):
        """mode as in pg_ctl: smart, fast or immediate."""
        if self.running:
            self.process.send_signal(STOP_SIGNALS[mode])
            self.process.wait(timeout)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def kill(self, timeout=30):
        """SIGKILL to the postmaster, as the kernel's memory killer would; returns when its backends are gone too."""
        self.process.kill()
        self.process.wait(timeout)
        deadline = time.monotonic() + timeout
        while self._backends():
            if time.monotonic() > deadline:
                raise RuntimeError("backends outlive their postmaster")
            time.sleep(0.02)

    def _backends(self):
        def in_data(proc):
            try:
                return os.readlink(proc / "cwd") == str(self.data)
            except OSError:
                return False
        return [proc.name for proc in Path("/proc").iterdir() if proc.name.isdigit() and in_data(proc)]

    def destroy(self):
        """Stops the server at once and removes its directory."""
        self.stop("immediate")
        self._watchdog.stdin.close()
        self._watchdog.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def has_vector(self):
        return bindir_has_vector(self.bindir)

    def log_tail(self, lines=30):
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def dsn(self, database, user="postgres", tcp=False):
        """A libpq URI; over the socket unless tcp."""
        host = "127.0.0.1" if tcp else quote(str(self.dir), safe="")
        return f"postgresql:///{quote(database)}?host={host}&port={self.port}&user={quote(user)}"

    def create_database(self, name_prefix="test", template=None, encoding=None):
        """A new database (a copy of the template database, if given; of another encoding with template0); returns its DSN."""
        name = f"{name_prefix}_{next(self._numbers)}"
        self._admin(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else "")
                    + (f" ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'" if encoding else ""))
        return self.dsn(name)

    def drop_database(self, dsn):
        """Drops the database of a DSN from create_database, whoever is connected to it."""
        name = urlsplit(dsn).path.lstrip("/")
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _admin(self, sql):
        connection = psycopg2.connect(self.dsn("postgres"))
        try:
            connection.autocommit = True
            connection.cursor().execute(sql)
        finally:
            connection.close()


_shared = {}


def shared_cluster(vector=True):
    """The cluster that all tests of this process share; its databases come and go, it is never stopped by a test."""
    if vector not in _shared:
        _shared[vector] = Cluster(vector=vector, fsync=False)
        atexit.register(_shared[vector].destroy)
    return _shared[vector]
