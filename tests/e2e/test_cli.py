"""The command line: parsing, help, settings, errors that say what, where and what to do."""

import json
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from cli_support import dsn, enqueue, errand, nowhere, refused, sql
from support.cluster import Cluster, shared_cluster
from support.errand import Errand, binary

ROOT = Path(__file__).resolve().parents[2]


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
    assert {"run", "migrate up", "enqueue", "jobs list", "jobs reprioritize", "queue limit", "status", "help"} <= set(names)
    for name in names:
        words = name.split()
        one = nowhere.run("help", *words).stdout
        assert one.startswith(f"Usage: errand {name}")
        assert nowhere.run(*words, "--help").stdout == one
        assert all(len(line) <= 110 for line in one.splitlines())
    assert "jobs show" in nowhere.run("help", "jobs").stdout


def test_help_as_json(nowhere):
    told = json.loads(nowhere.run("help", "--json").stdout)
    assert {"json", "config", "set", "help"} <= {flag["name"] for flag in told["flags"]}
    assert [command["name"] for command in told["commands"]] == re.findall(
        r"^  (\w+(?: [\w-]+)?)  ", nowhere.run("help").stdout.split("Flags of every command")[0], re.M)
    [one] = json.loads(nowhere.run("jobs", "list", "--help", "--json").stdout)["commands"]
    assert (one["name"], one["role"]) == ("jobs list", "errand_viewer") and one in told["commands"]
    assert {"name": "kind", "value": "KIND", "help": "of this kind"} in one["flags"]
    assert "\n" in json.loads(nowhere.run("--json", "help", "jobs", "cancel").stdout)["commands"][0]["details"]
    assert {command["name"].split()[0] for command in json.loads(nowhere.run("help", "--json", "jobs").stdout)["commands"]} == {"jobs"}


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
    (("jobs", "cancel", "1", "x1"), "ID is 'x1'; it must be a whole number"),
    (("jobs", "cancel"), "`errand jobs cancel` takes ids or a filter"),
    (("jobs", "retry", "1", "--kind", "a"), "takes ids or a filter, not both"),
    (("jobs", "reprioritize", "1"), "takes --priority 0-3"),
    (("jobs", "reprioritize", "1", "--priority", "4"), "--priority is '4'"),
    (("jobs", "redrive", "--stat", "dead"), "Did you mean --state?"),
    (("jobs", "redriv", "1"), "Did you mean `errand jobs redrive`?"),
    (("jobs", "list", "--args", "a"), "--args is 'a'; it takes PATH=VALUE"),
    (("jobs", "list", "--args", "=1"), "--args is '=1'; it takes PATH=VALUE"),
    (("jobs", "list", "--args", '"a.b=1'), "in double quotes a part that holds a dot"),
    (("jobs", "list", "--before", "x"), "--before is 'x'"),
    (("jobs", "wait", "1", "--timeout", "soon"), "--timeout is 'soon'; it takes a time"),
    (("queue", "limit", "a"), "takes at least one limit"),
    (("queue", "limit", "a", "--rate", "fast"), "--rate is 'fast'; it takes starts a second"),
    (("queue", "limit", "a", "--concurrency", "-1"), "--concurrency is '-1'; it takes a whole number"),
    (("queue", "limit", "a", "--key-ordered", "perhaps"), "--key-ordered is 'perhaps'; it takes yes or no"),
    (("queue", "limt", "a"), "Did you mean `errand queue limit`?"),
    (("queue", "retention", "a", "0"), "DAYS is '0'; it must be a whole number from 1 to 3650"),
    (("queue", "retention", "a"), "`errand queue retention` takes NAME DAYS"),
    (("queue", "create", "a", "--lanes", "65"), "--lanes is '65'"),
    (("kind", "keep", "a", "error"), "Did you mean errors?"),
    (("kind", "limit", "a", "many"), "N is 'many'"),
    (("kind", "retry", "a"), "`errand kind retry` takes --policy"),
    (("kind", "retry", "a", "--policy", "fixd"), "Did you mean fixed?"),
    (("kind", "retry", "a", "--policy", "fixed"), "--policy fixed takes --delays TIME"),
    (("kind", "retry", "a", "--policy", "never", "--delays", "1s"), "--policy never takes no --delays"),
    (("kind", "retry", "a", "--policy", "list", "--delays", "1s,,2s"), "--delays is '1s,,2s'"),
    (("enqueue", "a", "--on-conflict", "kep"), "Did you mean keep?"),
    (("enqueue", "a", "--on-parent", "x"), "--on-parent is 'x'; allowed: cancel, run, hold"),
    (("enqueue", "a", "--unique-for", "+1h"), "--unique-for is '+1h'; it takes a time"),
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
        assert json.loads(errand.run(*args).stdout) == {"jobs": [], "next": None}
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
    assert 'grant errand_operator to "plain_cli"' in refused(errand, "jobs", "cancel", "1", env=env, status=1)
    assert 'grant errand_operator to "plain_cli"' in refused(errand, "queue", "pause", "default", env=env, status=1)
    assert 'grant errand_runner to "plain_cli"' in refused(errand, "run", env=env, status=1)
    sql(dsn, "grant errand_viewer, errand_enqueue to plain_cli")
    assert errand.run("enqueue", "mail.test", env=env).stdout.strip().isdigit()
    assert "mail.test" in errand.run("jobs", "list", env=env).stdout
    for command in (("status",), ("queue", "list"), ("kind", "list"), ("runners",), ("stats",), ("why", "1"), ("jobs", "show", "1"),
                    ("jobs", "wait", "1")):
        assert "may not" not in (text := errand.run(*command, env=env, check=False).stderr) and "permission" not in text, command
    assert 'grant errand_operator to "plain_cli"' in refused(errand, "jobs", "retry", "1", env=env, status=1)
    sql(dsn, "revoke errand_viewer, errand_enqueue from plain_cli")


def test_output_that_cannot_be_written_fails(errand):
    with open("/dev/full", "w") as full:
        done = subprocess.run([binary(), "help"], env=errand.env, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cannot write the output" in done.stderr
