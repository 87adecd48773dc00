"""errand test: one handler in a database of its own, with recorded answers, and what it did."""

import http.server
import json
import re
import signal
import subprocess
import threading
import time

import psycopg2
import pytest

from email_support import OWNER, WORKSPACE
from support.cluster import free_port, shared_cluster
from support.errand import Errand, binary
from support.ledger import EFFECT_TABLE
from support.wait import QueueDatabase, until

QUEUE = ["--only", "queue"]


@pytest.fixture(scope="module")
def server():
    """A server on which databases are made, and that none of them stays on."""
    cluster = shared_cluster()
    with Errand(cluster.dsn("postgres")) as errand:
        yield errand
    assert databases() == []


def databases():
    connection = psycopg2.connect(shared_cluster().dsn("postgres"))
    with connection, connection.cursor() as cursor:
        cursor.execute("select datname from pg_database where datname like 'errand\\_test%'")
        found = [name for name, in cursor.fetchall()]
    connection.close()
    return found


def trial(errand, *args, status=0, **named):
    done = errand.run("test", *args, "--json", check=False, **named)
    assert done.returncode == status, done.stdout + done.stderr
    report = json.loads(done.stdout)
    report["stderr"] = done.stderr
    return report


def calls(report, call):
    return [{name: value for name, value in one.items() if name != "call"} for one in report["calls"] if one["call"] == call]


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


# ---- Our own jobs ----

MESSAGE = "00000000-0000-4000-8000-00000000000c"


PROVIDER_ID = "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"


@pytest.mark.parametrize("answer, status, outcome, reason", [
    ({"status": 200, "json": {"id": PROVIDER_ID}}, 0, "done", None),
    ({"status": 422, "json": {"statusCode": 422, "name": "validation_error", "message": "no such domain"}}, 10, "dead",
     "provider answered 422 validation_error: no such domain"),
    ({"status": 500, "json": {"statusCode": 500, "name": "application_error", "message": "oops"}}, 11, "retry", "provider answered 500"),
])
def test_email_send(server, tmp_path, answer, status, outcome, reason):
    tape = write(tmp_path / "resend.json", [{"match": {"method": "POST", "url": "https://api.resend.com/emails*"}, **answer}])
    setup = write(tmp_path / "setup.sql", f"""
        insert into auth.users (id, email) values ('{OWNER}', 'owner@example.com');
        insert into public.workspaces (id, name, owner_id) values ('{WORKSPACE}', 'Test', '{OWNER}');
        insert into public.scheduled_messages (id, workspace_id, scheduled_for, message_type, subject, content, recipient_email)
        values ('{MESSAGE}', '{WORKSPACE}', now(), 'test', 'Hello', '{{"html": "<p>Hello</p>"}}', 'ada@example.com');""")
    report = trial(server, "email.send", json.dumps({"message_id": MESSAGE}), "--http", tape, "--sql", setup, status=status,
                   env={"RESEND_API_KEY": "re_x", "ERRAND_EMAIL_FROM": "errand@example.com"})
    [request] = calls(report, "http")
    assert (request["method"], request["status"], request["answer"]) == ("POST", answer["status"], 1) and report["answers_left"] == 0
    [job] = report["jobs"]
    assert job["outcome"] == outcome and (reason in job["reason"] if reason else "reason" not in job)
    assert "mail_load" in [one["statement"] for one in calls(report, "sql")]
    finished = [one for one in calls(report, "effect") if one["statement"] == "mail_finish"]
    assert len(finished) == (outcome != "retry") and all(one["rows"] == 1 for one in finished)
    assert not finished or (PROVIDER_ID in finished[0]["params"]) == (outcome == "done")


def test_billing_event(server, tmp_path):
    body = json.dumps({"meta": {"event_name": "subscription_created", "test_mode": False, "custom_data": {"workspace_id": WORKSPACE}},
                       "data": {"type": "subscriptions", "id": "500", "attributes": {
                           "store_id": 1, "customer_id": 77, "status": "active", "updated_at": "2026-01-01T00:00:00.000000Z",
                           "renews_at": "2026-02-01T00:00:00.000000Z", "ends_at": None}}})
    setup = write(tmp_path / "setup.sql", f"""
        insert into auth.users (id, email) values ('{OWNER}', 'owner@example.com');
        insert into public.workspaces (id, name, owner_id) values ('{WORKSPACE}', 'Test', '{OWNER}');
        insert into errand.webhook_event (source, event_id, type, headers, body)
        values ('lemonsqueezy', 'e1', 'subscription_created', '{{}}', convert_to('{body}', 'UTF8'));""")
    report = trial(server, "billing.event", '{"source": "lemonsqueezy", "event_id": "e1"}', "--sql", setup)
    assert [job["outcome"] for job in report["jobs"]] == ["done"]
    assert calls(report, "sql") or calls(report, "effect")
    assert not calls(report, "http")
    report = trial(server, "billing.event", "{}", status=10)
    assert "args need source and event_id" in report["jobs"][0]["reason"]


def test_digest(server):
    report = trial(server, "digest.weekly", "{}")
    assert report["jobs"][0]["outcome"] == "done" and calls(report, "sql") + calls(report, "effect")


# ---- Everything that a handler calls ----

def test_steps_signals_progress_log_and_effects(server, tmp_path):
    setup = write(tmp_path / "setup.sql", EFFECT_TABLE)
    args = write(tmp_path / "args.json", {"signals": ["a", "b"], "steps": True, "effect": True})
    report = trial(server, "probe.wait", args, *QUEUE, "--sql", setup, "--signal", 'a={"by": "ada"}', "--signal", "b", "--step", "a=3",
                   "--step", "b=[4]", "--id", "77", "--attempt", "2")
    assert report["jobs"] == [{"id": 77, "outcome": "done", "result": [{"by": "ada"}, 3, None, [4]]}]
    assert calls(report, "wait") == [{"name": "a", "timeout_ms": -1, "payload": {"by": "ada"}}, {"name": "b", "timeout_ms": -1, "timed_out": True}]
    assert calls(report, "step") == [{"name": "a", "known": True}, {"name": "b", "known": True}]
    [effect] = calls(report, "effect")
    assert (effect["statement"], effect["params"][:2], effect["rows"]) == ("effect", ["77", "2"], 1)
    text = server.run("test", "probe.wait", args, *QUEUE, "--sql", setup, "--signal", "a=1", "--step", "a=3", check=False)
    assert text.returncode == 15 and "outcome  waiting for the signal b" in text.stdout and "wait     b: it waits" in text.stdout
    text = server.run("test", "probe.run", '{"progress": [1, [2]], "outcome": "retry", "text": "why", "delay_ms": 5, "error_class": "x"}',
                      *QUEUE, check=False)
    assert text.returncode == 11
    assert text.stdout == "progress value 1\nprogress value [2]\noutcome  retry in 5 ms [x]: why\n"


@pytest.mark.parametrize("args, status, outcome", [
    ({"outcome": "fail"}, 10, "dead"), ({"outcome": "retry"}, 11, "retry"), ({"outcome": "snooze"}, 12, "snooze"),
    ({"outcome": "cancel"}, 13, "cancelled"), ({"outcome": "unknown"}, 14, "unknown"),
])
def test_outcomes(server, args, status, outcome):
    assert trial(server, "probe.run", json.dumps(args), *QUEUE, status=status)["jobs"][0]["outcome"] == outcome


def test_last_attempt_and_an_effect_that_fails(server):
    assert trial(server, "probe.run", '{"outcome": "retry"}', *QUEUE, "--attempt", "20", status=10)["jobs"][0]["outcome"] == "dead"
    report = trial(server, "probe.run", '{"effect": "with"}', *QUEUE, status=11)
    assert 'relation "public.probe_effect" does not exist' in report["jobs"][0]["reason"]
    assert "does not exist" in calls(report, "effect")[0]["error"]


def test_child_and_batch(server):
    [child] = calls(trial(server, "probe.child", '{"argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]}', *QUEUE), "child")
    assert (child["end"], child["status"], child["out_bytes"], child["err_bytes"]) == ("exited", 3, 4, 4)
    report = trial(server, "probe.wait_batch", '{"signals": ["a"]}', '{"signals": ["b"]}', *QUEUE, "--signal", "b=1", status=15)
    assert [(job["id"], job["outcome"]) for job in report["jobs"]] == [(1, "waiting"), (2, "done")]
    done = server.run("test", "probe.none", "{}", "{}", *QUEUE, check=False)
    assert done.returncode == 2 and "kind probe.none takes at most 1 jobs at once" in done.stderr


def test_kinds_that_are_files(server, tmp_path):
    program = tmp_path / "say.hello"
    program.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"said": "hello"}\'\n')
    (tmp_path / "count.jobs.sql").write_text("select count(*) as jobs from errand.job;\n")
    for file in tmp_path.iterdir():
        file.chmod(0o755)
    tmp_path.chmod(0o755)
    env = {"ERRAND_JOBS": str(tmp_path)}
    report = trial(server, "say.hello", *QUEUE, env=env)
    assert report["jobs"][0]["result"] == {"said": "hello"} and calls(report, "child")[0]["argv"][0].endswith("say.hello")
    report = trial(server, "count.jobs", *QUEUE, env=env)
    [effect] = calls(report, "effect")
    assert report["jobs"][0]["outcome"] == "done" and effect["statement"].startswith("select count(*)") and effect["rows"] == 1
    (tmp_path / "count.jobs.sql").write_text("-- errand: queue = a\n\n/* of all */ select count(*)\n  as jobs\nfrom errand.job;\n")
    done = server.run("test", "count.jobs", *QUEUE, env=env)
    assert done.stdout.splitlines()[0] == "effect   /* of all */ select count(*) as jobs from errand.job: 1 row"
    program.chmod(0o777)
    done = server.run("test", "say.hello", *QUEUE, env=env, check=False)
    assert done.returncode == 1 and "say.hello is refused" in done.stderr


# ---- HTTP ----

ARGS = '{"url": "https://api.example.com/v1/x", "method": "POST"}'
URL = {"url": "https://api.example.com/v1/*"}


def test_answers_in_order_and_repeated(server, tmp_path):
    tape = write(tmp_path / "tape.json", [{"match": URL, "status": 503, "headers": {"Retry-After": "7"}}, {"match": URL, "status": 200}])
    report = trial(server, "probe.http", ARGS, *QUEUE, "--http", tape, status=11)
    assert report["jobs"][0]["outcome"] == "retry" and report["answers_left"] == 1
    assert "1 recorded answers were not asked for" in server.run("test", "probe.http", ARGS, *QUEUE, "--http", tape, check=False).stdout
    tape = write(tmp_path / "tape.json", [{"match": {**URL, "method": "DELETE"}, "status": 500}, {"match": URL, "repeat": True}])
    report = trial(server, "probe.http", ARGS, *QUEUE, "--http", tape)
    assert calls(report, "http")[0]["answer"] == 2 and report["jobs"][0]["outcome"] == "done"


def test_no_answer_is_an_error_that_names_the_request(server, tmp_path):
    tape = write(tmp_path / "tape.json", [{"match": {"url": "https://api.example.com/v1/y"}}])
    for flags in (["--http", tape], []):
        done = server.run("test", "probe.http", ARGS, *QUEUE, *flags, check=False)
        assert done.returncode == 1 and "no recorded answer for" in done.stderr and "https://api.example.com/v1/x" in done.stderr


def test_lost_and_late(server, tmp_path):
    tape = write(tmp_path / "tape.json", [{"match": URL, "lost": True}])
    report = trial(server, "probe.http", ARGS, *QUEUE, "--http", tape, status=11)
    assert "status" not in calls(report, "http")[0]
    tape = write(tmp_path / "tape.json", [{"match": URL, "delay_ms": 60000}])
    started = time.monotonic()
    trial(server, "probe.http", '{"url": "https://api.example.com/v1/x", "timeout_ms": 200}', *QUEUE, "--http", tape, status=11)
    assert time.monotonic() - started < 30, "a late answer is not waited for"


class Teller(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Seen", self.headers.get("User-Agent", ""))
        self.send_header("Set-Cookie", "secret=1")
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"\xff\xfe\x00\x01" if self.path == "/bytes" else b"text")

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("path, body", [("/text", {"body": "text"}), ("/bytes", {"body_hex": "fffe0001"})])
def test_recorded_then_played(server, tmp_path, path, body):
    teller = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teller)
    threading.Thread(target=teller.serve_forever, daemon=True).start()
    url, tape = f"http://127.0.0.1:{teller.server_port}{path}", str(tmp_path / "tape.json")
    try:
        report = trial(server, "probe.http", json.dumps({"url": url}), *QUEUE, "--record", tape)
        assert (calls(report, "http")[0]["status"], calls(report, "http")[0]["bytes"]) == (200, 4)
    finally:
        teller.shutdown()
        teller.server_close()
    [answer] = json.loads((tmp_path / "tape.json").read_text())
    assert answer["match"]["url"] == url and answer["status"] == 200 and body.items() <= answer.items()
    assert answer["headers"]["X-Seen"].startswith("errand/") and "Set-Cookie" not in answer["headers"]
    report = trial(server, "probe.http", json.dumps({"url": url}), *QUEUE, "--http", tape)
    assert calls(report, "http")[0]["bytes"] == 4 and report["jobs"][0]["outcome"] == "done"


def test_recorded_without_an_answer(server, tmp_path):
    tape = tmp_path / "tape.json"
    done = server.run("test", "probe.http", f'{{"url": "http://127.0.0.1:{free_port()}/"}}', *QUEUE, "--record", str(tape), check=False)
    assert done.returncode == 11
    assert re.search(r"^http .*: no answer, (Couldn't connect to server|Could not connect to server)$", done.stdout, re.M), done.stdout
    assert json.loads(tape.read_text()) == []


# ---- Refused ----

@pytest.mark.parametrize("args, status, error", [
    (["no.kind"], 3, "no kind no.kind is linked in or loaded"),
    (["probe.none", "/no/such/file"], 2, "cannot open /no/such/file"),
    (["probe.none", "{"], 2, "invalid input syntax for type json"),
    (["probe.none", "--step", "x"], 2, "--step is 'x'; it takes a name, = and JSON"),
    (["probe.none", "--signal", "x=y"], 2, "--signal is 'x=y'"),
    (["probe.none", "--http", "/no/such/file"], 2, "cannot open /no/such/file"),
    (["probe.none", "--http", "a", "--record", "b"], 2, "exclude each other"),
    (["probe.none", "--sql", "/no/such/file"], 2, "cannot open /no/such/file"),
    (["probe.none", "--attempt", "0"], 2, "--attempt"),
    (["probe.none", "--only", "nothing"], 2, "nothing"),
])
def test_refused(server, args, status, error):
    done = server.run("test", *args, *([] if "--only" in args else QUEUE), check=False)
    assert done.returncode == status and error in done.stderr, done.stderr


def test_sql_that_fails(server, tmp_path):
    done = server.run("test", "probe.none", *QUEUE, "--sql", write(tmp_path / "a.sql", "select 1;\nselect nothing;"), check=False)
    assert done.returncode != 0 and 'column "nothing" does not exist' in done.stderr


# ---- Databases ----

def test_a_role_that_may_not_create_databases(server):
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("drop role if exists poor")
        db.sql("create role poor login in role errand_runner")
        with Errand(db.dsn.replace("user=postgres", "user=poor")) as errand:
            done = errand.run("test", "probe.none", check=False)
            assert done.returncode == 1 and 'role "poor" may not create a database' in done.stderr and "--database URL" in done.stderr
        report = trial(server, "probe.run", '{"effect": "with"}', "--database", db.dsn, status=11)
        assert "does not exist" in report["jobs"][0]["reason"]
        db.sql(EFFECT_TABLE)
        trial(server, "probe.run", '{"effect": "with"}', "--database", db.dsn)
        assert db.one("select count(*) from public.probe_effect") == 1, "what it does there stays"
        assert db.one("select count(*) from errand.job") == 0
        db.sql("drop role poor")


def test_kept_on_demand(server):
    done = server.run("test", "probe.none", *QUEUE, "--keep")
    [name] = databases()
    assert f"database {name} is kept" in done.stderr
    shared_cluster().drop_database(shared_cluster().dsn(name))


def test_interrupted(server):
    process = subprocess.Popen([binary(), "test", "probe.run", '{"sleep_ms": 60000}', *QUEUE], env=server.env, stdout=subprocess.PIPE, text=True)
    connection = psycopg2.connect(shared_cluster().dsn("postgres"))
    connection.autocommit = True

    def is_migrated():
        """Nobody is connected to the test's database any more: the handler sleeps."""
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from pg_database d where datname like 'errand\\_test%' and not exists ("
                           "select from pg_stat_activity a where a.datname = d.datname)")
            return cursor.fetchone()[0] == 1 and time.monotonic() > is_migrated.since
    is_migrated.since = time.monotonic() + 3
    until(is_migrated, "it does not come to the handler")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 13 and "outcome  cancelled" in process.stdout.read()
    connection.close()
    assert databases() == []
