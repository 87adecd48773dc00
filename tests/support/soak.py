"""What the soaks of tests/soak share: their options, a server and a database of their own, and the verdict. And for the
tests that run a short one: run_soak."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import time

from support.cluster import Cluster
from support.errand import ROOT, Errand
from support.ledger import EFFECT_TABLE, Ledger
from support.tempdir import make_tempdir
from support.wait import QueueDatabase

# A server as one is set up for use, not for tests.
CONF = {"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "max_connections": 200}


def soak_parser(doc):
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, help="of the random choices (default: another each time; printed)")
    parser.add_argument("--verbose", action="store_true", help="print every fault, not only the first ones")
    parser.add_argument("--no-fsync", action="store_true", help="a server that does not wait for its disk: for short runs")
    return parser


class Soak:
    """One run of a soak; usable as a context manager. Faults are told as they are found; finish() gives the status."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.seed = options.seed if options.seed is not None else random.randrange(1 << 30)
        self.random = random.Random(self.seed)
        self.faults = 0
        self.begun = time.monotonic()
        print(f"seed {self.seed}", flush=True)

    def __enter__(self):
        self.cluster = Cluster(vector=False, fsync=not self.options.no_fsync, extra_conf=CONF)
        try:
            self.db = QueueDatabase(self.cluster)
            self.db.sql(EFFECT_TABLE)
        except BaseException:
            self.cluster.destroy()
            raise
        self.dir = make_tempdir("soak")
        self.ledger = Ledger(self.dir)
        return self

    def __exit__(self, *_):
        self.db.connection.close()
        self.cluster.destroy()
        shutil.rmtree(self.dir, ignore_errors=True)

    def errand(self, dsn=None, **env):
        return Errand(dsn or self.db.dsn, **{**self.ledger.env, **env})

    @property
    def seconds(self):
        return time.monotonic() - self.begun

    def note(self, text):
        print(f"{self.seconds:6.1f} s: {text}", flush=True)

    def fault(self, text):
        self.faults += 1
        if self.options.verbose or self.faults <= 10:
            print("  fault: " + text, flush=True)

    def check(self, count, what, examples=()):
        """count things that must not be."""
        if count:
            self.fault(f"{count} {what}" + "".join(f"\n    {example}" for example in list(examples)[:5]))

    def column(self, text, *params):
        """The values of a query's one column, which may be many."""
        return [row[0] for row in self.db.sql(text, *params)]

    def finish(self, summary):
        print(f"{self.name}: {summary}: {'FAILED' if self.faults else 'ok'}", flush=True)
        return 1 if self.faults else 0


def run_soak(name, *args, timeout=300):
    """Runs tests/soak/NAME, short; returns its status and output."""
    done = subprocess.run([sys.executable, "-B", ROOT / "tests" / "soak" / name, "--no-fsync", "--seed", "1", *args],
                          capture_output=True, text=True, timeout=timeout, env=os.environ)
    assert not done.stderr, done.stdout + done.stderr
    return done.returncode, done.stdout.strip()
