"""A short turn of tests/soak/queue_frozen: a stopped runner that wakes after its lanes moved changes nothing."""

import re

from support.soak import run_soak


def test_woken_runner_changes_nothing():
    status, out = run_soak("queue_frozen", "--rounds", "1", "--lease-ms", "2000", "--longest-ms", "1500")
    assert status == 0, out
    assert re.search(r"1 rounds, 170 jobs, [1-9]\d* handlers went on after their lanes had moved: ok$", out), out


def test_changes_are_found():
    status, out = run_soak("queue_frozen", "--rounds", "1", "--longest-ms", "1500", "--break")
    assert status == 1, out
    assert "rows were changed by a runner that woke" in out, out
    assert "effects come from a run that was frozen" in out, out
