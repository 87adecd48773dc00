"""Workloads in which a queue that is full is emptied: 100,000 jobs; many more, of which most must wait; beside a
transaction that stays open; with several runners."""

from bench.meter import Meter

ERRAND_ONLY = "errand"


def drain(bench, peer, count, target=None, priorities=1, later=0, open_transaction=False, runners=None,
          url=None, beside=()):
    """Fills the queue, empties it (or handles the first target jobs), and returns the figures. runners: so many of
    errand, which share the lanes before the first job starts. url: each job sends a request there. beside: processes
    that serve them."""
    database = bench.database(peer)
    other = database.connect() if open_transaction else None
    if other:
        other.autocommit = False
        other.set_session(isolation_level="REPEATABLE READ")
        other.cursor().execute("select pg_current_xact_id()")
    before = Meter(bench.server, database)
    peer.preload(database, count, priorities, later, url)
    filled = before.stop()
    database.settle()
    bench.wait_quiet()
    if runners:
        peer.pause(database)
    meter = Meter(bench.server, database, beside=beside)
    try:
        for worker in peer.start(database, target=target or count, count=runners or 1, url=url):
            meter.add(worker)
        if runners:
            peer.wait_ready()
            peer.wait_spread(database)
            peer.resume(database)
        peer.wait_target(database, target or count, whole=target is None)
        spent = meter.stop()
        memory = max(worker.memory_mb("VmHWM") for worker in peer.workers)
    finally:
        peer.stop()
        if other:
            other.close()
    handled, first_s, last_s = peer.handled(database, target or count)
    rows = count + later
    return {
        "jobs_s": (target or count) / (last_s - first_s),
        "pg_us": spent["pg_cpu_s"] * 1e6 / handled,
        "worker_us": spent["worker_cpu_s"] * 1e6 / handled,
        "server_us": spent["beside_cpu_s"] * 1e6 / handled,
        "memory_mb": memory,
        "wal_enqueue": filled["wal_bytes"] / rows,
        "wal_drain": spent["wal_bytes"] / handled,
        "wal_all": filled["wal_bytes"] / rows + spent["wal_bytes"] / handled,
        "pg_us_enqueue": filled["pg_cpu_s"] * 1e6 / rows,
        "foreign_cores": spent["foreign_cores"],
    }


def run_drain(bench):
    count = bench.size(100000, 20000)
    for _ in range(bench.reps):
        for peer in bench.peers:
            bench.add("drain", peer.name, f"{count:,} jobs", **bench.calmly(drain, peer, count))


def run_backlog(bench):
    count, later, target = bench.size(1000000, 60000), bench.size(200000, 12000), bench.size(100000, 20000)
    for _ in range(bench.reps):
        for peer in bench.peers:
            figures = bench.calmly(drain, peer, count, target=target, priorities=2, later=later)
            bench.add("backlog", peer.name, f"first {target:,} of {count:,}", **figures)


def run_snapshot(bench):
    """Each peer against itself: the same without the open transaction, just before."""
    for _ in range(bench.reps):
        for peer in bench.peers:
            count = bench.size(500000, 40000) if peer.name == ERRAND_ONLY else bench.size(100000, 15000)
            without = bench.calmly(drain, peer, count)["jobs_s"]
            figures = bench.calmly(drain, peer, count, open_transaction=True)
            bench.add("snapshot", peer.name, "one transaction open", jobs=count, without_jobs_s=without,
                      share=figures["jobs_s"] / without, **figures)


def run_runners(bench):
    """The queue is paused until every runner has its lanes, so that only the work itself is timed."""
    if not bench.has(ERRAND_ONLY):
        return
    for _ in range(bench.reps):
        for runners in (1, 2, 4):
            figures = bench.calmly(drain, bench.peer(ERRAND_ONLY), bench.size(300000, 40000), runners=runners)
            bench.add("runners", ERRAND_ONLY, f"{runners} runner{'s'[:runners > 1]}", **figures)
