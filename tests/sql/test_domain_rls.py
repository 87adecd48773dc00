"""Row security: each table and command, as each role, on own and on foreign rows. All of it runs twice: as migrated,
and after the blanket grant that many set-up scripts run, when the policies alone must hold."""

from types import SimpleNamespace

import psycopg2
import pytest
from domain_support import DENIED, INSERT_ORDER, TABLES, Tenant, acting, connect, drop_database, fresh_database, refused

ALL = {"select", "insert", "update", "delete"}
# What a signed-in user may do with his own rows; with another's he may do nothing.
OWN = {
    **{table: ALL for table in TABLES},
    "work_outputs": {"select", "insert"},
    "scheduled_messages": {"select"},
    "email_delivery_log": {"select"},
    "subscription_events": {"select"},
}
# A column of each table that any text fits, to update.
TEXT = {
    "workspaces": "name", "projects": "name", "work_tickets": "task", "work_outputs": "title",
    "scheduled_messages": "subject", "email_delivery_log": "subject", "memories": "content",
    "chat_sessions": "session_type", "session_messages": "content", "documents": "filename", "chunks": "content",
    "subscription_events": "event_type",
}
# What makes a row somebody's: the column and the table it refers to.
OWNER = {
    "workspaces": ("owner_id", None), "memories": ("user_id", None), "chat_sessions": ("user_id", None),
    "documents": ("user_id", None), "projects": ("workspace_id", "workspaces"),
    "work_tickets": ("project_id", "projects"), "work_outputs": ("ticket_id", "work_tickets"),
    "scheduled_messages": ("workspace_id", "workspaces"), "subscription_events": ("workspace_id", "workspaces"),
    "email_delivery_log": ("scheduled_message_id", "scheduled_messages"),
    "session_messages": ("session_id", "chat_sessions"), "chunks": ("document_id", "documents"),
}


@pytest.fixture(scope="module", params=["as migrated", "after a blanket grant"])
def db(request):
    dsn = fresh_database("domain_rls")
    connection = connect(dsn)
    with acting(connection, "postgres", keep=True) as cursor:
        if request.param == "after a blanket grant":
            cursor.execute("grant all on all tables in schema public to anon, authenticated, service_role")
        tenants = [Tenant(cursor, name) for name in ("alice", "bob")]
    yield SimpleNamespace(connection=connection, alice=tenants[0], bob=tenants[1])
    connection.close()
    drop_database(dsn)


def attempt(cursor, command, table, tenant):
    """How many of the tenant's rows the command reached; a refusal reaches none."""
    cursor.execute("savepoint attempt")
    row = tenant.ids[table]
    try:
        if command == "insert":
            changes = tenant.row(table)
            cursor.execute(f"insert into public.{table} ({', '.join(changes)}) "
                           f"values ({', '.join(['%s'] * len(changes))})", list(changes.values()))
        else:
            cursor.execute({"select": f"select id from public.{table} where id = %s",
                            "update": f"update public.{table} set {TEXT[table]} = 'x' where id = %s",
                            "delete": f"delete from public.{table} where id = %s"}[command], (row,))
        return cursor.rowcount
    except psycopg2.Error as error:
        if error.pgcode != DENIED:
            raise
        return 0
    finally:
        cursor.execute("rollback to attempt")


@pytest.mark.parametrize("table", INSERT_ORDER)
@pytest.mark.parametrize("command", sorted(ALL))
def test_matrix(db, table, command):
    allowed = int(command in OWN[table])
    for role, user, alices, bobs in [
        ("anon", None, 0, 0),
        ("anon", db.alice.user, 0, 0),
        ("authenticated", None, 0, 0),
        ("authenticated", db.alice.user, allowed, 0),
        ("authenticated", db.bob.user, 0, allowed),
        ("service_role", None, 1, 1),
    ]:
        with acting(db.connection, role, user) as cursor:
            reached = attempt(cursor, command, table, db.alice), attempt(cursor, command, table, db.bob)
            assert reached == (alices, bobs), (role, user)


@pytest.mark.parametrize("table", INSERT_ORDER)
def test_unfiltered_statements_reach_own_rows_only(db, table):
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        cursor.execute(f"select id from public.{table}")
        assert [row.id for row in cursor] == [db.alice.ids[table]]
        for command in {"update", "delete"} & OWN[table]:
            cursor.execute("savepoint s")
            cursor.execute({"update": f"update public.{table} set {TEXT[table]} = 'x'",
                            "delete": f"delete from public.{table}"}[command])
            assert cursor.rowcount == 1
            cursor.execute("rollback to s")


@pytest.mark.parametrize("table", INSERT_ORDER)
def test_own_row_cannot_be_given_to_another(db, table):
    column, parent = OWNER[table]
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        try:
            cursor.execute(f"update public.{table} set {column} = %s where id = %s",
                           (db.bob.ids[parent] if parent else db.bob.user, db.alice.ids[table]))
        except psycopg2.Error as error:
            assert error.pgcode == DENIED
        else:
            assert "update" not in OWN[table] and cursor.rowcount == 0


@pytest.mark.parametrize("table", ["memories", "documents", "chat_sessions"])
def test_no_foreign_project_on_own_rows(db, table):
    foreign = db.bob.ids["projects"]
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        for project in [None, db.alice.ids["projects"]]:
            db.alice.insert(cursor, table, project_id=project)
        cursor.execute("savepoint s")
        with refused(DENIED, "row-level security"):
            db.alice.insert(cursor, table, project_id=foreign)
        cursor.execute("rollback to s")
        with refused(DENIED, "row-level security"):
            cursor.execute(f"update public.{table} set project_id = %s where id = %s", (foreign, db.alice.ids[table]))


SUBSCRIPTION = {
    "subscription_status": "pro", "subscription_expires_at": "2099-01-01",
    "lemonsqueezy_customer_id": "1", "lemonsqueezy_subscription_id": "1",
}


@pytest.mark.parametrize("column", sorted(SUBSCRIPTION))
def test_owner_does_not_set_his_subscription(db, column):
    value, workspace = SUBSCRIPTION[column], db.alice.ids["workspaces"]
    update = f"update public.workspaces set {column} = %s where id = %s"
    upsert = (f"insert into public.workspaces (id, name, owner_id) values (%s, 'x', %s) "
              f"on conflict (id) do update set {column} = %s")
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        for statement, args in [
            (update, (value, workspace)),
            (upsert, (workspace, db.alice.user, value)),
            (f"insert into public.workspaces (name, owner_id, {column}) values ('x', %s, %s)", (db.alice.user, value)),
        ]:
            cursor.execute("savepoint s")
            with refused(DENIED, "only billing"):
                cursor.execute(statement, args)
            cursor.execute("rollback to s")
    with acting(db.connection, "service_role") as cursor:
        cursor.execute(update, (value, workspace))
        # Billing has set it: the owner can neither clear it nor is he hindered in the rest.
        cursor.execute("set local role authenticated")
        cursor.execute("select set_config('request.jwt.claims', %s, true)", (f'{{"sub": "{db.alice.user}"}}',))
        cursor.execute("update public.workspaces set name = 'x', owner_email = 'x' where id = %s", (workspace,))
        assert cursor.rowcount == 1
        with refused(DENIED, "only billing"):
            cursor.execute(f"update public.workspaces set {column} = default where id = %s", (workspace,))


def test_policies_use_the_indexes(db):
    """A user's list of a table does not read the tables of all users."""
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        cursor.execute("set local enable_seqscan = off")
        for table in ["workspaces", "projects", "work_tickets", "scheduled_messages", "memories", "chat_sessions",
                      "documents", "subscription_events"]:
            cursor.execute(f"explain select from public.{table}")
            plan = "\n".join(row[0] for row in cursor)
            assert f"Seq Scan on {table}" not in plan and "Index Cond" in plan, plan
