"""What a run costs: CPU of PostgreSQL, of the workers and of everything else on the machine, WAL, memory.

CPU comes from /proc. PostgreSQL's is that of the postmaster and all its children, those that ended included; so
autovacuum, checkpoints and the WAL writer are in it, and so is the harness's own cheap polling."""

import os
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid):
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2:].split()
    return int(fields[1]), sum(map(int, fields[11:15]))  # parent; own ticks and those of children that ended


def tree_cpu_s(root):
    """CPU seconds of a process and all below it."""
    stats, children = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stats[int(entry)] = _stat(entry)
            except (FileNotFoundError, ProcessLookupError):
                pass
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        total += stats.get(pid, (0, 0))[1]
        todo += children.get(pid, [])
    return total / TICKS


def busy_cpu_s():
    """Of the whole machine, what other virtual machines took of it included."""
    with open("/proc/stat", encoding="ascii") as f:
        fields = [int(field) for field in f.readline().split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6, 7)) / TICKS


def memory_mb(pid, what="VmRSS"):
    """VmRSS: now; VmHWM: the most it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


class Meter:
    """Runs from construction to stop()."""

    def __init__(self, server, database, workers=(), beside=()):
        self.server, self.database, self.workers, self.beside = server, database, list(workers), beside
        self._wal = database.wal_position()
        self._at = time.monotonic()
        self._before = self._read()
        for process in [*self.workers, *self.beside]:
            self._before[process.pid] = tree_cpu_s(process.pid)

    def add(self, worker):
        """A worker that was started after the meter: all its CPU counts."""
        self.workers.append(worker)
        self._before[worker.pid] = 0.0

    def _spent(self, processes):
        return sum(tree_cpu_s(process.pid) - self._before[process.pid] for process in processes)

    def _read(self):
        return {"pg": tree_cpu_s(self.server.pid), "busy": busy_cpu_s(), "harness": sum(os.times()[:4])}

    def stop(self):
        now, seconds = self._read(), time.monotonic() - self._at
        pg = now["pg"] - self._before["pg"]
        workers, beside = self._spent(self.workers), self._spent(self.beside)
        ours = pg + workers + beside + now["harness"] - self._before["harness"]
        return {
            "seconds": seconds,
            "pg_cpu_s": pg,
            "worker_cpu_s": workers,
            "beside_cpu_s": beside,
            "wal_bytes": self.database.wal_position() - self._wal,
            # Cores that others used meanwhile, on this machine or beside it: what disturbed the run.
            "foreign_cores": max(0.0, (now["busy"] - self._before["busy"] - ours) / seconds),
        }


def wait_quiet(server, patience_s, cores=0.15):
    """Waits until others use less than so many cores for two seconds running, or until patience ends."""
    end, calm = time.monotonic() + patience_s, 0
    while calm < 2 and time.monotonic() < end:
        busy, pg = busy_cpu_s(), tree_cpu_s(server.pid)
        time.sleep(1)
        foreign = busy_cpu_s() - busy - (tree_cpu_s(server.pid) - pg)
        calm = calm + 1 if foreign < cores else 0
