"""graphile-worker, in the configuration that its documentation on performance calls fastest: a local queue and batched
completion (worker.localQueue.size, completeJobBatchDelay, failJobBatchDelay), with the concurrency of its own benchmark.
"""

import json
import time

from bench.tools import PACKAGES, request
from bench.worker import NodeWorker, run_node, wait_none

INSERT = """
insert into graphile_worker._private_jobs (task_id, payload, priority, run_at)
select t.id, (jsonb_build_object('seq', n) || %(more)s::jsonb)::json, n %% %(priorities)s, %(run_at)s + n * %(apart)s::interval
from graphile_worker._private_tasks t, generate_series(0, %(count)s - 1) n where t.identifier = 'job'
"""
ADD_JOBS = """
select count(*) from graphile_worker.add_jobs(array(
    select row('job', json_build_object('seq', n), null, null, null, null, null, null)::graphile_worker.job_spec
    from generate_series(%s, %s) n))
"""


class Graphile:
    name = "graphile-worker"
    version = "graphile-worker " + PACKAGES["graphile-worker"]
    config = {"concurrentJobs": 24, "maxPoolSize": 25, "localQueue": {"size": 500}, "completeJobBatchDelay": 0,
              "failJobBatchDelay": 0}
    http_config = {**config, "concurrentJobs": 100}
    pending_sql = "select exists (select from graphile_worker._private_jobs where run_at <= now())"
    backlog_sql = "select count(*) from graphile_worker._private_jobs where run_at <= now()"
    insert = ("select 1 from graphile_worker.add_job('job', $1::json)", '{"seq": {SEQ}}')

    def __init__(self):
        self.workers, self.ended = [], None

    def set_up(self, database):
        run_node("graphile_enqueue", database, {}, BENCH_COUNT=0, BENCH_BATCH=1)
        database.sql("select graphile_worker.add_job('job', '{}')")  # the task's row comes with its first job
        database.sql("delete from graphile_worker._private_jobs")

    def preload(self, database, count, priorities=1, later=0, url=None):
        more = json.dumps(request(url) if url else {})
        now, tomorrow = database.sql("select now(), now() + interval '1 day'")[0]
        database.sql(INSERT, {"more": more, "count": count, "priorities": priorities, "run_at": now, "apart": "0"})
        if later:
            database.sql(INSERT, {"more": more, "count": later, "priorities": priorities, "run_at": tomorrow, "apart": "1 ms"})

    def start(self, database, target=0, record=False, count=1, url=None):
        config = self.http_config if url else self.config
        self.workers = [NodeWorker("graphile_worker", database, config, target, record) for _ in range(count)]
        return self.workers

    def wait_ready(self):
        for worker in self.workers:
            worker.wait("ready", 30)

    def wait_target(self, database, target, whole):
        self.ended = wait_node_target(self, database, whole)

    def handled(self, database, target):
        return self.ended

    def starts(self, database):
        return self.workers[0].starts()

    def stop(self):
        for worker in self.workers:
            worker.stop()

    def enqueue_kinds(self, database):
        def in_sql(count):
            started = time.monotonic()
            for number in range(0, count, 10000):
                database.sql(ADD_JOBS, (number, min(number + 10000, count) - 1))
            return time.monotonic() - started

        def client(count, batch):
            return run_node("graphile_enqueue", database, {}, BENCH_COUNT=count, BENCH_BATCH=batch)["seconds"]

        return [("addJobs, 10,000 a call", "bulk", lambda count: client(count, 10000)),
                ("SQL add_jobs, 10,000 a call", "bulk", in_sql),
                ("addJob, one by one", "single", lambda count: client(count, 1))]


def wait_node_target(peer, database, whole):
    """Jobs handled, when the first handler started and when the last job was gone from the tables (whole) or its handler
    ended (seconds since 1970)."""
    event = peer.workers[0].wait("target", 300)
    last = wait_none(database, peer.pending_sql, 60) if whole else event["last"]
    return event["n"], peer.workers[0].first_s, last
