"""What PostgreSQL itself allows: hand-written SQL in C that does the minimum."""

from bench.meter import Meter
from bench.tools import run_helper

COLUMN = "floor"

FILL = """
create table floor_job (id bigint primary key, priority smallint not null, args jsonb not null);
insert into floor_job select n, 0, jsonb_build_object('seq', n) from generate_series(0, %s - 1) n;
create index on floor_job (priority, id);
"""


def run_floor(bench):
    for _ in range(bench.reps):
        for batch, connections in ((500, 1), (1000, 1), (500, 2), (1000, 2)):
            delete(bench, batch, connections)
        notify(bench)


def delete(bench, batch, connections):
    database = bench.server.fresh_database("bench_floor")
    count = bench.size(200000, 60000)
    database.sql(FILL, (count,))
    database.settle()
    bench.wait_quiet()
    meter = Meter(bench.server, database)
    ended = run_helper("floor", database.dsn, batch, connections)
    spent = meter.stop()
    bench.add("floor", COLUMN, f"delete {batch} at a time, {connections} connection{'s'[:connections > 1]}",
              jobs_s=ended["jobs"] / ended["seconds"], pg_us=spent["pg_cpu_s"] * 1e6 / count,
              wal_drain=spent["wal_bytes"] / count)


def notify(bench):
    database = bench.server.fresh_database("bench_floor")
    database.sql("create table floor_notify (id bigserial primary key, args jsonb not null)")
    bench.wait_quiet()
    told = run_helper("notify", database.dsn, bench.size(1000, 150), 20000)
    bench.add("floor", COLUMN, "insert and notify, one every 20 ms", p50_ms=told["confirmed_us"]["p50"] / 1000,
              p99_ms=told["confirmed_us"]["p99"] / 1000, send_p50_ms=told["sent_us"]["p50"] / 1000,
              send_p99_ms=told["sent_us"]["p99"] / 1000)
