"""errand migrate up | plan | status on databases in every state that they are found in."""

import json
import subprocess

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary

DOMAIN = 11
TABLES = """memories chat_sessions session_messages documents chunks workspaces projects work_tickets work_outputs
    subscription_events scheduled_messages email_delivery_log""".split()


def make_database(vector):
    cluster = shared_cluster(vector=vector)
    dsn = cluster.create_database("migrate")
    with Errand(dsn) as errand:
        errand.dsn = dsn
        yield errand
    cluster.drop_database(dsn)


@pytest.fixture
def errand():
    yield from make_database(vector=True)


@pytest.fixture
def plain():
    """On a server without pgvector."""
    if shared_cluster(vector=False).has_vector:
        pytest.skip("every PostgreSQL of this machine has pgvector")
    yield from make_database(vector=False)


def sql(errand, text, *params):
    connection = psycopg2.connect(errand.dsn)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(text, params or None)
        return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def states(errand):
    return {(m["set"], m["number"]): m["state"] for m in json.loads(errand.run("migrate", "status", "--json").stdout)}


def plan(errand, *flags):
    return [(s["set"], s["number"], s["action"]) for s in json.loads(errand.run("migrate", "plan", "--json", *flags).stdout)]


def snapshot(errand):
    """All that stands in the schemas of the product and of errand, to compare."""
    return sql(errand, """
        select n.nspname, c.relname, c.relkind::text, c.oid::bigint from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('public', 'auth', 'errand') order by 1, 2""")


def refused(errand, *args, status):
    done = errand.run(*args, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stderr


# ---- An empty database ----

def test_up_on_an_empty_database(errand):
    assert set(states(errand).values()) == {"pending"}
    planned = plan(errand)
    assert snapshot(errand) == [], "plan and status change nothing"
    assert [step[2] for step in planned] == ["apply"] * len(planned)
    sets = [step[0] for step in planned]
    assert sets == sorted(sets, key=["queue", "auth", "domain", "email", "billing"].index)
    done = json.loads(errand.run("migrate", "up", "--json").stdout)
    assert [(s["set"], s["number"], s["action"]) for s in done] == planned
    assert {s["outcome"] for s in done} == {"applied"}
    assert set(states(errand).values()) == {"applied"}
    assert plan(errand) == []
    assert "nothing to do" in errand.run("migrate", "up").stdout
    tables = {row[0] for row in sql(errand, "select tablename from pg_tables where schemaname = 'public'")}
    assert tables == set(TABLES)


def test_up_lists_before_it_does(errand):
    lines = errand.run("migrate", "up").stdout.splitlines()
    listed = [line.split()[1] for line in lines if line.startswith("  apply")]
    done = [line.split()[1] for line in lines if line.startswith("applied")]
    assert listed == done and listed[0] == "queue/001_queue.sql"
    assert lines.index("  apply  " + listed[-1]) < lines.index("applied  " + done[0])


def test_records(errand):
    errand.run("migrate", "up")
    rows = sql(errand, """select set_name, number, name, checksum ~ '^[0-9a-f]{64}$', applied_at <= now(), applied_by,
        adopted, duration_ms >= 0 from errand.migration where set_name = 'queue'""")
    assert rows[0] == ("queue", 1, "001_queue.sql", True, True, "postgres", False, True)


def test_plan_prints_the_sql(errand):
    text = errand.run("migrate", "plan", "--sql").stdout
    assert "create table errand.job (" in text
    steps = json.loads(errand.run("migrate", "plan", "--sql", "--json").stdout)
    assert "create table errand.job (" in steps[0]["sql"]
    assert snapshot(errand) == []


def test_several_at_once(errand):
    calls = [subprocess.Popen([binary(), "migrate", "up", "--json"], env=errand.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    outcomes = {}
    for call in calls:
        out, error = call.communicate(timeout=120)
        assert call.returncode == 0, error
        for step in json.loads(out):
            outcomes.setdefault((step["set"], step["number"]), []).append(step["outcome"])
    assert all(found.count("applied") == 1 for found in outcomes.values()), outcomes
    assert set(states(errand).values()) == {"applied"}


def test_search_path_of_the_role_does_not_matter(errand):
    sql(errand, "create schema elsewhere")
    errand.env["PGOPTIONS"] = "-c search_path=elsewhere -c statement_timeout=5s -c check_function_bodies=off"
    errand.run("migrate", "up")
    assert sql(errand, "select count(*) from pg_class where relnamespace = 'elsewhere'::regnamespace") == [(0,)]
    assert set(states(errand).values()) == {"applied"}


# ---- Without pgvector ----

def test_without_pgvector_nothing_is_changed(plain):
    for args in (("migrate", "plan"), ("migrate", "up")):
        text = refused(plain, *args, status=1)
        assert "pgvector" in text and "--only queue" in text and "apt install postgresql-" in text
    assert snapshot(plain) == []


def test_queue_alone_needs_no_extension(plain):
    plain.run("migrate", "up", "--only", "queue")
    found = states(plain)
    assert found["queue", 1] == "applied" and found["domain", 1] == "pending"
    assert plain.run("enqueue", "mail.test").stdout == "1\n"
    assert plain.run("status").returncode == 0


def test_only_takes_known_sets_that_have_what_they_need(errand):
    assert "allowed: queue, auth, domain, email, billing" in refused(errand, "migrate", "up", "--only", "queues", status=2)
    assert "--only auth,domain" in refused(errand, "migrate", "up", "--only", "domain", status=1)
    assert snapshot(errand) == []
    errand.run("migrate", "up", "--only", "auth,domain")
    assert states(errand)["queue", 1] == "pending"


# ---- Adoption ----

def test_auth_of_somebody_else_is_left_alone(errand):
    errand.run("migrate", "up", "--only", "auth")
    sql(errand, "drop schema errand cascade")
    assert not [step for step in plan(errand) if step[0] == "auth"]
    assert states(errand)["auth", 1] == "unneeded"
    errand.run("migrate", "up")
    assert states(errand)["auth", 1] == "unneeded"


@pytest.mark.parametrize("supabase", [False, True])
def test_domain_tables_that_stand_are_adopted(errand, supabase):
    errand.run("migrate", "up", "--only", "auth,domain")
    sql(errand, "drop schema errand cascade")
    sql(errand, "alter table public.memories add column mine text")
    if supabase:
        sql(errand, "create schema supabase_migrations; create table supabase_migrations.schema_migrations (version text)")
    before = [row for row in snapshot(errand) if row[0] != "errand"]
    text = errand.run("migrate", "plan").stdout
    assert "adopt  domain/001_initial_schema.sql" in text and "stand already" in text
    assert ("Supabase" in text) == supabase
    text = errand.run("migrate", "up", "--only", "queue,domain").stdout
    assert "adopted  domain/011_fix_chunks_rls.sql" in text and "nothing of them is changed" in text
    assert [row for row in snapshot(errand) if row[0] != "errand"] == before
    found = states(errand)
    assert all(found["domain", number] == "adopted" for number in range(1, DOMAIN + 1))
    assert not [step for step in plan(errand) if step[0] == "domain"]
    assert sql(errand, "select bool_and(adopted) from errand.migration where set_name = 'domain'") == [(True,)]


def test_domain_tables_in_part_are_refused(errand):
    errand.run("migrate", "up", "--only", "auth,domain")
    sql(errand, "drop schema errand cascade")
    sql(errand, "drop table public.email_delivery_log; alter table public.documents drop column file_size")
    before = snapshot(errand)
    for args in (("migrate", "plan"), ("migrate", "up")):
        text = refused(errand, *args, status=5)
        assert "11 of the 12 domain tables" in text and "missing: documents.file_size, email_delivery_log" in text
        assert "--only queue" in text
    assert snapshot(errand) == before
    errand.run("migrate", "up", "--only", "queue")


def test_a_table_of_the_same_name_is_no_domain(errand):
    sql(errand, "create table public.projects (id int)")
    text = refused(errand, "migrate", "up", status=5)
    assert "1 of the 12 domain tables" in text and "chunks" in text and "projects.workspace_id" in text


# ---- What must not happen, and failure ----

def test_changed_migration_is_refused_by_name(errand):
    errand.run("migrate", "up", "--only", "queue")
    sql(errand, "update errand.migration set checksum = repeat('0', 64)")
    for command in ("up", "plan"):
        assert "queue/001_queue.sql was changed after it was applied" in refused(errand, "migrate", command, status=5)
    assert states(errand)["queue", 1] == "changed"


def test_newer_schema_is_not_migrated(errand):
    """By an errand that does not know what is there; it may well run (test_queue_versions.py)."""
    errand.run("migrate", "up", "--only", "queue")
    sql(errand, "insert into errand.migration (set_name, number, name, checksum) values ('queue', 999, '999_new.sql', 'x')")
    for command in (("migrate", "up"), ("migrate", "plan")):
        assert "newer than this errand: it has queue/999_new.sql" in refused(errand, *command, status=5)
    assert states(errand)["queue", 999] == "newer"
    assert "newer than this errand: 999_new.sql" in errand.run("status").stdout


def test_missing_and_old_schema_say_what_to_do(errand):
    for command in (("status",), ("jobs", "list"), ("enqueue", "mail.test"), ("run",)):
        text = refused(errand, *command, status=5)
        assert "errand migrate up" in text, text
    errand.run("migrate", "up", "--only", "queue")
    sql(errand, "delete from errand.migration")
    assert "errand migrate up" in refused(errand, "status", status=5)


def test_failure_leaves_nothing_of_the_migration(errand):
    sql(errand, "create schema errand; create table errand.runner (id int)")
    before = snapshot(errand)
    text = refused(errand, "migrate", "up", status=1)
    assert "queue/001_queue.sql: statement " in text and 'relation "runner" already exists' in text
    assert "Nothing of this migration was applied" in text
    assert snapshot(errand) == before
    sql(errand, "drop table errand.runner")
    errand.run("migrate", "up")


def test_failure_in_the_middle_keeps_what_came_before(errand):
    sql(errand, "create function public.set_updated_at() returns int language sql as 'select 1'")
    text = refused(errand, "migrate", "up", status=1)
    assert "domain/001_initial_schema.sql" in text
    found = states(errand)
    assert found["queue", 1] == "applied" and found["domain", 1] == "pending"
    sql(errand, "drop function public.set_updated_at()")
    errand.run("migrate", "up")
    assert set(states(errand).values()) == {"applied"}


def test_user_without_rights_is_named(errand):
    sql(errand, "create role plain_user login; revoke create on schema public from public")
    url = errand.dsn.replace("user=postgres", "user=plain_user")
    done = errand.run("migrate", "up", env={"ERRAND_DATABASE_URL": url}, check=False)
    sql(errand, "drop role plain_user")
    assert done.returncode == 1
    assert 'permission denied' in done.stderr and 'now: "plain_user"' in done.stderr
    assert snapshot(errand) == []


def test_json_errors(errand):
    sql(errand, "create table public.projects (id int)")
    error = json.loads(refused(errand, "migrate", "up", "--json", status=5))["error"]
    assert error["code"] == "schema" and "projects" in error["message"] and "--only queue" in error["hint"]
