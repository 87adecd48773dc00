"""A runner with nothing to do: what it costs, with many lanes, too, and that a lane which is looked at every half minute only still
hears at once of everything, and without being told at its next look. Three runners and their long sleep serve all tests here, in their order."""

import contextlib
import os
import signal
import time

import pytest

from support.cluster import Cluster
from support.errand import Errand
from support.wait import QueueDatabase, ask, connect, until

RESIDENT_MAX_KIB = 12 * 1024
WINDOW = 24  # seconds, with one look from the beginning in them
MANY = 64  # lanes of one queue
LOOK_EVERY = 30  # seconds
LAST_READ = """select max(query_start) from pg_stat_activity
    where application_name = 'errand reads' and datname = current_database()"""


@pytest.fixture(scope="module")
def cluster():
    conf = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "on"}
    with Cluster(vector=False, fsync=False, extra_conf=conf) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def db(cluster):
    with QueueDatabase(cluster) as db:
        db.sql("create extension pg_stat_statements")
        yield db


@pytest.fixture(scope="module")
def many(cluster):
    """A database with a queue of many lanes beside the usual ones."""
    with QueueDatabase(cluster) as db:
        db.sql("select errand.queue_create('many', %s)", MANY)
        yield db


@pytest.fixture(scope="module")
def polled(cluster):
    """The same for a runner that is told of nothing."""
    with QueueDatabase(cluster) as db:
        db.sql("select errand.queue_create('many', %s)", MANY)
        yield db


@pytest.fixture(scope="module")
def runner(db, many, polled):
    """Asleep for so long that its looks from the beginning are far apart: the last two by 7 seconds or more. Beside it those with
    many lanes, which were started before."""
    with Errand(many.dsn) as other, Errand(polled.dsn, ERRAND_LISTEN="false") as deaf, Errand(db.dsn) as errand:
        for each in (other, deaf):
            each.start().wait_ready()
        runner = errand.start().wait_ready()
        db.sql("select errand.schedule_set('s' || n, '0 0 1 1 *', 'probe.run', starts_at => now() + interval '1 year')"
               " from generate_series(1, 100) n")
        for each in (many, db):
            each.wait_ended(each.enqueue())
            each.wait("select bool_and(armed) from errand.lane")
        assert many.one("select count(*) from errand.lane where owner is not null") > MANY
        with contextlib.closing(connect(db.dsn)) as watch:
            wait_for_rare_looks(watch)
        yield runner


def wait_for_rare_looks(watch):
    seen = []

    def rare():
        [[at]] = ask(watch, LAST_READ)
        if at and at not in seen:
            seen.append(at)
        return len(seen) > 2 and (seen[-1] - seen[-2]).total_seconds() > 7
    until(rare, lambda: f"looks at {seen}", timeout=40, every=0.1)
    # Not all lanes are looked at together: until the last of this round.
    until(lambda: ask(watch, f"select ({LAST_READ}) < clock_timestamp() - interval '1 second'")[0][0], "looked at without end", every=0.1)


def statements(db, name):
    """Of the runner in the database of that name, so far: everything but what this connection sends."""
    return db.sql("""select sum(calls) as calls, array_agg(left(query, 40) || ' ' || calls order by calls desc) as queries
        from pg_stat_statements s join pg_database d on d.oid = s.dbid
        where d.datname = %s and query not like '%%pg_stat_statements%%'""", name)[0]


def test_statements_a_second(db, many, polled, runner):
    """Whatever the number of lanes; where it polls, a look a second comes to that."""
    names = [each.one("select current_database()") for each in (db, many, polled)]
    db.sql("select pg_stat_statements_reset()")
    begun = time.monotonic()
    time.sleep(WINDOW)  # a rate needs its time
    for lanes, name, most in zip(("few lanes", "many lanes", "many lanes, polling"), names, (1, 1, 2)):
        found = statements(db, name)
        per_second = float(found.calls or 0) / (time.monotonic() - begun)
        print(f"idle, {lanes}: {per_second:.2f} statements a second")
        assert 0 < per_second <= most, (lanes, found.queries)
    assert db.one("select count(*) from pg_stat_statements where query like '%x.next_at <= t.now%'"
                  " and query not like '%pg_stat_statements%'") == 0, "schedules of which none is due are not looked at"


def test_found_without_being_told(many, runner):
    """The next look finds what is due, and what will be before the one that follows."""
    many.sql("update errand.lane set armed = false")  # as the runner does not know: nothing that is enqueued notifies it
    looked = many.one(LAST_READ)
    due = many.enqueue(queue="many")
    later = many.one("select errand.enqueue('probe.run', queue => 'many', run_at => %s + make_interval(secs => %s))",
                     looked, LOOK_EVERY + 4)
    job = many.wait_ended(due, timeout=LOOK_EVERY + 1)
    assert (job.started_at - looked).total_seconds() < LOOK_EVERY + 1
    job = many.wait_ended(later, timeout=10)
    assert 0 <= (job.started_at - job.run_at).total_seconds() < 0.5
    assert many.one("select count(*) from errand.lane where armed") == 0, "it was not told"


def test_resident_memory(runner):
    with open(f"/proc/{runner.pid}/maps", encoding="utf-8") as maps:
        if "libasan" in maps.read():
            pytest.skip("a sanitized build is larger by far; measured with a release build (ERRAND_BIN)")
    with open(f"/proc/{runner.pid}/status", encoding="utf-8") as status:
        [resident] = [int(line.split()[1]) for line in status if line.startswith("VmRSS:")]
    print(f"idle: {resident} KiB resident")
    assert resident < RESIDENT_MAX_KIB


def test_idle_processor_time(runner):
    with open(f"/proc/{runner.pid}/stat", encoding="utf-8") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    print(f"idle: {seconds:.2f} s of processor time since its start")
    assert seconds < 5


def keys_of_one_lane(db, count):
    return [row[0] for row in db.sql("""select k::text from generate_series(1, 200) k
        where (hashtextextended(k::text, 0) & 1073741823)::integer %% 8 = 0 limit %s""", count)]


def wait_told(db):
    """Until the runner has acted on what it was told before: it renews its lease when it is told of a queue."""
    lease = db.one("select lease_until from errand.runner")
    db.sql("select errand.queue_resume('default')")
    db.wait("select lease_until > %s from errand.runner", lease, every=0)


def test_commit_during_a_read(db, runner):
    """A late commit is told of while the lane is being read from further on: that read must not make it forgotten."""
    [reads] = db.row("select pid from pg_stat_activity where application_name = 'errand reads' and datname = current_database()")
    assert db.one("select bool_and(armed) from errand.lane")
    keys = keys_of_one_lane(db, 3)
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[late]] = ask(other, "select errand.enqueue('probe.run', key => %s)", keys[0])
        # Until the lane is read beyond it, by more than the readers' overlap.
        db.wait("select clock_timestamp() > xact_start + interval '0.3 seconds' from pg_stat_activity where pid = %s",
                other.info.backend_pid)
        db.wait_ended(db.enqueue(key=keys[1]))
        os.kill(reads, signal.SIGSTOP)
        try:
            during = db.enqueue(key=keys[2])
            wait_told(db)
            ask(other, "commit")
            wait_told(db)
        finally:
            os.kill(reads, signal.SIGCONT)
    assert db.one("select count(distinct lane) from errand.jobs where key = any (%s)", keys) == 1
    db.wait_ended(during, timeout=2)
    db.wait_ended(late, timeout=2)


def test_replaced_while_it_runs(db, runner):
    """What was done with the old args does not count; the new ones run right after it."""
    id = db.enqueue(key="k", args={"sleep_ms": 600})
    db.wait("select clock_timestamp() > run_at + interval '0.3 seconds' from errand.job where id = %s", id)
    assert db.enqueue(key="k", on_conflict="replace", args={"outcome": "unknown", "text": "new"}) == id
    job = db.wait_ended(id, timeout=3)
    assert (job.state, job.last_error) == ("unknown", "new")
    assert db.one("select count(*) from errand.history where id = %s", id) == 1
