"""Workloads that ask how long a job waits: from its commit to the start of its handler, with an idle worker and with a
steady stream; and what fleets of idle runners cost."""

import struct
import time

from bench.meter import Meter
from bench.tools import bench_dir, run_helper
from bench.workload_drain import ERRAND_ONLY

FLEETS = (1, 2, 4, 8, 16, 32)


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def insert(database, peer, rate, seconds, connections):
    """Inserts at that rate; returns {number: (sent us, confirmed us)} and the rate that was reached."""
    file = bench_dir() / "inserted"
    told = run_helper("inserter", database.dsn, *peer.insert, rate, seconds, connections, file)
    inserted = {number: (sent, confirmed) for number, sent, confirmed in struct.iter_unpack("<qqq", file.read_bytes())}
    return inserted, told["count"] / told["seconds"]


def waits(inserted, starts):
    """The figures of a run: milliseconds from the confirmed commit, and from the send, to the handler's start."""
    missing = [number for number in inserted if number not in starts]
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(inserted)} jobs never started")
    commit = [(starts[number] - confirmed) / 1000 for number, (_, confirmed) in inserted.items()]
    send = [(starts[number] - sent) / 1000 for number, (sent, _) in inserted.items()]
    insert_ms = [(confirmed - sent) / 1000 for sent, confirmed in inserted.values()]
    return {"p50_ms": quantile(commit, 0.5), "p99_ms": quantile(commit, 0.99), "max_ms": max(commit),
            "send_p50_ms": quantile(send, 0.5), "send_p99_ms": quantile(send, 0.99),
            "insert_p50_ms": quantile(insert_ms, 0.5), "jobs": len(inserted)}


def measure(bench, database, peer, rate, seconds, connections):
    """With workers that are ready: the stream, its end, and the figures. Stops the workers."""
    time.sleep(bench.size(2, 1))
    bench.wait_quiet()
    meter = Meter(bench.server, database, peer.workers)
    inserted, reached = insert(database, peer, rate, seconds, connections)
    backlog = database.value(peer.backlog_sql)
    deadline = time.monotonic() + 60
    while database.value(peer.pending_sql) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    spent = meter.stop()
    memory = max(worker.memory_mb("VmHWM") for worker in peer.workers)
    peer.stop()
    jobs = len(inserted)
    return {**waits(inserted, peer.starts(database)), "backlog": backlog, "inserts_s": reached,
            "pg_us": spent["pg_cpu_s"] * 1e6 / jobs, "worker_us": spent["worker_cpu_s"] * 1e6 / jobs,
            "wal_all": spent["wal_bytes"] / jobs, "memory_mb": memory, "foreign_cores": spent["foreign_cores"]}


def stream(bench, peer, rate, seconds, connections):
    database = bench.database(peer)
    database.settle()
    try:
        peer.start(database, record=True)
        peer.wait_ready()
        return measure(bench, database, peer, rate, seconds, connections)
    finally:
        peer.stop()


def run_latency(bench):
    for _ in range(bench.reps):
        for peer in bench.peers:
            figures = bench.calmly(stream, peer, 50, bench.size(30, 3), 1)
            bench.add("latency", peer.name, "one every 20 ms", **figures)


def run_rate(bench):
    for _ in range(bench.reps):
        for peer in bench.peers:
            figures = bench.calmly(stream, peer, 2000, bench.size(60, 6), 4)
            bench.add("rate", peer.name, "2,000 a second", **figures)


def idle(bench, database, peer, seconds):
    """What workers that have nothing to do cost, while the harness keeps still."""
    time.sleep(bench.size(10, 2))
    database.forget_statements()
    meter = Meter(bench.server, database, peer.workers)
    time.sleep(seconds)
    # What reads the statistics counts as well where it was sent between the two.
    statements = [(calls, text) for calls, text in database.statements()
                  if "pg_stat_" not in text and "pg_current_wal" not in text]
    spent = meter.stop()
    return {"statements_s": sum(calls for calls, _ in statements) / seconds,
            "pg_ms_s": spent["pg_cpu_s"] * 1000 / seconds, "worker_ms_s": spent["worker_cpu_s"] * 1000 / seconds,
            "memory_mb": max(worker.memory_mb() for worker in peer.workers),
            "connections": database.value("select count(*) - 1 from pg_stat_activity where datname = current_database()"),
            "often": "; ".join(f"{calls} x {text}" for calls, text in statements[:4])}


def run_idle(bench):
    for _ in range(bench.reps):
        for peer in bench.peers:
            database = bench.database(peer)
            database.settle()
            database.count_statements()
            try:
                peer.start(database)
                peer.wait_ready()
                figures = idle(bench, database, peer, bench.size(60, 4))
            finally:
                peer.stop()
            bench.add("idle", peer.name, "nothing to do", **figures)


def run_fleet(bench):
    """1 to 32 runners that have nothing to do, then one job every 20 ms among them."""
    if not bench.has(ERRAND_ONLY):
        return
    peer = bench.peer(ERRAND_ONLY)
    for runners in (1, 8) if bench.quick else FLEETS:
        database = bench.database(peer)
        database.settle()
        database.count_statements()
        try:
            peer.start(database, count=runners)
            peer.wait_ready()
            quiet = idle(bench, database, peer, bench.size(15, 3))
            busy = measure(bench, database, peer, 50, bench.size(10, 3), 1)
        finally:
            peer.stop()
        bench.add("fleet", ERRAND_ONLY, f"{runners} runner{'s'[:runners > 1]}", statements_s=quiet["statements_s"],
                  pg_ms_s=quiet["pg_ms_s"], connections=quiet["connections"], often=quiet["often"], **busy)
