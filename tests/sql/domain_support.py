"""A migrated domain database for the tests: applies the migration files and speaks as one of Supabase's roles."""

import contextlib
import json
import uuid
from pathlib import Path

import psycopg2
import psycopg2.extras
import pytest
from support.cluster import shared_cluster

psycopg2.extras.register_uuid()

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
AUTH_FILE = MIGRATIONS / "auth" / "001_auth_shim.sql"
DOMAIN_FILES = sorted((MIGRATIONS / "domain").glob("[0-9]*.sql"))
TABLES = {
    "workspaces", "projects", "work_tickets", "work_outputs", "scheduled_messages", "email_delivery_log", "memories",
    "chat_sessions", "session_messages", "documents", "chunks", "subscription_events",
}
DENIED = "42501"


def connect(dsn):
    return psycopg2.connect(dsn, cursor_factory=psycopg2.extras.NamedTupleCursor)


def apply(connection, *files):
    """Runs each file as one transaction, as the migration engine does."""
    for file in files:
        with connection, connection.cursor() as cursor:
            cursor.execute(file.read_text(encoding="utf-8"))


def fresh_database(prefix, *prepare):
    """A database with all migrations applied, after the statements given; returns its DSN."""
    dsn = shared_cluster(vector=True).create_database(prefix)
    with contextlib.closing(connect(dsn)) as connection:
        for statement in prepare:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
        apply(connection, AUTH_FILE, *DOMAIN_FILES)
    return dsn


def drop_database(dsn):
    shared_cluster(vector=True).drop_database(dsn)


@contextlib.contextmanager
def acting(connection, role, user=None, keep=False):
    """A cursor in a transaction as that role and user, rolled back at the end unless keep."""
    try:
        with connection.cursor() as cursor:
            claims = {"role": role} if user is None else {"role": role, "sub": str(user)}
            cursor.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(claims),))
            if role != "postgres":
                cursor.execute(f"set local role {role}")
            yield cursor
        if keep:
            connection.commit()
    finally:
        connection.rollback()


@contextlib.contextmanager
def refused(sqlstate, message=""):
    """The block must fail with that SQLSTATE, and with that message within the error's text."""
    with pytest.raises(psycopg2.Error) as caught:
        yield
    assert caught.value.pgcode == sqlstate and message in str(caught.value), caught.value


def vector(values):
    """The text form of a 1536-dimensional vector that begins with the values."""
    return "[" + ",".join(map(str, list(values) + [0] * (1536 - len(values)))) + "]"


class Tenant:
    """One user with one row of his own in each table; ids by table name."""

    def __init__(self, cursor, name):
        self.user = uuid.uuid4()
        self.ids = {}
        cursor.execute("insert into auth.users (id, email) values (%s, %s)", (self.user, f"{name}@example.test"))
        for table in INSERT_ORDER:
            self.insert(cursor, table, remember=True)

    def row(self, table, **changes):
        """The columns of a valid new row of this tenant."""
        ids = self.ids
        row = {
            "workspaces": {"name": "w", "owner_id": self.user},
            "projects": {"name": "p", "workspace_id": ids.get("workspaces")},
            "work_tickets": {"task": "t", "agent_type": "research", "project_id": ids.get("projects")},
            "work_outputs": {"title": "o", "output_type": "text", "ticket_id": ids.get("work_tickets")},
            "scheduled_messages": {"workspace_id": ids.get("workspaces"), "scheduled_for": "now",
                                   "message_type": "digest", "recipient_email": "r@example.test"},
            "email_delivery_log": {"scheduled_message_id": ids.get("scheduled_messages"), "recipient": "r@example.test"},
            "memories": {"user_id": self.user, "project_id": ids.get("projects"), "content": "m"},
            "chat_sessions": {"user_id": self.user, "project_id": ids.get("projects"),
                              "session_type": uuid.uuid4().hex},
            "session_messages": {"session_id": ids.get("chat_sessions"), "role": "user", "content": "c",
                                 "sequence_number": uuid.uuid4().int % 10**9 + 1},
            "documents": {"user_id": self.user, "project_id": ids.get("projects"), "filename": "f.pdf",
                          "file_type": "pdf", "storage_path": f"{self.user}/d/original.pdf"},
            "chunks": {"document_id": ids.get("documents"), "content": "c", "chunk_index": uuid.uuid4().int % 10**9},
            "subscription_events": {"workspace_id": ids.get("workspaces"), "event_type": "subscription_created"},
        }[table]
        return {**row, **changes}

    def insert(self, cursor, table, remember=False, **changes):
        row = self.row(table, **changes)
        cursor.execute(
            f"insert into public.{table} ({', '.join(row)}) values ({', '.join(['%s'] * len(row))}) returning id",
            list(row.values()))
        new = cursor.fetchone().id
        if remember:
            self.ids[table] = new
        return new


INSERT_ORDER = ["workspaces", "projects", "work_tickets", "work_outputs", "scheduled_messages", "email_delivery_log",
                "memories", "chat_sessions", "session_messages", "documents", "chunks", "subscription_events"]
