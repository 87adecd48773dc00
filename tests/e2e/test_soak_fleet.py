"""A short turn of tests/soak/queue_fleet: runners are killed and replaced, and every job ends once."""

import re

from support.soak import run_soak


def test_every_job_once():
    status, out = run_soak("queue_fleet", "--jobs", "7500", "--pace", "1800", "--kill-every", "1.5", "--kills", "5")
    assert status == 0, out
    assert re.search(r"7500 jobs \([1-9]\d* more rolled back\), 4 runners, [2-5] kills, .* 7500 ended once, 0 lost,"
                     r" 0 effects twice; .*: ok$", out), out


def test_effects_before_the_completion_are_found():
    status, out = run_soak("queue_fleet", "--jobs", "4000", "--pace", "2000", "--kill-every", "0.7", "--kills", "4",
                           "--break", "before")
    assert status == 1, out
    assert re.search(r" 0 lost, [1-9]\d* effects twice; .*: FAILED$", out), out


def test_lost_jobs_are_found():
    status, out = run_soak("queue_fleet", "--jobs", "4000", "--pace", "2000", "--kill-every", "0.7", "--kills", "4",
                           "--break", "lose")
    assert status == 1, out
    assert re.search(r" [1-9]\d* lost, 0 effects twice; .*: FAILED$", out), out
