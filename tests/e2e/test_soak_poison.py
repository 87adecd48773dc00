"""A short turn of tests/soak/queue_poison: jobs that kill their runners end as dead letters, the others are done."""

import re

from support.soak import run_soak


def test_poison_ends_dead_and_the_rest_goes_on():
    status, out = run_soak("queue_poison", "--jobs", "2000", "--poison", "2", "--pace", "400")
    assert status == 0, out
    assert re.search(r"2 poison jobs killed [4-8] runners .* 2000 other jobs done, .*: ok$", out), out


def test_jobs_that_do_no_harm_are_found():
    status, out = run_soak("queue_poison", "--jobs", "500", "--poison", "2", "--pace", "500", "--break")
    assert status == 1, out
    assert "is not dead after 3 attempts" in out, out
