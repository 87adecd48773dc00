"""errand enqueue: every flag reaches errand.enqueue, and what is wrong is said."""

import json
import re

import pytest

from cli_support import dsn, enqueue, errand, refused, sql


def test_enqueue_gives_defaults_to_the_database(errand, dsn):
    job = enqueue(errand, "mail.test")
    assert sql(dsn, f"select kind, args::text, priority, key, max_attempts from errand.job where id = {job}") == [
        ("mail.test", "{}", 2, None, None)]
    assert json.loads(errand.run("enqueue", "mail.test", "--json").stdout) == {"id": job + 1}


def test_enqueue_takes_everything(errand, dsn):
    sql(dsn, "select errand.queue_create('slow', 1)")
    job = enqueue(errand, "mail.test", '{"a": 123456789012345678901234567890.10}', "--queue", "slow", "--priority", "0",
                  "--key=k 1", "--max-attempts", "3", "--run-at", "2031-01-31T09:00:00+02:00")
    assert sql(dsn, f"select args::text, queue, priority, key, max_attempts, run_at::text from errand.jobs where id = {job}") == [
        ('{"a": 123456789012345678901234567890.10}', "slow", 0, "k 1", 3, "2031-01-31 07:00:00+00")]
    assert enqueue(errand, "mail.test", "--queue", "slow", "--key", "k 1") == job


def test_enqueue_passes_on_how_it_is_to_run(errand, dsn):
    job = enqueue(errand, "mail.test", "--timeout", "1m30s", "--expires-at", "+1h", "--tag", "a,b", "--tag", "c d",
                  "--trace", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert sql(dsn, f"""select timeout_ms, expires_at - created_at between '59 min' and '61 min', tags, trace is not null
        from errand.job where id = {job}""") == [(90000, True, ["a", "b", "c d"], True)]


def test_enqueue_after_others(errand, dsn):
    first, second, third = (enqueue(errand, "mail.test") for _ in range(3))
    job = enqueue(errand, "mail.test", "--after", f"{first},{second}", "--after", str(third), "--on-parent", "hold")
    assert sql(dsn, f"select waiting_for from errand.job where id = {job}") == [(3,)]
    assert sql(dsn, f"select parent_id, on_parent from errand.dependency where child_id = {job} order by 1") == [
        (first, "hold"), (second, "hold"), (third, "hold")]
    assert "12345678" in refused(errand, "enqueue", "mail.test", "--after", "12345678", status=2)


def test_enqueue_with_a_key(errand, dsn):
    job = enqueue(errand, "mail.test", '{"n": 1}', "--key", "k")
    assert enqueue(errand, "mail.test", '{"n": 2}', "--key", "k", "--on-conflict", "keep") == job
    assert enqueue(errand, "mail.test", '{"n": 3}', "--key", "k", "--on-conflict", "replace") == job
    assert sql(dsn, f"select args from errand.job where id = {job}") == [({"n": 3},)]
    assert enqueue(errand, "mail.test", '{"n": 4}', "--key", "k", "--on-conflict", "allow") != job


def test_enqueue_once_an_hour(errand, dsn):
    job = enqueue(errand, "mail.test", "--key", "hourly", "--unique-for", "1h")
    errand.run("jobs", "cancel", str(job))
    assert enqueue(errand, "mail.test", "--key", "hourly", "--unique-for", "1h") == job
    assert enqueue(errand, "mail.test", "--key", "hourly", "--unique-for", "1ms") != job


@pytest.mark.parametrize("text, seconds", [("+10s", 10), ("+5m", 300), ("+1h30m", 5400), ("+250ms", 0.25), ("+2d", 172800)])
def test_enqueue_from_now(errand, dsn, text, seconds):
    job = enqueue(errand, "mail.test", "--run-at", text)
    [(after,)] = sql(dsn, f"select extract(epoch from run_at - created_at)::float from errand.job where id = {job}")
    assert abs(after - seconds) < 0.2


def test_enqueue_reads_args_from_a_file_and_a_pipe(errand, dsn):
    text = '{"text": "' + "é" * 200000 + '"}'
    (errand.dir / "args.json").write_text(text)
    jobs = [enqueue(errand, "mail.test", f"@{errand.dir}/args.json"), enqueue(errand, "mail.test", "-", input=text)]
    for job in jobs:
        assert sql(dsn, f"select args::text = '{text}' from errand.job where id = {job}") == [(True,)]


TIME = r"\n +A time is 2031-01-31T09:00:00Z, or from now: \+10m, -1h, \+1d\."
JSON = r"""\(.*\)\n +JSON is like '\{"order": 4711\}'; @FILE takes it from a file, - from stdin\."""


@pytest.mark.parametrize("args, status, part", [
    (("mail.test", "{bad"), 2, f"invalid input syntax for type json {JSON}"),
    (("mail.test", ""), 2, f"invalid input syntax for type json {JSON}"),
    (("mail.test", '{"a": "\\u0000"}'), 2, r"unsupported Unicode escape sequence \(.*\)\n +PostgreSQL's JSON holds no \\u0000"),
    (("a", "--key", "\udcff"), 2, r'invalid byte sequence for encoding "UTF8": 0xff\n +What is given here is read as UTF-8\.'),
    (("Mail Test",), 2, 'kind "Mail Test" is not valid'),
    (("a", "--run-at", "soonish"), 2, f'"soonish"{TIME}'),
    (("a", "--run-at", "+10x"), 2, rf'"\+10x"{TIME}'),
    (("a", "--run-at", "2026-13-01"), 2, f'"2026-13-01"{TIME}'),
    (("a", "--timeout", "0s"), 2, r"timeout is 00:00:00, and not from 1 ms to 1 day\n +It is the time for one attempt"),
    (("a", "--key", "k" * 2001), 2, r"a key has 2001 bytes\n +At most 2000"),
    (("a", "--expires-at=-1h"), 2, "expires_at"),
    (("a", "--unique-for", "1h"), 2, "key"),
    (("a", "--after", "1,x"), 2, "--after is 'x'; it must be a whole number"),
    (("a", "--after", "1", "--after", ""), 2, "--after is ''; it must be a whole number"),
    (("a", "--queue", "nosuch"), 3, 'queue "nosuch" does not exist'),
])
def test_enqueue_refuses(errand, dsn, args, status, part):
    assert re.search(part, refused(errand, "enqueue", *args, status=status))
    assert sql(dsn, "select count(*) from errand.job") == [(0,)]


