"""pg-boss, in the configuration that its documentation calls fastest: large batches, two of them at a time, and the next
one fetched at once when a batch was full; for latency with its notifications on."""

import json

from bench.peer_graphile import wait_node_target
from bench.tools import PACKAGES, bench_dir, request
from bench.worker import NodeWorker, run_node

INSERT = """
insert into {table} (name, data, priority, policy, start_after)
select 'job', jsonb_build_object('seq', n) || %(more)s::jsonb, n %% %(priorities)s, (select policy from pgboss.queue where name = 'job'),
    %(run_at)s + n * %(apart)s::interval
from generate_series(0, %(count)s - 1) n
"""
DUE = "from pgboss.job where name = 'job' and state < 'completed' and start_after <= now()"
WORK = {"batchSize": 1000, "localConcurrency": 2, "pollingIntervalSeconds": 0.5, "burstWhenBatchFull": True}
# Each batch's jobs at once and each with its own result, so that a slow one holds up no other.
HTTP_WORK = {**WORK, "batchSize": 250, "localConcurrency": 4, "perJobResults": True}


class PgBoss:
    name = "pg-boss"
    version = "pg-boss " + PACKAGES["pg-boss"]
    config = {"boss": {"useListenNotify": True}, "queue": {"notify": True}, "work": WORK}
    http_config = {**config, "work": HTTP_WORK}
    pending_sql = f"select exists (select {DUE})"
    backlog_sql = f"select count(*) {DUE}"

    def __init__(self):
        self.workers, self.ended = [], None
        self.insert = None

    def set_up(self, database):
        statements = bench_dir() / "pgboss_send.json"
        run_node("pgboss_enqueue", database, self.config, BENCH_COUNT=0, BENCH_BATCH=1, BENCH_SQL=statements)
        [send] = [each for each in json.loads(statements.read_text()) if "INSERT" in each["text"]]
        [value] = send["values"]
        jobs = json.loads(value)
        jobs[0]["data"] = {"seq": "@"}
        self.insert = (send["text"], json.dumps(jobs).replace('"@"', "{SEQ}"))

    def preload(self, database, count, priorities=1, later=0, url=None):
        table = database.value("select table_name from pgboss.queue where name = 'job'") or "job"
        text = INSERT.format(table=f"pgboss.{table}")
        more = json.dumps(request(url) if url else {})
        now, tomorrow = database.sql("select now(), now() + interval '1 day'")[0]
        database.sql(text, {"more": more, "count": count, "priorities": priorities, "run_at": now, "apart": "0"})
        if later:
            database.sql(text, {"more": more, "count": later, "priorities": priorities, "run_at": tomorrow, "apart": "1 ms"})

    def start(self, database, target=0, record=False, count=1, url=None):
        config = self.http_config if url else self.config
        self.workers = [NodeWorker("pgboss_worker", database, config, target, record) for _ in range(count)]
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
        def client(count, batch):
            return run_node("pgboss_enqueue", database, self.config, BENCH_COUNT=count, BENCH_BATCH=batch)["seconds"]

        return [("insert, 10,000 a call", "bulk", lambda count: client(count, 10000)),
                ("send, one by one", "single", lambda count: client(count, 1))]
