"""Who may do what: each role as a login that is only a member of it, and a login that is member of none."""

import contextlib

import psycopg2
import psycopg2.extensions
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

ROLES = ["errand_viewer", "errand_enqueue", "errand_operator", "errand_runner"]
NOBODY = "nobody"
DENIED = "42501"
TABLES = ["queue", "lane", "runner", "kind", "kind_setting", "kind_retry", "job", "dependency", "parent_ended", "recent_key", "history",
          "attempt", "statistic", "dead_letter", "schedule", "schedule_fire", "step", "job_log", "signal"]
VIEWS = ["jobs", "queues", "runners", "kinds", "statistics", "schedules", "steps", "signals", "job_logs", "webhooks"]

# What may be called, and by whom. errand's other functions are its own.
CALLS = {
    "errand.enqueue('a')": {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.enqueue('a', key => 'k', on_conflict => 'replace')": {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.enqueue_many('a', array['{}', '{}']::jsonb[])": {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.enqueue('a', key => 'k', unique_for => '1 hour', expires_at => now() + interval '1 hour', tags => '{t}')":
        {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.enqueue('a', key => 'k', after => array[errand.enqueue('b')])": {"errand_enqueue", "errand_operator", "errand_runner"},
    **{f"errand.{call}": {"errand_operator", "errand_runner"} for call in (
        "cancel(1)", "cancel(1, 'why')", "retry(1)", "redrive(1)", "reprioritize(1, 0)", "delete(1)",
        "queue_limit('default', 3)", "queue_retention('default', 7)", "kind_pause('a')", "kind_resume('a')", "kind_limit('a', 2)",
        "kind_keep('a', 'none')", "kind_retry_set('a', 'never')", "kind_retry_reset('a')",
        "schedule_set('new', '@hourly', 'a')", "schedule_enable('standing')", "schedule_disable('standing')",
        "schedule_run_now('standing')", "schedule_remove('standing')")},
    "errand.schedules_fire('{standing}', '{1}', '{-infinity}', '{2100-01-01}', '{null}', '{null}', '{1}', '{0}', '{}')": {"errand_runner"},
    "errand.dependents_release(1)": {"errand_runner"},
    "errand.queue_create('made', 1)": {"errand_operator", "errand_runner"},
    "errand.queue_pause('default')": {"errand_operator", "errand_runner"},
    "errand.queue_resume('default')": {"errand_operator", "errand_runner"},
    "errand.history_maintain()": {"errand_runner"},
    "errand.steps_forget()": {"errand_runner"},
    "errand.signal(1, 'go')": {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.signal_key('default', 'k', 'go')": {"errand_enqueue", "errand_operator", "errand_runner"},
    "errand.signals_forget()": {"errand_runner"},
    "errand.runner_listen(1)": {"errand_runner"},
    "errand.completion_check(1, 1)": {"errand_runner"},
    "errand.runner_alive(1)": set(ROLES) - {"errand_enqueue"},
    "errand.lanes_wake(array[1], null)": {"errand_runner"},
    "errand.queue_is_whole('default')": {"errand_runner"},
    "errand.lane_is_stuck(1, 1, 1, '{a}')": {"errand_runner"},
    "errand.job_before(1, 'k', now(), 1)": {"errand_runner"},
    "errand.lanes_look('{1}', now(), now(), 1)": {"errand_runner"},
    "errand.keep_until('default')": {"errand_runner"},
    "errand.why(1)": set(ROLES) - {"errand_enqueue"},
    "errand.webhook_accept('resend', 'e1', null, '{}', '', 'a')": {"errand_runner"},
    "errand.webhook_replay('resend', 'e1')": {"errand_operator"},
    "errand.webhook_forget(35, 180, 1)": {"errand_runner"},
    "errand.webhook_settle(1)": {"errand_runner"},
    "errand.webhook_accept_many('x', '{e}', '{null}', '{null}', array[''::bytea], 'some.kind')": {"errand_runner"},
}
# Not for callers: they would go round what is checked.
INTERNAL = [
    "errand.signal_check('a', '1')", "errand.signal_send(1, 1, 'a', '1')", "errand.why_signal(1, 1, 'a')",
    "errand.enqueue_rows('a', array['{}'::jsonb], null, null, null, null, 'keep', null, null, null)",
    "errand.enqueue_keyed(1, 'a', '{}', now(), 1, 'k', 'keep', null, null, null, null, null, null, null, now())",
    "errand.enqueue_waiting('{1}', 'a', array['{}'::jsonb], null, null, 1, null, null, null, null, null, null, now())",
    "errand.enqueue_check_more(null, null, 'keep', null, null, 'cancel', null, now())",
    "errand.recent_key_take(1, 'k', '1 hour', now())", "errand.recent_key_set(1, 'k', 1, now())",
    "errand.parents_find('{1}', 'cancel')", "errand.parents_lock('{1}')", "errand.parents_owed('{1}')", "errand.parents_lock_lane(1, '{1}', false)",
    "errand.parents_check(1, '{1}')", "errand.parents_hold(null)", "errand.parents_bind(null, '{1}', '{1}')",
    "errand.jobs_cancel(1, '{1}', 'x')", "errand.job_tell(1, 1, 'cancel')", "errand.dependencies_drop('{1}')",
    "errand.dependency_reason(1, 'dead')", "errand.dependents_tell(1, '{1}', '{dead}')",
    "errand.dependents_tell_lane(1, '{1}', 'dead', 1, '{1}')",
    "errand.dependents_tell_many(1, '{1}', 'dead', 1, '{1}')", "errand.dependents_unhold(1, 1)",
    "errand.why_time(now())", "errand.why_list('{a}', 1)", "errand.why_until(now(), 'x')", "errand.why_ended(1)",
    "errand.why_waiting(1, false)", "errand.why_nobody(1, 'a')", "errand.why_running('default', null, null)",
    "errand.why_limit(1, 1, 'a', 'k')", "errand.why_rate(1, 1, 'k', 2, now())",
    "errand.why_key_before(1, 1, 'k', 2, now())", "errand.why_due(1, 1, 'a', 'k', 2, now())",
    "errand.webhook_job_end(1)", "errand.name_check('kind', 'a')", "errand.number_check('lanes', 1, 1, 64, '')", "errand.pause_check(null)",
    "errand.enqueue_check('a', array['{}'::jsonb], null, null, 'keep')",
    "errand.schedule_check('a', '@hourly', 'UTC', 'skip', '1 day', 'allow', '0', null, null)", "errand.schedule_check_cron('@hourly')",
    "errand.schedule_changed()", "errand.schedule_missing('a')", "errand.schedule_lane(null)", "errand.schedule_time(now(), 'UTC')",
    "errand.schedule_job(null, now(), now(), null)", "errand.schedule_fire_one(null, 1, now(), '{}', now())",
    "errand.schedule_owed(1, 'a', false)",
    "errand.queue_changed('default')", "errand.kind_changed()", "errand.queue_lanes('default')", "errand.job_lane(1)",
    "errand.dead_letter_lane(1)",
]
WRITES = {
    "insert into errand.job (lane, run_at, kind, args) values (1, now(), 'a', '{}')": {"errand_runner"},
    "update errand.job set priority = 0": {"errand_runner"},
    "delete from errand.job": {"errand_runner"},
    "update errand.lane set armed = true": {"errand_runner"},
    "update errand.schedule set enabled = false": set(),
    "delete from errand.schedule": set(),
    "delete from errand.schedule_fire": set(),
    "insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args)"
    " values (1, 1, 1, 1, now(), now(), now(), now(), 'done', 'a', '{}')": {"errand_runner"},
    "delete from errand.history": set(),
    "update errand.history set kind = 'b'": set(),
    "delete from errand.attempt": set(),
    "insert into errand.queue (name, lanes) values ('x', 1)": set(),
    "delete from errand.queue": set(),
    "delete from errand.lane": set(),
    "insert into errand.lane (lane, queue, shard) values (99, 'x', 0)": set(),
    "truncate errand.job": set(),
    "drop table errand.job": set(),
    "create table errand.own (n integer)": set(),
    "create function errand.own() returns integer language sql as 'select 1'": set(),
    "alter table errand.job add column own integer": set(),
    "delete from errand.migration": set(),
}


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        for name in ROLES:
            db.sql(f"create role login_{name} login in role {name}")
        db.sql(f"create role login_{NOBODY} login")
        db.sql("select errand.schedule_set('standing', '@hourly', 'a')")
        yield db
        for name in [*ROLES, NOBODY]:
            db.sql(f"drop owned by login_{name}")
            db.sql(f"drop role login_{name}")


@pytest.fixture(scope="module")
def logins(db):
    found = {name: connect(psycopg2.extensions.make_dsn(db.dsn, user=f"login_{name}")) for name in [*ROLES, NOBODY]}
    yield found
    for connection in found.values():
        connection.close()


def outcome(connection, statement):
    """None, or the SQLSTATE of the refusal; leaves nothing behind."""
    ask(connection, "begin")
    try:
        ask(connection, statement)
        return None
    except psycopg2.Error as error:
        return error.pgcode
    finally:
        ask(connection, "rollback")


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
def test_logins_are_what_they_seem(logins, name):
    [[user, superuser, bypasses]] = ask(logins[name], "select current_user, rolsuper, rolbypassrls from pg_roles"
                                        " where rolname = current_user")
    assert (user, superuser, bypasses) == (f"login_{name}", False, False)


@pytest.mark.parametrize("name", ROLES)
def test_roles_themselves(db, name):
    assert db.row("select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication from pg_roles"
                  " where rolname = %s", name) == (False,) * 6
    assert db.sql("select 1 from pg_auth_members m where m.member = %s::regrole", name) == []


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
@pytest.mark.parametrize("call", CALLS)
def test_functions_for_callers(logins, call, name):
    assert outcome(logins[name], f"select {call}") == (None if name in CALLS[call] else DENIED)


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
@pytest.mark.parametrize("call", INTERNAL)
def test_functions_of_errand_itself(logins, call, name):
    assert outcome(logins[name], f"select {call}") == DENIED


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
@pytest.mark.parametrize("table", [*TABLES, *VIEWS, "migration"])
def test_reading(logins, table, name):
    may = name in ("errand_viewer", "errand_operator", "errand_runner")
    assert outcome(logins[name], f"select * from errand.{table}") == (None if may else DENIED)


@pytest.mark.parametrize("name", [*ROLES, NOBODY])
@pytest.mark.parametrize("statement", WRITES, ids=lambda text: text[:40])
def test_writing(logins, statement, name):
    assert outcome(logins[name], statement) == (None if name in WRITES[statement] else DENIED)


def test_enqueue_role_sees_nothing_but_its_ids(db, logins):
    connection = logins["errand_enqueue"]
    [[id]] = ask(connection, "select errand.enqueue('secret.kind', '{\"secret\": 1}', key => 'k')")
    assert ask(connection, "select errand.enqueue('secret.kind', key => 'k')") == [(id,)]
    for statement in ("select * from errand.job", "select args from errand.jobs", "select * from errand.history"):
        assert outcome(connection, statement) == DENIED
    db.sql("delete from errand.job")


def test_every_function_is_pinned_and_closed(db):
    """And this looks at all that stand, those to come included."""
    functions = db.sql("""select p.oid::regprocedure::text as name, p.proconfig, p.prosecdef, l.lanname,
            has_function_privilege('public', p.oid, 'execute') as public_may
        from pg_proc p join pg_language l on l.oid = p.prolang where p.pronamespace = 'errand'::regnamespace""")
    assert len(functions) >= 15
    assert [f.name for f in functions if "search_path=pg_catalog, pg_temp" not in (f.proconfig or [])] == []
    assert [f.name for f in functions if f.public_may] == []
    assert [f.name for f in functions if f.lanname not in ("plpgsql", "c", "internal")] == []


def test_every_function_is_listed_here(db):
    """A function that is granted to one of the roles stands in CALLS, so that somebody thought about who may."""
    granted = {(row.name, row.role) for row in db.sql("""select p.proname as name, r.rolname as role
        from pg_proc p cross join pg_roles r where p.pronamespace = 'errand'::regnamespace and r.rolname = any (%s)
            and has_function_privilege(r.oid, p.oid, 'execute')""", ROLES)}
    listed = {(call[len("errand."):call.index("(")], role) for call, roles in CALLS.items() for role in roles}
    assert granted == listed


def test_schema_and_tables_are_nobodys(db):
    assert db.one("select has_schema_privilege('public', 'errand', 'usage') or has_schema_privilege('public', 'errand', 'create')") is False
    assert db.sql("""select relname from pg_class where relnamespace = 'errand'::regnamespace and relkind in ('r', 'p', 'v', 'S')
        and (has_table_privilege('public', oid, 'select') or has_table_privilege('public', oid, 'insert')
        or has_table_privilege('public', oid, 'update') or has_table_privilege('public', oid, 'delete'))""") == []


def test_views_show_with_the_readers_rights(db):
    assert db.sql("select relname from pg_class where relnamespace = 'errand'::regnamespace and relkind = 'v'"
                  " and not coalesce('security_invoker=true' = any (reloptions), false)") == []


def test_new_partitions_are_as_closed_as_the_old_ones(db, logins):
    """They are made by the runner's call, and belong to the owner of the schema."""
    [day] = db.row("select to_char(timezone('UTC', now()) + interval '17 days', 'YYYYMMDD')")
    db.sql(f"drop table errand.history_{day}")
    ask(logins["errand_runner"], "select errand.history_maintain()")
    owner = db.one("select relowner::regrole::text from pg_class where oid = 'errand.history'::regclass")
    assert db.one("select relowner::regrole::text from pg_class where relname = %s", f"history_{day}") == owner
    assert outcome(logins["errand_runner"], f"drop table errand.history_{day}") == DENIED
    assert outcome(logins[NOBODY], f"select * from errand.history_{day}") == DENIED


def test_definers_take_no_table_of_the_caller(db, logins):
    """pg_temp is searched first when it is not named: a temporary table must not be met."""
    connection = logins["errand_enqueue"]
    ask(connection, "create temporary table job (like pg_catalog.pg_class)")
    ask(connection, "create temporary table lane (lane integer, queue text)")
    [[id]] = ask(connection, "select errand.enqueue('some.kind')")
    assert db.one("select count(*) from errand.job where id = %s", id) == 1
    db.sql("delete from errand.job")


@pytest.mark.parametrize("type", ["timestamptz", "text", "jsonb"])
def test_callers_temporary_types_are_not_met(db, type):
    """A name without a schema is looked for among the caller's temporary objects first, unless the path names those last: a domain of
    the caller's would then be checked with the rights of errand's owner."""
    with contextlib.closing(connect(psycopg2.extensions.make_dsn(db.dsn, user="login_errand_enqueue"))) as caller:
        ask(caller, f"""create function pg_temp.see(value pg_catalog.{type}) returns boolean language plpgsql as $$
            begin
                if current_user <> session_user then
                    raise exception 'met as %', current_user;
                end if;
                return true;
            end $$""")
        ask(caller, f"create domain pg_temp.{type} as pg_catalog.{type} check (pg_temp.see(value))")
        for call in [call for call, names in CALLS.items() if "errand_enqueue" in names]:
            ask(caller, f"select {call}")
    db.sql("delete from errand.job")
