"""The ledger of the probe (jobs/probe/ledger.h), read: every run of a handler, as the handler itself told it, outside the
database. What is judged here needs no answer of errand's.

Times are microseconds of the monotonic clock. A run without an end ended with its process: Fleet knows when that was."""

import bisect
import collections

# What the effects of the probe are written to (jobs/probe/queries.sql).
EFFECT_TABLE = "create table public.probe_effect (job bigint not null, attempt integer not null, pid integer not null)"
# And those of its steps, in their order.
STEP_TABLE = "create table public.probe_step (n serial, job bigint not null, attempt integer not null, name text not null)"


class Run:
    """One run of a handler. end_us: when it ended, or at the latest was no longer running; outcome None: it never said."""
    __slots__ = ("job", "pid", "attempt", "kind", "label", "start_us", "end_us", "outcome", "cut")

    def __init__(self, job, pid, attempt, kind, label, start_us):
        self.job, self.pid, self.attempt, self.kind, self.label, self.start_us = job, pid, attempt, kind, label, start_us
        self.end_us = self.outcome = None
        self.cut = False  # by the end or a stop of its process

    def __repr__(self):
        end = "" if self.end_us is None else f" to {self.end_us / 1e6:.6f}"
        return f"job {self.job} attempt {self.attempt} in {self.pid}: {self.start_us / 1e6:.6f}{end} {self.outcome or 'cut off'}"


class Ledger:
    """The file and its runs. env: what the runners need to write to it."""

    def __init__(self, directory):
        self.path = directory / "ledger"
        self.path.touch()
        self.env = {"ERRAND_PROBE_LEDGER": str(self.path)}

    def read(self, lives=()):
        """All runs in the order of their starts. lives: (pid, born_us, ended_us, stops) of the processes; those
        still there have ended_us None. A run that its process was stopped (SIGSTOP) in is cut where that began: what
        it may do afterwards is for the soak `frozen` to judge."""
        runs, open_runs = [], {}
        with open(self.path, encoding="ascii") as lines:
            for line in lines:
                part = line.split()
                key = part[1], part[2]
                if part[0] == "start":
                    run = Run(int(part[2]), int(part[1]), int(part[3]), part[4], part[7], int(part[5]))
                    runs.append(run)
                    open_runs[key] = run
                else:
                    run = open_runs.pop(key)
                    run.end_us, run.outcome = int(part[5]), part[4]
        Lives(lives).cut(runs)
        runs.sort(key=lambda run: run.start_us)
        return runs


class Lives:
    """When the processes lived, so that the end of a run that did not tell it is known."""

    def __init__(self, lives):
        self.of = collections.defaultdict(list)
        for pid, born_us, ended_us, stops in lives:
            self.of[pid].append((born_us, ended_us, stops))
        for life in self.of.values():
            life.sort(key=lambda life: life[0])

    def cut(self, runs):
        for run in runs:
            lives = self.of.get(run.pid)
            if not lives:
                continue
            _, ended_us, stops = lives[max(0, bisect.bisect([life[0] for life in lives], run.start_us) - 1)]
            for stopped_us in stops:
                if run.start_us <= stopped_us and (run.end_us is None or run.end_us > stopped_us):
                    run.end_us, run.cut = stopped_us, True
                    break
            if run.end_us is None and ended_us is not None:
                run.end_us, run.cut = max(ended_us, run.start_us), True


def overlaps(runs):
    """Pairs of runs of which the second begins before the first ends; runs: in the order of their starts."""
    found, last = [], None
    for run in runs:
        if last and (last.end_us is None or run.start_us < last.end_us):
            found.append((last, run))
        if not last or last.end_us is not None and (run.end_us is None or run.end_us > last.end_us):
            last = run
    return found


def grouped(runs, key):
    """{key(run): runs}, each in the order of their starts."""
    groups = collections.defaultdict(list)
    for run in runs:
        groups[key(run)].append(run)
    return groups


def most_at_once(runs):
    """The largest number of runs at one moment."""
    moments = sorted([(run.start_us, 1) for run in runs]
                     + [(run.end_us, -1) for run in runs if run.end_us is not None], key=lambda m: (m[0], m[1]))
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def window_past_rate(times_us, per_second):
    """The window in which the rate is passed most: by how many starts (starts in it - rate x its length), and its part of
    the times, (from, to). times_us: in order."""
    worst, window, level, first = 0.0, (0, 0), 0.0, 0
    for n, at in enumerate(times_us):
        if n:
            level -= (at - times_us[n - 1]) / 1e6 * per_second
        if level <= 0:
            level, first = 0.0, n
        level += 1
        if level > worst:
            worst, window = level, (first, n + 1)
    return worst, window


def most_past_rate(times_us, per_second):
    """By how many starts the rate is passed at most in any window."""
    return window_past_rate(sorted(times_us), per_second)[0]
