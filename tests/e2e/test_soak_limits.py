"""A short turn of tests/soak/queue_limits: limits hold while runners are killed, frozen and ended."""

import re

from support.soak import run_soak

SHORT = ("--jobs", "2000", "--keys", "200", "--seconds", "8", "--every", "1.3", "--lease-ms", "2000", "--runners", "3",
         "--least", "0.1", "--slack-ms", "10")


def test_limits_hold():
    status, out = run_soak("queue_limits", *SHORT)
    assert status == 0, out
    assert re.search(r"2000 ordered jobs, 2\d+ runs, 0 overlaps, 0 out of order; narrow 5 at once; .*; kind 3 at once: ok$",
                     out), out


def test_passed_limits_are_found():
    status, out = run_soak("queue_limits", *SHORT, "--break")
    assert status == 1, out
    for what in ("runs of a key overlap", "runs of a key out of order", "more at once of narrow", "the rate of rated",
                 "the rate of bursty", "more at once of kind"):
        assert what in out, out
