"""errand as a peer: as it is installed, with its default settings.

When a handler started is what errand itself wrote to errand.history; when a completion was committed is what
PostgreSQL kept of its transaction (track_commit_timestamp)."""

import json
import os
import subprocess
import time

from bench.tools import bench_dir, request
from bench.worker import Worker, wait_calm, wait_none
from support.errand import binary

CALL = 10000  # jobs of one errand.enqueue_many

ENQUEUE = """
select count(*) from errand.enqueue_many(%(kind)s,
    array(select jsonb_build_object('seq', n) || %(more)s::jsonb from generate_series(%(first)s, %(last)s) n),
    run_at => case when %(later)s then array(select now() + interval '1 day' + n * interval '1 ms'
        from generate_series(%(first)s, %(last)s) n) end,
    priority => %(priority)s)
"""
SPREAD = """
select count(*) = %(runners)s and max(lanes) - min(lanes) <= 1
from (select count(*) as lanes from errand.lane where owner is not null and queue = 'default' group by owner) x
"""
COMMITS = "select started_at, pg_xact_commit_timestamp(xmin) as committed_at from errand.history"


def errand_env(database):
    return {"PATH": os.environ["PATH"], "HOME": str(bench_dir()), "ERRAND_DATABASE_URL": database.dsn, "ERRAND_PROBE_TRUSTED": "true"}


class ErrandWorker(Worker):
    def __init__(self, database, log, **env):
        log.unlink(missing_ok=True)
        super().__init__([binary(), "run"], {**errand_env(database), **env}, log)

    def wait_ready(self, timeout=20):
        deadline = time.monotonic() + timeout
        while b"runner ready" not in self.log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.fail("errand is not ready")
            time.sleep(0.01)


class Errand:
    name = "errand"
    config = {}
    pending_sql = "select exists (select from errand.job where run_at <= now())"
    backlog_sql = "select count(*) from errand.job where run_at <= now()"
    insert = ("select errand.enqueue('probe.none', $1::jsonb)", '{"seq": {SEQ}}')

    def __init__(self):
        self.workers = []
        self.jobs, self.kind = None, None  # a directory of kinds that are files, and which of them the jobs are of
        done = subprocess.run([binary(), "version"], capture_output=True, text=True, check=True)
        self.version = done.stdout.strip()

    def set_up(self, database):
        subprocess.run([binary(), "migrate", "up", "--only", "queue"], env=errand_env(database), check=True,
                       capture_output=True)

    def preload(self, database, count, priorities=1, later=0, url=None):
        for number in range(0, count, CALL):
            self._enqueue(database, number, min(CALL, count - number), 2 - number // CALL % priorities, False, url)
        for number in range(0, later, CALL):
            self._enqueue(database, number, min(CALL, later - number), 2 - number // CALL % priorities, True)

    def _enqueue(self, database, first, count, priority, later, url=None):
        database.sql(ENQUEUE, {"kind": self.kind or ("probe.http" if url else "probe.none"), "first": first, "last": first + count - 1,
                               "priority": priority, "later": later,
                               "more": json.dumps({**request(url), "method": "POST"} if url else {})})

    def start(self, database, target=0, record=False, count=1, url=None):
        env = {"ERRAND_JOBS": str(self.jobs)} if self.jobs else {}
        self.workers = [ErrandWorker(database, bench_dir() / f"errand-{n + 1}.log", **env) for n in range(count)]
        return self.workers

    def wait_ready(self):
        for worker in self.workers:
            worker.wait_ready()

    def pause(self, database):
        database.sql("select errand.queue_pause('default', 'benchmark')")

    def resume(self, database):
        database.sql("select errand.queue_resume('default')")

    def wait_spread(self, database, timeout=30):
        """Until the lanes are shared evenly."""
        deadline = time.monotonic() + timeout
        while not database.value(SPREAD, {"runners": len(self.workers)}):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the lanes are not spread over {len(self.workers)} runners after {timeout} s")
            time.sleep(0.1)

    def wait_target(self, database, target, whole):
        """Until so many jobs ended; whole: until none is left."""
        if whole:
            wait_calm(database, self.pending_sql, 300)
        else:
            wait_none(database, f"select not exists (select from errand.history offset {target - 1})", 300,
                      first_pause_s=0.1)

    def handled(self, database, target):
        """After that: jobs that ended, when the first one started and when the target-th was committed (seconds since
        1970)."""
        [(handled, first)] = database.sql(f"select count(*), extract(epoch from min(started_at)) from ({COMMITS}) x")
        last = database.value(f"select extract(epoch from committed_at) from ({COMMITS}) x "
                              f"order by committed_at offset {target - 1} limit 1")
        return handled, float(first), float(last)

    def starts(self, database):
        return dict(database.sql(
            "select (args->>'seq')::bigint, (extract(epoch from started_at) * 1000000)::bigint from errand.history"))

    def stop(self):
        for worker in self.workers:
            worker.stop()

    def enqueue_kinds(self, database):
        """(name, jobs a call, function(count) that returns seconds)."""
        def bulk(count, call):
            started = time.monotonic()
            for number in range(0, count, call):
                self._enqueue(database, number, min(call, count - number), 2, False)
            return time.monotonic() - started

        def single(count):
            started = time.monotonic()
            with database.connection.cursor() as cursor:
                cursor.execute("prepare one as select errand.enqueue('probe.none', $1::jsonb)")
                for number in range(count):
                    cursor.execute("execute one (%s)", (f'{{"seq": {number}}}',))
            return time.monotonic() - started

        return [("SQL, 1,000 a call", "bulk", lambda count: bulk(count, 1000)),
                ("SQL, 10,000 a call", "bulk", lambda count: bulk(count, 10000)),
                ("one by one", "single", single)]
