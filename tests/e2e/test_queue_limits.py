"""The limits of a queue, of a kind and of a key are exact, over all runners, and are set while jobs run. What counts is the
probe's ledger: when each handler really ran."""

import json
import signal
import time

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import Ledger, grouped, most_at_once, most_past_rate, overlaps
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, until

ENQUEUE = """
select errand.enqueue_many(%(kind)s,
    array(select %(args)s::jsonb || jsonb_build_object('label', 'k' || n %% %(keys)s) from generate_series(0, %(count)s - 1) n),
    keys => case when %(keyed)s then array(select 'k' || n %% %(keys)s from generate_series(0, %(count)s - 1) n) end,
    queue => %(queue)s, on_conflict => case when %(keyed)s then 'allow' else 'keep' end)
"""


class LimitedQueue(QueueDatabase):
    """A database, a ledger and runners that write to it."""

    def __init__(self):
        super().__init__(shared_cluster(vector=False))
        self.ledger = Ledger(make_tempdir("limits"))
        self.errand = Errand(self.dsn, ERRAND_LEASE_TTL_MS="2000", **self.ledger.env)

    def __exit__(self, kind, *rest):
        self.errand.close(check=kind is None)
        super().__exit__(kind, *rest)

    def limit(self, queue="default", **limits):
        given = ", ".join(f"{limit} => %s" for limit in limits)
        self.sql(f"select errand.queue_limit(%s, {given})", queue, *limits.values())

    def add(self, count, kind="probe.run", keys=0, sleep_ms=20, queue="default", **args):
        """So many jobs; with keys: k0, k1, ... in turn, which stand as label in the ledger. Returns the ids."""
        found = self.ask_named(ENQUEUE, kind=kind, args=json.dumps({"sleep_ms": sleep_ms, **args}), keys=max(keys, 1), keyed=keys > 0, count=count, queue=queue)
        return [row[0] for row in found]

    def ask_named(self, text, **params):
        with self.connection.cursor() as cursor:
            cursor.execute(text, params)
            return cursor.fetchall()

    def start(self, count=1, **env):
        runners = [self.errand.start(env={"ERRAND_NAME": f"runner{n}", **env}) for n in range(count)]
        for runner in runners:
            runner.wait_ready()
        return runners

    def runs(self):
        return self.ledger.read()


@pytest.fixture
def queue():
    with LimitedQueue() as queue:
        yield queue


# ---- How many at once ----

def test_concurrency_of_a_queue(queue):
    queue.limit(concurrency=3)
    ids = queue.add(90)
    queue.start(2)
    queue.wait_empty()
    queue.check_history(ids)
    assert most_at_once(queue.runs()) == 3


def test_concurrency_is_set_and_lifted_while_jobs_run(queue):
    queue.start(2)
    queue.add(30, sleep_ms=300)
    until(lambda: most_at_once(queue.runs()) > 10, "never many at once")
    queue.limit(concurrency=2)
    queue.wait("select count(distinct owner) = 1 from errand.lane where queue = 'default'", timeout=10)
    queue.wait_empty()
    before = len(queue.runs())
    queue.add(20)
    queue.wait_empty()
    assert most_at_once(queue.runs()[before:]) == 2
    queue.limit(concurrency=0)
    before = len(queue.runs())
    queue.add(40, sleep_ms=200)
    queue.wait_empty()
    assert most_at_once(queue.runs()[before:]) > 4
    # Without the limit the lanes are shared again.
    queue.wait("select count(distinct owner) = 2 from errand.lane where queue = 'default'", timeout=10)


def test_concurrency_of_a_kind(queue):
    queue.sql("select errand.kind_limit('probe.claim', 2)")
    ids = queue.add(40, kind="probe.claim", sleep_ms=30) + queue.add(40, sleep_ms=30)
    queue.start(2)
    queue.wait_empty()
    queue.check_history(ids)
    runs = grouped(queue.runs(), lambda run: run.kind)
    assert most_at_once(runs["probe.claim"]) == 2
    assert most_at_once(runs["probe.run"]) > 4


def test_limited_kind_stays_in_its_queue(queue):
    queue.sql("select errand.queue_create('other', 1)")
    queue.start()
    queue.sql("select errand.kind_limit('probe.claim', 1)")
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState, match='kind "probe.claim" has a concurrency limit'):
        queue.add(1, kind="probe.claim", queue="other")
    queue.sql("select errand.kind_limit('probe.claim', 0)")
    queue.wait_ended(queue.add(1, kind="probe.claim", queue="other")[0])


def test_many_of_a_limited_kind_do_not_stand_in_the_way(queue):
    """More than are kept in memory, ahead of the others in every lane."""
    queue.sql("select errand.kind_limit('probe.claim', 1)")
    first = queue.add(3000, kind="probe.claim", sleep_ms=0)
    others = queue.add(100)
    queue.start()
    for id in others:
        queue.wait_ended(id, timeout=5)
    assert queue.one("select count(*) from errand.job") > 1000
    queue.wait_empty(timeout=60)
    queue.check_history(first + others)
    assert most_at_once([run for run in queue.runs() if run.kind == "probe.claim"]) == 1


def test_paused_kind(queue):
    queue.start()
    queue.sql("select errand.kind_pause('probe.claim', 'for a while')")
    paused = queue.add(600, kind="probe.claim", sleep_ms=0)
    queue.wait_ended(queue.add(1)[0], timeout=5)
    assert queue.one("select count(*) from errand.job") == 600
    queue.sql("select errand.kind_resume('probe.claim')")
    queue.wait_empty()
    assert {run.job for run in queue.runs()} >= set(paused)
    # By itself at its time.
    until_at = queue.one("select clock_timestamp() + interval '2 seconds'")
    queue.sql("select errand.kind_pause('probe.claim', 'not long', %s)", until_at)
    job = queue.wait_ended(queue.enqueue("probe.claim", after=0.3), timeout=5)
    assert (job.started_at - until_at).total_seconds() > -0.02  # a runner knows the clock from answers


# ---- Keys ----

def test_concurrency_of_keys(queue):
    queue.limit(key_concurrency=2)
    ids = queue.add(200, keys=10, sleep_ms=10)
    queue.start(2)
    queue.wait_empty()
    queue.check_history(ids)
    keys = grouped(queue.runs(), lambda run: run.label)
    assert len(keys) == 10
    assert {most_at_once(runs) for runs in keys.values()} == {2}


def test_one_key_with_many_jobs_does_not_stand_in_the_way(queue):
    queue.limit(key_concurrency=1)
    hot = queue.add(1500, keys=1, sleep_ms=0)
    others = [queue.enqueue(key=f"other{n}", on_conflict="allow") for n in range(50)]
    queue.start()
    for id in others:
        queue.wait_ended(id, timeout=5)
    queue.wait_empty(timeout=60)
    queue.check_history(hot + others)
    assert not overlaps([run for run in queue.runs() if run.label == "k0"])


def test_order_of_keys(queue):
    """As they were enqueued, whatever fails in between, and over a change of runners."""
    queue.limit(key_ordered=True)
    ids = []
    for _ in range(10):
        ids += queue.add(40, keys=20, sleep_ms=5)
        ids += queue.add(20, keys=20, sleep_ms=5, outcome="retry", times=1, delay_ms=50)
    first, second = queue.start(2)
    queue.wait("select count(*) > 100 from errand.history")
    first.kill()
    third, = queue.start()
    queue.wait("select count(*) > 300 from errand.history")
    assert second.terminate() == 0
    queue.wait_empty()
    queue.check_history(ids)
    runs = [run for run in queue.runs() if run.outcome == "done"]
    for key, done in grouped(runs, lambda run: run.label).items():
        order = list(dict.fromkeys(run.job for run in done))
        assert order == sorted(order), key
    lives = [run for run in queue.runs() if run.outcome]
    for key, runs in grouped(lives, lambda run: run.label).items():
        assert not overlaps(runs), key
    assert third.running


def test_order_of_keys_with_more_jobs_than_are_kept_in_memory(queue):
    queue.limit(key_ordered=True)
    ids = queue.add(3000, keys=3, sleep_ms=0)
    queue.start()
    queue.wait_empty(timeout=60)
    queue.check_history(ids)
    for runs in grouped(queue.runs(), lambda run: run.label).values():
        assert [run.job for run in runs] == sorted(run.job for run in runs)
        assert not overlaps(runs)


def test_order_waits_for_what_is_due_later(queue):
    queue.limit(key_ordered=True)
    queue.start()
    later = queue.enqueue(key="a", on_conflict="allow", after=1.5)
    behind, other = queue.enqueue(key="a", on_conflict="allow"), queue.enqueue(key="b", on_conflict="allow")
    queue.wait_ended(other, timeout=5)
    assert not queue.job(behind).finished_at
    job = queue.wait_ended(behind, timeout=10)
    assert job.started_at >= queue.job(later).finished_at
    # Called off, it holds nobody.
    later = queue.enqueue(key="a", on_conflict="allow", after=3600)
    behind = queue.enqueue(key="a", on_conflict="allow")
    queue.wait_ended(queue.enqueue(key="b", on_conflict="allow"), timeout=5)
    assert not queue.job(behind).finished_at
    assert queue.one("select errand.cancel(%s)", later) == "cancelled"
    queue.wait_ended(behind, timeout=3)


def test_hand_over_counts_what_still_runs(queue):
    """The old owner goes on with what it runs; until it has ended, the new one starts nothing beside it."""
    queue.limit(concurrency=1)
    first, = queue.start()
    long, = queue.add(1, sleep_ms=2500)
    queue.wait_state(long, "running")
    second, = queue.start()
    next_one, = queue.add(1)
    first.process.send_signal(signal.SIGTERM)
    second.wait_log("lanes acquired", timeout=5)
    queue.wait_ended(next_one, timeout=10)
    assert first.wait() == 0
    runs = queue.runs()
    assert [run.job for run in runs] == [long, next_one]
    assert len({run.pid for run in runs}) == 2
    assert not overlaps(runs)


# ---- Rates ----

def test_rate_of_a_queue(queue):
    """Over kills and hand-overs."""
    queue.limit(rate=50, burst=10)
    ids = queue.add(150, sleep_ms=0)
    first, second = queue.start(2)
    queue.wait("select count(*) > 40 from errand.history")
    owner = queue.one("select r.name from errand.lane l join errand.runner r on r.id = l.owner where queue = 'default' limit 1")
    (first if owner == "runner0" else second).kill()
    other = second if owner == "runner0" else first
    queue.wait("select count(*) > 80 from errand.history")
    queue.start()
    assert other.terminate() == 0
    queue.wait_empty()
    queue.check_history(ids)
    past = most_past_rate([run.start_us for run in queue.runs()], 50)
    assert 5 < past < 10.6, past


def test_rate_of_keys(queue):
    queue.limit(key_rate=20, key_burst=3)
    ids = queue.add(90, keys=3, sleep_ms=0)
    queue.start()
    queue.wait_empty()
    queue.check_history(ids)
    for runs in grouped(queue.runs(), lambda run: run.label).values():
        assert most_past_rate([run.start_us for run in runs], 20) < 3.6
        assert runs[-1].start_us - runs[0].start_us < 3e6


# ---- Cut off ----

def test_what_runs_is_cut_off_before_others_may_start(queue):
    """A runner that is stopped and wakes after its lane has moved does not go on with its handler."""
    queue.limit(concurrency=1)
    first, = queue.start()
    long, = queue.add(1, kind="probe.claim", sleep_ms=6000)
    queue.wait_state(long, "running")
    first.process.send_signal(signal.SIGSTOP)
    second, = queue.start()
    second.wait_log("lanes acquired.* taken_over=[1-9]", timeout=15)
    until(lambda: len(queue.runs()) == 2, "the second runner does not start it", timeout=10)
    first.process.send_signal(signal.SIGCONT)
    first.wait_log("cut off", timeout=5)
    queue.wait_empty(timeout=20)
    job = queue.job(long)
    assert (job.state, job.attempt) == ("done", 2)


def test_an_outage_cuts_off_only_where_numbers_count(queue):
    queue.sql("select errand.queue_create('free', 1)")
    queue.limit(concurrency=5)
    runner, = queue.start()
    counted, = queue.add(1, sleep_ms=4000)
    free, = queue.add(1, sleep_ms=4000, queue="free")
    for id in (counted, free):
        queue.wait_state(id, "running")
    queue.cluster.stop("immediate")
    runner.wait_log("cut off", timeout=5)
    queue.cluster.start()
    queue.reconnect()
    queue.wait_empty(timeout=30)
    jobs = grouped(queue.runs(), lambda run: run.job)
    assert len(jobs[free]) == 1
    assert len(jobs[counted]) == 2
    assert queue.job(counted).attempt == 1
