"""Several runners behind one PgBouncer in transaction mode, and a pooler that has ideas of its own: nobody can be told anything, no server
session is anybody's, and a connection may be closed at any time."""

import contextlib
import signal
import time

import pytest

from schema_support import Installation
from support.bouncer import PGBOUNCER, Bouncer
from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import Ledger, most_at_once
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, ask, connect, until

pytestmark = pytest.mark.skipif(not PGBOUNCER, reason="pgbouncer is not installed (./dev test installs it)")
POOL = 5  # server connections: two runners open 16 of their own
LANES = 8  # of the default queue
TAKEOVER = 12  # seconds: the lease of 10, a look of another runner, and a poll


class Pooled(QueueDatabase):
    """Reached directly by the test, and through a pooler by its runners, which write to a ledger."""

    def __init__(self, pool=POOL, **settings):
        cluster = shared_cluster(vector=False)
        super().__init__(cluster)
        self.ledger = Ledger(make_tempdir("pooler"))
        self.bouncer = Bouncer(cluster, pool, **settings)
        self.errand = Errand(self.bouncer.dsn(self.dsn), **self.ledger.env)

    def __exit__(self, kind, *rest):
        try:
            self.errand.close(check=kind is None)
        finally:
            self.bouncer.destroy()
            super().__exit__(kind, *rest)

    def start(self, count, *args, **env):
        runners = [self.errand.start(*args, env={"ERRAND_NAME": f"runner{n}", **env}) for n in range(count)]
        for runner in runners:
            runner.wait_ready()
            assert runner.wait_log("polling without notifications.*pooled=true")
        self.wait("select count(*) = %s from (select from errand.lane where queue = 'default' and owner is not null group by owner"
                  " having count(*) = %s) x", count, LANES // count, timeout=30)
        return runners

    def enqueue_each_lane(self, **job):
        """A job in every lane of the default queue, at least. Returns the ids."""
        ids, lanes = [], set()
        while len(lanes) < LANES:
            assert len(ids) < 500, f"{len(ids)} keys fall into {len(lanes)} lanes"
            ids.append(self.enqueue(key=f"key {len(ids)} {time.monotonic()}", **job))
            lanes.add(self.one("select lane from errand.jobs where id = %s", ids[-1]))
        return ids


@pytest.fixture
def db():
    with Pooled() as db:
        yield db


def test_killed_runner_is_taken_over(db):
    """With the lease that runners have where nobody sets it."""
    killed, other = db.start(2)
    running = db.enqueue_each_lane(kind="probe.claim", args={"sleep_ms": 60000})
    db.wait("select count(*) = %s from errand.jobs where state = 'running'", len(running))
    name = "select id from errand.runner where name = 'runner0'"
    mine = [row[0] for row in db.sql(f"select id from errand.jobs where state = 'running' and runner = ({name})")]
    assert mine and len(mine) < len(running)
    killed.kill()
    begun = time.monotonic()
    ids = db.enqueue_each_lane()
    db.wait("select count(*) = %s from errand.history where id = any (%s)", len(ids), ids, timeout=TAKEOVER)
    db.wait("select count(*) = %s from errand.jobs where id = any (%s) and state = 'running' and attempt = 2", len(mine), mine,
            timeout=TAKEOVER)
    took = time.monotonic() - begun
    print(f"{LANES // 2} lanes and {len(mine)} running jobs of a killed runner taken over in {took:.1f} s")
    assert took < TAKEOVER
    for id in running:
        assert db.one("select errand.cancel(%s)", id) == "requested"
    db.wait_empty()
    assert other.terminate() == 0


def test_stopped_runner_hands_over_at_once(db):
    first, second = db.start(2)
    ids = db.enqueue_many(2000, {"sleep_ms": 5})
    db.wait("select count(*) > 100 from errand.history", every=0)
    assert first.terminate() == 0
    db.wait("select count(distinct owner) = 1 and bool_and(owner is not null) from errand.lane where queue = 'default'", timeout=5)
    db.wait_empty()
    db.check_history(ids)
    assert second.terminate() == 0


def test_cancel_while_running(db):
    """At each of the runners; the handler is told when the lane is looked at."""
    db.start(2)
    ids = db.enqueue_each_lane(kind="probe.claim", args={"sleep_ms": 60000})
    db.wait("select count(*) = %s from errand.jobs where state = 'running'", len(ids))
    assert db.one("select count(distinct runner) from errand.jobs where state = 'running'") == 2
    for id in ids:
        assert db.one("select errand.cancel(%s)", id) == "requested"
    db.wait("select count(*) = %s from errand.jobs where id = any (%s) and state = 'cancelled'", len(ids), ids, timeout=8)


def test_pause_and_limits_take_effect(db):
    db.start(2)
    db.sql("select errand.queue_pause('default')")
    until_beaten(db)
    ids = db.enqueue_many(60, {"sleep_ms": 100})
    until_beaten(db)
    assert db.one("select count(*) from errand.history") == 0
    db.sql("select errand.queue_limit('default', concurrency => 3)")
    db.sql("select errand.queue_resume('default')")
    db.wait_empty()
    db.check_history(ids)
    assert most_at_once(db.ledger.read()) == 3
    assert db.one("select count(distinct owner) from errand.lane where queue = 'default'") == 1
    before = len(db.ledger.read())
    db.sql("select errand.queue_limit('default', concurrency => 0)")
    db.wait("select count(distinct owner) = 2 from errand.lane where queue = 'default'", timeout=15)
    db.enqueue_many(60, {"sleep_ms": 100})
    db.wait_empty()
    assert most_at_once(db.ledger.read()[before:]) > 6


def until_beaten(db):
    """Until each runner has asked at least once what has been set meanwhile."""
    now = db.one("select clock_timestamp()")
    for _ in range(2):
        db.wait("select min(lease_until) > %s + interval '10 s' from errand.runner", now)
        now = db.one("select clock_timestamp()")


def test_two_schemas_side_by_side():
    """Through the same server connections: neither sees what is the other's."""
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("pooled_schemas")
    with contextlib.ExitStack() as stack:
        bouncer = Bouncer(cluster, POOL)
        stack.callback(bouncer.destroy)
        both = [stack.enter_context(Installation(dsn, schema, through=bouncer.dsn(dsn))) for schema in ("errand", "jobs_of_app")]
        runners = [each.errand.start().wait_ready() for each in both]
        ids = [each.enqueue_many(1000) for each in both]
        running = [each.enqueue("probe.claim", {"sleep_ms": 60000}) for each in both]
        for each, mine, id in zip(both, ids, running):
            each.wait("select count(*) = 1000 from errand.history")
            each.check_history(mine)
            each.wait_state(id, "running")
        assert ids[0] == ids[1] and running[0] == running[1]
        assert both[0].one("select errand.cancel(%s)", running[0]) == "requested"
        assert both[0].wait_ended(running[0]).state == "cancelled"
        runners[0].kill()
        both[1].wait_ended(both[1].enqueue())
        assert both[1].job(running[1]).state == "running"
        assert both[1].one("select errand.cancel(%s)", running[1]) == "requested"
        both[1].wait_ended(running[1])
        assert runners[1].terminate() == 0
        assert "level=warn" not in runners[1].log()
    cluster.drop_database(dsn)


# ---- Poolers that close connections ----

@pytest.mark.parametrize("settings", [{"server_idle_timeout": 1}, {"server_lifetime": 1}], ids=str)
def test_server_connections_that_come_and_go(settings):
    with Pooled(**settings) as db:
        runners = db.start(2)
        seen = set()

        def live():
            found = {row[0] for row in db.sql("select pid from pg_stat_activity where application_name like 'errand %%'"
                                              " and datname = current_database()")}
            seen.update(found)
            return found
        db.enqueue_many(300, {"sleep_ms": 5})
        until(lambda: live() and not db.one("select exists (select from errand.job)"), "jobs are left", timeout=30)
        until(lambda: seen - live(), lambda: f"{seen} live on", timeout=40)
        ids = db.enqueue_many(500, {"sleep_ms": 5})
        db.wait_empty()
        assert db.one("select count(*) from errand.history where id = any (%s)", ids) == 500
        assert [runner.terminate() for runner in runners] == [0, 0]
        assert all("level=warn" not in runner.log() for runner in runners)


def test_nothing_to_be_had_from_the_pooler():
    """Others hold all its server connections for longer than it lets anybody wait: it closes ours, with an error. Leases end, and when there
    is something to be had again the work goes on."""
    with Pooled(pool=2, query_wait_timeout=1) as db:
        runners = db.start(2, ERRAND_LEASE_TTL_MS="3000")
        ids = db.enqueue_many(1000, {"sleep_ms": 20})
        db.wait("select count(*) > 50 from errand.history", every=0)
        with contextlib.ExitStack() as stack:
            user = db.errand.env["ERRAND_DATABASE_URL"]
            if runner_user := db.one("select max(usename) from pg_stat_activity where application_name like 'errand %%'"
                                     " and datname = current_database()"):
                user = user.replace("user=postgres", f"user={runner_user}")
            for _ in range(2):
                hog = stack.enter_context(contextlib.closing(connect(user)))
                ask(hog, "begin")
            for runner in runners:
                runner.wait_log("database away", timeout=15)
            ended = db.one("select count(*) from errand.history")
            db.wait("select max(lease_until) < clock_timestamp() from errand.runner", timeout=15)
            assert db.one("select count(*) from errand.history") == ended, "nothing gets through"
        db.wait_empty(timeout=60)
        db.check_history(ids)
        assert [runner.terminate() for runner in runners] == [0, 0]


def test_pooler_is_frozen(db):
    """It answers nobody for a while, and then everybody at once."""
    runners = db.start(2)
    ids = db.enqueue_many(2000, {"sleep_ms": 10})
    db.wait("select count(*) > 100 from errand.history", every=0)
    db.bouncer.process.send_signal(signal.SIGSTOP)
    time.sleep(6)  # that it is away is what is tested
    db.bouncer.process.send_signal(signal.SIGCONT)
    db.wait_empty(timeout=60)
    db.check_history(ids)
    assert [runner.terminate() for runner in runners] == [0, 0]


def test_pooler_restarts_under_a_fleet(db):
    runners = db.start(2, "--concurrency", "20")
    ids = db.enqueue_many(3000, {"sleep_ms": 4})
    for share in (300, 1500):
        db.wait("select count(*) > %s from errand.history", share, every=0)
        db.bouncer.kill()
        for runner in runners:
            until(lambda r=runner: "database away" in r.log(), "it has not noticed")
        db.bouncer.start()
    db.wait_empty()
    db.check_history(ids)
    assert [runner.terminate() for runner in runners] == [0, 0]


def test_nothing_is_left_to_others_on_a_server_connection(db):
    """What a runner sets ends with its transaction: the next client of the pooler finds the server's settings."""
    db.start(1)
    db.enqueue_many(500)
    db.wait_empty()
    changed = """select name, setting from pg_settings where source = 'session'
        and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')"""
    user = db.one("select max(usename) from pg_stat_activity where application_name like 'errand %%' and datname = current_database()")
    dsn = db.errand.env["ERRAND_DATABASE_URL"].replace("user=postgres", f"user={user}")
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(contextlib.closing(connect(dsn))) for _ in range(POOL - 1)]
        for other in others:
            ask(other, "begin")
            assert ask(other, changed) == []
            assert ask(other, "select name from pg_prepared_statements") == []
