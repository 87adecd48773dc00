"""Workers in Python, made of the one that the docs show."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs" / "writing-jobs.md"


def worker(handle, settings="", top=""):
    """A worker in Python: the docs' own loop around the lines of handle(job), which returns an answer without its id."""
    text = DOCS.read_text()
    [loop] = re.findall(r"```python\n(#!/usr/bin/python3\n# errand: jobs_at_once.*?)```", text, re.S)
    head, rest = loop.split("\n\n\ndef handle(job):\n")
    tail = rest.split("\n\n\n", 1)[1]
    lines = [line for line in head.splitlines() if not line.startswith("# errand:")]
    header = "".join(f"# errand: {setting}\n" for setting in settings.splitlines())
    return f"{lines[0]}\n{header}" + "\n".join(lines[1:]) + f"\n{top}\n\ndef handle(job):\n{handle}\n\n\n{tail}"
