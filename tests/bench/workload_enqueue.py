"""Workload of enqueueing alone, no worker running: in bulk and one by one, one connection, each peer's own ways."""

from bench.meter import Meter


def run_enqueue(bench):
    counts = {"bulk": bench.size(200000, 50000), "single": bench.size(10000, 2000)}
    for _ in range(bench.reps):
        for peer in bench.peers:
            database = bench.database(peer)
            for name, sort, enqueue in peer.enqueue_kinds(database):
                database.settle()
                bench.wait_quiet()
                meter = Meter(bench.server, database)
                seconds = enqueue(counts[sort])
                spent = meter.stop()
                bench.add("enqueue", peer.name, sort, way=name, jobs_s=counts[sort] / seconds,
                          pg_us=spent["pg_cpu_s"] * 1e6 / counts[sort], wal_enqueue=spent["wal_bytes"] / counts[sort])
