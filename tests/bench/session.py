"""One run of the benchmark: the server, the peers, the options, and what was measured so far."""

import json
import os
import platform
import statistics
import sys
import time

from bench import meter
from bench.peer_errand import Errand
from bench.peer_graphile import Graphile
from bench.peer_pgboss import PgBoss
from bench.server import SETTINGS, Server
from bench.tools import Missing, bench_dir, node, npm_dir

DISTURBED_CORES = 0.3
PEERS = [Errand, Graphile, PgBoss]


def note(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Bench:
    """Usable as a context manager, which starts and stops the server."""

    def __init__(self, options):
        self.quick, self.reps, self.quiet_s = options.quick, options.reps, options.quiet
        self.server = Server(options.pgbin)
        try:
            self.peers = self._find_peers(options.peer)
        except BaseException:
            self.server.__exit__()
            raise
        self.results = []

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.server.__exit__(*problem)

    @staticmethod
    def _find_peers(names):
        wanted = [peer for peer in PEERS if not names or peer.name in names]
        try:
            if any(peer is not Errand for peer in wanted):
                npm_dir()
                node()
        except Missing as missing:
            note(f"without the Node peers: {missing}")
            wanted = [peer for peer in wanted if peer is Errand]
        return [peer() for peer in wanted]

    def has(self, name):
        return any(peer.name == name for peer in self.peers)

    def peer(self, name):
        return next(peer for peer in self.peers if peer.name == name)

    def size(self, whole, quick):
        return quick if self.quick else whole

    def database(self, peer):
        """A fresh one in which the peer is set up."""
        database = self.server.fresh_database(f"bench_{peer.name.replace('-', '_')}")
        peer.set_up(database)
        return database

    def calmly(self, measure, *arguments, **options):
        """What measure returns; where others disturbed it, it is done again, and the least disturbed counts."""
        tries = []
        for _ in range(self.size(3, 1)):
            tries.append(measure(self, *arguments, **options))
            if tries[-1]["foreign_cores"] < DISTURBED_CORES:
                break
        return min(tries, key=lambda figures: figures["foreign_cores"])

    def wait_quiet(self):
        meter.wait_quiet(self.server, self.quiet_s)

    def add(self, workload, column, variant="", **figures):
        """One result: a column of a workload's table, and which variant of it (a line in the table)."""
        self.results.append({"workload": workload, "column": column, "variant": variant, **figures})
        told = ", ".join(f"{name} {value:.4g}" for name, value in figures.items() if isinstance(value, (int, float)))
        note(f"{workload} {variant} {column}: {told}")

    def median(self, workload, column, variant, figure):
        values = [result[figure] for result in self.results
                  if (result["workload"], result["column"], result["variant"]) == (workload, column, variant)
                  and result.get(figure) is not None]
        return statistics.median(values) if values else None

    def keep(self):
        """Writes everything to a file of the cache directory; returns its path."""
        directory = bench_dir() / "results"
        directory.mkdir(exist_ok=True)
        path = directory / time.strftime("%Y%m%d-%H%M%S.json")
        path.write_text(json.dumps(self.record(), indent=1) + "\n", encoding="utf-8")
        return path

    def record(self):
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": {"cores": os.cpu_count(), "system": platform.platform()},
            "postgresql": self.server.version,
            "settings": SETTINGS,
            "quick": self.quick,
            "peers": {peer.name: {"version": peer.version, "config": peer.config} for peer in self.peers},
            "results": self.results,
        }
