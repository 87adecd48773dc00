"""Workload of webhooks: signed events that come in over HTTP, a connection each, to one runner, which stores them and answers; and those that
it refuses beside them, over the same connection where the runner keeps it. The jobs of the events wait: no runner serves their queue. errand only."""

import json
import subprocess
import time

from bench.meter import Meter
from bench.peer_errand import ErrandWorker
from bench.tools import bench_dir, helper
from support.cluster import free_port
from support.hooks import KEY, SECRET

BODY_BYTES = 500
STORED = "select count(*) from errand.webhook_event"
BATCHES = "select xact_commit from pg_stat_database where datname = current_database()"


class Receiver:
    """A runner with a database of its own, while the context lasts."""

    def __init__(self, bench):
        self.bench, self.database, self.first = bench, bench.database(bench.peer("errand")), 0

    def __enter__(self):
        self.database.sql("select errand.queue_create('unserved', 1), errand.queue_create('webhooks', 4)")
        self.port = free_port()
        self.worker = ErrandWorker(self.database, bench_dir() / "errand-webhook.log", ERRAND_HTTP_LISTEN=f"127.0.0.1:{self.port}",
                                   ERRAND_QUEUES="unserved", RESEND_WEBHOOK_SECRET=SECRET)
        self.worker.wait_ready()
        return self

    def __exit__(self, *_):
        self.worker.stop()

    def send(self, mode, rate, seconds, connections):
        """Starts a sender (c/sender.c); call what this returns for what it tells at its end."""
        self.first += 100_000_000
        process = subprocess.Popen([helper("sender"), *map(str, (self.port, mode, rate, seconds, connections, KEY.hex(), BODY_BYTES, self.first))],
                                   stdout=subprocess.PIPE, text=True)
        return lambda: json.loads(process.communicate()[0])

    def measure(self, *senders):
        """What each told, and what it cost."""
        before, meter = self.database.value(STORED), Meter(self.bench.server, self.database, [self.worker])
        told = [end() for end in [self.send(*sender) for sender in senders]]
        spent = meter.stop()
        spent["stored"] = self.database.value(STORED) - before
        return told, spent


def answered(told, status):
    return told["statuses"].get(str(status), 0)


def stream(receiver, rate, seconds, connections):
    [told], spent = receiver.measure(("good", rate, seconds, connections))
    events = answered(told, 200)
    if events != told["sent"] or events != spent["stored"]:
        raise RuntimeError(f"{told} but {spent['stored']} stored")
    return {"events_s": events / told["seconds"], "answer_p50_ms": told["p50_ms"], "answer_p99_ms": told["p99_ms"],
            "pg_us": spent["pg_cpu_s"] * 1e6 / events, "worker_us": spent["worker_cpu_s"] * 1e6 / events,
            "wal_all": spent["wal_bytes"] / events, "foreign_cores": spent["foreign_cores"]}


def attack(receiver, seconds):
    """As many wrong signatures as 1,000 connections can bring, 5,000 connections that send a byte a second, and 100 events a second."""
    [slow, bad, good], spent = receiver.measure(("slow", 0, seconds + 1, 5000), ("bad", 0, seconds, 1000), ("good", 100, seconds, 50))
    if answered(good, 200) != good["sent"] or good["sent"] != spent["stored"]:
        raise RuntimeError(f"{good} but {spent['stored']} stored")
    refused = answered(bad, 401)
    return {"events_s": answered(good, 200) / good["seconds"], "answer_p50_ms": good["p50_ms"], "answer_p99_ms": good["p99_ms"],
            "refused_s": refused / bad["seconds"], "slow": slow["sent"], "worker_us": spent["worker_cpu_s"] * 1e6 / max(1, refused),
            "foreign_cores": spent["foreign_cores"]}


def refuse(receiver, seconds):
    """Wrong signatures alone: nothing may be written."""
    commits, began = receiver.database.value(BATCHES), time.monotonic()
    [bad], spent = receiver.measure(("bad", 0, seconds, 200))
    refused = answered(bad, 401)
    # The runner's own beats go on; one transaction for a thousand refused requests would be more than they are.
    beats = receiver.database.value(BATCHES) - commits
    if spent["stored"] or beats > 30 * (time.monotonic() - began) + 50:
        raise RuntimeError(f"{beats} transactions while {refused} requests were refused")
    return {"refused_s": refused / bad["seconds"], "answer_p50_ms": bad["p50_ms"], "answer_p99_ms": bad["p99_ms"],
            "worker_us": spent["worker_cpu_s"] * 1e6 / max(1, refused), "foreign_cores": spent["foreign_cores"]}


def run_webhook(bench):
    if not bench.has("errand"):
        return
    seconds = bench.size(10, 4)
    for _ in range(bench.reps):
        for name, measure, more in (("1,000 events a second", stream, (1000, seconds, 100)),
                                    ("as many events as are answered, 500 at once", stream, (0, seconds, 500)),
                                    ("wrong signatures, 200 at once", refuse, (seconds,)),
                                    ("events beside 5,000 slow connections and 1,000 with wrong signatures", attack, (seconds,))):
            with Receiver(bench) as receiver:
                bench.wait_quiet()
                bench.add("webhook", "errand", name, **measure(receiver, *more))
