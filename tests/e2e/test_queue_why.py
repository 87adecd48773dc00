"""`errand why` gives the true reason, for each that there is."""

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase


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


def test_after_a_crash(queue):
    runner = queue.errand.start(env={"ERRAND_NAME": "ada"})
    runner.wait_ready()
    running = queue.enqueue("probe.claim", {"sleep_ms": 60000})
    queue.wait_state(running, "running")
    runner.kill()
    lane = queue.one("select lane from errand.job")
    assert queue.why(running) == ("Runner ada, which ran it, is gone; attempt 1 of 20 counts as failed, "
                                  f"and the next owner of lane {lane} goes on.")
