"""Events that others send: each is stored once with its one job, whoever brings it how often, and who may read what of it."""

import json
import threading

import psycopg2
import psycopg2.extensions
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

SESSIONS = 8
DENIED = "42501"
ACCEPT = "select errand.webhook_accept(%s, %s, %s, %s::jsonb, %s, %s, %s)"


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.webhook_event, errand.job, errand.history")


def accept(db, event_id="e1", source="resend", type="email.sent", headers=None, body=b"{}", kind="email.event", queue=None, by=None):
    params = (source, event_id, type, json.dumps(headers or {}), psycopg2.Binary(body), kind, queue)
    if by is None:
        return db.one(ACCEPT, *params)
    return ask(by, ACCEPT, *params)[0][0]


def counts(db):
    return db.row("select (select count(*) from errand.webhook_event) as events, (select count(*) from errand.job) as jobs")


def refusal(db, connection=None, **given):
    with pytest.raises(psycopg2.Error) as caught:
        accept(db, by=connection, **given)
    return caught.value.pgcode


def test_an_event_is_stored_with_its_job(db):
    id = accept(db, headers={"svix-id": "e1"}, body=b'{"type":"email.sent"}')
    event = db.row("select * from errand.webhook_event")
    assert (event.source, event.event_id, event.type, event.headers, bytes(event.body), event.job_id, event.status, event.effect) == (
        "resend", "e1", "email.sent", {"svix-id": "e1"}, b'{"type":"email.sent"}', id, "stored", None)
    job = db.row("select * from errand.jobs where id = %s", id)
    assert (job.kind, job.args, job.key, job.queue, job.state) == (
        "email.event", {"source": "resend", "event_id": "e1"}, "resend:e1", "default", "ready")


def test_the_queue_can_be_named(db):
    db.sql("select errand.queue_create('hooks', 2)")
    assert db.job(accept(db, queue="hooks")).queue == "hooks"
    assert refusal(db, event_id="e2", queue="none") is not None
    assert counts(db) == (1, 1)


def test_a_repeat_returns_null_and_changes_nothing(db):
    assert accept(db, body=b"first") is not None
    before = db.row("select * , xmin::text as version from errand.webhook_event")
    assert accept(db, body=b"second", type="other", kind="other.kind") is None
    after = db.row("select * , xmin::text as version from errand.webhook_event")
    assert bytes(after.body) == b"first" and before.version == after.version and counts(db) == (1, 1)


def test_a_repeat_after_its_job_has_ended_makes_none(db):
    id = accept(db)
    db.sql("select errand.cancel(%s)", id)
    assert accept(db) is None
    assert counts(db) == (1, 0)


def test_a_replay_makes_a_job_once_there_is_none(db):
    id = accept(db, queue="default")
    replay = "select errand.webhook_replay('resend', %s)"
    assert [db.one(replay, "e1"), db.one(replay, "none")] == ["not ended", "not found"]
    db.sql("update errand.webhook_event set status = 'failed', effect = 'x'")
    db.sql("select errand.cancel(%s)", id)
    assert [db.one(replay, "e1"), db.one(replay, "e1")] == ["enqueued", "not ended"]
    event = db.row("select * from errand.webhook_event")
    assert event.job_id > id and (event.status, event.effect) == ("stored", None) and counts(db) == (1, 1)
    assert (db.job(event.job_id).kind, db.job(event.job_id).queue) == ("email.event", "default")


def test_replays_from_many_sessions_make_one_job(db):
    db.sql("select errand.cancel(%s)", accept(db))
    sessions, found = [connect(db.dsn) for _ in range(SESSIONS)], []
    threads = [threading.Thread(target=lambda c=c: found.append(ask(c, "select errand.webhook_replay('resend', 'e1')")[0][0])) for c in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["enqueued"] + ["not ended"] * (SESSIONS - 1) and counts(db) == (1, 1)
    for connection in sessions:
        connection.close()


def test_sources_have_ids_of_their_own(db):
    assert accept(db, source="resend") != accept(db, source="lemonsqueezy")
    assert counts(db) == (2, 2)


def test_a_type_and_headers_may_be_missing(db):
    assert db.one(ACCEPT, "x", "e1", None, None, psycopg2.Binary(b""), "some.kind", None) is not None
    event = db.row("select * from errand.webhook_event")
    assert (event.type, event.headers, bytes(event.body)) == (None, {}, b"")


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_the_same_event_from_many_sessions_makes_one_job(db, isolation):
    """In repeatable read, who comes too late may be told of a serialization failure instead."""
    sessions = [connect(db.dsn) for _ in range(SESSIONS)]
    for round in range(20):
        found, start = [], threading.Barrier(SESSIONS)

        def work(connection):
            start.wait()
            ask(connection, f"begin isolation level {isolation}")
            try:
                found.append(accept(db, event_id=f"e{round}", by=connection))
                ask(connection, "commit")
            except psycopg2.Error as error:
                ask(connection, "rollback")
                found.append(error.pgcode)

        threads = [threading.Thread(target=work, args=(connection,)) for connection in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = [id for id in found if isinstance(id, int)]
        others = [id for id in found if not isinstance(id, int)]
        assert len(ids) == 1 and len(found) == SESSIONS
        assert set(others) <= ({None} if isolation == "read committed" else {None, "40001"})
        assert db.one("select job_id from errand.webhook_event where event_id = %s", f"e{round}") == ids[0]
        assert counts(db) == (round + 1, round + 1)
    for connection in sessions:
        connection.close()


def test_a_rollback_leaves_nothing_and_the_event_can_come_again(db):
    connection = connect(db.dsn)
    ask(connection, "begin")
    assert accept(db, by=connection) is not None
    ask(connection, "rollback")
    connection.close()
    assert counts(db) == (0, 0)
    assert accept(db) is not None and counts(db) == (1, 1)


def test_who_waits_for_one_that_rolls_back_stores_it(db):
    first, second = connect(db.dsn), connect(db.dsn)
    ask(first, "begin")
    accept(db, by=first)
    found = []
    thread = threading.Thread(target=lambda: found.append(accept(db, by=second)))
    thread.start()
    db.wait("select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%%webhook_accept%%'"
            " and datname = current_database() and pid <> pg_backend_pid())")
    ask(first, "rollback")
    thread.join()
    assert isinstance(found[0], int) and counts(db) == (1, 1)
    first.close()
    second.close()


def test_a_job_that_cannot_be_made_leaves_no_event(db):
    assert refusal(db, kind="Not a kind") == "22023"
    assert counts(db) == (0, 0)


@pytest.mark.parametrize("body", [b"", b"\0", b"a\0b\0", bytes(range(256)) * 3, b"\xff\xfe not UTF-8 \xc3", b"\\x00 \\\\ '", bytes(1 << 20)],
                         ids=["empty", "NUL", "NULs", "every byte", "no UTF-8", "escapes", "1 MiB"])
def test_bodies_are_kept_byte_for_byte(db, body):
    accept(db, body=body)
    assert bytes(db.one("select body from errand.webhook_event")) == body


@pytest.mark.parametrize("given, code", [
    ({"source": ""}, "23514"), ({"source": "Resend"}, "23514"), ({"source": "a/b"}, "23514"), ({"source": "a" * 64}, "23514"),
    ({"source": None}, "23502"), ({"event_id": ""}, "23514"), ({"event_id": "e" * 257}, "23514"), ({"event_id": None}, "23502"),
    ({"type": "t" * 257}, "23514"), ({"headers": [1]}, "23514"), ({"headers": {"a": "\0"}}, "22P05"), ({"kind": None}, "22023")])
def test_what_is_refused(db, given, code):
    assert refusal(db, **given) == code
    assert counts(db) == (0, 0)


def test_the_longest_id_is_taken(db):
    assert accept(db, source="s" * 63, event_id="é" * 128) is not None


# ---- Many at once ----

MANY = "select errand.webhook_accept_many(%s, %s, %s, %s::text[]::jsonb[], %s, %s, %s)"


def accept_many(db, ids, source="resend", types=None, headers=None, bodies=None, kind="email.event", queue=None):
    return db.one(MANY, source, ids, types or [None] * len(ids), headers or ["{}"] * len(ids),
                  [psycopg2.Binary(body) for body in bodies or [id.encode() for id in ids]], kind, queue)


def test_many_are_stored_each_with_its_job(db):
    assert accept_many(db, ["b", "a", "c"], types=["tb", "ta", None], headers=['{"n": 2}', '{"n": 1}', None]) == 3
    rows = db.sql("select e.event_id, e.type, e.headers, e.body, j.args, j.key, j.kind from errand.webhook_event e"
                  " join errand.jobs j on j.id = e.job_id order by 1")
    assert [(row.event_id, row.type, row.headers, bytes(row.body), row.args, row.key, row.kind) for row in rows] == [
        (id, type, headers, id.encode(), {"source": "resend", "event_id": id}, f"resend:{id}", "email.event")
        for id, type, headers in (("a", "ta", {"n": 1}), ("b", "tb", {"n": 2}), ("c", None, {}))]


def test_of_many_only_the_new_ones_count(db):
    before = accept(db, event_id="b")
    assert accept_many(db, ["a", "b", "c", "a"]) == 2
    assert accept_many(db, ["c", "b", "a"]) == 0 and accept_many(db, []) == 0
    assert counts(db) == (3, 3) and db.one("select job_id from errand.webhook_event where event_id = 'b'") == before


@pytest.mark.parametrize("given, said", [({"queue": "none"}, 'queue "none" does not exist'), ({"kind": "Not a kind"}, "is not valid")])
def test_a_job_that_cannot_be_made_loses_none_of_many(db, given, said):
    assert accept_many(db, ["a", "b"], **given) == 2
    for row in db.sql("select status, effect, job_id from errand.webhooks"):
        assert row.status == "failed" and said in row.effect and row.job_id is None
    assert counts(db) == (2, 0)


def test_many_from_many_sessions_in_any_order(db):
    """None waits for one that waits for it."""
    sessions, found = [connect(db.dsn) for _ in range(4)], []
    ids = [f"e{n}" for n in range(300)]

    def work(connection, seed):
        for round in range(5):
            mine = [f"{round}-{id}" for id in (ids if seed % 2 else reversed(ids))]
            found.append(ask(connection, MANY, "x", mine, [None] * 300, ["{}"] * 300, [psycopg2.Binary(b"")] * 300, "some.kind", None)[0][0])

    threads = [threading.Thread(target=work, args=(connection, seed)) for seed, connection in enumerate(sessions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in sessions:
        connection.close()
    assert len(found) == 20 and sum(found) == 1500 and counts(db) == (1500, 1500)


# ---- Who may do what ----

@pytest.fixture(scope="module")
def logins(database):
    names = ["errand_viewer", "errand_enqueue", "errand_operator", "errand_runner"]
    for name in names:
        database.sql(f"create role hook_{name} login in role {name}")
    found = {name: connect(psycopg2.extensions.make_dsn(database.dsn, user=f"hook_{name}")) for name in names}
    yield found
    for name, connection in found.items():
        connection.close()
        database.sql(f"drop owned by hook_{name}")
        database.sql(f"drop role hook_{name}")


def denied(connection, statement):
    ask(connection, "begin")
    try:
        ask(connection, statement)
        return False
    except psycopg2.Error as error:
        assert error.pgcode == DENIED, error
        return True
    finally:
        ask(connection, "rollback")


# ---- How long they are kept ----

def aged(db, days, status, id, **job):
    db.sql("""insert into errand.webhook_event (source, event_id, headers, body, status, received_at, job_id)
        values ('x', %s, '{}', '', %s, now() - make_interval(days => %s), %s)""", id, status, days, job.get("job_id"))


def left(db):
    return {row[0] for row in db.sql("select event_id from errand.webhook_event")}


def test_events_go_when_their_time_is_over(db):
    owed = accept(db)
    for status in ("applied", "ignored", "stored", "unassigned", "failed"):
        for days in (34, 36, 181):
            aged(db, days, status, f"{status} {days}")
    aged(db, 400, "stored", "its job waits", job_id=owed)
    assert db.one("select errand.webhook_forget(35, 180, 100)") == 7
    assert left(db) == {"e1", "its job waits", *(f"{status} 34" for status in ("applied", "ignored", "stored", "unassigned", "failed")),
                        *(f"{status} 36" for status in ("stored", "unassigned", "failed"))}
    assert db.one("select errand.webhook_forget(35, 180, 100)") == 0


def test_the_oldest_go_first_a_batch_at_a_time(db):
    for days in range(40, 50):
        aged(db, days, "applied", str(days))
    aged(db, 200, "failed", "200")
    assert [db.one("select errand.webhook_forget(35, 180, 4)") for _ in range(4)] == [4, 4, 3, 0]
    for days in range(40, 50):
        aged(db, days, "applied", str(days))
    db.one("select errand.webhook_forget(35, 180, 4)")
    assert left(db) == {str(days) for days in range(40, 46)}


def test_one_that_somebody_has_locked_is_left(db):
    aged(db, 40, "applied", "locked")
    aged(db, 41, "applied", "free")
    other = connect(db.dsn)
    other.autocommit = False
    ask(other, "select from errand.webhook_event where event_id = 'locked' for update")
    assert db.one("select errand.webhook_forget(35, 180, 100)") == 1
    other.close()
    assert left(db) == {"locked"}


def test_none_is_looked_at_that_stays(db):
    """By an index that holds no others, however many stand before it."""
    db.sql("""insert into errand.webhook_event (source, event_id, headers, body, status, received_at)
        select 'x', n::text, '{}', '', 'unassigned', now() - interval '100 days' from generate_series(1, 5000) n""")
    aged(db, 36, "applied", "old")
    db.sql("set enable_seqscan = off")
    db.sql("vacuum analyze errand.webhook_event")
    read = "select seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables where relname = 'webhook_event'"
    db.sql("begin")
    before = db.one(read)
    assert db.one("select errand.webhook_forget(35, 180, 100)") == 1
    assert db.one(read) - before < 10
    db.sql("commit")
    db.sql("reset enable_seqscan")


# ---- What became of them ----

def end(db, job, outcome, error=None):
    db.sql("""with j as (delete from errand.job where id = %s returning *)
        insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args, error)
        select lane, 1, priority, id, run_at, created_at, now(), current_date + 30, %s, kind, args, %s from j where %s is not null""",
           job, outcome, error, outcome)


def test_what_became_of_an_event_whose_handler_says_nothing(db):
    ends = {"done": ("done", None), "dead": ("dead", "no such shop"), "cancelled": ("cancelled", None), "not kept": (None, None), "said": ("dead", "x")}
    for id, (outcome, error) in ends.items():
        end(db, accept(db, id), outcome, error)
    accept(db, "waits")
    db.sql("update errand.webhook_event set status = 'ignored', effect = 'a test' where event_id = 'said'")
    assert db.one("select errand.webhook_settle(100)") == 4
    assert {row.event_id: (row.status, row.effect) for row in db.sql("select * from errand.webhook_event")} == {
        "done": ("applied", "its job is done"), "dead": ("failed", "its job is dead: no such shop"), "cancelled": ("failed", "its job was cancelled"),
        "not kept": ("applied", "its job is done"), "said": ("ignored", "a test"), "waits": ("stored", None)}
    assert db.one("select errand.webhook_settle(100)") == 0


def test_one_that_is_being_replayed_is_left(db):
    end(db, accept(db), "dead", "x")
    other = connect(db.dsn)
    other.autocommit = False
    ask(other, "select errand.webhook_replay('resend', 'e1')")
    assert db.one("select errand.webhook_settle(100)") == 0
    other.commit()
    other.close()
    assert db.one("select errand.webhook_settle(100)") == 0
    assert db.one("select status from errand.webhook_event") == "stored"


@pytest.mark.parametrize("statement, may", [
    ("select errand.webhook_settle(1)", {"errand_runner"}),
    ("select errand.webhook_forget(35, 180, 1)", {"errand_runner"}),
    ("select errand.webhook_accept('x', 'e2', null, '{}', '', 'some.kind')", {"errand_runner"}),
    ("select errand.webhook_accept_many('x', '{e2}', '{null}', '{null}', array[''::bytea], 'some.kind')", {"errand_runner"}),
    ("select errand.webhook_replay('resend', 'none')", {"errand_operator"}),
    ("select * from errand.webhooks", {"errand_viewer", "errand_operator", "errand_runner"}),
    ("select source, event_id, status from errand.webhook_event", {"errand_viewer", "errand_operator", "errand_runner"}),
    ("select body from errand.webhook_event", {"errand_operator", "errand_runner"}),
    ("select * from errand.webhook_event", {"errand_operator", "errand_runner"}),
    ("update errand.webhook_event set status = 'applied', effect = 'x'", {"errand_runner"}),
    ("update errand.webhook_event set body = ''", set()),
    ("update errand.webhook_event set job_id = 1", set()),
    ("insert into errand.webhook_event (source, event_id, headers, body) values ('x', 'e3', '{}', '')", set()),
    ("delete from errand.webhook_event", set()),
    ("truncate errand.webhook_event", set())], ids=lambda value: value[:48] if isinstance(value, str) else "")
def test_rights(db, logins, statement, may):
    accept(db)
    assert {name for name, connection in logins.items() if not denied(connection, statement)} == may


def test_a_runner_accepts_and_settles(db, logins):
    accept(db, by=logins["errand_runner"])
    ask(logins["errand_runner"], "update errand.webhook_event set status = 'applied', effect = 'workspace 1 is pro'")
    [row] = ask(logins["errand_viewer"], "select status, effect from errand.webhooks")
    assert row == ("applied", "workspace 1 is pro")
    with pytest.raises(psycopg2.errors.CheckViolation):
        ask(logins["errand_runner"], "update errand.webhook_event set status = 'lost'")
