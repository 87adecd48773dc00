"""Results as tables: a line per figure, a column per peer, and how errand compares with each of them."""

# figure: (title, format, whether more is better; None: no ratio)
FIGURES = {
    "jobs_s": ("jobs/s", "{:,.0f}", True),
    "without_jobs_s": ("jobs/s without it", "{:,.0f}", None),
    "share": ("share that is left", "{:.2f}", None),
    "pg_us": ("PostgreSQL CPU us/job", "{:.1f}", False),
    "worker_us": ("worker CPU us/job", "{:.1f}", False),
    "server_us": ("HTTP server CPU us/job", "{:.1f}", None),
    "memory_mb": ("worker memory MB", "{:.1f}", False),
    "wal_enqueue": ("WAL bytes/job, enqueue", "{:,.0f}", False),
    "wal_drain": ("WAL bytes/job, to its end", "{:,.0f}", False),
    "wal_all": ("WAL bytes/job in all", "{:,.0f}", False),
    "p50_ms": ("commit to start, p50 ms", "{:.2f}", False),
    "p99_ms": ("commit to start, p99 ms", "{:.2f}", False),
    "send_p50_ms": ("send to start, p50 ms", "{:.2f}", False),
    "send_p99_ms": ("send to start, p99 ms", "{:.2f}", False),
    "inserts_s": ("inserts/s reached", "{:,.0f}", None),
    "backlog": ("backlog at the end", "{:,.0f}", None),
    "events_s": ("events stored and answered/s", "{:,.0f}", None),
    "answer_p50_ms": ("request to answer, p50 ms", "{:.2f}", None),
    "answer_p99_ms": ("request to answer, p99 ms", "{:.2f}", None),
    "refused_s": ("requests refused/s", "{:,.0f}", None),
    "slow": ("slow connections", "{:,.0f}", None),
    "statements_s": ("statements/s, idle", "{:.2f}", False),
    "connections": ("connections", "{:.0f}", None),
    "pg_ms_s": ("PostgreSQL CPU ms/s, idle", "{:.1f}", False),
    "foreign_cores": ("cores used by others", "{:.2f}", None),
}

WORKLOADS = {
    "drain": ("A full queue of no-op jobs emptied by one worker process",
              "jobs_s pg_us worker_us memory_mb wal_enqueue wal_drain wal_all foreign_cores"),
    "latency": ("From commit to the handler's start, idle worker",
                "p50_ms p99_ms send_p50_ms send_p99_ms pg_us worker_us foreign_cores"),
    "rate": ("A steady stream of single inserts from four connections",
             "inserts_s p50_ms p99_ms send_p50_ms send_p99_ms backlog pg_us worker_us wal_all memory_mb foreign_cores"),
    "idle": ("A worker process with nothing to do", "statements_s pg_ms_s memory_mb connections"),
    "enqueue": ("Enqueue, one connection, each peer's fastest way", "jobs_s pg_us wal_enqueue"),
    "backlog": ("Two priorities, and a fifth as many jobs for tomorrow", "jobs_s pg_us worker_us wal_drain foreign_cores"),
    "snapshot": ("Beside a transaction left open (peers: fewer jobs)", "jobs_s without_jobs_s share pg_us foreign_cores"),
    "http": ("A request of 1 kB for each job, 100 at once, one worker process",
             "jobs_s pg_us worker_us server_us memory_mb foreign_cores"),
    "program": ("A program started for each job, one runner", "jobs_s pg_us worker_us foreign_cores"),
    "worker": ("A worker in Python, one process, one runner", "jobs_s pg_us worker_us foreign_cores"),
    "webhook": ("Webhooks over HTTP, a connection each, signed bodies of 500 bytes",
                "events_s refused_s slow answer_p50_ms answer_p99_ms pg_us worker_us wal_all foreign_cores"),
    "runners": ("Several errand runners, one machine", "jobs_s pg_us worker_us foreign_cores"),
    "fleet": ("Idle errand runners, then a job every 20 ms among them",
              "statements_s pg_ms_s connections p50_ms p99_ms foreign_cores"),
    "floor": ("The floor: hand-written SQL that does the minimum",
              "jobs_s pg_us wal_drain p50_ms p99_ms send_p50_ms send_p99_ms"),
}


def _uniques(values):
    return list(dict.fromkeys(values))


def _best(bench, workload, column, variant, figure):
    """The median; where a peer has several ways, that of its fastest."""
    results = [r for r in bench.results if (r["workload"], r["column"], r["variant"]) == (workload, column, variant)]
    ways = _uniques(r.get("way") for r in results)
    if len(ways) <= 1:
        return bench.median(workload, column, variant, figure)
    medians = {}
    for way in ways:
        ours = sorted((r for r in results if r["way"] == way), key=lambda r: r["jobs_s"])
        medians[way] = ours[len(ours) // 2]
    return max(medians.values(), key=lambda r: r["jobs_s"])[figure]


def _ratio(ours, theirs, more_is_better):
    if more_is_better is None or not ours or not theirs or ours < 0 or theirs < 0:
        return ""
    return f"{ours / theirs if more_is_better else theirs / ours:.1f}x"


def _line(figure, values, columns):
    title, form, more_is_better = FIGURES[figure]
    cells = [title] + ["" if value is None else form.format(value) for value in values]
    if columns[0] == "errand":
        cells += [_ratio(values[0], value, more_is_better) for value in values[1:]]
    return cells


def _workload(bench, workload):
    results = [result for result in bench.results if result["workload"] == workload]
    title, figures = WORKLOADS[workload]
    columns = _uniques(result["column"] for result in results)
    lines = []
    for variant in _uniques(result["variant"] for result in results):
        head = [variant] + columns
        if columns[0] == "errand":
            head += [f"to {column}" for column in columns[1:]]
        lines.append(head)
        for figure in figures.split():
            values = [_best(bench, workload, column, variant, figure) for column in columns]
            if any(value is not None for value in values):
                lines.append(_line(figure, values, columns))
    return title, lines


def text(bench):
    """Everything measured, as Markdown tables. A ratio above 1 says that errand does better."""
    out = []
    for workload in WORKLOADS:
        if not any(result["workload"] == workload for result in bench.results):
            continue
        title, lines = _workload(bench, workload)
        widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(len(lines[0]))]
        out += ["", f"{title} ({workload})", ""]
        heads = [i for i, line in enumerate(lines) if line[1:] == lines[0][1:]]
        for i, line in enumerate(lines):
            if i in heads and i:
                out.append("")
            out.append("| " + " | ".join(cell.ljust(width) if k == 0 else cell.rjust(width)
                                         for k, (cell, width) in enumerate(zip(line, widths))) + " |")
            if i in heads:
                out.append("|" + "|".join("-" * (width + 2) if k == 0 else "-" * (width + 1) + ":"
                                          for k, width in enumerate(widths)) + "|")
    return "\n".join(out).strip("\n")
