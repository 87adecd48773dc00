"""Schedules with the real runner: on time, once for each fire time whatever dies, and after an outage as `missed` says."""

import contextlib
import datetime
import os
import random
import subprocess
import time
import zoneinfo
from pathlib import Path

import pytest

from support.bouncer import PGBOUNCER, Bouncer
from support.cluster import Cluster, shared_cluster
from support.errand import Errand
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, until

UTC = datetime.timezone.utc
SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
# How many stand, and how many of them are due in the same second: the figures are 100000 and 2000.
BULK = int(os.environ.get("ERRAND_TEST_SCHEDULES", "5000"))
BULK_DUE = int(os.environ.get("ERRAND_TEST_SCHEDULES_DUE", "500"))


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


def make(db, name="s", cron="* * * * * *", kind="probe.run", args="{}", **named):
    given = "".join(f", {key} => %s" for key in named)
    return db.one(f"select errand.schedule_set(%s, %s, %s, %s{given})", name, cron, kind, args, *named.values())


def fires(db, name="s", outcome="made"):
    return [row.fire_at for row in db.sql(
        "select fire_at from errand.schedule_fire where schedule = %s and outcome = %s order by fire_at", name, outcome)]


def wait_fires(db, count, name="s", timeout=30):
    return until(lambda: (found := fires(db, name)) and len(found) >= count and found, lambda: f"{fires(db, name)} {db.state()}", timeout)


def check_each_once(db, name, step=SECOND):
    """No fire time was left out from the first to the last, none made two jobs, and each has its job."""
    found = fires(db, name)
    assert found == [found[0] + n * step for n in range(len(found))], found
    assert db.one("""select count(*) from errand.schedule_fire f where f.schedule = %s and f.outcome = 'made'
        and (select count(*) from errand.jobs j where j.id = f.job_id and j.key = 'schedule:' || f.schedule) <> 1""", name) == 0
    assert db.one("select count(*) from errand.jobs where key = %s", f"schedule:{name}") == len(found)


# ---- On time ----

def test_on_time(db, errand):
    errand.start().wait_ready()
    for n in range(5):
        make(db, f"s{n}")
    wait_fires(db, 8, "s4")
    db.sql("select errand.schedule_disable(name) from errand.schedule")
    db.wait_empty()
    late = sorted(row.late for row in db.sql("select extract(epoch from j.started_at - f.fire_at)::float8 as late"
                                             " from errand.schedule_fire f join errand.history j on j.id = f.job_id"))
    print(f"from the fire time to the start: median {late[len(late) // 2] * 1000:.1f} ms, most {late[-1] * 1000:.1f} ms of {len(late)}")
    assert late[0] > 0 and late[len(late) // 2] < 0.2 and late[-1] < 2
    for n in range(5):
        check_each_once(db, f"s{n}")


def test_fire_time_in_args(db, errand):
    errand.start().wait_ready()
    make(db, args='{"label": "{{fire_time}}"}', timezone="Asia/Kolkata")
    at = wait_fires(db, 1)[0]
    args = db.one("select args from errand.jobs j join errand.schedule_fire f on f.job_id = j.id order by f.fire_at limit 1")
    assert args == {"label": at.astimezone(zoneinfo.ZoneInfo("Asia/Kolkata")).isoformat()}


def test_set_while_it_runs(db, errand):
    """What is set is heard at once: a time far away first, then one that is near."""
    errand.start().wait_ready()
    make(db, cron="0 0 1 1 *")
    next_at = db.wait("select next_at from errand.schedules", timeout=5)
    assert (next_at.month, next_at.day, next_at.hour) == (1, 1, 0)
    make(db)
    wait_fires(db, 2, timeout=5)
    db.sql("select errand.schedule_remove('s')")
    db.wait_empty()
    assert len(fires(db)) < 6


@pytest.mark.parametrize("cron, problem", [("61 * * * *", "minute"), ("0 0 30 2 *", "")])
def test_expression_that_cannot_fire_says_so(db, errand, cron, problem):
    errand.start().wait_ready()
    make(db, cron=cron)
    assert problem in db.wait("select problem from errand.schedules")
    make(db, "well")
    wait_fires(db, 1, "well")


def test_kind_that_nobody_knows_says_so(db, errand):
    errand.start().wait_ready()
    make(db, kind="nobody.knows")
    wait_fires(db, 1)
    assert db.one("select problem from errand.schedules") == "no runner here knows kind nobody.knows"
    [id] = db.row("select last_job from errand.schedules")
    assert db.one("select errand.why(%s)", id) == "No runner here knows kind nobody.knows."


def test_one_that_the_database_refuses_holds_up_no_others(db, errand):
    """What that one is told, and the others fire on, also those that came after it."""
    db.sql("alter table errand.job add constraint no_poison check (kind <> 'poison.kind')")
    for n in range(10):
        make(db, f"s{n}")
    errand.start().wait_ready()
    wait_fires(db, 2, "s9")
    make(db, "bad", kind="poison.kind")
    problem = db.wait("select problem from errand.schedule where name = 'bad'")
    assert "no_poison" in problem
    wait_fires(db, len(fires(db, "s9")) + 4, "s9")
    db.sql("select errand.schedule_disable(name) from errand.schedule")
    for n in range(10):
        check_each_once(db, f"s{n}")
    assert fires(db, "bad") == []


def test_without_notifications(db):
    with Errand(db.dsn, ERRAND_LISTEN="false") as errand:
        errand.start().wait_ready()
        make(db)
        wait_fires(db, 4, timeout=15)
        db.sql("select errand.schedule_disable('s')")
        check_each_once(db, "s")


@pytest.mark.skipif(not PGBOUNCER, reason="no pgbouncer here")
def test_through_a_pooler(db):
    bouncer = Bouncer(shared_cluster(vector=False), pool=3)
    try:
        with Errand(bouncer.dsn(db.dsn)) as errand:
            errand.start().wait_ready()
            for n in range(3):
                make(db, f"s{n}", overlap="queue")
            wait_fires(db, 5, "s2")
            db.sql("select errand.schedule_disable(name) from errand.schedule")
            for n in range(3):
                check_each_once(db, f"s{n}")
    finally:
        bouncer.destroy()


def test_overlap(db, errand):
    """A job of two seconds, every second."""
    errand.start().wait_ready()
    for overlap in ("allow", "skip", "queue"):
        make(db, overlap, overlap=overlap, args='{"sleep_ms": 2000}')
    wait_fires(db, 7, "allow")
    db.sql("select errand.schedule_disable(name) from errand.schedule")
    db.wait_empty(timeout=60)
    assert fires(db, "skip", "skipped") and len(fires(db, "skip")) < len(fires(db, "allow"))
    runs = {name: db.sql("select started_at, finished_at from errand.history where key = %s order by started_at", f"schedule:{name}")
            for name in ("allow", "skip", "queue")}
    together = {name: sum(b.started_at < a.finished_at for a, b in zip(rows, rows[1:])) for name, rows in runs.items()}
    assert together["allow"] > 0 and together["skip"] == together["queue"] == 0
    assert len(runs["queue"]) == len(fires(db, "queue"))


# ---- Once, whatever dies ----

@pytest.mark.parametrize("point", ["schedule.before_fire", "schedule.after_fire"])
@pytest.mark.parametrize("nth", [1, 3])
def test_killed_at_a_point_of_the_fire(db, errand, point, nth):
    make(db)
    first = errand.start(env={"ERRAND_FAILPOINT": f"{point}:{nth}"})
    until(lambda: not first.running, "the failpoint is not reached (a build without failpoints?)")
    before = fires(db)
    errand.start().wait_ready()
    wait_fires(db, len(before) + 4)
    db.sql("select errand.schedule_disable('s')")
    check_each_once(db, "s")


def test_three_runners_of_which_one_is_killed_ever_again(db, errand):
    """By turns, at any moment; among them the one that fires."""
    chance = random.Random(6)
    for n in range(20):
        make(db, f"s{n}", overlap="queue" if n % 4 == 0 else "allow")
    runners = [errand.start().wait_ready() for _ in range(3)]
    end = time.monotonic() + 16
    while time.monotonic() < end:
        time.sleep(chance.uniform(0.2, 1.2))  # the moment is what is tested
        runners.pop(0).kill()
        runners.append(errand.start())
    runners[-1].wait_ready()
    wait_fires(db, 15, "s19")
    db.sql("select errand.schedule_disable(name) from errand.schedule")
    for n in range(20):
        check_each_once(db, f"s{n}")


def test_the_clock_is_handed_over(db, errand):
    """The runner that fires ends in order: the next one goes on at once."""
    make(db)
    first = errand.start().wait_ready()
    errand.start().wait_ready()
    wait_fires(db, 2)
    assert first.terminate() == 0
    count = len(fires(db))
    wait_fires(db, count + 3)
    db.sql("select errand.schedule_disable('s')")
    check_each_once(db, "s")
    late = db.one("select max(extract(epoch from decided_at - fire_at))::float8 from errand.schedule_fire where fire_at >"
                  " (select min(fire_at) from errand.schedule_fire)")
    assert late < 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_database_restarted(mode):
    with Cluster(vector=False) as cluster, QueueDatabase(cluster) as db, Errand(db.dsn) as errand:
        make(db)
        errand.start().wait_ready()
        wait_fires(db, 2)
        cluster.restart(mode)
        db.reconnect()
        wait_fires(db, len(fires(db)) + 4)
        db.sql("select errand.schedule_disable('s')")
        check_each_once(db, "s")


@contextlib.contextmanager
def set_clock():
    """A cluster whose clock a test sets; yields it and the function that does."""
    folder = make_tempdir("clock")
    folder.chmod(0o755)
    source = Path(__file__).resolve().parents[1] / "support" / "clockshift.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "clockshift.so", source], check=True)
    shift = folder / "shift"
    shift.write_text("0")
    env = {"LD_PRELOAD": str(folder / "clockshift.so"), "CLOCKSHIFT": str(shift)}

    def set_to(seconds):
        (folder / "new").write_text(str(seconds))
        (folder / "new").rename(shift)
    with Cluster(vector=False, fsync=False, env=env) as cluster:
        yield cluster, set_to


def test_clock_of_the_database_is_set():
    """An hour ahead, and back: what lies between is made once, and nothing twice."""
    with set_clock() as (cluster, set_to), QueueDatabase(cluster) as db, Errand(db.dsn) as errand:
        make(db, cron="*/30 * * * * *", missed="all")
        make(db, "skip", cron="*/30 * * * * *", missed="skip")
        make(db, "fast", cron="* * * * * *", missed="skip")
        errand.start().wait_ready()
        wait_fires(db, 2, "fast")
        before = db.one("select clock_timestamp()")
        set_to(3600)
        assert db.one("select clock_timestamp()") - before > 0.9 * HOUR
        wait_fires(db, 119)
        wait_fires(db, 10, "fast")
        set_to(0)
        assert before + HOUR / 2 > db.one("select clock_timestamp()")
        count = len(fires(db, "fast"))
        back = db.one("select clock_timestamp()")
        db.wait("select clock_timestamp() > %s + interval '5 seconds'", back)
        assert len(fires(db, "fast")) <= count + 1, "these fire times have been"
        check_each_once(db, "s", 30 * SECOND)
        assert len(fires(db, "skip")) <= 5
        for name in ("s", "skip", "fast"):
            assert len(set(fires(db, name))) == len(fires(db, name))
        set_to(3600)
        wait_fires(db, count + 3, "fast")
        assert len(set(fires(db, "fast"))) == len(fires(db, "fast"))


# ---- After an outage ----

def outage(db, errand, hours, **named):
    """A schedule of every hour, as so many hours without a runner leave it; returns its fire times in the outage."""
    runner = errand.start().wait_ready()
    make(db, cron="0 * * * *", **named)
    next_at = db.wait("select next_at from errand.schedules")
    assert runner.terminate() == 0
    db.sql("delete from errand.schedule_fire")
    [now] = db.row("select clock_timestamp()")
    db.sql("update errand.schedule set next_at = %s", next_at - hours * HOUR)
    errand.start().wait_ready()
    db.wait("select next_at > %s from errand.schedules", now)
    last = next_at - HOUR
    on_time = (now - last).total_seconds() <= 60
    if on_time:
        pytest.skip("the hour has just begun")
    return [next_at - n * HOUR for n in range(hours, 0, -1)]


@pytest.mark.parametrize("missed, made", [("skip", slice(0, 0)), ("once", slice(-1, None)), ("all", slice(None))])
def test_outage_of_three_hours(db, errand, missed, made):
    passed = outage(db, errand, 3, missed=missed)
    wanted = passed[made]
    assert fires(db) == wanted
    assert fires(db, outcome="missed") == ([] if missed == "all" else passed[:1])
    jobs = db.sql("select args, created_at from errand.jobs where key = 'schedule:s' order by created_at")
    assert len(jobs) == len(wanted)


@pytest.mark.parametrize("missed, count", [("once", 1), ("all", 2)])
def test_outage_longer_than_missed_max(db, errand, missed, count):
    passed = outage(db, errand, 5, missed=missed, missed_max="2 hours")
    assert fires(db) == passed[-count:]
    assert fires(db, outcome="missed") == passed[:1]


def test_outage_in_which_every_one_was_too_old(db, errand):
    passed = outage(db, errand, 5, missed="once", missed_max="0")
    assert fires(db) == [] and fires(db, outcome="missed") == passed[:1]


def test_disabled_is_no_outage(db, errand):
    errand.start().wait_ready()
    make(db, missed="all")
    wait_fires(db, 2)
    db.sql("select errand.schedule_disable('s')")
    [before] = db.row("select max(fire_at) from errand.schedule_fire")
    db.wait("select clock_timestamp() > %s + interval '2.5 seconds'", before)
    db.sql("select errand.schedule_enable('s')")
    count = len(fires(db))
    found = wait_fires(db, count + 2)
    assert found[count] > before + 2 * SECOND


# ---- Time zones ----

def local_fires(zone, first, last, hour, minute):
    """When a clock there first shows or passes that time, each day."""
    found = []
    day = first.astimezone(zone).date() - datetime.timedelta(days=1)
    while day <= last.astimezone(zone).date():
        wanted = datetime.datetime.combine(day, datetime.time(hour, minute))
        at = wanted.replace(tzinfo=zone).astimezone(UTC) - 2 * HOUR
        while at.astimezone(zone).replace(tzinfo=None) < wanted:
            at += datetime.timedelta(minutes=1)
        if first <= at <= last:
            found.append(at)
        day += datetime.timedelta(days=1)
    return found


@pytest.mark.parametrize("name, hour, minute", [("Europe/Berlin", 2, 30), ("America/New_York", 1, 30), ("Australia/Lord_Howe", 2, 15),
                                                ("UTC", 2, 30)])
def test_clock_changes_of_a_year(db, errand, name, hour, minute):
    """As if nobody had been there for a year: a time that a change skips fires once, right behind it; one that comes twice once."""
    zone = zoneinfo.ZoneInfo(name)
    [now] = db.row("select date_trunc('second', clock_timestamp())")
    first = local_fires(zone, now - datetime.timedelta(days=360), now, hour, minute)[0]
    make(db, cron=f"{minute} {hour} * * *", timezone=name, missed="all", missed_max="366 days", kind="nobody.knows")
    db.sql("update errand.schedule set next_at = %s", first)
    errand.start().wait_ready()
    db.wait("select next_at > clock_timestamp() from errand.schedules")
    assert fires(db) == local_fires(zone, first, db.one("select clock_timestamp()"), hour, minute)


# ---- Many ----

def test_many_due_in_the_same_second(db, errand):
    print(f"{BULK} schedules, of which {BULK_DUE} are due together")
    db.sql("insert into errand.schedule (name, cron, timezone, kind, args, priority, tags, missed, missed_max, overlap, jitter, enabled,"
           " next_at) select 's' || n, '0 0 1 1 *', 'UTC', 'nobody.knows', '{}', 2, '{}', 'once', '1 day', 'allow', '0', true,"
           " clock_timestamp() + interval '300 days' + n * interval '1 second' from generate_series(1, %s) n", BULK)
    db.sql("vacuum analyze errand.schedule")
    errand.start().wait_ready()
    [due] = db.row("select date_trunc('second', clock_timestamp()) + interval '3 seconds'")
    db.sql("update errand.schedule set next_at = %s where name in (select 's' || n from generate_series(1, %s) n)", due, BULK_DUE)
    db.sql("select errand.schedule_changed()")
    db.wait("select count(*) = %s from errand.schedule_fire", BULK_DUE, timeout=30, every=0.005)
    done = db.one("select clock_timestamp()")
    seconds = (done - due).total_seconds()
    print(f"all of them enqueued and seen by others {seconds:.3f} s after the fire time")
    assert db.one("select count(*) from errand.job where kind = 'nobody.knows'") == BULK_DUE
    assert seconds < 3
