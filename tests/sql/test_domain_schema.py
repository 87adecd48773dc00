"""The domain schema as the catalog shows it: columns as documented, row security everywhere, functions pinned and
closed to anon, foreign keys indexed. And the other databases the migrations must fit: Supabase's, and poorer ones."""

import contextlib
import uuid

import pytest
from domain_support import (AUTH_FILE, DENIED, DOMAIN_FILES, TABLES, Tenant, acting, apply, connect, drop_database,
                            fresh_database, refused)
from support.cluster import shared_cluster

FILES = """001_initial_schema 002_fix_rls_policies 003_scheduling_tables 004_extend_blocks_for_extraction
005_user_context_layer 006_unified_memory 007_search_memories_rpc 008_chat_sessions 009_document_pipeline
010_subscription_fields 011_fix_chunks_rls""".split()

COLUMNS = {
    "memories": "id uuid, user_id uuid, project_id uuid, content text, embedding vector(1536), tags text[], "
                "entities jsonb, importance double precision, source_type text, source_ref jsonb, is_active boolean, "
                "created_at timestamptz, updated_at timestamptz",
    "chat_sessions": "id uuid, user_id uuid, project_id uuid, session_type text, status text, started_at timestamptz, "
                     "ended_at timestamptz, context_metadata jsonb, created_at timestamptz, updated_at timestamptz",
    "session_messages": "id uuid, session_id uuid, role text, content text, sequence_number integer, metadata jsonb, "
                        "created_at timestamptz",
    "documents": "id uuid, user_id uuid, project_id uuid, filename text, file_url text, storage_path text, "
                 "file_type text, file_size integer, processing_status text, processed_at timestamptz, "
                 "error_message text, page_count integer, word_count integer, created_at timestamptz",
    "chunks": "id uuid, document_id uuid, content text, embedding vector(1536), chunk_index integer, "
              "page_number integer, metadata jsonb, token_count integer, created_at timestamptz",
    "workspaces": "id uuid, name text, owner_id uuid, owner_email text, subscription_status text, "
                  "subscription_expires_at timestamptz, lemonsqueezy_customer_id text, "
                  "lemonsqueezy_subscription_id text, created_at timestamptz, updated_at timestamptz",
    "projects": "id uuid, name text, description text, workspace_id uuid, created_at timestamptz, "
                "updated_at timestamptz",
    "work_tickets": "id uuid, task text, agent_type text, status text, parameters jsonb, error_message text, "
                    "project_id uuid, created_at timestamptz, started_at timestamptz, completed_at timestamptz",
    "work_outputs": "id uuid, title text, output_type text, content text, file_url text, file_format text, "
                    "ticket_id uuid, created_at timestamptz",
    "subscription_events": "id uuid, workspace_id uuid, event_type text, event_source text, ls_subscription_id text, "
                           "ls_customer_id text, payload jsonb, created_at timestamptz",
    "scheduled_messages": "id uuid, workspace_id uuid, scheduled_for timestamptz, message_type text, subject text, "
                          "content jsonb, recipient_email text, status text, sent_at timestamptz, "
                          "failure_reason text, created_at timestamptz",
    "email_delivery_log": "id uuid, scheduled_message_id uuid, recipient text, subject text, provider text, "
                          "provider_message_id text, status text, status_updated_at timestamptz, "
                          "created_at timestamptz",
}

# Everything in public that is not an extension's: what a migration can leave behind.
SNAPSHOT = """
    select 'relation' as what, c.relname::text as name from pg_class c
    where c.relnamespace = 'public'::regnamespace
    union all
    select 'column', a.attrelid::regclass || '.' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and a.attnum > 0
    union all
    select 'function', p.oid::regprocedure::text from pg_proc p where p.pronamespace = 'public'::regnamespace
    union all
    select 'policy', polname::text from pg_policy
    union all
    select 'trigger', tgname::text from pg_trigger
    union all
    select 'type', typname::text from pg_type where typnamespace = 'public'::regnamespace
    union all
    select 'schema', nspname::text from pg_namespace where nspname !~ '^pg_(toast_)?temp_'
    order by 1, 2"""

# The functions of the domain: those in public that no extension brought.
OURS = """pg_proc p where p.pronamespace = 'public'::regnamespace
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')"""

STORAGE = """
    create schema storage;
    create table storage.buckets (id text primary key, name text not null, public boolean default false);
    create table storage.objects (id uuid primary key default gen_random_uuid(), bucket_id text, name text);
    alter table storage.objects enable row level security;
    create function storage.foldername(name text) returns text[] language sql immutable
        return (string_to_array(name, '/'))[:array_length(string_to_array(name, '/'), 1) - 1];
    grant usage on schema storage to public;
    grant all on storage.objects to public;"""


@pytest.fixture(scope="module")
def database():
    dsn = fresh_database("domain_schema")
    connection = connect(dsn)
    yield connection
    connection.close()
    drop_database(dsn)


@contextlib.contextmanager
def empty_database():
    dsn = shared_cluster(vector=True).create_database("domain_other")
    connection = connect(dsn)
    yield connection
    connection.close()
    drop_database(dsn)


def rows(connection, sql, *args):
    with connection, connection.cursor() as cursor:
        cursor.execute(sql, args or None)
        return cursor.fetchall()


def test_files():
    assert [file.stem for file in DOMAIN_FILES] == FILES


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_columns(database, table):
    found = rows(database, """
        select string_agg(attname || ' ' || replace(format_type(atttypid, atttypmod), 'timestamp with time zone',
                                                    'timestamptz'), ', ' order by attname) as columns
        from pg_attribute where attrelid = ('public.' || %s)::regclass and attnum > 0 and not attisdropped""", table)
    assert found[0].columns.split(", ") == sorted(COLUMNS[table].split(", "))


def test_twelve_tables_all_under_row_security(database):
    found = rows(database, """
        select relname as name, relrowsecurity as secured from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')""")
    assert {table.name for table in found} == TABLES == set(COLUMNS)
    assert all(table.secured for table in found)


def test_keys_are_generated(database):
    assert len(rows(database, """
        select from pg_attrdef d join pg_constraint c on c.conrelid = d.adrelid and c.conkey = array[d.adnum]
        where c.contype = 'p' and c.connamespace = 'public'::regnamespace
          and pg_get_expr(d.adbin, d.adrelid) = 'gen_random_uuid()'""")) == len(TABLES)


def test_policies_are_for_named_roles_and_ask_for_the_user_once(database):
    policies = rows(database, "select *, coalesce(qual, '') || coalesce(with_check, '') as text from pg_policies")
    assert {policy.tablename for policy in policies} == TABLES
    for policy in policies:
        assert policy.roles == ["authenticated"] and policy.permissive == "PERMISSIVE", policy
        # Each auth.uid() stands in a sub-select of its own, so that it is called once for a statement, not per row.
        assert policy.text.count("auth.uid()") == policy.text.count("( SELECT auth.uid() AS uid)") > 0, policy


def test_functions_are_pinned_and_closed(database):
    functions = rows(database, f"""
        select p.oid::regprocedure::text as name, p.prosecdef, coalesce(array_to_string(p.proconfig, ' '), '') as config,
               has_function_privilege('anon', p.oid, 'execute') as anon,
               has_function_privilege('authenticated', p.oid, 'execute') as authenticated,
               exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                       where a.grantee = 0) as everyone,
               p.prorettype = 'trigger'::regtype as for_trigger
        from {OURS}""")
    assert {f.name.split("(")[0] for f in functions} == {
        "acts_only_as_self", "append_session_message", "get_or_create_chat_session", "guard_subscription_fields",
        "match_chunks", "search_memories", "set_updated_at"}
    for f in functions:
        assert 'search_path=""' in f.config or "search_path=pg_catalog, public, pg_temp" in f.config, f
        assert not f.prosecdef and not f.anon and not f.everyone, f
        assert f.authenticated != f.for_trigger, f


def test_foreign_keys_are_indexed_and_say_what_deleting_does(database):
    keys = rows(database, """
        select c.conrelid::regclass::text as name, a.attname, c.confdeltype,
               exists (select from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1]
                       and i.indpred is null) as indexed
        from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.contype = 'f' and c.connamespace = 'public'::regnamespace""")
    assert len(keys) == 15
    for key in keys:
        assert key.indexed, key
        assert key.confdeltype == ("n" if key.name in ("email_delivery_log", "subscription_events") else "c"), key


@pytest.mark.parametrize("privilege", ["truncate", "references", "trigger"])
def test_no_privilege_that_row_security_does_not_cover(database, privilege):
    assert rows(database, """
        select c.relname, r.role from pg_class c, unnest(array['anon', 'authenticated']) r (role)
        where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
          and has_table_privilege(r.role, c.oid, %s)""", privilege) == []


CHECKED = {
    ("scheduled_messages", "status"): "pending sent failed cancelled",
    ("workspaces", "subscription_status"): "free pro",
    ("chat_sessions", "status"): "active completed archived",
    ("session_messages", "role"): "user assistant system",
    ("documents", "processing_status"): "pending processing completed failed",
    ("documents", "file_type"): "pdf docx txt md",
    ("work_tickets", "status"): "pending running completed failed",
    ("work_tickets", "agent_type"): "research content reporting",
    ("work_outputs", "output_type"): "text file",
    ("memories", "source_type"): "chat document manual import",
    ("memories", "importance"): "0 0.5 1",
}


@pytest.mark.parametrize("table, column", sorted(CHECKED))
def test_values(database, table, column):
    with acting(database, "postgres") as cursor:
        tenant = Tenant(cursor, "values")
        for value in CHECKED[table, column].split():
            tenant.insert(cursor, table, **{column: value})
        for wrong in ["1.01", "-0.01", "nan"] if column == "importance" else ["", "Pending", "done"]:
            cursor.execute("savepoint s")
            with refused("23514"):
                tenant.insert(cursor, table, **{column: wrong})
            cursor.execute("rollback to s")


@pytest.mark.parametrize("path, good", [
    ("{user}/d/original.pdf", True), ("{user}/d..x/.hidden", True), (None, True),
    ("{other}/d/original.pdf", False), ("{user}", False), ("{user}/", False), ("{user}x/d", False),
    ("/{user}/d", False), ("{user}/../{other}/d", False), ("{user}/d/..", False), ("{user}/./d", False),
    ("{user}//d", False), ("{user}/..\\{other}", False), ("", False),
])
def test_storage_path_stays_in_the_users_folder(database, path, good):
    with acting(database, "postgres") as cursor:
        tenant = Tenant(cursor, "path")
        path = path and path.format(user=tenant.user, other=uuid.uuid4())
        with contextlib.nullcontext() if good else refused("23514", "documents_storage_path_in_user_folder"):
            tenant.insert(cursor, "documents", storage_path=path)


def test_updated_at_follows(database):
    with acting(database, "postgres") as cursor:
        tenant = Tenant(cursor, "updated")
        for table in ["workspaces", "projects", "memories", "chat_sessions"]:
            cursor.execute(f"update {table} set updated_at = '2000-01-01' where id = %s returning updated_at = now() as ok",
                           (tenant.ids[table],))
            assert cursor.fetchone().ok, table


def test_deleting_a_user_takes_all_but_the_logs(database):
    with acting(database, "postgres") as cursor:
        tenant = Tenant(cursor, "gone")
        cursor.execute("delete from auth.users where id = %s", (tenant.user,))
        for table, row in tenant.ids.items():
            cursor.execute(f"select count(*) from {table} where id = %s", (row,))
            assert cursor.fetchone().count == (table in ("email_delivery_log", "subscription_events")), table


def test_superseded_steps_leave_nothing():
    with empty_database() as connection:
        apply(connection, AUTH_FILE, *DOMAIN_FILES[:3])
        before = rows(connection, SNAPSHOT)
        apply(connection, *DOMAIN_FILES[3:5])
        assert rows(connection, SNAPSHOT) == before
        apply(connection, DOMAIN_FILES[5])
        assert rows(connection, SNAPSHOT) != before  # the snapshot does see what a step makes


def test_no_table_is_open_between_two_steps():
    with empty_database() as connection:
        apply(connection, AUTH_FILE)
        for file in DOMAIN_FILES:
            apply(connection, file)
            assert rows(connection, """
                select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
                and not relrowsecurity""") == [], file.name


def test_shim_claims(database):
    user = uuid.uuid4()
    with acting(database, "authenticated", user) as cursor:
        cursor.execute("select auth.uid(), auth.role(), auth.jwt() ->> 'sub' as sub")
        assert cursor.fetchone() == (user, "authenticated", str(user))
        cursor.execute("select set_config('request.jwt.claim.sub', %s, true)", (str(uuid.UUID(int=1)),))
        cursor.execute("select auth.uid()")
        assert cursor.fetchone() == (uuid.UUID(int=1),)
        cursor.execute("select set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', '', true)")
        cursor.execute("select auth.uid(), auth.role(), auth.jwt()")
        assert cursor.fetchone() == (None, None, None)
        with refused(DENIED):
            cursor.execute("select from auth.users")


def test_shim_can_run_again(database):
    before = rows(database, SNAPSHOT)
    apply(database, AUTH_FILE)
    assert rows(database, SNAPSHOT) == before


def test_shim_makes_the_roles(database):
    assert rows(database, """
        select rolname, rolcanlogin, rolbypassrls, rolsuper from pg_roles
        where rolname in ('anon', 'authenticated', 'service_role') order by 1""") == [
            ("anon", False, False, False), ("authenticated", False, False, False), ("service_role", False, True, False)]


def test_on_supabase():
    """auth, storage and extensions stand already, and default privileges hand everything to everyone."""
    with empty_database() as connection:
        apply(connection, AUTH_FILE)
        with connection, connection.cursor() as cursor:
            cursor.execute("create schema extensions; grant usage on schema extensions to public;" + STORAGE + """
                alter default privileges in schema public grant all on tables to anon, authenticated, service_role;
                alter default privileges in schema public grant all on functions to anon, authenticated, service_role;
                set search_path = '"$user"', public, extensions""")
        apply(connection, *DOMAIN_FILES)
        with acting(connection, "postgres", keep=True) as cursor:
            mine, other = Tenant(cursor, "mine"), Tenant(cursor, "other")
        assert rows(connection, f"""
            select p.proname from {OURS} and has_function_privilege('anon', p.oid, 'execute')""") == []
        assert [f.proname for f in rows(connection, f"""
            select p.proname from {OURS} and 'search_path=pg_catalog, extensions, pg_temp' = any (p.proconfig)
            order by 1""")] == ["match_chunks", "search_memories"]
        for privilege in ["truncate", "references", "trigger"]:
            test_no_privilege_that_row_security_does_not_cover(connection, privilege)
        with acting(connection, "authenticated", mine.user) as cursor:
            cursor.execute("select count(*) from search_memories(%s, (select array_fill(1, '{1536}')::vector))",
                           (mine.user,))
            cursor.execute("insert into storage.objects (bucket_id, name) values ('documents', %s)", (f"{mine.user}/a",))
            for bucket, name in [("documents", f"{other.user}/a"), ("documents", "a"), ("other", f"{mine.user}/a")]:
                cursor.execute("savepoint s")
                with refused(DENIED, "row-level security"):
                    cursor.execute("insert into storage.objects (bucket_id, name) values (%s, %s)", (bucket, name))
                cursor.execute("rollback to s")
            cursor.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{other.user}"}}',))
            cursor.execute("select from storage.objects")
            assert cursor.rowcount == 0
        assert rows(connection, "select id, public from storage.buckets") == [("documents", False)]


def test_by_a_user_who_may_not_make_bypassrls():
    """The migrating user may make roles, but none that bypasses row security, and is no superuser: service_role gets
    policies instead. Rolled back, because roles are the server's."""
    with empty_database() as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"""
                create extension vector;
                alter role service_role rename to kept_service_role;
                create role poor createrole;
                grant create on schema public to poor;
                grant create on database {connection.info.dbname} to poor;
                set local role poor""")
            for file in [AUTH_FILE, *DOMAIN_FILES]:
                cursor.execute(file.read_text(encoding="utf-8"))
            tenants = [Tenant(cursor, "a"), Tenant(cursor, "b")]
            cursor.execute("reset role; set local role service_role")
            for table in TABLES:
                cursor.execute(f"select id from public.{table}")
                assert {row.id for row in cursor} == {tenant.ids[table] for tenant in tenants}, table
            cursor.execute("update public.workspaces set subscription_status = 'pro'")
            assert cursor.rowcount == 2
            cursor.execute("select id from public.get_or_create_chat_session(%s)", (tenants[0].user,))
            assert cursor.rowcount == 1
            for tenant in tenants:
                cursor.execute("reset role; set local role authenticated")
                cursor.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{tenant.user}"}}',))
                cursor.execute("select id from public.memories")
                assert [row.id for row in cursor] == [tenant.ids["memories"]]
        connection.rollback()


def test_shim_by_a_user_who_may_make_no_role():
    with empty_database() as connection:
        with connection.cursor() as cursor, refused(DENIED, "create role service_role nologin bypassrls"):
            cursor.execute("alter role service_role rename to kept_service_role; create role poor; set local role poor")
            cursor.execute(AUTH_FILE.read_text(encoding="utf-8"))
        connection.rollback()
