"""What the mail tests share: a migrated database with a workspace, messages in it, and waiting for what becomes of them."""

import itertools
import json
import time
import uuid

import psycopg2
import psycopg2.extras

from support.cluster import shared_cluster
from support.template import template

WORKSPACE = "00000000-0000-4000-8000-00000000000a"
OWNER = "00000000-0000-4000-8000-00000000000b"
HTML = {"html": "<p>Hello</p>"}

psycopg2.extras.register_uuid()
numbers = itertools.count(1)


def make_template():
    return template("email", ("insert into auth.users (id, email) values (%s, 'owner@example.com')", OWNER),
                    ("insert into public.workspaces (id, name, owner_id) values (%s, 'Test', %s)", WORKSPACE, OWNER))


def make_database():
    return shared_cluster().create_database("email", template=make_template())


def fresh(name="user"):
    return f"{name}{next(numbers)}@example.com"


class MailBox:
    """The messages of one database."""

    def __init__(self, dsn):
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def sql(self, text, *params):
        with self.connection.cursor() as cursor:
            cursor.execute(text, params or None)
            return cursor.fetchall() if cursor.description else None

    def one(self, text, *params):
        [[value]] = self.sql(text, *params)
        return value

    def insert(self, rows):
        """rows: dicts with to, after (seconds from now), content, subject, type. One statement; returns the ids."""
        ids = [row.get("id") or uuid.uuid4() for row in rows]
        values = [(id, WORKSPACE, row.get("after", 0), row.get("type", "test"), row.get("subject", "Hello"),
                   json.dumps(row.get("content", HTML)), row.get("to") or fresh()) for id, row in zip(ids, rows)]
        with self.connection.cursor() as cursor:
            psycopg2.extras.execute_values(
                cursor, """insert into public.scheduled_messages
                    (id, workspace_id, scheduled_for, message_type, subject, content, recipient_email) values %s""",
                values, "(%s, %s, clock_timestamp() + make_interval(secs => %s), %s, %s, %s, %s)", page_size=100000)
        return ids

    def send(self, **row):
        return self.insert([row])[0]

    def message(self, id):
        """status, failure_reason, sent_at, scheduled_for, and the log's rows as (status, provider_message_id)."""
        with self.connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as cursor:
            cursor.execute("""select s.status, s.failure_reason as reason, s.sent_at, s.scheduled_for, array(
                    select l.status from public.email_delivery_log l where l.scheduled_message_id = s.id
                    order by l.created_at) as log, (select max(l.provider_message_id) from public.email_delivery_log l
                    where l.scheduled_message_id = s.id) as provider_id
                from public.scheduled_messages s where s.id = %s""", (id,))
            return cursor.fetchone()

    def wait(self, id, status=None, timeout=20):
        """Waits until the message is no longer pending; returns it."""
        deadline = time.monotonic() + timeout
        while self.message(id).status == "pending":
            if time.monotonic() > deadline:
                raise AssertionError(f"message {id} is still pending: {self.jobs()}")
            time.sleep(0.02)
        found = self.message(id)
        assert status in (None, found.status), found
        return found

    def wait_all(self, timeout=30):
        """Waits until no message that is due is pending."""
        deadline = time.monotonic() + timeout
        while self.one("select count(*) from public.scheduled_messages where status = 'pending' and scheduled_for < now()"):
            if time.monotonic() > deadline:
                raise AssertionError(f"messages are still pending: {self.jobs()}")
            time.sleep(0.05)

    def wait_sql(self, text, *params, timeout=20):
        """Waits until the query's one value is true; returns it."""
        deadline = time.monotonic() + timeout
        while not (value := self.one(text, *params)):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {text}: {self.jobs()}")
            time.sleep(0.02)
        return value

    def jobs(self):
        return self.sql("select kind, state, attempt, run_at, last_error, args from errand.jobs where kind = 'email.send'"
                        " order by created_at desc limit 20")

    def job_of(self, id):
        """run_at and attempt of the message's job, or None."""
        found = self.sql("select run_at, attempt, last_error from errand.job where key = 'message:' || %s", str(id))
        return found[0] if found else None

    def outcome_of(self, id):
        """How the message's last job ended, as the history has it: outcome, error."""
        return self.sql("""select outcome, error from errand.history where key = 'message:' || %s
            order by finished_at desc limit 1""", str(id))[0]
