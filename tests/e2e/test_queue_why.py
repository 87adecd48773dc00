"""`errand why` gives the true reason, for each that there is."""

import re
from datetime import timedelta

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask


@pytest.fixture
def queue():
    with QueueDatabase(shared_cluster(vector=False)) as database, Errand(database.dsn) as errand:
        database.errand = errand
        database.why = lambda id: errand.run("why", str(id)).stdout.strip()
        yield database


def test_without_a_runner(queue):
    assert queue.why(queue.enqueue()) == "No runner serves queue default: start one with errand run."
    why = queue.why(queue.enqueue(after=3600))
    assert why.startswith("It is due at 20") and "(in 00:59:" in why
    assert queue.why(999).startswith("There is no job 999")


def test_with_a_runner(queue):
    queue.errand.start(env={"ERRAND_CONCURRENCY": "1", "ERRAND_NAME": "ada"}).wait_ready()
    assert queue.why(queue.enqueue("nobody.knows")) == "No runner here knows kind nobody.knows."

    failed = queue.enqueue(args={"outcome": "retry", "text": "no luck.", "delay_ms": 60000})
    queue.wait_state(failed, "scheduled")
    assert queue.why(failed).endswith("because attempt 1 of 20 failed: no luck.")

    done = queue.enqueue()
    queue.wait_state(done, "done")
    assert queue.why(done).startswith("It is done since 20")
    dead = queue.enqueue(args={"outcome": "fail", "text": "never"})
    queue.wait_state(dead, "dead")
    assert queue.why(dead).startswith("It is dead since 20") and queue.why(dead).endswith(": never.")

    running = queue.enqueue("probe.claim", {"sleep_ms": 60000})
    queue.wait_state(running, "running")
    assert queue.why(running).startswith("It is running on ada since 20")
    queue.wait("select running = 1 from errand.runner")  # told with the next beat
    waiting = queue.enqueue()
    assert queue.why(waiting) == "All 1 slots of runner ada are taken."
    queue.sql("select errand.queue_pause('default', 'spring cleaning')")
    assert queue.why(waiting) == "Queue default is paused until somebody resumes it: spring cleaning."
    queue.sql("select errand.queue_resume('default')")
    assert queue.one("select errand.cancel(%s)", running) == "requested"
    queue.wait_state(waiting, "done")


def test_rate_of_a_key(queue):
    """What is said of the next start is what happens then."""
    queue.sql("select errand.queue_limit('default', key_rate => 0.2, key_burst => 2)")
    queue.errand.start(env={"ERRAND_NAME": "ada"}).wait_ready()
    ids = [queue.one("select errand.enqueue('probe.run', key => 'k \"é\"', on_conflict => 'allow')") for _ in range(4)]
    for id in ids[:2]:
        queue.wait_state(id, "done")
    queue.wait("""select state #> '{default,keys,held}' ? 'k "é"' from errand.runner""")
    rate = 'the rate of key k "é" in queue default (0.2 starts a second, 2 at once)'
    third, fourth = (re.fullmatch(f"It is held back by {re.escape(rate)}, which lets the next one start at (20[-0-9]+ [:0-9]+ UTC)"
                                  r"( \(in [:0-9]+\))?(, and one job of that key goes before it)?\.", queue.why(id)) for id in ids[2:])
    assert not third[3] and fourth[3] and third[1] == fourth[1]
    told = queue.one("""select to_timestamp((state #>> '{default,keys,held,"k \\"é\\""}')::float8 / 1000000) from errand.runner""")
    assert third[1] == queue.one("select to_char(%s::timestamptz at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'", told)
    queue.wait_state(ids[2], "done")
    started = queue.one("select started_at from errand.history where id = %s", ids[2])
    assert timedelta(milliseconds=-1) <= started - told < timedelta(seconds=5), "with that token, and no later one"


def test_rate_of_more_keys_than_are_told(queue):
    """Of those that are left out it is said by when they start."""
    queue.sql("select errand.queue_limit('default', key_rate => 0.01)")
    queue.errand.start(env={"ERRAND_NAME": "ada"}).wait_ready()
    queue.sql("select count(*) from errand.enqueue_many('probe.run', array_fill('{}'::jsonb, array[200]),"
              " keys => array(select 'k' || n % 100 from generate_series(1, 200) n), on_conflict => 'allow')")
    queue.wait("select count(*) = 100 from errand.history")
    queue.wait("select (state #> '{default,keys,at}')::bigint > %s from errand.runner",
               queue.one("select (extract(epoch from clock_timestamp()) * 1000000)::bigint"))
    assert queue.one("select min(value::bigint) >= (state #>> '{default,keys,until}')::bigint from errand.runner,"
                     " jsonb_each_text(state #> '{default,keys,held}') group by state")
    told = [why for (why,) in ask(queue.connection, "select errand.why(id) from errand.job")]
    assert sum(why.startswith("It is held back by the rate of key k") for why in told) == 64
    others = [why for why in told if why.startswith("It is due since 20")]
    assert len(others) == 36
    for why in others:
        assert re.search(r", and the rate of key k\d+ in queue default \(0.01 starts a second, 1 at once\) lets the next one start by 20.* at the "
                         r"latest: more keys are held back than runner ada tells of\.$", why), why


def test_after_a_crash(queue):
    runner = queue.errand.start(env={"ERRAND_NAME": "ada"})
    runner.wait_ready()
    running = queue.enqueue("probe.claim", {"sleep_ms": 60000})
    queue.wait_state(running, "running")
    runner.kill()
    lane = queue.one("select lane from errand.job")
    assert queue.why(running) == ("Runner ada, which ran it, is gone; attempt 1 of 20 counts as failed, "
                                  f"and the next owner of lane {lane} goes on.")
