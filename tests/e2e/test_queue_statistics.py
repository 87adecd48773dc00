"""errand.statistic: what ended, per minute, without anybody counting rows; and what a runner tells of its queues."""

import signal
import time

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase, until


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('single', 1)")
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


def counted(db):
    """{(queue, kind, outcome): jobs}"""
    return {tuple(row[:3]): row[3] for row in db.sql(
        "select queue, kind, outcome, sum(jobs)::integer from errand.statistic group by queue, kind, outcome")}


def histograms(db, column, **where):
    text = " and ".join(f"{name} = %s" for name in where)
    return [row[0] for row in db.sql(f"""
        select sum(b.jobs)::integer from errand.statistic s, unnest(s.{column}) with ordinality b(jobs, n)
        where {text} group by b.n order by b.n""", *where.values())]


def check_rows(db):
    """Each in its minute, and with as many in its histograms as there were."""
    for row in db.sql("select *, (select sum(x) from unnest(waits) x) as in_waits, (select sum(x) from unnest(runs) x) as in_runs"
                      " from errand.statistic"):
        assert row.minute.second == 0 and row.minute.microsecond == 0
        assert (row.keep_until - row.minute.date()).days == 35
        assert len(row.waits) == len(row.runs) == 32
        assert row.in_waits == row.in_runs <= row.jobs
        assert row.wait_us >= 0 and row.run_us >= 0


def test_each_outcome_is_counted(db, errand):
    runner = errand.start().wait_ready()
    ids = [db.enqueue(args={}) for _ in range(5)] + [db.enqueue("probe.claim") for _ in range(3)]
    ids += [db.enqueue(queue="single") for _ in range(2)]
    ids += [db.enqueue(args={"outcome": outcome, "text": "no"}) for outcome in ("fail", "cancel", "unknown")]
    ids.append(db.enqueue(args={"outcome": "retry", "text": "no", "delay_ms": 1, "times": 2}))
    nap = db.enqueue(args={"outcome": "snooze", "text": "nap", "delay_ms": 60000})
    for id in ids:
        db.wait_ended(id)
    db.wait("select last_error = 'nap' from errand.job where id = %s", nap)
    wanted = {("default", "probe.run", "done"): 6, ("default", "probe.claim", "done"): 3, ("single", "probe.run", "done"): 2,
              ("default", "probe.run", "dead"): 1, ("default", "probe.run", "cancelled"): 1,
              ("default", "probe.run", "unknown"): 1, ("default", "probe.run", "retry"): 2}
    until(lambda: counted(db) == wanted, lambda: counted(db), timeout=4)
    check_rows(db)
    assert {row[0] for row in db.sql("select distinct runner from errand.statistic")} == {db.one("select id from errand.runner")}
    db.sql("select errand.cancel(%s)", nap) # which counts it itself
    assert runner.terminate() == 0
    wanted["default", "probe.run", "cancelled"] += 1
    assert counted(db) == wanted


def test_what_was_called_off_meanwhile_is_not_counted_as_done(db, errand):
    """Called off in SQL while they wait or run, and nobody knows which: the history and the statistics agree."""
    errand.start("--concurrency", "50").wait_ready()
    ids = db.enqueue_many(2000, {"sleep_ms": 5})
    db.wait("select count(*) > 100 from errand.history where outcome = 'done'")
    db.sql("select errand.cancel(id) from unnest(%s) id", [id for id in ids if id % 2])
    db.wait_empty()
    done = db.one("select count(*) from errand.history where outcome = 'done'")
    assert 1000 < done < 2000
    until(lambda: counted(db).get(("default", "probe.run", "done")) == done, lambda: (done, counted(db)), timeout=4)


def test_times(db, errand):
    errand.start("--concurrency", "1").wait_ready()
    db.wait_ended(db.enqueue(queue="single")) # no waiting for its first read
    ids = [db.enqueue(args={"sleep_ms": 300}) for _ in range(3)]
    for id in ids:
        db.wait_ended(id)
    until(lambda: counted(db).get(("default", "probe.run", "done")) == 3, "not counted")
    runs = histograms(db, "runs", queue="default")
    assert runs[12] == 3, runs # 262 to 524 ms
    waits = histograms(db, "waits", queue="default")
    assert sum(waits[11:15]) >= 2, waits # the second and third waited for those before
    total = db.row("select sum(run_us)::bigint as run, sum(wait_us)::bigint as wait from errand.statistic where queue = 'default'")
    exact = db.row("select sum(extract(epoch from finished_at - started_at) * 1e6)::bigint as run,"
                   " sum(extract(epoch from started_at - run_at) * 1e6)::bigint as wait from errand.history where id = any (%s)", ids)
    assert abs(total.run - exact.run) < 60000 and abs(total.wait - exact.wait) < 60000


def test_many_and_a_stop(db, errand):
    """Nothing is lost by a stop in order, and the rows are as few as there are minutes."""
    runner = errand.start().wait_ready()
    for _ in range(4):
        db.enqueue_many(5000)
        time.sleep(0.3)
    db.wait_empty()
    assert runner.terminate() == 0
    assert counted(db) == {("default", "probe.run", "done"): 20000}
    assert db.one("select count(*) from errand.statistic") <= 2
    check_rows(db)


def test_idle_runner_writes_none(db, errand):
    errand.start().wait_ready()
    for n in range(2):
        db.wait_ended(db.enqueue())
        until(lambda: counted(db) == {("default", "probe.run", "done"): n + 1}, "not counted", timeout=3)
        version = db.sql("select minute, xmin from errand.statistic order by minute")
        time.sleep(2.2)
        assert db.sql("select minute, xmin from errand.statistic order by minute") == version


def test_several_runners_add_up(db, errand):
    for _ in range(2):
        errand.start("--concurrency", "20").wait_ready()
    db.wait("select count(distinct owner) = 2 from errand.lane where queue = 'default'")
    for _ in range(10):
        db.enqueue_many(200)
        time.sleep(0.1)
    db.wait_empty()
    until(lambda: counted(db) == {("default", "probe.run", "done"): 2000}, lambda: counted(db), timeout=4)
    assert db.one("select count(distinct runner) from errand.statistic") == 2


def test_killed_runner_loses_its_last_second_at_most(db, errand):
    runner = errand.start().wait_ready()
    db.wait_ended(db.enqueue())
    until(lambda: counted(db), "not counted", timeout=3)
    for _ in range(12):
        db.enqueue_many(300)
        time.sleep(0.25)
    runner.kill()
    sure = db.one("select count(*) from errand.history where finished_at < (select max(finished_at) from errand.history)"
                  " - interval '1.5 seconds'")
    assert sum(counted(db).values()) >= sure > 0


def test_runner_that_lost_its_lanes_counts_nothing(db, errand):
    """It was frozen while another one took them and ran the jobs; what it says when it wakes changes nothing."""
    frozen = errand.start("--lease-ttl-ms", "2000").wait_ready()
    db.enqueue_many(50, {"sleep_ms": 900})
    db.wait("select running = 50 from errand.runner", timeout=5, every=0.002)
    frozen.process.send_signal(signal.SIGSTOP)
    errand.start("--lease-ttl-ms", "2000").wait_ready()
    db.wait_empty()
    frozen.process.send_signal(signal.SIGCONT)
    frozen.wait_log("lane lost to another runner|jobs were changed while they ran")
    db.wait_ended(db.enqueue())
    until(lambda: counted(db) == {("default", "probe.run", "done"): 51}, lambda: counted(db), timeout=4)
    time.sleep(1.5)
    assert sum(counted(db).values()) == 51


def test_what_was_not_started_counts_too(db, errand):
    """An outcome without times."""
    id = db.enqueue(queue="single")
    db.sql("update errand.job set expires_at = clock_timestamp() where id = %s", id)
    errand.start().wait_ready()
    assert db.wait_ended(id).state == "cancelled"
    until(lambda: counted(db) == {("single", "probe.run", "cancelled"): 1}, lambda: counted(db), timeout=4)
    assert db.row("select wait_us, run_us from errand.statistic") == (0, 0)


# ---- The runner's own row ----

def test_what_runs_stands_in_the_runners_row(db, errand):
    errand.start("--lease-ttl-ms", "2000").wait_ready()
    assert db.one("select state from errand.runner") == {}
    ids = [db.enqueue(args={"sleep_ms": 2500}) for _ in range(3)] + [db.enqueue("probe.claim", {"sleep_ms": 2500}, queue="single")]
    db.wait("""select state = '{"default": {"running": 3}, "single": {"running": 1}}' from errand.runner""", timeout=3)
    for id in ids:
        db.wait_ended(id)
    db.wait("select state = '{}' from errand.runner", timeout=3)


def test_why_a_queue_waits_stands_there_too(db, errand):
    db.sql("select errand.queue_pause('single', 'test')")
    errand.start("--lease-ttl-ms", "2000", "--concurrency", "1").wait_ready()
    ids = [db.enqueue(args={"sleep_ms": 2500}), db.enqueue()]
    db.wait("""select state = '{"default": {"running": 1, "waits": "slots"}}' from errand.runner""", timeout=3)
    for id in ids:
        db.wait_ended(id)
    db.enqueue(queue="single")
    db.wait("""select state = '{"single": {"running": 0, "waits": "pause"}}' from errand.runner""", timeout=3)
