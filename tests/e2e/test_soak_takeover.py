"""A short turn of tests/soak/queue_takeover: the lanes of killed runners work again within their bound."""

import re

from support.soak import run_soak


def test_lanes_work_again():
    status, out = run_soak("queue_takeover", "--through", "direct", "--rounds", "2")
    assert status == 0, out
    assert re.search(r"direct: 2 losses, [4-8] lanes, .*: ok$", out), out


def test_late_takeover_is_found():
    status, out = run_soak("queue_takeover", "--through", "direct", "--rounds", "1", "--runners", "2", "--break")
    assert status == 1, out
    assert re.search(r"direct: 1 losses, [4-8] lanes, .*: FAILED$", out), out
