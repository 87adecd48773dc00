"""Short turns of tests/soak/webhook_killed and webhook_outage: events that were answered 200 are there, whenever the runner is killed,
and however long the database is away."""

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


def test_an_outage_loses_nothing():
    status, out = run_soak("webhook_outage", "--down", "8", "--events", "400", "--kills", "3")
    assert status == 0, out
    assert re.search(r"8.0 s away, 3 kills, \d+ sent, [1-9]\d* answered 200, \d+ files, all done [\d.]+ s after the return: ok$", out), out


def test_what_an_outage_loses_is_found():
    status, out = run_soak("webhook_outage", "--down", "4", "--events", "100", "--kills", "0", "--break")
    assert status == 1, out
    assert "events were answered 200 and are not stored" in out and out.endswith("FAILED"), out
