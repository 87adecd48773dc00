#!/usr/bin/python3
"""The demonstration behind `./dev demo`: a PostgreSQL, a mail provider and errand, mails on their way and webhooks coming in.

Every mail is made by the SQL that is shown, every event of billing by the command. What is claimed of them is read back from the
database's tables and from the provider's own ledger. Everything lives in temporary directories and ends with the demo.
"""

import argparse
import base64
import os
import signal
import sys
import time
from pathlib import Path

import psycopg2

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from support.cluster import Cluster, cache_dir, free_port  # noqa: E402
from support.errand import Errand  # noqa: E402
from support.provider import ResendProvider  # noqa: E402

PATIENCE_S = 30
RATE = 10
SECRETS = {"RESEND_WEBHOOK_SECRET": "whsec_" + base64.b64encode(os.urandom(24)).decode(), "LEMONSQUEEZY_WEBHOOK_SECRET": os.urandom(20).hex()}

SETUP = """
insert into auth.users (id, email) values ('11111111-1111-4111-8111-111111111111', 'owner@example.com');
insert into public.workspaces (name, owner_id) values ('Demo', '11111111-1111-4111-8111-111111111111');
"""

INSERT = """
insert into public.scheduled_messages
    (workspace_id, scheduled_for, message_type, subject, recipient_email, content)
"""

# (title, SQL after INSERT)
DUE_NOW = ("A mail due now", """
select id, now(), 'welcome', 'Welcome', 'ann@example.com', '{"text": "Hello Ann"}' from public.workspaces;
""")
DUE_SOON = ("A mail due in 3 seconds", """
select id, now() + interval '3 s', 'reminder', 'Soon', 'ben@example.com', '{"html": "<p>Hello Ben</p>"}'
from public.workspaces;
""")
MANY = ("200 mails due at once", """
select id, now(), 'digest', 'Digest ' || n, 'user' || n || '@example.com', '{"text": "Your day"}'
from public.workspaces, generate_series(1, 200) n;
""")
REJECTED = ("A mail to an address that the provider refuses", """
select id, now(), 'welcome', 'Welcome', 'reject@example.com', '{"text": "Hello"}' from public.workspaces;
""")
FLAKY = ("A mail that meets a 500 at the provider first", """
select id, now(), 'welcome', 'Welcome', 'flaky@example.com', '{"text": "Hello again"}' from public.workspaces;
""")
BOUNCED = ("A mail that is returned: the provider takes it, and tells of the bounce by a signed webhook", """
select id, now(), 'welcome', 'Welcome', 'bounced@example.com', '{"text": "Hello"}' from public.workspaces;
""")
SUPPRESSED = ("Another one to the same address", """
select id, now(), 'reminder', 'Are you there?', 'bounced@example.com', '{"text": "Hello"}' from public.workspaces;
""")

TIMELINE = """
select at, status, reason from errand.email_events where message_id = %s order by at
"""

MESSAGES = """
select m.id, m.recipient_email, m.status, m.failure_reason, m.sent_at,
       (extract(epoch from m.scheduled_for) * 1000000)::bigint as due_us,
       l.status as log_status, l.provider_message_id, l.entries
from public.scheduled_messages m
cross join lateral (
    select max(l.status) as status, max(l.provider_message_id) as provider_message_id, count(*) as entries
    from public.email_delivery_log l where l.scheduled_message_id = m.id) l
order by m.scheduled_for, m.recipient_email
"""


class Problem(Exception):
    """Something did not happen as it should."""


def show(text, indent=0):
    for line in text.strip("\n").splitlines():
        print(" " * indent + line, flush=True)


def title(text):
    print("\n" + text, flush=True)


class Demo:
    """What runs, and what was seen of it."""

    def __init__(self, database, provider, errand, port):
        self.provider, self.errand, self.port = provider, errand, port
        self.runner = errand.start("--http-listen", f"127.0.0.1:{port}").wait_ready()
        self.connection = psycopg2.connect(database)
        self.connection.autocommit = True
        self.expected = 0

    def sql(self, text, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def wait(self, check, what):
        """What check returns, once that is true."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := check()):
            if not self.runner.running:
                raise Problem(f"errand ended with status {self.runner.process.returncode}\n{self.runner.log()[-2000:]}")
            if time.monotonic() > deadline:
                raise Problem(f"{what} after {PATIENCE_S} s\n{self.runner.log()[-2000:]}")
            time.sleep(0.02)
        return found

    def enqueue(self, scene, until=None):
        """Prints a scene's SQL, runs it, and returns the messages' rows once none is pending; until: and their log says so."""
        heading, rest = scene
        title(heading)
        show(INSERT.strip("\n") + "\n" + rest.strip("\n"), indent=4)
        before = {row[0] for row in self.sql("select id from public.scheduled_messages")}
        self.sql(INSERT + rest)

        def ended():
            rows = [row for row in self.messages() if row["id"] not in before]
            return rows if all(row["status"] != "pending" and until in (None, row["log_status"]) for row in rows) else None
        return self.wait(ended, f"not all of them are {until or 'sent'}")

    def messages(self):
        with self.connection.cursor() as cursor:
            cursor.execute(MESSAGES)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def delivery(self, row):
        """The provider's one record of a sent message; checks it against the tables. Returns it with its lateness."""
        to = row["recipient_email"]
        if row["status"] != "sent":
            raise Problem(f"{to}: {row['status']}, {row['failure_reason']}")
        received = self.received.get(to, [])
        if len(received) != 1:
            raise Problem(f"{to}: the provider received it {len(received)} times")
        if row["entries"] != 1 or row["provider_message_id"] != received[0]["id"]:
            raise Problem(f"{to}: email_delivery_log does not show the provider's id {received[0]['id']}")
        late_ms = (received[0]["received_at_us"] - row["due_us"]) / 1000
        if late_ms < 0:
            raise Problem(f"{to}: left {-late_ms:.1f} ms before its time")
        return received[0], late_ms

    def read_ledger(self):
        self.received = {}
        for entry in self.provider.ledger():
            for to in entry["to"]:
                self.received.setdefault(to, []).append(entry)

    def show_sent(self, rows):
        self.read_ledger()
        for row in rows:
            delivery, late_ms = self.delivery(row)
            show(f"scheduled_messages   {row['status']} at {row['sent_at']:%H:%M:%S.%f}"[:-3]
                 + f", left {late_ms:.1f} ms after it was due", indent=2)
            show(f"email_delivery_log   {row['log_status']}, provider's id {delivery['id']}", indent=2)
        self.expected += len(rows)

    def show_many(self, rows):
        self.read_ledger()
        seen = [self.delivery(row) for row in rows]
        late = sorted(late_ms for _, late_ms in seen)
        requests = len({delivery["request_no"] for delivery, _ in seen})
        show(f"scheduled_messages   {len(rows)} sent", indent=2)
        show(f"email_delivery_log   {sum(row['entries'] for row in rows)} entries, all delivered, in {requests} requests", indent=2)
        show(f"lateness             half within {late[len(late) // 2]:.1f} ms, all within {late[-1]:.1f} ms", indent=2)
        self.expected += len(rows)

    def show_rejected(self, rows):
        [row] = rows
        if row["status"] != "failed" or not row["failure_reason"]:
            raise Problem(f"{row['recipient_email']}: {row['status']}, expected failed and a reason")
        show(f"scheduled_messages   failed: {row['failure_reason']}", indent=2)
        show(f"email_delivery_log   {row['log_status'] or 'no entry'}", indent=2)

    def show_flaky(self, rows):
        self.show_sent(rows)
        delivery, _ = self.delivery(rows[0])
        statuses = [request["status"] for request in self.provider.requests()
                    if request["key"] == delivery["idempotency_key"]]
        if statuses != [500, 200]:
            raise Problem(f"the provider answered {statuses} under one key, expected [500, 200]")
        show("provider             answered 500, then 200, under one idempotency key", indent=2)

    def show_bounced(self, rows):
        self.show_sent(rows)
        title("What the provider told of it, in errand.email_events")
        told = self.wait(lambda: len(found := self.sql(TIMELINE, (rows[0]["id"],))) == 2 and found, "its timeline is not whole")
        for at, status, reason in told:
            show(f"{at:%H:%M:%S.%f}"[:-3] + f"         {status}" + (f": {reason}" if reason else ""), indent=2)
        [(recipient, reason)] = self.sql("select recipient, reason from errand.suppression")
        show(f"errand.suppression   {recipient}: {reason}", indent=2)

    def show_suppressed(self, rows):
        [row] = rows
        if row["status"] != "failed" or row["log_status"] != "suppressed":
            raise Problem(f"{row['recipient_email']}: {row['status']}, {row['log_status']}, expected failed and suppressed")
        show(f"scheduled_messages   failed: {row['failure_reason']}", indent=2)

    def workspace(self):
        return self.sql("select id, subscription_status, subscription_expires_at from public.workspaces")[0]

    def trigger(self, type, *args):
        """Runs the command that is shown; returns what became of its event, once its job has acted."""
        show("errand webhook trigger " + " ".join([type, *args]), indent=4)
        answer = self.errand.run("webhook", "trigger", type, *args, "--url", f"http://127.0.0.1:{self.port}").stdout
        name = answer.split()[1]
        return name, self.wait(lambda: self.sql("select effect from errand.webhooks where source || ':' || event_id = %s and status <> 'stored'",
                                                (name,)), f"{name} is not applied")[0][0]

    def show_checkout(self):
        title("A checkout at Lemon Squeezy, by a sample of the event that it sends")
        id, before, _ = self.workspace()
        name, effect = self.trigger("subscription_created", "--with", f"meta.custom_data.workspace_id={id}")
        _, after, expires = self.workspace()
        if (before, after) != ("free", "pro"):
            raise Problem(f"the workspace went from {before} to {after}, expected free and pro: {effect}")
        show(f"errand.webhooks      {name[:28]}...: {effect}", indent=2)
        show(f"workspaces           it was {before} and is {after} until {expires:%Y-%m-%d}", indent=2)

    def show_proof(self):
        summary = self.provider.summary()
        twice = {to: len(entries) for to, entries in self.received.items() if len(entries) > 1}
        title("What the provider says")
        show(f"{summary['deliveries']} mails received, {len(twice)} of them more than once; {self.expected} were to come",
             indent=2)
        if summary["deliveries"] != self.expected or twice or summary["duplicates"]:
            raise Problem(f"mails were lost or doubled: {twice or summary}")
        events = self.provider.events()
        [(told,)] = self.wait(lambda: self.sql("select count(*) from errand.email_events having count(*) >= %s", (len(events),)),
                              "not all events are in errand.email_events")
        show(f"{len(events)} events told, each of them once in errand.email_events", indent=2)
        if told != len(events) or told != 2 * self.expected:
            raise Problem(f"{told} events are in errand.email_events, {2 * self.expected} were to come")

    def run(self):
        title("A user and a workspace")
        show(SETUP, indent=4)
        self.sql(SETUP)
        self.show_sent(self.enqueue(DUE_NOW, "delivered"))
        self.show_sent(self.enqueue(DUE_SOON, "delivered"))
        self.show_many(self.enqueue(MANY, "delivered"))
        self.show_rejected(self.enqueue(REJECTED))
        self.show_flaky(self.enqueue(FLAKY, "delivered"))
        self.show_bounced(self.enqueue(BOUNCED, "bounced"))
        self.show_suppressed(self.enqueue(SUPPRESSED))
        self.show_checkout()
        self.show_proof()

    def stay(self):
        """Until Ctrl-C; a problem if errand ends before."""
        title("It stays up until Ctrl-C. In another terminal: ./dev psql, and there insert as above; or with any client:")
        show(f"psql '{self.connection.dsn}'", indent=4)
        show("Any event of Resend or Lemon Squeezy:")
        for name, value in SECRETS.items():
            show(f"export {name}={value}", indent=4)
        show(f"build/release/errand webhook trigger subscription_expired --url http://127.0.0.1:{self.port}", indent=4)
        show("The mails that arrived:")
        show(f"{self.provider.url}/", indent=4)
        while self.runner.running:
            time.sleep(0.2)
        raise Problem(f"errand ended with status {self.runner.process.returncode}\n{self.runner.log()[-2000:]}")


def announce(dsn):
    """Tells ./dev psql where the database is."""
    file = cache_dir() / "demo"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{os.getpid()}\n{dsn}\n", encoding="utf-8")
    return file


def demo(once):
    port = free_port()
    webhook = ["--webhook", f"http://127.0.0.1:{port}/webhooks/resend", "--webhook-secret", SECRETS["RESEND_WEBHOOK_SECRET"]]
    with Cluster() as cluster, ResendProvider("--rate", str(RATE), *webhook) as provider:
        dsn = cluster.create_database("demo")
        with Errand(dsn, provider, **SECRETS) as errand:
            version = errand.run("version").stdout.strip().removeprefix("errand ")
            errand.run("migrate", "up")
            running = Demo(dsn, provider, errand, port)
            [(server, vector)] = running.sql(
                "select current_setting('server_version'), "
                "(select extversion from pg_extension where extname = 'vector')")
            show(f"PostgreSQL   {server.split()[0]}, pgvector {vector}, of its own, in {cluster.dir}")
            show(f"Provider     Resend's API at {provider.url}/, {RATE} requests a second")
            show(f"errand       {version}, migrated and running, takes webhooks at http://127.0.0.1:{port}/")
            file = announce(dsn)
            try:
                running.run()
                if not once:
                    running.stay()
            finally:
                file.unlink(missing_ok=True)
            if running.runner.terminate() != 0:
                raise Problem(f"errand did not stop in order\n{running.runner.log()[-2000:]}")


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description="Shows mails go out and webhooks come in.")
    parser.add_argument("--once", action="store_true", help="end when all was shown")
    once = parser.parse_args().once
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        demo(once)
    except KeyboardInterrupt:
        title("Ended.")
        return 130 if once else 0
    except (Problem, AssertionError, RuntimeError, psycopg2.Error) as problem:
        print(f"\ndemo: failed: {problem}", file=sys.stderr)
        return 1
    if once:
        title("All of it happened.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
