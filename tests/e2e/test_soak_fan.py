"""A short turn of tests/soak/queue_fan: no job starts before those that it waits for have ended."""

import re

from support.soak import run_soak


def test_children_after_their_parents():
    status, out = run_soak("queue_fan", "--jobs", "600", "--depth", "12", "--every", "0.8", "--together", "1")
    assert status == 0, out
    assert re.search(r"600 jobs with \d+ parents on 12 levels, [1-9]\d* killed, .*, 0 too early; .*: ok$", out), out


def test_early_children_are_found():
    status, out = run_soak("queue_fan", "--jobs", "200", "--depth", "10", "--break")
    assert status == 1, out
    assert "runs of parents end after their child has begun" in out, out
