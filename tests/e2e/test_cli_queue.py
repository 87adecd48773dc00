"""errand queue, kind, runners, stats, why: what operators set and look at."""

import json
import re

import pytest

from cli_support import dsn, enqueue, errand, on_terminal, refused, sql
from support.wait import until


def queue(errand, *args):
    """The queue as the command leaves it."""
    [found] = json.loads(errand.run("queue", *args, "--json").stdout)
    return found


def kind(errand, *args):
    [found] = json.loads(errand.run("kind", *args, "--json").stdout)
    return found


# ---- Queues ----

def test_queue_create_and_list(errand):
    assert queue(errand, "create", "mail")["lanes"] == 8 and queue(errand, "create", "narrow", "--lanes", "1")["lanes"] == 1
    enqueue(errand, "mail.test", "--queue", "narrow")
    enqueue(errand, "mail.test", "--queue", "narrow", "--run-at", "+1h")
    lines = [line.split("\t") for line in errand.run("queue", "list").stdout.splitlines()]
    assert lines[0] == ["queue", "lanes", "ready", "scheduled", "waiting", "running", "days", "state", "limits"]
    assert [line[0] for line in lines[1:]] == ["default", "mail", "narrow"]
    assert lines[3] == ["narrow", "1", "1", "1", "0", "0", "14", "open", ""]
    assert "has 1 lanes, which cannot be changed" in refused(errand, "queue", "create", "narrow", status=1)
    assert 'queue "No Name" is not valid\n        A queue is 1 to 63' in refused(errand, "queue", "create", "No Name", status=2)


def test_queue_pause_and_resume(errand):
    assert (found := queue(errand, "pause", "default", "--reason", "spring cleaning"))["paused"] is True
    assert found["pause_reason"] == "spring cleaning" and found["paused_until"] == "infinity"
    assert errand.run("queue", "list").stdout.count("paused: spring cleaning") == 1
    assert re.search(r"paused until 20\d\d-.*Z$", errand.run("queue", "pause", "default", "--until", "+1h").stdout.strip())
    assert "which is over\n        Give a time to come" in refused(errand, "queue", "pause", "default", "--until", "-1h", status=2)
    assert queue(errand, "pause", "default", "--until", "2031-01-31T09:00:00Z")["paused_until"].startswith("2031-01-31T09:00:00")
    assert queue(errand, "resume", "default")["paused"] is False
    text = refused(errand, "queue", "pause", "nosuch", status=3)
    assert 'queue "nosuch" does not exist' in text


def test_queue_limit(errand):
    queue(errand, "create", "limited")
    found = queue(errand, "limit", "limited", "--concurrency", "10", "--rate", "90/m", "--burst", "5", "--key-concurrency", "1",
                  "--key-ordered", "yes")
    assert {name: found[name] for name in ("concurrency", "rate", "burst", "key_concurrency", "key_rate", "key_ordered")} == {
        "concurrency": 10, "rate": 1.5, "burst": 5, "key_concurrency": 1, "key_rate": None, "key_ordered": True}
    assert "10 at once, 1.5/s burst 5, 1 at once a key, keys in order" in errand.run("queue", "list").stdout
    found = queue(errand, "limit", "limited", "--concurrency", "none", "--key-rate", "2", "--key-burst", "3", "--key-ordered", "no")
    assert (found["concurrency"], found["rate"], found["key_rate"], found["key_burst"], found["key_ordered"]) == (None, 1.5, 2, 3, False)
    found = queue(errand, "limit", "limited", "--rate", "0", "--burst", "0", "--key-concurrency=0", "--key-rate=none", "--key-burst=0")
    assert [found[name] for name in ("rate", "burst", "key_concurrency", "key_rate", "key_burst")] == [None] * 5
    assert 'queue "nosuch" does not exist' in refused(errand, "queue", "limit", "nosuch", "--rate", "1", status=3)


def test_queue_retention(errand):
    assert queue(errand, "retention", "default", "30")["history_days"] == 30
    assert queue(errand, "retention", "default", "14")["history_days"] == 14


# ---- Kinds ----

def test_kind_settings(errand):
    assert kind(errand, "pause", "mail.test", "--reason", "broken template")["pause_reason"] == "broken template"
    assert kind(errand, "resume", "mail.test")["paused"] is False
    assert kind(errand, "limit", "mail.test", "3")["concurrency"] == 3
    assert kind(errand, "limit", "mail.test", "none")["concurrency"] is None
    assert kind(errand, "keep", "mail.test", "errors")["keep"] == "errors"
    assert kind(errand, "keep", "mail.test", "all")["keep"] == "all"


def test_kind_retry(errand, dsn):
    kind(errand, "retry", "a.kind", "--policy", "exponential", "--delays", "2s,1h")
    kind(errand, "retry", "a.kind", "--policy", "list", "--delays", "500ms,1m,1h30m", "--error-class", "timeout", "--max-attempts", "5")
    kind(errand, "retry", "a.kind", "--policy", "never", "--error-class", "rejected")
    assert sql(dsn, "select error_class, policy, delays_ms, max_attempts from errand.kind_retry where kind = 'a.kind' order by 1") == [
        ("", "exponential", [2000, 3600000], None), ("rejected", "never", [], None),
        ("timeout", "list", [500, 60000, 5400000], 5)]
    line = next(line for line in errand.run("kind", "list").stdout.splitlines() if line.startswith("a.kind"))
    assert line.split("\t")[-1] == ("retry exponential 2s,1h; retry rejected: never; "
                                    "retry timeout: list 500ms,1m,90m to 5 attempts")
    kind(errand, "retry", "a.kind", "--policy", "reset", "--error-class", "timeout")
    assert sql(dsn, "select count(*) from errand.kind_retry where kind = 'a.kind'") == [(2,)]
    errand.run("kind", "retry", "a.kind", "--policy", "reset")
    assert sql(dsn, "select count(*) from errand.kind_retry where kind = 'a.kind'") == [(0,)]


# ---- With a runner ----

def test_runners_kinds_and_limits_in_force(errand, dsn):
    assert json.loads(errand.run("runners", "--json").stdout) == []
    runner = errand.start("--concurrency", "4", env={"ERRAND_NAME": "ada"}).wait_ready()
    [found] = json.loads(errand.run("runners", "--json").stdout)
    assert (found["name"], found["concurrency"], found["alive"], found["queues"]) == ("ada", 4, True, ["*"])
    until(lambda: json.loads(errand.run("runners", "--json").stdout)[0]["lanes"] >= 8, "it has no lanes")
    row = errand.run("runners").stdout.splitlines()[1].split("\t")
    assert row[1] == "ada" and row[3] == "alive" and row[5] == "0/4" and row[6] == "*"
    assert {"probe.run", "email.send"} <= {line.split("\t")[0] for line in errand.run("kind", "list").stdout.splitlines()}

    # A limit that is set while it runs holds at once, and a pause as well.
    queue(errand, "limit", "default", "--concurrency", "1")
    jobs = [enqueue(errand, "probe.claim", '{"sleep_ms": 60000}') for _ in range(3)]
    until(lambda: sql(dsn, "select count(*) = 1 from errand.job where claimed_by is not null")[0][0], "none starts")
    errand.run("jobs", "cancel", "--kind", "probe.claim", "--yes")
    queue(errand, "limit", "default", "--concurrency", "none")
    assert errand.run("jobs", "wait", *map(str, jobs), "--timeout", "20s", check=False).stdout.count("\tcancelled\t") == 3
    kind(errand, "pause", "probe.run", "--reason", "spring cleaning")
    job = enqueue(errand, "probe.run")
    refused(errand, "jobs", "wait", str(job), "--timeout", "500ms", status=1, stdout=f"{job}\tready\n")
    assert "spring cleaning" in errand.run("why", str(job)).stdout
    kind(errand, "resume", "probe.run")
    errand.run("jobs", "wait", str(job), "--timeout", "20s")
    assert runner.terminate() == 0


def test_stats(errand, dsn):
    assert json.loads(errand.run("stats", "--json").stdout)["kinds"] == []
    errand.start().wait_ready()
    jobs = [enqueue(errand, "probe.run", json.dumps(args)) for args in
            ({}, {"sleep_ms": 200}, {"outcome": "fail", "text": "x"}, {"outcome": "retry", "times": 1, "delay_ms": 10})]
    errand.run("jobs", "wait", *map(str, jobs), check=False)
    def counted():
        kinds = json.loads(errand.run("stats", "--json").stdout)["kinds"]
        return kinds and kinds[0]["done"] == 3 and kinds[0]
    found = until(counted, "they are not counted")
    assert (found["kind"], found["dead"], found["retry"], found["cancelled"], found["unknown"]) == ("probe.run", 1, 1, 0, 0)
    assert 200 <= found["run_p99_ms"] < 600 and found["run_p50_ms"] < 100 and found["wait_p50_ms"] <= found["wait_p99_ms"]
    lines = errand.run("stats", "--kind", "probe.run", "--queue", "default", "--since", "-5m").stdout.splitlines()
    assert lines[0].split("\t") == ["kind", "done", "retry", "dead", "cancelled", "unknown", "wait_p50", "wait_p99", "run_p50", "run_p99"]
    assert lines[1].startswith("probe.run\t3\t1\t1\t0\t0\t") and len(lines) == 2
    for flags in (("--kind", "nosuch"), ("--queue", "nosuch"), ("--since", "+1h")):
        assert json.loads(errand.run("stats", "--json", *flags).stdout)["kinds"] == []
    assert "soonish" in refused(errand, "stats", "--since", "soonish", status=2)


def test_show_tells_attempts(errand, dsn):
    errand.start(env={"ERRAND_NAME": "ada"}).wait_ready()
    job = enqueue(errand, "probe.run", '{"outcome": "retry", "times": 2, "delay_ms": 10, "text": "no luck"}', "--tag", "a,b")
    errand.run("jobs", "wait", str(job))
    whole = json.loads(errand.run("jobs", "show", str(job), "--json").stdout)
    assert [(a["attempt"], a["error"]) for a in whole["attempts"]] == [(1, "no luck"), (2, "no luck")]
    assert whole["state"] == "done" and whole["attempt"] == 3 and whole["tags"] == ["a", "b"] and whole["runner_name"] == "ada"
    assert whole["waited_ms"] >= 0 and whole["ran_ms"] >= 0 and whole["why"].startswith("It is done since")
    text = errand.run("jobs", "show", str(job)).stdout
    rows = [line.split("\t") for line in text.split("\n\n")[1].splitlines()]
    assert rows[0] == ["attempt", "finished_at", "ran", "class", "error"] and [row[-1] for row in rows[1:]] == ["no luck"] * 2
    assert re.search(r"^runner +ada \(\d+\)$", text, re.M) and re.search(r"^tags +a, b$", text, re.M)


def test_nothing_that_a_handler_said_reaches_the_terminal_raw(errand, dsn):
    job = enqueue(errand, "mail.test", "--run-at", "+1h", "--key", "k\x1b[2J", "--tag", "t\x1b[2J")
    sql(dsn, f"update errand.job set attempt = 1, last_error = e'bad \\x1b[2J\\nforged: line' where id = {job}")
    for args in (("why", str(job)), ("jobs", "show", str(job)), ("jobs", "list"), ("why", str(job), "1"), ("jobs", "cancel", "--key", "x")):
        text = errand.run(*args, check=False).stdout
        assert "\x1b" not in text and "\nforged" not in text, args


def test_why_of_several(errand):
    first, second = enqueue(errand, "mail.test"), enqueue(errand, "mail.test", "--run-at", "+1h")
    lines = errand.run("why", str(first), str(second)).stdout.splitlines()
    assert lines[0] == "id\twhy" and lines[1].startswith(f"{first}\tNo runner") and lines[2].startswith(f"{second}\tIt is due at")
    found = json.loads(errand.run("why", str(first), str(second), "--json").stdout)
    assert [one["id"] for one in found] == [first, second]
    assert json.loads(errand.run("why", str(first), "--json").stdout)["id"] == first


@pytest.mark.parametrize("args", [("queue", "list"), ("kind", "list"), ("status",), ("runners",)])
def test_tables_fit_a_terminal(errand, args):
    errand.run("queue", "create", "a-queue-with-a-rather-long-name", "--lanes", "1")
    errand.run("queue", "limit", "a-queue-with-a-rather-long-name", "--rate", "5", "--concurrency", "100", "--key-concurrency", "2",
               "--key-rate", "10/h", "--key-ordered", "yes")
    errand.run("queue", "pause", "a-queue-with-a-rather-long-name", "--reason", "the provider says that the quota is used up", "--until", "+1h")
    errand.run("kind", "retry", "some.kind", "--policy", "list", "--delays", "1s,10s,1m,10m,1h,2h,6h,12h,1d")
    text = on_terminal(errand, *args)
    assert all(len(line) <= 100 for line in text.splitlines()), text
    if args[0] == "queue":
        joined = re.sub(r"\s+", " ", text)
        assert "quota is used up; 100 at once, 5/s, 2 at once a key," in joined and "keys in order" in joined
