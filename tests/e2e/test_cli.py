"""The command line: parsing, settings, errors that say what, where and what to do, and the commands on jobs."""

import json
import os
import pty
import re
import socket
import subprocess
import threading
from pathlib import Path

import psycopg2
import pytest

from support.cluster import Cluster, shared_cluster
from support.errand import Errand, binary

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dsn():
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("cli")
    with Errand(dsn) as errand:
        errand.run("migrate", "up", "--only", "queue")
    yield dsn
    cluster.drop_database(dsn)


@pytest.fixture
def errand(dsn):
    with Errand(dsn) as errand:
        yield errand
    sql(dsn, "delete from errand.job; delete from errand.history")


@pytest.fixture
def nowhere():
    """Without any database."""
    with Errand("") as errand:
        errand.env["PGHOST"] = str(errand.dir)
        yield errand


def sql(dsn, text):
    connection = psycopg2.connect(dsn)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def refused(errand, *args, status, env=None, input=None):
    done = errand.run(*args, check=False, env=env, input=input)
    assert done.returncode == status, (args, done.stdout, done.stderr)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


# ---- Help and parsing ----

def test_version(nowhere):
    assert re.fullmatch(r"errand \d+\.\d+\.\d+\n", nowhere.run("version").stdout)
    assert nowhere.run("--version").stdout == nowhere.run("version").stdout
    assert list(json.loads(nowhere.run("version", "--json").stdout)) == ["version"]


def test_help_of_everything(nowhere):
    text = nowhere.run("help").stdout
    assert nowhere.run("--help").stdout == text and nowhere.run("-h").stdout == text
    names = re.findall(r"^  ((?:\w+ ?){1,2})  ", text, re.M)
    names = [name.strip() for name in names]
    assert {"run", "migrate up", "enqueue", "jobs list", "status", "help"} <= set(names)
    for name in names:
        words = name.split()
        one = nowhere.run("help", *words).stdout
        assert one.startswith(f"Usage: errand {name}")
        assert nowhere.run(*words, "--help").stdout == one
        assert all(len(line) <= 110 for line in one.splitlines())
    assert "jobs show" in nowhere.run("help", "jobs").stdout


def test_help_needs_no_sound_settings(nowhere):
    for args in (("help",), ("version",), ("run", "--help")):
        nowhere.run(*args, env={"ERRAND_CONFIG": "/nonexistent", "ERRAND_CONCURRENCY": "x"})


@pytest.mark.parametrize("args, part", [
    ((), "no command given"),
    (("jbs",), "Did you mean `errand jobs`?"),
    (("stauts",), "Did you mean `errand status`?"),
    (("jobs",), "`errand jobs` is a group of commands"),
    (("jobs", "lst"), "Did you mean `errand jobs list`?"),
    (("migrate", "upp"), "Did you mean `errand migrate up`?"),
    (("jobs", "list", "--stat", "done"), "Did you mean --state?"),
    (("status", "--databse-url", "x"), "Did you mean --database-url?"),
    (("status", "--zzzzzzzz"), "unknown flag --zzzzzzzz"),
    (("status", "-x"), "unknown flag"),
    (("status", "--config"), "flag --config takes a value"),
    (("status", "--json=1"), "flag --json takes no value"),
    (("status", "more"), "takes no further argument: 'more'"),
    (("enqueue",), "`errand enqueue` takes KIND"),
    (("jobs", "show"), "`errand jobs show` takes ID"),
    (("jobs", "show", "x1"), "ID is 'x1'; it must be a whole number"),
    (("jobs", "list", "--limit", "0"), "--limit is '0'"),
    (("jobs", "list", "--state", "redy"), "Did you mean ready?"),
    (("enqueue", "a", "--priority", "9"), "--priority is '9'; it must be a whole number from 0 to 3"),
    (("enqueue", "a", "--max-attempts", "0"), "--max-attempts is '0'"),
    (("enqueue", "a", "@/nonexistent"), "cannot open /nonexistent"),
    (("enqueue", "a", "-"), "standard input is empty"),
    (("help", "nonsense"), "there is no command 'nonsense'"),
    (("status", "--set", "x"), "--set: it takes section.key=value"),
    (("status", "--set", "errand.listne=1"), "did you mean 'listen'?"),
    (("status", "--concurrency", "0"), "flag --concurrency: errand.concurrency is '0'; allowed: a whole number from 1 to 10000"),
    (("status", "--listen", "perhaps"), "allowed: true or false"),
    (("status", "--log_level", "info"), "Did you mean --log-level?"),
])
def test_usage_errors(nowhere, args, part):
    text = refused(nowhere, *args, status=2, input="")
    assert text.startswith("errand: ") and part in text
    error = json.loads(refused(nowhere, "--json", *args, status=2, input=""))["error"]
    assert error["code"] == "usage" and part in error["message"] + error["hint"]


def test_errors_are_one_line_and_no_escape_sequence(nowhere):
    text = refused(nowhere, "status\x1b[2J\nforged: line", status=2)
    assert "\x1b" not in text
    assert json.loads(refused(nowhere, "--json", "a\"b\\\n\xff", status=2))["error"]["code"] == "usage"


def test_flags_stand_before_or_behind(errand):
    url = errand.env.pop("ERRAND_DATABASE_URL")
    for args in (("--json", "--database-url", url, "jobs", "list"), ("jobs", "--json", f"--database-url={url}", "list"),
                 ("jobs", "list", "--json", "--database-url", url)):
        assert json.loads(errand.run(*args).stdout) == []
    assert errand.run("enqueue", "--database-url", url, "--", "mail.test").returncode == 0


# ---- Settings ----

def settings(errand, *args, env=None):
    return {f"{s['section']}.{s['key']}": s for s in json.loads(errand.run("config", "--json", *args, env=env).stdout)}


def test_config_shows_values_and_origins(nowhere):
    conf = nowhere.dir / "errand.conf"
    conf.write_text("[errand]\nconcurrency = 7\nlog_level = warn\n")
    credentials = nowhere.dir / "credentials"
    credentials.mkdir()
    (credentials / "errand.database_url").write_text("postgres://me:verysecret@db/x\n")
    found = settings(nowhere, "--config", str(conf), "--log-level=debug",
                     env={"CREDENTIALS_DIRECTORY": str(credentials), "ERRAND_STOP_TIMEOUT_MS": "3000"})
    assert found["errand.concurrency"]["value"] == "7" and found["errand.concurrency"]["origin"] == f"{conf}:2"
    assert found["errand.log_level"]["value"] == "debug" and found["errand.log_level"]["origin"] == "flag --log-level"
    assert found["errand.stop_timeout_ms"]["origin"] == "environment ERRAND_STOP_TIMEOUT_MS"
    assert found["errand.database_url"]["value"] == "postgres://me:***@db/x"
    assert found["errand.database_url"]["origin"] == "credential errand.database_url"
    assert found["errand.listen"]["origin"] == "default"


def test_bad_settings_stop_every_command(nowhere):
    conf = nowhere.dir / "errand.conf"
    conf.write_text("[errand]\n\nconncurrency = 7\n")
    for command in (("config",), ("status",), ("run",), ("migrate", "plan")):
        text = refused(nowhere, *command, status=2, env={"ERRAND_CONFIG": str(conf)})
        assert f"{conf}:3: " in text and "did you mean 'concurrency'?" in text


def test_configuration_page_is_true():
    """docs/configuration.md has every core setting with its type, default, range and help; and no other."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = {cells[0].strip("`"): cells[1:] for cells in
            ([cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| `"))}
    with Errand("") as errand:
        errand.env.pop("ERRAND_DATABASE_URL")
        core = {s["key"]: s for s in settings(errand).values() if s["section"] == "errand"}
    assert set(rows) == set(core)
    for key, setting in core.items():
        kind, default, environment, meaning = rows[key]
        allowed = f"{setting['type']}, {setting['min']} to {setting['max']}" if "min" in setting else setting["type"]
        assert kind == allowed, key
        assert default == (f"`{setting['default']}`" if setting["default"] else "none"), key
        names = [f"`ERRAND_{key.upper()}`"] + ([f"`{setting['environment']}`"] if setting["environment"] else [])
        assert environment == ", ".join(names), key
        assert meaning == setting["help"], key


# ---- Databases that do not answer as wished ----

def test_no_database_set(nowhere):
    nowhere.env.pop("ERRAND_DATABASE_URL")
    text = refused(nowhere, "status", status=4)
    assert str(nowhere.dir) in text and "No database is set" in text and "--database-url" in text


def test_connection_refused(nowhere):
    text = refused(nowhere, "status", "--database-url", "postgres://u:verysecret@127.0.0.1:1/x", status=4)
    assert '127.0.0.1' in text and "port 1 failed: Connection refused" in text
    assert "Is the server up" in text and "flag --database-url" in text and "verysecret" not in text
    error = json.loads(refused(nowhere, "status", "--json", "--database-url", "host=127.0.0.1 port=1", status=4))["error"]
    assert error["code"] == "database"


def test_bad_connection_string(nowhere):
    assert 'invalid connection option "hots"' in refused(nowhere, "status", "--database-url", "hots=x", status=4)


def test_server_that_says_nothing(nowhere):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"host=127.0.0.1 port={port} dbname=x user=u connect_timeout=1"
        text = refused(nowhere, "status", "--database-url", url, status=4)
        assert f"no answer from database x at 127.0.0.1:{port} within 1 s" in text


def test_server_that_is_no_postgresql(nowhere):
    def answer():
        connection, _ = server.accept()
        connection.recv(8)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        port = server.getsockname()[1]
        refused(nowhere, "status", "--database-url", f"host=127.0.0.1 port={port} user=u dbname=x", status=4)
        thread.join()


def test_database_does_not_exist(errand, dsn):
    cluster = shared_cluster(vector=False)
    text = refused(errand, "status", env={"ERRAND_DATABASE_URL": cluster.dsn("nosuch")}, status=4)
    assert 'database "nosuch" does not exist' in text and "createdb" in text
    assert "environment ERRAND_DATABASE_URL" in text
    assert 'role "nobody"' in refused(errand, "status", env={"ERRAND_DATABASE_URL": cluster.dsn("postgres", user="nobody")},
                                      status=4)


def test_wrong_and_missing_password(nowhere):
    with Cluster(tcp=True, fsync=False, vector=False) as cluster:
        sql(cluster.dsn("postgres"), "create role locked login password 'the right one'")
        hba = cluster.data / "pg_hba.conf"
        hba.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
        sql(cluster.dsn("postgres"), "select pg_reload_conf()")
        url = f"postgres://locked:wrong-secret@127.0.0.1:{cluster.port}/postgres"
        text = refused(nowhere, "status", "--database-url", url, status=4)
        assert 'password authentication failed for user "locked"' in text and "Check the user and the password" in text
        assert "wrong-secret" not in text and "28P01" not in text
        text = refused(nowhere, "status", "--database-url", url.replace(":wrong-secret", ""), status=4)
        assert "no password supplied" in text
        # The right one, percent-encoded, gets in, and finds no tables.
        text = refused(nowhere, "status", "--database-url", url.replace("wrong-secret", "the%20right%20one"), status=5)
        assert "errand migrate up" in text


def test_role_without_grants_is_told_which_to_grant(errand, dsn):
    sql(dsn, "do $$ begin create role plain_cli login; exception when duplicate_object then null; end $$")
    env = {"ERRAND_DATABASE_URL": dsn.replace("user=postgres", "user=plain_cli")}
    assert 'grant errand_viewer to "plain_cli"' in refused(errand, "jobs", "list", env=env, status=1)
    assert 'grant errand_viewer to "plain_cli"' in refused(errand, "status", env=env, status=1)
    assert 'grant errand_enqueue to "plain_cli"' in refused(errand, "enqueue", "a", env=env, status=1)
    assert 'grant errand_runner to "plain_cli"' in refused(errand, "run", env=env, status=1)
    sql(dsn, "grant errand_viewer, errand_enqueue to plain_cli")
    assert errand.run("enqueue", "mail.test", env=env).stdout.strip().isdigit()
    assert "mail.test" in errand.run("jobs", "list", env=env).stdout
    errand.run("status", env=env)
    sql(dsn, "revoke errand_viewer, errand_enqueue from plain_cli")


# ---- enqueue ----

def enqueue(errand, *args, **kwargs):
    return int(errand.run("enqueue", *args, **kwargs).stdout)


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


@pytest.mark.parametrize("args, status, part", [
    (("mail.test", "{bad"), 2, "invalid input syntax for type json"),
    (("mail.test", ""), 2, "invalid input syntax for type json"),
    (("mail.test", '{"a": "\\u0000"}'), 2, "unsupported Unicode escape sequence"),
    (("Mail Test",), 2, 'kind "Mail Test" is not valid'),
    (("a", "--run-at", "soonish"), 2, "soonish"),
    (("a", "--run-at", "+10x"), 2, "+10x"),
    (("a", "--queue", "nosuch"), 3, 'queue "nosuch" does not exist'),
])
def test_enqueue_refuses(errand, dsn, args, status, part):
    assert part in refused(errand, "enqueue", *args, status=status)
    assert sql(dsn, "select count(*) from errand.job") == [(0,)]


# ---- jobs and status ----

def test_jobs_list_in_a_pipe_is_plain(errand):
    first = enqueue(errand, "mail.test", "--key", "tab\tand\nline")
    second = enqueue(errand, "other.kind", "--run-at", "+1h")
    lines = errand.run("jobs", "list").stdout.splitlines()
    assert lines[0] == "id\tqueue\tkind\tstate\tattempt\trun_at\tkey\terror"
    rows = [line.split("\t") for line in lines[1:]]
    assert [row[0] for row in rows] == [str(second), str(first)]
    assert [row[3] for row in rows] == ["scheduled", "ready"]
    assert rows[1][6] == "tab and line" and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", rows[0][5])


def test_jobs_list_filters(errand, dsn):
    for n in range(3):
        enqueue(errand, "mail.test", "--key", f"k{n}")
    enqueue(errand, "other.kind", "--run-at", "+1h")

    def count(*flags):
        return len(json.loads(errand.run("jobs", "list", "--json", *flags).stdout))
    assert count() == 4 and count("--limit", "2") == 2
    assert count("--kind", "mail.test") == 3 and count("--key", "k1") == 1
    assert count("--state", "scheduled") == 1 and count("--state=dead") == 0
    assert count("--queue", "default") == 4 and count("--queue", "none") == 0
    assert count("--kind", "mail.test", "--state", "scheduled") == 0


def test_args_are_shown_as_postgresql_has_them(errand):
    args = '{"n": 123456789012345678901234567890.10, "é": "\\"x\\"", "e": 1e3}'
    job = enqueue(errand, "mail.test", args)
    exact = '{"e": 1000, "n": 123456789012345678901234567890.10, "é": "\\"x\\""}'
    assert exact in errand.run("jobs", "list", "--json").stdout
    assert f'"args":{exact}' in errand.run("jobs", "show", str(job), "--json").stdout
    shown = dict(line.split(None, 1) for line in errand.run("jobs", "show", str(job)).stdout.splitlines())
    assert shown["args"] == exact and shown["kind"] == "mail.test" and shown["state"] == "ready"


def test_jobs_show_not_found(errand):
    assert "there is no job 999999" in refused(errand, "jobs", "show", "999999", status=3)
    assert json.loads(refused(errand, "jobs", "show", "999999", "--json", status=3))["error"]["code"] == "not_found"


def test_status(errand):
    job = enqueue(errand, "mail.test")
    enqueue(errand, "mail.test", "--run-at", "+1h")
    text = errand.run("status").stdout
    assert "schema  queue 7" in text and "default\t8\t1\t1\t0\t" in text and f"mail.test  job {job}" in text
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


def on_terminal(errand, *args):
    master, slave = pty.openpty()
    call = subprocess.Popen([binary(), *args], env=errand.env, stdout=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # the terminal is gone with its last user
        pass
    os.close(master)
    assert call.wait(60) == 0
    return text.decode().replace("\r\n", "\n")


def test_tables_on_a_terminal_are_aligned_and_fit(errand, dsn):
    enqueue(errand, "mail.test", "--key", "é")
    job = enqueue(errand, "a.much.longer.kind")
    sql(dsn, f"update errand.job set last_error = repeat('long ', 100) where id = {job}")
    lines = on_terminal(errand, "jobs", "list").splitlines()
    assert all(len(line) <= 100 for line in lines) and "\t" not in "".join(lines)
    columns = [lines[0].index(word) for word in ("kind", "state", "run_at")]
    for line in lines[1:]:
        assert all(line[at - 1] == " " and line[at] != " " for at in columns)
    assert lines[1].endswith("…")


def test_output_that_cannot_be_written_fails(errand):
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary(), "help"], env=errand.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cannot write the output" in done.stderr
