"""errand jobs list and show, errand status: filters, pages, all of a job, tables on a terminal."""

import json
import re

import pytest

from cli_support import dsn, enqueue, errand, on_terminal, refused, sql
from support.wait import until


def test_jobs_list_in_a_pipe_is_plain(errand):
    first = enqueue(errand, "mail.test", "--key", "tab\tand\nline")
    second = enqueue(errand, "other.kind", "--run-at", "+1h")
    lines = errand.run("jobs", "list").stdout.splitlines()
    assert lines[0] == "id\tqueue\tkind\tstate\tattempt\trun_at\tkey\terror"
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows] == [str(second), str(first)]
    assert [row[3] for row in rows] == ["scheduled", "ready"]
    assert rows[1][6] == "tab and line" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[0][5])


def found(errand, *flags):
    """The ids that `jobs list` gives."""
    return [job["id"] for job in json.loads(errand.run("jobs", "list", "--json", *flags).stdout)["jobs"]]


def test_jobs_list_filters(errand):
    jobs = [enqueue(errand, "mail.test", "--key", f"k{n}") for n in range(3)]
    later = enqueue(errand, "other.kind", "--run-at", "+1h")
    assert found(errand) == [later, *reversed(jobs)] and found(errand, "--limit", "2") == [later, jobs[2]]
    assert len(found(errand, "--kind", "mail.test")) == 3 and found(errand, "--key", "k1") == [jobs[1]]
    assert found(errand, "--state", "scheduled") == [later] and found(errand, "--state=dead") == []
    assert len(found(errand, "--queue", "default")) == 4 and found(errand, "--queue", "none") == []
    assert found(errand, "--kind", "mail.test", "--state", "scheduled") == []


@pytest.mark.parametrize("filter, matches", [
    (["customer.id=42"], {0, 3}), (["customer.id=\"42\""], {1}), (["customer.id=43"], {2}), (["customer.name=Ada O'Neil"], {0, 2}),
    (["items.1.sku=b"], {3}), (["items.-1.sku=b"], {3}), (["customer={\"name\": \"Ada O'Neil\", \"id\": 42.0}"], {0}), (["vip=true"], {2}), (["vip=null"], {3}),
    (["customer.id=42", "customer.name=Ada O'Neil"], {0}), (["nosuch=1"], set()), (["customer.id="], set()),
    (["big=123456789012345678901234567890"], {1}), (["customer.id=%' or true --"], set()),
    (['"a.b".c=1'], {4}), (["a.b.c=1"], set()), (['"x=\\"y"=ü'], {4}), (['n"q=1'], {4}), (["list=[]"], {4}), (["list.0=1"], set()), (["ü=ß"], {4}),
    (["{a},NULL=1"], {4}),
])
def test_jobs_list_by_args(errand, filter, matches):
    args = [{"customer": {"id": 42, "name": "Ada O'Neil"}}, {"customer": {"id": "42"}, "big": 123456789012345678901234567890},
            {"customer": {"id": 43, "name": "Ada O'Neil"}, "vip": True},
            {"customer": {"id": 42}, "items": [{"sku": "a"}, {"sku": "b"}], "vip": None},
            {"a.b": {"c": 1}, 'x="y': "ü", 'n"q': 1, "list": [], "ü": "ß", "{a},NULL": 1}]
    jobs = [enqueue(errand, "mail.test", json.dumps(one)) for one in args]
    flags = [word for one in filter for word in ("--args", one)]
    assert set(found(errand, *flags)) == {jobs[n] for n in matches}


def test_jobs_list_by_tag(errand):
    both, one = enqueue(errand, "mail.test", "--tag", "red,blue"), enqueue(errand, "mail.test", "--tag", "red")
    enqueue(errand, "mail.test")
    assert found(errand, "--tag", "red") == [one, both] and found(errand, "--tag", "red", "--tag", "blue") == [both]
    assert found(errand, "--tag", "red,blue") == [both] and found(errand, "--tag", "red,green") == []
    assert found(errand, "--tag", "{red}") == []


def make_ended(dsn, jobs):
    """{outcome: hours ago} as rows of the history; their ids, from 1000 on."""
    for n, (outcome, hours) in enumerate(jobs):
        sql(dsn, f"""insert into errand.history (lane, attempt, priority, id, run_at, created_at, started_at, finished_at, keep_until,
                outcome, kind, args, error)
            select min(lane), 1, 2, {1000 + n}, now() - interval '9 h', now() - interval '9 h', now() - interval '{hours} h 1 min',
                now() - interval '{hours} h', current_date + 14, '{outcome}', 'mail.test', '{{}}',
                case when '{outcome}' <> 'done' then 'smtp: 550 no such user' end from errand.lane where queue = 'default'""")
    sql(dsn, """insert into errand.dead_letter (lane, attempt, priority, id, run_at, created_at, died_at, kind, args, error)
        select lane, attempt, priority, id, run_at, created_at, finished_at, kind, args, error from errand.history where outcome = 'dead'""")


def test_jobs_list_by_time_and_error(errand, dsn):
    make_ended(dsn, [("done", 1), ("dead", 2), ("dead", 4), ("cancelled", 6), ("unknown", 8)])
    job = enqueue(errand, "mail.test")
    assert found(errand) == [job, 1004, 1003, 1002, 1001, 1000] or found(errand) == [1004, 1003, 1002, 1001, 1000, job]
    assert found(errand, "--since", "-3h", "--state", "dead") == [1001] and found(errand, "--until=-3h", "--state", "dead") == [1002]
    assert found(errand, "--since", "-7h", "--until", "-90m") == [1003, 1002, 1001]
    assert set(found(errand, "--since", "-10s")) == {job}  # owed: when it was enqueued
    assert found(errand, "--since", "+1h") == [] and found(errand, "--since", "infinity") == []
    assert found(errand, "--until", "infinity") == found(errand, "--since", "-infinity") == found(errand)
    assert found(errand, "--error", "550 no such") == [1004, 1003, 1002, 1001] and found(errand, "--error", "55%") == []
    [(at,)] = sql(dsn, "select (now() - interval '5 h')::text")
    assert found(errand, "--until", at) == [1004, 1003]
    assert "soonish" in refused(errand, "jobs", "list", "--since", "soonish", status=2)


def test_jobs_list_shows_every_state(errand, dsn):
    """And says the same of them as the view errand.jobs."""
    make_ended(dsn, [("done", 1), ("cancelled", 1), ("unknown", 1), ("dead", 1)])
    ready, later, running, parent = (enqueue(errand, "mail.test", *more) for more in ((), ("--run-at", "+1h"), (), ()))
    waiting, held = (enqueue(errand, "mail.test", "--after", str(parent), "--on-parent", "hold") for _ in range(2))
    sql(dsn, f"update errand.job set claimed_by = 1, started_at = now() where id = {running}")
    sql(dsn, f"update errand.job set held = true where id = {held}")
    states = {"ready": [parent, ready], "scheduled": [later], "running": [running], "waiting": [waiting], "held": [held],
              "done": [1000], "cancelled": [1001], "unknown": [1002], "dead": [1003]}
    for state, ids in states.items():
        assert found(errand, "--state", state) == ids, state
        for id in ids:
            assert json.loads(errand.run("jobs", "show", str(id), "--json").stdout)["state"] == state
    assert dict(sql(dsn, "select id, state from errand.jobs")) == {id: state for state, ids in states.items() for id in ids}


def test_a_job_that_was_redriven_is_met_once(errand, dsn):
    make_ended(dsn, [("dead", 1)])
    assert errand.run("jobs", "redrive", "1000").stdout.splitlines()[1] == "1000\tredriven"
    assert found(errand) == [1000] and found(errand, "--state", "ready") == [1000] and found(errand, "--state", "dead") == []
    assert "state         ready" in errand.run("jobs", "show", "1000").stdout


def test_a_dead_letter_outlives_its_history(errand, dsn):
    make_ended(dsn, [("dead", 1)])
    sql(dsn, "delete from errand.history")
    assert found(errand, "--state", "dead") == [1000]
    assert json.loads(errand.run("jobs", "show", "1000", "--json").stdout)["last_error"] == "smtp: 550 no such user"


def test_a_dead_letter_in_a_list_is_told_of_as_by_itself(errand, dsn):
    """Who ran it last, when, and the class of its error stand in its history."""
    make_ended(dsn, [("dead", 1), ("dead", 2)])
    sql(dsn, "update errand.history set error_class = 'timeout', runner = 7 where id = 1000; delete from errand.history where id = 1001")
    listed = {job["id"]: job for job in json.loads(errand.run("jobs", "list", "--json", "--state", "dead").stdout)["jobs"]}
    names = ("state", "error_class", "runner", "started_at", "finished_at", "last_error")
    for id in (1000, 1001):
        shown = json.loads(errand.run("jobs", "show", str(id), "--json").stdout)
        assert {name: listed[id][name] for name in names} == {name: shown[name] for name in names}
    assert (listed[1000]["error_class"], listed[1000]["runner"], listed[1001]["error_class"]) == ("timeout", 7, None)


def test_jobs_list_in_pages(errand, dsn):
    make_ended(dsn, [("done", 1), ("dead", 1), ("done", 2)])
    jobs = [enqueue(errand, "mail.test") for _ in range(4)]
    every = sorted([*jobs, 1000, 1001, 1002], reverse=True)
    pages, before = [], []
    while True:
        page = json.loads(errand.run("jobs", "list", "--json", "--limit", "3", *before).stdout)
        pages.append([job["id"] for job in page["jobs"]])
        if page["next"] is None:
            break
        before = ["--before", str(page["next"])]
    assert pages == [every[:3], every[3:6], every[6:]]
    assert on_terminal(errand, "jobs", "list", "--limit", "3").splitlines()[-1] == f"There are more: add --before {every[2]}"
    assert len(errand.run("jobs", "list", "--limit", "3").stdout.splitlines()) == 4
    assert "more" not in on_terminal(errand, "jobs", "list", "--limit", "7")


def test_jobs_list_reads_no_further_than_its_page(errand, dsn):
    """Neither the jobs nor the history are sorted or read to the end."""
    sql(dsn, "select count(*) from errand.enqueue_many('mail.test', array_fill('{}'::jsonb, array[20000]))")
    sql(dsn, """insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args)
        select min(l.lane), 1, 2, 1000000 + n, now(), now(), now(), current_date + 1 + n % 14, 'done', 'mail.test', '{}'
        from errand.lane l, generate_series(1, 20000) n group by n""")
    sql(dsn, "analyze errand.job; analyze errand.history")
    count = "select sum(idx_tup_fetch + seq_tup_read)::integer from pg_stat_user_tables where relname ~ '^(job|history)'"
    sql(dsn, "select pg_stat_force_next_flush()")
    [(before,)] = sql(dsn, count)
    assert found(errand, "--limit", "20") == list(range(1020000, 1019980, -1))
    until(lambda: sql(dsn, count)[0][0] > before, "the statistics are not told")
    [(after,)] = sql(dsn, count)
    assert after - before < 2000


def test_args_are_shown_as_postgresql_has_them(errand):
    args = '{"n": 123456789012345678901234567890.10, "é": "\\"x\\"", "e": 1e3}'
    job = enqueue(errand, "mail.test", args)
    exact = '{"e": 1000, "n": 123456789012345678901234567890.10, "é": "\\"x\\""}'
    assert f'"args" : {exact}' in errand.run("jobs", "list", "--json").stdout
    assert f'"args" : {exact}' in errand.run("jobs", "show", str(job), "--json").stdout
    shown = dict(line.split(None, 1) for line in errand.run("jobs", "show", str(job)).stdout.splitlines())
    assert shown["args"] == exact and shown["kind"] == "mail.test" and shown["state"] == "ready"
    assert shown["why"].startswith("No runner serves queue default")


def test_jobs_show_tells_what_waits_for_what(errand):
    parent = enqueue(errand, "mail.test")
    job = enqueue(errand, "mail.test", "--after", str(parent), "--on-parent", "run")
    child = enqueue(errand, "mail.test", "--after", str(job))
    lines = [line.split("\t") for line in errand.run("jobs", "show", str(job)).stdout.split("\n\n", 1)[1].splitlines() if line]
    assert lines == [["waits_for", "state", "if_not_done", "held"], [str(parent), "owed", "run", ""],
                     ["waited_for_by", "if_not_done"], [str(child), "cancel"]]
    whole = json.loads(errand.run("jobs", "show", str(job), "--json").stdout)
    assert whole["waits_for"] == [{"id": parent, "on_parent": "run", "outcome": None, "held": False}]
    assert whole["waited_for_by"] == [{"id": child, "on_parent": "cancel", "held": False}]


def test_jobs_show_not_found(errand):
    assert "there is no job 999999" in refused(errand, "jobs", "show", "999999", status=3)
    assert json.loads(refused(errand, "jobs", "show", "999999", "--json", status=3))["error"]["code"] == "not_found"


def test_status(errand):
    job = enqueue(errand, "mail.test")
    enqueue(errand, "mail.test", "--run-at", "+1h")
    text = errand.run("status").stdout
    assert re.search(r"schema  queue \d+  auth 0", text) and "default\t8\t1\t1\t0\t" in text and f"mail.test  job {job}" in text
    found = json.loads(errand.run("status", "--json").stdout)
    [queue] = [q for q in found["queues"] if q["name"] == "default"]
    assert (queue["ready"], queue["scheduled"]) == (1, 1) and found["runners"] == []
    assert found["next_due"]["id"] == job


def test_status_shows_a_pause(errand, dsn):
    sql(dsn, "select errand.queue_pause('default', 'provider says no')")
    try:
        assert "paused: provider says no" in errand.run("status").stdout
    finally:
        sql(dsn, "select errand.queue_resume('default')")


def test_tables_on_a_terminal_are_aligned_and_fit(errand, dsn):
    enqueue(errand, "mail.test", "--key", "é")
    job = enqueue(errand, "a.much.longer.kind")
    sql(dsn, f"update errand.job set last_error = repeat('long ', 100) where id = {job}")
    lines = on_terminal(errand, "jobs", "list").splitlines()
    assert all(len(line) <= 100 for line in lines) and "\t" not in "".join(lines)
    columns = [lines[0].index(word) for word in ("kind", "state", "run_at")]
    for line in (lines[1], lines[-1]):
        assert all(line[at - 1] == " " and line[at] != " " for at in columns)
    # What finds no room stands below its row.
    assert lines[2].startswith("    long long") and lines[5].endswith("…") and lines[6].split()[-1] == "é"
    narrow = on_terminal(errand, "jobs", "list", columns=70).splitlines()
    assert all(len(line) <= 70 for line in narrow) and "a.much.…" in narrow[1]


