"""Prometheus' text format, version 0.0.4: a parser that takes nothing else, and promtool's opinion where it is installed."""

import re
import shutil
import subprocess

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
HELP = re.compile(rf"# HELP ({NAME}) (.+)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE = re.compile(rf"({NAME})(?:\{{(.+)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Exposition:
    def __init__(self, text):
        self.text, self.types, self.samples = text, {}, {}
        assert text.endswith("\n")
        lines = iter(text[:-1].split("\n"))
        family = None
        for line in lines:
            if line.startswith("#"):
                family = self.begin(line, next(lines))
            else:
                self.take(family, line)
        self.check_histograms()

    def begin(self, help, type):
        name, type_of = HELP.fullmatch(help), TYPE.fullmatch(type)
        assert name and type_of and name[1] == type_of[1], (help, type)
        assert name[1] not in self.types, f"{name[1]} begins twice"
        assert (type_of[2] == "counter") == name[1].endswith("_total"), f"{name[1]} is a {type_of[2]}"
        self.types[name[1]] = type_of[2]
        return name[1]

    def take(self, family, line):
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        assert name in {family + suffix for suffix in SUFFIXES[self.types[family]]}, f"{line} stands in the family {family}"
        pairs = LABEL.findall(labels or "")
        assert "".join(f'{key}="{text}"{end}' for key, text, end in pairs) == (labels or ""), line
        assert len({key for key, _, _ in pairs}) == len(pairs), line
        series = name, frozenset((key, text) for key, text, _ in pairs)
        assert series not in self.samples, f"{line} stands there twice"
        self.samples[series] = float(value)

    def check_histograms(self):
        for (name, labels), count in self.samples.items():
            family = name.removesuffix("_count")
            if self.types.get(family) != "histogram":
                continue
            buckets = sorted((float(dict(of)["le"]), value) for (bucket, of), value in self.samples.items()
                             if bucket == f"{family}_bucket" and of - {("le", dict(of)["le"])} == labels)
            assert buckets[-1] == (float("inf"), count), (name, labels)
            values = [value for _, value in buckets]
            assert values == sorted(values) and len(values) > 5, (name, labels)
            assert (f"{family}_sum", labels) in self.samples

    def get(self, name, **labels):
        """None: there is no such sample."""
        return self.samples.get((name, frozenset(labels.items())))

    def having(self, name, **labels):
        """All samples of the name that have these labels among theirs: {labels: value}."""
        return {of: value for (at, of), value in self.samples.items() if at == name and of >= set(labels.items())}


def promtool(*args, input=None):
    """What it says against it; None where it is not installed (on Debian and Ubuntu: the package prometheus)."""
    if not shutil.which("promtool"):
        return None
    done = subprocess.run(["promtool", *args], input=input, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
