"""Log lines of jobs, kept in the database: all of them in their order, however an attempt ends, and nothing for jobs that have none."""

import contextlib
import datetime
import json
import re
import signal

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import EFFECT_TABLE
from support.wait import QueueDatabase, until


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(EFFECT_TABLE)
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand


def lines(db, id):
    return [tuple(row) for row in db.sql(
        "select attempt, level, message from errand.job_logs where id = %s order by logged_at, line", id)]


def texts(db, id):
    return [line[2] for line in lines(db, id)]


def count_writes(db):
    """From now on every statement that writes lines, of however many rows, is counted in public.log_write."""
    db.sql("create sequence public.log_write")
    db.sql("grant usage on sequence public.log_write to errand_runner")
    db.sql("create function public.log_write() returns trigger language plpgsql as"
           " $$ begin perform nextval('public.log_write'); return null; end $$")
    db.sql("create trigger log_write after insert on errand.job_log for each statement execute function public.log_write()")


def writes(db):
    return db.one("select case when is_called then last_value else 0 end from public.log_write")


def test_lines_stand_with_the_jobs_end(db, errand):
    runner = errand.start().wait_ready()
    before = db.one("select clock_timestamp()")
    id = db.enqueue("probe.run", {"log": ["first", {"warn": "second"}, {"error": "third \"ä\" \\ {}\n'"}, {"debug": "not kept"}], "effect": "with"})
    db.wait_ended(id)
    after = db.one("select clock_timestamp()")
    assert lines(db, id) == [(1, "info", "first"), (1, "warn", "second"), (1, "error", "third \"ä\" \\ {}\n'")]
    times = [row[0] for row in db.sql("select logged_at from errand.job_logs where id = %s order by logged_at, line", id)]
    slack = datetime.timedelta(milliseconds=200)
    assert before - slack < times[0] <= times[-1] < after + slack
    assert db.one("select keep_until = errand.keep_until('default') from errand.job_log where job_id = %s limit 1", id)
    assert "first" in runner.log() and runner.terminate() == 0


@pytest.mark.parametrize("args, state, attempts", [
    ({"outcome": "fail"}, "dead", [1]),
    ({"outcome": "cancel"}, "cancelled", [1]),
    ({"outcome": "unknown"}, "unknown", [1]),
    ({"outcome": "retry", "times": 1, "delay_ms": 0}, "done", [1, 2]),
    ({"outcome": "snooze", "times": 1, "delay_ms": 500}, "dead", [1, 1]),
])
def test_however_an_attempt_ends(db, errand, args, state, attempts):
    errand.start().wait_ready()
    if args["outcome"] == "snooze":  # which does not count: it would snooze for ever
        id = db.enqueue("probe.run", {"log": ["a", "b"], **args, "times": 5})
        db.wait("select count(*) = 2 from errand.job_logs where id = %s", id)
        db.wait("select count(*) >= 4 from errand.job_logs where id = %s", id)
        assert lines(db, id)[:4] == [(1, "info", "a"), (1, "info", "b")] * 2
        return
    id = db.enqueue("probe.run", {"log": ["a", "b"], **args})
    assert db.wait_state(id, state)
    assert lines(db, id) == [(n, "info", text) for n in attempts for text in "ab"]


def test_a_running_job_shows_its_lines_within_about_a_second(db, errand):
    errand.start().wait_ready()
    count_writes(db)
    id = db.enqueue("probe.run", {"log": ["here"], "progress": list(range(100)), "sleep_ms": 100})
    db.wait("select count(*) = 1 from errand.job_logs where id = %s", id, timeout=4)
    assert db.job(id).finished_at is None and writes(db) == 1


def test_what_a_killed_runner_had_written_stays(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log": ["a"], "sleep_ms": 2000})
    db.wait("select count(*) = 1 from errand.job_logs where id = %s", id)
    db.wait("select claimed_by is not null from errand.job where id = %s", id)
    runner.kill()
    errand.start().wait_ready()
    db.wait_ended(id)
    assert lines(db, id) == [(1, "info", "a"), (2, "info", "a")]


@pytest.mark.parametrize("grace_ms", ["20000", "0"])
def test_a_runner_that_stops_writes_them(db, errand, grace_ms):
    runner = errand.start(env={"ERRAND_STOP_TIMEOUT_MS": grace_ms}).wait_ready()
    id = db.enqueue("probe.run", {"log": ["a"], "sleep_ms": 700})
    runner.wait_log("event=a ")
    assert runner.terminate() == 0
    assert texts(db, id) == ["a"]


def test_too_many_lines_are_counted(db, errand):
    errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log_count": 1234, "outcome": "retry", "times": 1, "delay_ms": 0})
    assert db.wait_ended(id).attempt == 2
    attempt = [f"line {n}" for n in range(1, 201)] + ["1034 more lines of this attempt were not kept"]
    assert texts(db, id) == attempt * 2 and lines(db, id)[200][1] == "warn"


def test_long_lines_are_cut_at_a_character(db, errand):
    errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log": ["x" * 2048, "x" * 2049, "ä" * 2000, "x" + "€" * 100000]})
    db.wait_ended(id)
    first, *cut = texts(db, id)
    assert first == "x" * 2048 and cut == ["x" * 2045 + "...", "ä" * 1022 + "...", "x" + "€" * 681 + "..."]


def test_what_is_no_text_breaks_nothing(db, errand):
    errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log": [[65, 0, 66], [255, 254, 65], [0xED, 0xA0, 0x80], [0xC3], [0xF5, 0x80, 0x80, 0x80], [7, 27, 127]]})
    db.wait_ended(id)
    assert texts(db, id) == ["A\ufffdB", "\ufffd\ufffdA", "\ufffd" * 3, "\ufffd", "\ufffd" * 4, "\x07\x1b\x7f"]


def test_secrets_are_blanked(db):
    with Errand(db.dsn, RESEND_API_KEY="re_secretsecret") as errand:
        errand.start().wait_ready()
        id = db.enqueue("probe.run", {"log": ["key re_secretsecret", "x" * 2040 + "re_secretsecret"]})
        db.wait_ended(id)
        assert texts(db, id) == ["key ***", "x" * 2040 + "***"]


@pytest.mark.parametrize("level, kept", [("debug", 4), ("error", 1), ("none", 0)])
def test_level(db, errand, level, kept):
    errand.start(env={"ERRAND_JOB_LOG_LEVEL": level}).wait_ready()
    id = db.enqueue("probe.run", {"log": [{"debug": "d"}, {"info": "i"}, {"warn": "w"}, {"error": "e"}]})
    db.wait_ended(id)
    assert texts(db, id) == list("diwe")[4 - kept:]


@pytest.mark.parametrize("keep, done, failed", [("all", 1, 1), ("errors", 0, 1), ("none", 0, 0)])
def test_kinds_that_the_history_does_not_keep(db, errand, keep, done, failed):
    db.sql("select errand.kind_keep('probe.run', %s)", keep)
    runner = errand.start().wait_ready()
    good = db.enqueue("probe.run", {"log": ["a"]})
    bad = db.enqueue("probe.run", {"log": ["a"], "outcome": "fail"})
    db.wait_empty()
    assert runner.terminate() == 0
    assert (len(texts(db, good)), len(texts(db, bad))) == (done, failed)


def test_jobs_without_lines_cost_no_statement(db, errand):
    count_writes(db)
    runner = errand.start().wait_ready()
    db.enqueue_many(3000)
    db.wait_empty()
    for n in range(20):
        db.wait_ended(db.enqueue("probe.run", {"effect": "with"}))
    assert runner.terminate() == 0
    assert writes(db) == 0


def test_many_jobs_share_statements(db, errand):
    count_writes(db)
    runner = errand.start().wait_ready()
    db.enqueue_many(3000, {"log": ["a", "b"]})
    db.wait_empty()
    assert runner.terminate() == 0
    assert db.one("select count(*) from errand.job_log") == 6000
    assert db.one("select count(*) from (select job_id from errand.job_log group by job_id having array_agg(message order by logged_at, line) = '{a,b}') x") == 3000
    assert 0 < writes(db) < 300


def test_lines_that_the_database_refuses_fail_no_job(db, errand):
    """Beside them the jobs of the same batch end as they would, once, and what comes later is kept."""
    db.sql("alter table errand.job_log add constraint no_poison check (message <> 'poison')")
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(50, {"log": ["poison"], "effect": "with"}) + db.enqueue_many(50, {"log": ["poison"]})
    for id in ids:
        assert db.wait_ended(id).state == "done"
    runner.wait_log("keeping jobs' log lines failed.*no_poison")
    assert db.one("select count(*) from public.probe_effect") == 50
    db.check_history(ids)
    assert db.one("select bool_and(attempt = 1) from errand.history")
    later = db.enqueue("probe.run", {"log": ["well"]})
    db.wait_ended(later)
    db.wait("select count(*) = 1 from errand.job_logs where id = %s", later)
    assert runner.terminate() == 0


@contextlib.contextmanager
def locked(db):
    """Somebody has the table of the lines for himself."""
    with contextlib.closing(psycopg2.connect(db.dsn)) as other:
        other.cursor().execute("lock table errand.job_log in access exclusive mode")
        yield
        other.rollback()


def test_a_locked_table_holds_no_job_up(db, errand):
    runner = errand.start().wait_ready()
    with locked(db):
        ids = db.enqueue_many(20, {"log": ["a"]}) + db.enqueue_many(20, {"log": ["a"], "effect": "with"})
        for id in ids:
            assert db.wait_ended(id).state == "done"
    db.wait("select count(*) = 40 from errand.job_log")
    assert runner.terminate() == 0


def test_what_waits_is_bounded(db, errand):
    """100 jobs of 200 lines of 2 KB have 40 MB to say; 32 MiB of it wait while the table is locked."""
    runner = errand.start(env={"ERRAND_LOG_LEVEL": "warn"})
    with locked(db):
        ids = db.enqueue_many(100, {"log_count": 200, "log_pad": 2000})
        db.wait("select count(*) = 100 from errand.history", timeout=40)
    db.wait("select count(*) > 16000 from errand.job_log", timeout=40)
    db.wait_ended(db.enqueue("probe.run", {"log": ["and then"]}))
    assert runner.terminate() == 0
    kept, told = db.row(
        "select count(*) filter (where message like '%%line %%'), sum(substring(message from '^([0-9]+) more lines')::integer) from errand.job_log")
    assert 14000 < kept < 17000 and kept + told == 20000
    assert db.one("select count(*) from errand.job_log where message = 'and then'") == 1


def test_through_an_outage_no_line_is_lost_or_stands_twice(db, errand):
    runner = errand.start().wait_ready()
    ids = db.enqueue_many(200, {"log": ["a", "b"], "sleep_ms": 300})
    runner.wait_log("event=b ")
    for n in range(3):
        db.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'errand%%' and pid <> pg_backend_pid()")
    for id in ids:
        db.wait_ended(id)
    assert runner.terminate() == 0
    assert db.one("select bool_and(n = 2) and count(*) = 200 from (select count(*) as n from errand.job_log where attempt = 1 group by job_id) x")


def test_a_frozen_runners_lines_come_when_it_wakes(db, errand):
    frozen = errand.start("--name", "frozen").wait_ready()
    id = db.enqueue("probe.run", {"log": ["a"], "sleep_ms": 700})
    frozen.wait_log("event=a ")
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        other = errand.start("--name", "other").wait_ready()
        db.wait_ended(id)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
    until(lambda: len(lines(db, id)) == 2, lambda: lines(db, id))
    assert other.terminate() == 0 and frozen.terminate() == 0


def test_deleted_with_the_job(db, errand):
    errand.start().wait_ready()
    dead = db.enqueue("probe.run", {"log": ["a"], "outcome": "fail"})
    owed = db.enqueue("probe.run", {"log": ["a"], "outcome": "retry", "delay_ms": 3600000})
    other = db.enqueue("probe.run", {"log": ["a"], "outcome": "fail"})
    for id in (dead, other):
        db.wait_state(id, "dead")
    db.wait("select last_error is not null from errand.job where id = %s", owed)
    assert [db.one("select errand.delete(%s)", id) for id in (dead, owed)] == ["deleted"] * 2
    assert (texts(db, dead), texts(db, owed), texts(db, other)) == ([], [], ["a"])


# ---- Programs ----

def program(db, script, **args):
    return db.enqueue("probe.child", {"argv": ["sh", "-c", script], "err_is_log": True, **args})


def test_lines_of_a_program_as_they_come(db, errand):
    errand.start().wait_ready()
    id = program(db, "printf 'one\\n\\n two \\r\\nwith' >&2; sleep 1.5; printf 'out an end' >&2; exit 3")
    db.wait("select count(*) = 2 from errand.job_logs where id = %s", id)
    assert db.job(id).finished_at is None
    assert "out an end" in db.wait_ended(id).result["err"]
    assert texts(db, id) == ["one", " two", "without an end"]


def test_a_program_that_says_too_much(db, errand):
    runner = errand.start().wait_ready()
    id = program(db, "seq 1 100000 >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2")
    db.wait_ended(id)
    assert texts(db, id) == [str(n) for n in range(1, 200)] + ["99802 more lines of stderr were left out"]
    assert runner.log().count("kind=probe.child") == 200
    long = program(db, "printf 'a\\0b' >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2")
    db.wait_ended(long)
    assert texts(db, long) == ["a\ufffdb" + "x" * 2040 + "..."]


def test_what_a_program_said_before_it_was_ended(db, errand):
    errand.start().wait_ready()
    id = program(db, "echo last words >&2; sleep 60", timeout_ms=300)
    db.wait_ended(id)
    assert texts(db, id) == ["last words"]


# ---- Commands ----

def parse(text):
    return [json.loads(line) for line in text.splitlines()]


def test_commands_show_them(db, errand):
    errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log": ["first\tone\n", {"warn": "ä"}], "log_count": 40, "outcome": "fail"})
    db.wait_ended(id)
    out = errand.run("jobs", "log", str(id)).stdout.splitlines()
    assert len(out) == 42 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z 1 info  first one ", out[0])
    assert out[1].endswith(" 1 warn  ä") and out[41].endswith(" 1 info  line 40")
    last = parse(errand.run("jobs", "log", str(id), "--lines", "2", "--json").stdout)
    assert [(line["id"], line["attempt"], line["level"], line["message"]) for line in last] == [
        (id, 1, "info", "line 39"), (id, 1, "info", "line 40")]
    shown = errand.run("jobs", "show", str(id)).stdout
    assert "line 40" in shown and "line 21" in shown and "line 20" not in shown
    assert [line["message"] for line in json.loads(errand.run("jobs", "show", str(id), "--json").stdout)["log"]] == texts(db, id)


def test_follow_ends_with_the_job(db, errand):
    errand.start().wait_ready()
    id = db.enqueue("probe.run", {"log": ["a"], "sleep_ms": 1500, "outcome": "retry", "times": 1, "delay_ms": 0})
    done = errand.run("jobs", "log", str(id), "--follow", "--json")
    assert db.job(id).finished_at
    assert [(line["attempt"], line["message"]) for line in parse(done.stdout)] == [(1, "a"), (2, "a")]


@pytest.mark.parametrize("args, status, error", [
    (["999999999"], 3, "there is no job 999999999"), (["999999999", "--follow"], 3, "there is no job 999999999"),
    (["x"], 2, "x"), (["1", "--lines", "0"], 2, "--lines")])
def test_what_cannot_be_shown(errand, args, status, error):
    done = errand.run("jobs", "log", *args, check=False)
    assert (done.returncode, done.stdout) == (status, "") and error in done.stderr


def test_no_lines_is_no_error(db, errand):
    assert errand.run("jobs", "log", str(db.enqueue("not.served"))).stdout == ""
