"""A short turn of tests/soak/webhook_killed: events that were answered 200 are there, whenever the runner is killed."""

import re

from support.soak import run_soak


def test_nothing_answered_is_lost():
    status, out = run_soak("webhook_killed", "--kills", "12")
    assert status == 0, out
    assert re.search(r"12 kills, \d+ sent, [1-9]\d* answered 200, .*: ok$", out), out


def test_what_is_lost_is_found():
    status, out = run_soak("webhook_killed", "--kills", "2", "--break")
    assert status == 1, out
    assert "events were answered 200 and are not stored" in out and out.endswith("FAILED"), out
