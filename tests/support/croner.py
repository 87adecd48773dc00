"""Random cron expressions, and their fire times by errand (build/*/cron_fires) and by the npm package croner, compared.

Where the two may differ is decided by the rules of docs/schedules.md, "Compared with croner", which stand here as code:
nothing else is let pass.
"""

import collections
import datetime
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

from support.errand import binary
from support.npm import Missing, npm_directory

VERSION = "11.0.1"
NODE_LEAST = 18
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran",
         "Pacific/Apia"]
ZONES_EACH, FIRES = 5, 20
FIRST_S, LAST_S, END_S = (int(datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc).timestamp())
                          for year in (2005, 2036, 2300))
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
WEEKDAYS = "SUN MON TUE WED THU FRI SAT".split()
SCRIPT = Path(__file__).resolve().parents[1] / "cron" / "croner.mjs"


# ---- Random expressions ----

class Generator:
    """Expressions of all forms that both know, and ranges that pass the end of their field, which for_croner writes out."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def number(self, least, most, names=None):
        value = self.random.randint(least, most)
        return names[value - least] if names and self.random.random() < 0.4 else str(value)

    def item(self, least, most, names=None):
        r = self.random
        form = r.choice(("one", "one", "one", "range", "range step", "star step", "from step"))
        if form == "one":
            return self.number(least, most, names)
        step = r.randint(1, most - least + 1) if r.random() < 0.3 else r.choice((2, 3, 4, 5))
        if form == "star step":
            return f"*/{step}"
        if form == "from step":
            return f"{r.randint(least, most)}/{step}"
        low, high = r.randint(least, most), r.randint(least, most)
        if r.random() < 0.8:
            low, high = sorted((low, high))
        if form == "range step":
            return f"{low}-{high}/{step}"
        return f"{names[low - least]}-{names[high - least]}" if names and r.random() < 0.4 else f"{low}-{high}"

    def field(self, least, most, star, names=None):
        if self.random.random() < star:
            return "*"
        count = self.random.choice((1, 1, 1, 1, 2, 3))
        return ",".join(self.item(least, most, names) for _ in range(count))

    def month_day(self):
        r = self.random
        special = r.random()
        if special < 0.06:
            return "L"
        if special < 0.10:
            return "LW"
        if special < 0.18:
            return f"{r.randint(1, 31)}W"
        if special < 0.22:
            return f"{r.randint(1, 28)},L"
        return "?" if special < 0.25 else self.field(1, 31, 0.5)

    def weekday(self):
        r = self.random
        special = r.random()
        if special < 0.05:
            return f"{r.choice(WEEKDAYS + list('01234567'))}#{r.randint(1, 5)}"
        if special < 0.10:
            return f"{r.randint(0, 6)}L"
        if special < 0.13:
            return f"{r.randint(0, 6)}#{r.randint(1, 4)},{r.randint(0, 6)}"
        if special < 0.16:
            return r.choice(("1-5", "MON-FRI", "6-7", "SAT-SUN", "FRI-SUN", "0,7", "?"))
        return self.field(0, 6, 0.6, WEEKDAYS)

    def expression(self):
        r = self.random
        night = r.random() < 0.4  # the hours in which clocks are changed
        hour = self.field(0, 4, 0.1) if night else self.field(0, 23, 0.4)
        days = [self.month_day(), self.field(1, 12, 0.7, MONTHS), self.weekday()] if r.random() < 0.7 else ["*"] * 3
        fields = [self.field(0, 59, 0.2), hour, *days]
        if r.random() < 0.15:
            fields.insert(0, self.field(0, 59, 0.2))
        return " ".join(fields)

    def start(self, changes):
        """Any moment of the years, or one in the days before a change of the zone's clock."""
        r = self.random
        if changes and r.random() < 0.6:
            return r.choice(changes) - r.randint(0, r.choice((3600, 86400, 3 * 86400)))
        return r.randint(FIRST_S, LAST_S)


# ---- Zones ----

class Zone:
    def __init__(self, name, spans):
        self.name, self.spans = name, spans  # spans: (from, offset)
        self.changes = [at for at, _ in spans[1:] if at < LAST_S]
        # Changes that skip time past a midnight: see rule "date".
        self.skip_dates = {at for (_, before), (at, after) in zip(spans, spans[1:])
                           if after > before and (at + before) // 86400 != (at + after) // 86400}
        self.agreed_until = END_S


def fires_program():
    return [str(binary().parent / "cron_fires")]


def zones_read(node):
    lines = run([*fires_program(), "spans"], [f"{FIRST_S - 86400 * 400}\t{END_S}\t{name}" for name in ZONES])
    zones = [Zone(name, [tuple(map(int, span.split(":"))) for span in line.split()]) for name, line in zip(ZONES, lines)]
    asked = [f"{zone.name}\t{' '.join(f'{at}:{offset}' for at, offset in zone.spans)}" for zone in zones]
    for zone, line in zip(zones, run([*node, "offsets"], asked)):
        if line != "same":
            zone.agreed_until = int(line) - 86400
    return zones


# ---- Both sides ----

def croner():
    """The command of croner's side; Missing says why there is none."""
    if not shutil.which("node"):
        raise Missing("node is not installed (on Debian and Ubuntu: the package nodejs)")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(re.match(r"v?(\d*)", version)[1] or 0) < NODE_LEAST:
        raise Missing(f"croner needs Node {NODE_LEAST}, this is {version}")
    directory = npm_directory("croner", {"croner": VERSION})
    shutil.copy(SCRIPT, directory)
    return ["node", str(directory / SCRIPT.name)]


def run(command, lines):
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True,
                          env={**os.environ, "TZ": "UTC"})
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    answers = done.stdout.splitlines()
    assert len(answers) == len(lines), f"{len(answers)} answers to {len(lines)} lines"
    return answers


FIELDS = [(0, 60, ()), (0, 60, ()), (0, 24, ()), (1, 31, ()), (1, 12, MONTHS), (0, 7, WEEKDAYS)]
RANGE = re.compile(r"(\w+)-(\w+)(?:/(\d+))?$")


def unwrap(item, least, size, names):
    """A range that passes the end of its field, or begins and ends with the same name, value by value."""
    match = RANGE.match(item)
    if not match or match[1].upper() == "L":
        return item
    first, last = (least + names.index(text) if text in names else int(text) for text in match.group(1, 2))
    if first < last or (first == last and match[1] not in names):
        return item
    values = range(first, last + 1 + (size if first > last else 0), int(match[3] or 1))
    numbers = [str(least + (value - least) % size) for value in values]
    return ",".join(f"{number}-{number}/1" if match[3] else number for number in numbers)  # a step stays a step


def for_croner(expression):
    """Rule "wrap": croner refuses 22-2, and reads SUN-SUN as the whole week."""
    fields = expression.split()
    return " ".join(",".join(unwrap(item, *kind) for item in field.split(","))
                    for field, kind in zip(fields, FIELDS[-len(fields):]))


def times(answer):
    return None if answer.startswith("error") else [int(at) for at in answer.split()]


def compare(zone, ours, theirs, used):
    """None, or what differs without a rule that allows it. used counts the rules that were needed."""
    if ours.startswith("error") and ours.endswith("has such a day"):
        ours = ""  # rule "never": croner accepts what never fires
        used["never"] += 1
    ours, theirs = times(ours), times(theirs)
    if ours is None or theirs is None:
        return "one of them refuses it"
    full = len(ours) == FIRES, len(theirs) == FIRES

    def kept(fires):
        return [at for at in fires
                if at < END_S                      # rule "end": nothing from 2300 on
                and at not in zone.skip_dates      # rule "date": a fixed time on a date that was skipped
                and at < zone.agreed_until]        # rule "tzdata": Node's own time zone data differ from here on
    used["end"] += sum(at >= END_S for at in theirs)
    used["date"] += sum(at in zone.skip_dates for at in ours)
    used["tzdata"] += sum(at >= zone.agreed_until for at in ours)
    one, other = kept(ours), kept(theirs)
    # Where 20 fires ended one list, the other may have one more that the rules kept.
    if full[0] and full[1]:
        shortest = min(len(one), len(other))
        one, other = one[:shortest], other[:shortest]
    if one != other:
        first = next(n for n in range(FIRES) if one[n:n + 1] != other[n:n + 1])
        return f"fire {first + 1}: errand {one[first:first + 1]}, croner {other[first:first + 1]}"
    return None


class Comparison:
    """All of it; faults are lines to print."""

    def __init__(self, expressions, seed, broken=False):
        self.faults, self.compared, self.fires, self.used = [], 0, 0, collections.Counter()
        self.generator = Generator(seed)
        self.node = croner()
        self.zones = zones_read(self.node)
        self.expressions, self.chunk = expressions, 500
        self.mode = ["broken"] if broken else []

    def run(self):
        done = 0
        while done < self.expressions:
            count = min(self.chunk, self.expressions - done)
            self.run_chunk(count)
            done += count
            yield done

    def run_chunk(self, count):
        cases = []
        for _ in range(count):
            expression = self.generator.expression()
            for zone in self.generator.random.sample(self.zones, ZONES_EACH):
                cases.append((zone, self.generator.start(zone.changes), expression))
        def line(case, text):
            return f"{case[1]}\t{FIRES}\t{case[0].name}\t{text}"
        ours = run(fires_program(), [line(case, case[2]) for case in cases])
        theirs = run([*self.node, *self.mode], [line(case, for_croner(case[2])) for case in cases])
        for case, one, other in zip(cases, ours, theirs):
            fault = compare(case[0], one, other, self.used)
            self.used["wrap"] += for_croner(case[2]) != case[2]
            self.compared += 1
            self.fires += len(times(one) or ())
            if fault:
                self.faults.append(f"{case[2]!r} in {case[0].name} after {case[1]}: {fault}")

    def agreed(self):
        """(name, the year until which the two know the same changes) of each zone."""
        return [(zone.name, datetime.datetime.fromtimestamp(zone.agreed_until, datetime.timezone.utc).year)
                for zone in self.zones]
