"""Good events beside those that are in the way: connections that never finish their head, and wrong signatures as fast as they can be brought.

A short turn of what `./dev bench webhook` measures; here the bounds are those of a busy machine and a build with sanitizers.
"""

import json
import resource
import subprocess

import pytest

from bench.tools import helper
from support.cluster import free_port, shared_cluster
from support.errand import Errand
from support.hooks import KEY, SECRET
from support.wait import QueueDatabase

SLOW, BAD, RATE, SECONDS = 2000, 300, 50, 4


def send(port, mode, rate, seconds, connections, first):
    process = subprocess.Popen([helper("sender"), *map(str, (port, mode, rate, seconds, connections, KEY.hex(), 300, first))],
                               stdout=subprocess.PIPE, text=True)
    return lambda: json.loads(process.communicate(timeout=60)[0])


@pytest.mark.parametrize("connections", ["10000", "500"], ids=["room for all", "room for some"])
def test_good_ones_are_answered(connections):
    """With room for some only, those that send no head make room."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > SLOW + 500, "this machine allows too few open files"
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('none', 1)")
        with Errand(db.dsn, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_QUEUES="none", ERRAND_HTTP_CONNECTIONS=connections) as errand:
            port = free_port()
            runner = errand.start("--http-listen", f"127.0.0.1:{port}").wait_ready()
            ends = [send(port, "slow", 0, SECONDS + 2, SLOW, 0), send(port, "bad", 0, SECONDS, BAD, 10**6),
                    send(port, "good", RATE, SECONDS, 20, 2 * 10**6)]
            slow, bad, good = [end() for end in ends]
            assert good["statuses"] == {"200": RATE * SECONDS} and good["errors"] == 0, good
            assert good["p99_ms"] < 3000, good
            assert slow["sent"] >= SLOW and set(bad["statuses"]) == {"401"} and bad["statuses"]["401"] > 1000, (slow, bad)
            assert db.one("select count(*) from errand.webhook_event") == RATE * SECONDS
            assert db.one("select count(*) from errand.webhook_event where event_id::bigint < 2000000") == 0
            assert runner.terminate() == 0
