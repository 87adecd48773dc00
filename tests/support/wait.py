"""Waiting for what a test has started, always with a deadline and never for a fixed time; and the queue's database,
whose answers can be waited for."""

import json
import time

import psycopg2
import psycopg2.extras

from support.errand import Errand, make_runner_login

templates = {}


def until(check, what, timeout=20, every=0.01):
    """Calls check until it returns something true, and returns that; what: the failure's text, or makes it."""
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(every)


def connect(dsn):
    """Every statement is a transaction of its own; rows have named columns."""
    connection = psycopg2.connect(dsn, cursor_factory=psycopg2.extras.NamedTupleCursor)
    connection.autocommit = True
    return connection


def ask(connection, text, *params):
    with connection.cursor() as cursor:
        cursor.execute(text, params or None)
        return cursor.fetchall() if cursor.description else None


def make_template(cluster):
    if cluster not in templates:
        dsn = cluster.create_database("queue_template")
        with Errand(dsn) as errand:
            errand.run("migrate", "up", "--only", "queue")
        make_runner_login(dsn)
        templates[cluster] = dsn.split("///")[1].split("?")[0]
    return templates[cluster]


class QueueDatabase:
    """A database with errand's own schema and nothing else, dropped at the end; usable as a context manager."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.dsn = cluster.create_database("queue", template=make_template(cluster))
        self.connection = connect(self.dsn)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        self.cluster.drop_database(self.dsn)

    def sql(self, text, *params):
        return ask(self.connection, text, *params)

    def one(self, text, *params):
        [[value]] = self.sql(text, *params)
        return value

    def row(self, text, *params):
        [row] = self.sql(text, *params)
        return row

    def wait(self, text, *params, timeout=20, every=0.01):
        """Waits until the query's one value is true; returns it."""
        return until(lambda: self.one(text, *params), lambda: f"{text} {params}: {self.state()}", timeout, every)

    def reconnect(self, timeout=20):
        """After an outage."""
        def again():
            try:
                return connect(self.dsn)
            except psycopg2.OperationalError:
                return None
        self.connection.close()
        self.connection = until(again, "the database does not come back", timeout)

    # ---- Jobs ----

    def enqueue(self, kind="probe.run", args=None, **named):
        """errand.enqueue; after=SECONDS is a run_at from now on. Returns the id."""
        named["args"] = json.dumps(args or {})
        given = {name: f"{name} => %s" for name in named}
        if "after" in named:
            given["after"] = "run_at => clock_timestamp() + make_interval(secs => %s)"
        casts = {"args": "::jsonb", "run_at": "::timestamptz", "timeout": "::interval"}
        text = ", ".join(part + casts.get(name, "") for name, part in given.items())
        return self.one(f"select errand.enqueue(%s, {text})", kind, *named.values())

    def enqueue_many(self, count, args=None, kind="probe.run"):
        """Returns the ids."""
        return [row[0] for row in self.sql(
            "select errand.enqueue_many(%s, array_fill(%s::jsonb, array[%s]))", kind, json.dumps(args or {}), count)]

    def job(self, id):
        """A row of errand.jobs; None when there is no such job."""
        found = self.sql("select * from errand.jobs where id = %s", id)
        assert len(found) <= 1, found
        return found[0] if found else None

    def wait_state(self, id, state, timeout=20):
        return until(lambda: (job := self.job(id)) and job.state == state and job,
                     lambda: f"job {id} is not {state}: {self.job(id)}", timeout)

    def wait_ended(self, id, timeout=20):
        return until(lambda: (job := self.job(id)) and job.finished_at and job,
                     lambda: f"job {id} has not ended: {self.job(id)}", timeout)

    def wait_empty(self, timeout=30):
        """Until no job is owed."""
        self.wait("select not exists (select from errand.job)", timeout=timeout)

    def check_history(self, ids):
        """Each of the jobs stands there once, and nothing else does."""
        found = sorted(row[0] for row in self.sql("select id from errand.history"))
        wanted = sorted(ids)
        if found != wanted:
            twice = [id for id, next_id in zip(found, found[1:]) if id == next_id]
            raise AssertionError(f"{len(wanted)} jobs, {len(found)} in the history; "
                                 f"missing {sorted(set(wanted) - set(found))[:10]}, twice {twice[:10]}, "
                                 f"strange {sorted(set(found) - set(wanted))[:10]}")

    def state(self):
        """For the text of a failure."""
        return {
            "jobs": self.sql("select id, kind, state, attempt, run_at, runner, last_error from errand.jobs"
                             " order by finished_at nulls first, run_at limit 10"),
            "runners": self.sql("select id, lease_until > clock_timestamp() as alive, lanes from errand.runners"),
            "lanes": self.sql("select lane, queue, owner, epoch, armed from errand.lane order by lane limit 10"),
            "now": self.one("select clock_timestamp()"),
        }
