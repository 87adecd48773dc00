"""PgBouncer in transaction mode before a server of the tests."""

import shutil
import subprocess
from pathlib import Path

import psycopg2.extensions

from support.cluster import server_account
from support.errand import RUNNER_LOGIN
from support.tempdir import make_tempdir
from support.wait import until

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/sbin:/usr/local/sbin")


class Bouncer:
    """One pgbouncer before a cluster, on a unix socket. pool: server connections a database and user; settings are those
    of its [pgbouncer] section, users who may come besides postgres."""

    def __init__(self, cluster, pool, users=(), **settings):
        account = server_account()
        self.dir = make_tempdir("bouncer")
        self.process = None
        (self.dir / "users").write_text("".join(f'"{user}" ""\n' for user in ("postgres", RUNNER_LOGIN or "nobody", *users)))
        (self.dir / "ini").write_text(f"""[databases]
* = host={cluster.dir} port={cluster.port}
[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = 6432
unix_socket_dir = {self.dir}
auth_type = trust
auth_file = {self.dir}/users
default_pool_size = {pool}
{"".join(f"{name} = {value}{chr(10)}" for name, value in settings.items())}logfile = {self.dir}/log
pidfile = {self.dir}/pid
""")
        self.account = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        if account:
            for path in (self.dir, self.dir / "users", self.dir / "ini"):
                shutil.chown(path, account.pw_uid, account.pw_gid)
        self.start()

    def start(self):
        self.process = subprocess.Popen([PGBOUNCER, self.dir / "ini"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True, **self.account)
        until(lambda: Path(self.dir, ".s.PGSQL.6432").exists() or self.process.poll() is not None,
              "pgbouncer does not start")
        assert self.process.poll() is None, (self.dir / "log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        for name in (".s.PGSQL.6432", ".s.PGSQL.6432.lock", "pid"):
            (self.dir / name).unlink(missing_ok=True)

    def dsn(self, direct):
        return psycopg2.extensions.make_dsn(direct, host=str(self.dir), port=6432)

    def destroy(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
