"""errand schedule: what each command prints, to people and to programs, and what it refuses."""

import json

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

FILE = """# of the product
TZ=Europe/Berlin
report.daily   0 9 * * 1-5   report.run overlap=skip missed-max=3h {"day": "{{fire_time}}", "big": 123456789012345678901234567890}
tick           @every 90s    probe.run
six            0 0 9 * * 1   probe.run priority=1 tags=a,b
"""


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


def schedule(errand, *args, status=0, **named):
    done = errand.run("schedule", *args, check=False, **named)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


# ---- Without a database ----

@pytest.fixture(scope="module")
def alone():
    with Errand("postgresql:///none?host=/nonexistent") as errand:
        yield errand


def test_next(alone):
    shown = schedule(alone, "next", "30 9 * * 1-5", "-n", "3", "--tz", "Europe/Berlin")
    first, *times = shown.splitlines()
    assert first == "at 09:30 on weekdays (Monday to Friday) (Europe/Berlin)"
    assert len(times) == 3 and all("T09:30:00+0" in line and line.endswith("Z") for line in times)


def test_next_as_json(alone):
    answer = json.loads(schedule(alone, "next", "@every 90s", "--json"))
    assert (answer["cron"], answer["timezone"], answer["description"], len(answer["next"])) == (
        "@every 90s", "UTC", "every 1 minute 30 seconds", 5)
    assert answer["next"][0]["at"] == answer["next"][0]["utc"]


@pytest.mark.parametrize("args, text", [
    (("61 * * * *",), "cron: minute '61' is not 0-59"),
    (("0 9 * * *", "--tz", "Europe/Nowhere"), "Europe/Nowhere"),
    (("@nightly",), "@nightly"),
    (("0 9 * * *", "-n", "0"), "-n is '0'; it must be a whole number from 1 to 1000"),
    (("0 9 * * *", "-x"), "unknown flag --x"),
])
def test_next_refuses(alone, args, text):
    assert text in schedule(alone, "next", *args, status=2)


def test_next_of_a_name_needs_the_database(alone):
    schedule(alone, "next", "report.daily", status=4)


# ---- One by one ----

def test_set_show_list_and_remove(db, errand):
    given = ("set", "s", "0 9 * * *", "probe.run", '{"a": 1}', "--tz", "Europe/Berlin", "--overlap", "skip", "--jitter", "5m", "--tags", "x,y")
    assert [schedule(errand, *given), schedule(errand, *given), schedule(errand, *given[:4])] == ["created\n", "unchanged\n", "changed\n"]
    schedule(errand, *given)
    row = db.row("select * from errand.schedule")
    assert (row.timezone, row.overlap, row.jitter.total_seconds(), row.tags, row.args) == ("Europe/Berlin", "skip", 300, ["x", "y"], {"a": 1})
    shown = schedule(errand, "show", "s")
    for line in ("cron          0 9 * * *", "              at 09:00", "overlap       skip", "problem       no runner is there"):
        assert line in shown
    assert json.loads(schedule(errand, "show", "s", "--json"))["jitter"] == "00:05:00"
    headings, line = schedule(errand, "list").splitlines()
    assert headings.split("\t")[0] == "schedule" and line.split("\t")[:5] == ["s", "0 9 * * *", "Europe/Berlin", "probe.run", "on"]
    [listed] = json.loads(schedule(errand, "list", "--json"))
    assert listed["name"] == "s" and listed["enabled"]
    assert "off" in schedule(errand, "disable", "s") and "\ton\t" in schedule(errand, "enable", "s")
    assert schedule(errand, "remove", "s") == "removed\n"


def test_set_refuses_what_cannot_fire(db, errand):
    assert "is not 0-59" in schedule(errand, "set", "s", "61 * * * *", "probe.run", status=2)
    assert "args are no JSON" in schedule(errand, "set", "s", "@daily", "probe.run", "{", status=2)
    assert 'overlap "no" is not known' in schedule(errand, "set", "s", "@daily", "probe.run", "--overlap", "no", status=2)
    assert db.one("select count(*) from errand.schedule") == 0


@pytest.mark.parametrize("command", ["show", "next", "history", "run-now", "enable", "disable", "remove"])
def test_nothing_of_that_name(db, errand, command):
    text = schedule(errand, command, "nosuch", status=3)
    assert "nosuch" in text


def test_next_of_a_schedule(db, errand):
    schedule(errand, "set", "s", "0 9 * * *", "probe.run", "--tz", "Asia/Tokyo", "--starts-at", "2090-03-01T00:00:00Z",
             "--ends-at", "2090-03-03T00:00:00Z")
    assert schedule(errand, "next", "s").splitlines()[1:] == [
        "2090-03-01T09:00:00+09:00\t2090-03-01T00:00:00Z", "2090-03-02T09:00:00+09:00\t2090-03-02T00:00:00Z", "and no more"]
    assert "2090-03-02T00:00:00Z\t2090-03-02T00:00:00Z" in schedule(errand, "next", "s", "--tz", "UTC")


def test_run_now_and_history(db, errand):
    schedule(errand, "set", "s", "0 0 1 1 *", "probe.run")
    id = int(schedule(errand, "run-now", "s"))
    assert json.loads(schedule(errand, "run-now", "s", "--json"))["id"] > id
    errand.start().wait_ready()
    db.wait_empty()
    lines = schedule(errand, "history", "s").splitlines()
    assert lines[0] == "fire_at\toutcome\tjob\tstate\tafter\tuntil"
    assert [line.split("\t")[1:4] for line in lines[2:]] == [["run now", str(id), "done"]]
    assert json.loads(schedule(errand, "history", "s", "--limit", "1", "--json"))[0]["state"] == "done"
    schedule(errand, "remove", "s")
    assert str(id) in schedule(errand, "history", "s"), "of one that was removed, too"


# ---- A file ----

def test_apply_says_what_it_would_do_and_does_it_with_yes(db, errand):
    schedule(errand, "set", "old", "@hourly", "probe.run")
    plan = schedule(errand, "apply", "-", "--prune", input=FILE)
    assert plan.splitlines() == [
        "remove  old  @hourly", "create  report.daily  0 9 * * 1-5 Europe/Berlin report.run",
        "create  six  0 0 9 * * 1 Europe/Berlin probe.run", "create  tick  @every 90s Europe/Berlin probe.run",
        "4 to do; nothing was done: --yes does it"]
    assert [row.name for row in db.sql("select name from errand.schedule")] == ["old"]
    schedule(errand, "apply", "-", "--yes", input=FILE)
    assert db.one("select count(*) from errand.schedule") == 4
    schedule(errand, "apply", "-", "--prune", "--yes", input=FILE)
    assert [row.name for row in db.sql("select name from errand.schedule order by 1")] == ["report.daily", "six", "tick"]
    assert "123456789012345678901234567890" in db.one("select args::text from errand.schedule where name = 'report.daily'")
    assert schedule(errand, "apply", "-", "--prune", "--yes", input=FILE) == "nothing to do\n"


def test_apply_tells_each_change(db, errand):
    schedule(errand, "apply", "-", "--yes", input=FILE)
    changed = FILE.replace("1-5", "1-4").replace("overlap=skip", "queue=default")
    answer = json.loads(schedule(errand, "apply", "-", "--json", input=changed))
    assert answer == {"applied": False, "changes": [{"action": "change", "name": "report.daily", "changes": {
        "cron": ["0 9 * * 1-5", "0 9 * * 1-4"], "queue": [None, "default"], "overlap": ["skip", "allow"]}}]}
    assert "cron: 0 9 * * 1-5 -> 0 9 * * 1-4" in schedule(errand, "apply", "-", input=changed)


@pytest.mark.parametrize("line, text, status", [
    ("x * * * * * a.b foo=1", "line 6: there is no option foo", 2),
    ("x 0 9 * * 8 a.b", "line 6: cron: day of week '8'", 2),
    ("x @daily a.b queue=nosuch", 'queue "nosuch" does not exist', 3),
    ("x @daily a.b jitter=much", "invalid input syntax for type interval", 2),
])
def test_apply_of_a_file_with_an_error_does_nothing(db, errand, line, text, status):
    assert text in schedule(errand, "apply", "-", "--yes", "--prune", input=FILE + line, status=status)
    assert db.one("select count(*) from errand.schedule") == 0


def test_apply_keeps_what_is_still_due(db, errand):
    """The same file again, as a deployment does, forgets no fire time that an outage left."""
    schedule(errand, "apply", "-", "--yes", input=FILE)
    db.sql("update errand.schedule set next_at = '2026-01-01' where name = 'tick'")
    schedule(errand, "apply", "-", "--yes", input=FILE.replace("probe.run priority=1", "probe.run priority=2"))
    assert db.one("select next_at = '2026-01-01' from errand.schedule where name = 'tick'")


def test_apply_of_a_file_that_is_not_there(errand):
    assert "cannot open /nonexistent/file" in schedule(errand, "apply", "/nonexistent/file", status=2)
