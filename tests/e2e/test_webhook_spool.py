"""Webhooks that come while the database is away: they wait on the disk, and what was answered 200 is stored once when it is back."""

import concurrent.futures
import contextlib
import datetime
import json
import resource
import shutil
import time

import psycopg2
import pytest

from support.cluster import Cluster, free_port
from support.errand import Errand
from support.hooks import PLAIN_SECRET, SECRET, Sender
from support.tempdir import make_tempdir
from support.wait import QueueDatabase, ask, connect, until

COUNT = 200
REFUSE = """
create function public.refuse() returns trigger language plpgsql as $$
begin if new.event_id = 'msg_bad' then raise exception 'not this one' using errcode = '23514'; end if; return new; end $$;
create trigger refuse before insert on errand.webhook_event for each row execute function public.refuse();
"""

LARGE = json.dumps({"type": "email.sent", "text": "x" * 900_000}).encode()
SLOW = """
create function public.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.015); return new; end $$;
create trigger slow before insert on errand.webhook_event for each row execute function public.slow();
"""


@pytest.fixture(scope="module")
def cluster():
    with Cluster(vector=False, fsync=False) as cluster:
        yield cluster


@pytest.fixture
def db(cluster):
    with QueueDatabase(cluster) as db:
        db.sql("select errand.queue_create('none', 1)")
        yield db


@pytest.fixture
def state():
    directory = make_tempdir("state")
    yield directory
    shutil.rmtree(directory)


@contextlib.contextmanager
def serving(db, state, ready=True, **env):
    port = free_port()
    with Errand(db.dsn, ERRAND_QUEUES="none", RESEND_WEBHOOK_SECRET=SECRET, LEMONSQUEEZY_WEBHOOK_SECRET=PLAIN_SECRET,
                STATE_DIRECTORY=str(state), **env) as errand:
        sender = Sender(port)
        sender.runner = errand.start("--http-listen", f"127.0.0.1:{port}")
        if ready:
            sender.runner.wait_ready()
        until(lambda: livez(sender), lambda: sender.runner.log())
        yield sender


def livez(sender):
    try:
        return sender.request("/livez", method="GET").status == 200
    except OSError:
        return False


@contextlib.contextmanager
def away(cluster):
    cluster.stop()
    try:
        yield
    finally:
        cluster.start()


def body_of(n):
    return json.dumps({"type": "email.sent", "data": {"n": n, "text": "\u00e4" * 50}}).encode()


def post_many(sender, numbers):
    """The ids that were answered 200."""
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = pool.map(lambda n: (n, sender.resend(body_of(n), f"msg_{n}").status), numbers)
        return {f"msg_{n}" for n, status in answers if status == 200}


def spooled(state):
    return sorted(path for path in (state / "webhooks").iterdir())


def wait_stored(db, ids):
    db.reconnect()
    db.wait("select count(*) = %s from errand.webhook_event", len(ids), timeout=40)
    rows = db.sql("select event_id, body, job_id from errand.webhook_event")
    assert {row.event_id for row in rows} == ids
    for row in rows:
        assert bytes(row.body) == body_of(int(row.event_id.removeprefix("msg_")))
    jobs = db.sql("select id, args ->> 'event_id' as event_id from errand.job")
    assert {(row.job_id, row.event_id) for row in rows} == {(row.id, row.event_id) for row in jobs}


def test_waits_for_the_database(cluster, db, state):
    with serving(db, state) as sender:
        before = post_many(sender, range(10))
        with away(cluster):
            during = post_many(sender, range(10, COUNT))
            assert len(during) == COUNT - 10
            assert len(spooled(state)) >= 1
            assert post_many(sender, range(5, 20)) == {f"msg_{n}" for n in range(5, 20)}  # repeats
            gone = datetime.datetime.now(datetime.timezone.utc)
        wait_stored(db, before | during)
        until(lambda: not spooled(state), "the spool is not empty")
        assert db.one("select max(received_at) < %s from errand.webhook_event", gone)
        # Then they go straight to the database again.
        assert post_many(sender, [COUNT]) == {f"msg_{COUNT}"}
        assert db.one("select count(*) from errand.webhook_event") == COUNT + 1
        assert not spooled(state)


def test_the_first_one_does_not_wait(cluster, db, state):
    """A database that refuses connections is away: there is nothing to wait for."""
    with serving(db, state) as sender:
        assert sender.resend(body_of(1), "msg_1").status == 200
        with away(cluster):
            begun = time.monotonic()
            assert sender.resend(body_of(2), "msg_2").status == 200
            assert time.monotonic() - begun < 2, "it waited as long as for a database that says nothing"
            assert len(spooled(state)) == 1
            sender.runner.wait_log("webhooks not stored in the database.*no connection to the database: ")
        wait_stored(db, {"msg_1", "msg_2"})


def test_an_empty_file_says_nothing_of_the_database(cluster, db, state):
    """Its writer was killed before the first byte. It is removed, and events go on to the spool unasked."""
    told = "webhooks go to the spool until the database is back"
    with serving(db, state) as sender:
        with away(cluster):
            empty = state / "webhooks" / "0-0.events"
            empty.touch(0o600)
            assert sender.resend(body_of(1), "msg_1").status == 200
            sender.runner.wait_log(told)
            until(lambda: not empty.exists(), "the empty file stays")
            assert sender.resend(body_of(2), "msg_2").status == 200
            assert sender.runner.log().count(told) == 1
        wait_stored(db, {"msg_1", "msg_2"})
        until(lambda: not spooled(state), "the spool is not empty")


def test_outlasts_the_runner(cluster, db, state):
    """One that starts while the database is away takes events, too; and the one after it sends what it left."""
    with away(cluster), serving(db, state, ready=False) as sender:
        taken = post_many(sender, range(COUNT))
        sender.runner.process.kill()
        sender.runner.wait()
    assert len(taken) == COUNT
    with serving(db, state) as sender:
        wait_stored(db, taken)
        until(lambda: not spooled(state), "the spool is not empty")


def test_a_stop_answers_what_is_under_way(cluster, db, state):
    """Here for the two seconds that the database has, in which somebody holds the table."""
    with serving(db, state) as sender, concurrent.futures.ThreadPoolExecutor(1) as pool, contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin; lock table errand.webhook_event")
        answer = pool.submit(sender.resend, body_of(1), "msg_1")
        db.wait("select count(*) = 1 from pg_locks where relation = 'errand.webhook_event'::regclass and not granted")
        sender.runner.process.terminate()
        sender.runner.wait_log("stopping")
        assert not answer.done()
        assert answer.result().status == 200
        assert sender.runner.wait() == 0
        assert spooled(state)


def test_what_is_damaged_is_passed_over(cluster, db, state):
    """A bit of one record has changed, and the last write was cut off: all others are stored, and the log says so."""
    with away(cluster), serving(db, state, ready=False) as sender:
        taken = post_many(sender, range(COUNT))
        sender.runner.process.kill()
        sender.runner.wait()
    [file] = [file for file in spooled(state) if b"msg_7\0" in file.read_bytes()]
    content = bytearray(file.read_bytes())
    content[content.index(b"msg_7\0")] ^= 1
    file_content = bytes(content) + content[:100]
    file.write_bytes(file_content)
    with serving(db, state) as sender:
        wait_stored(db, taken - {"msg_7"})
        until(lambda: [path.suffix for path in spooled(state)] == [".damaged"], lambda: spooled(state))
        assert "bytes that are no event" in sender.runner.log()
    assert spooled(state)[0].read_bytes() == file_content


def test_a_file_that_cannot_be_read_keeps_no_other(cluster, db, state):
    """One is no file, one is far too large: both are told, and what is behind them is stored."""
    with away(cluster), serving(db, state, ready=False) as sender:
        taken = post_many(sender, range(10))
        strange, huge = (state / "webhooks" / f"0-{n}.events" for n in range(2))
        strange.mkdir()
        with huge.open("wb") as file:
            file.truncate(1 << 30)
        sender.runner.process.kill()
        sender.runner.wait()
    with serving(db, state, ERRAND_WEBHOOK_SPOOL_MB="4096") as sender:
        wait_stored(db, taken)
        sender.runner.wait_log("the spool cannot be read.*cannot read 0-1.events: it is too large")
        assert spooled(state) == [strange, huge]


def left_by_another(db, state, bodies):
    """The file of a runner that was killed while the database was away."""
    with serving(db, state, ready=False) as sender:
        for id, body in bodies.items():
            assert sender.resend(body, id).status == 200
        sender.runner.process.kill()
        sender.runner.wait()
    [file] = spooled(state)
    return file


@pytest.mark.parametrize("first", [{"msg_1": body_of(1), "msg_bad": LARGE}, {"msg_bad": body_of(0)}], ids=["no room", "refused"])
def test_a_file_that_has_to_stay_keeps_no_other(cluster, db, state, first):
    """The oldest one cannot be removed, because what is refused of it cannot be written anew; or all of it is refused. It is passed
    over, and what is behind it stored before the minute is over after which it is tried again."""
    db.sql(REFUSE)
    with contextlib.ExitStack() as stack:
        with away(cluster):
            oldest = left_by_another(db, state, first)
            sender = stack.enter_context(serving(db, state, ready=False))
            assert post_many(sender, [2]) == {"msg_2"}
            resource.prlimit(sender.runner.process.pid, resource.RLIMIT_FSIZE, (500_000, 500_000))
        wait_stored(db, {"msg_2"} | (first.keys() - {"msg_bad"}))
        until(lambda: spooled(state) == [oldest], lambda: spooled(state))


def test_a_database_that_takes_long_empties_the_spool(cluster, db, state):
    """One batch takes longer than a sender is let wait."""
    db.sql(SLOW)
    with serving(db, state) as sender:
        with away(cluster):
            taken = post_many(sender, range(COUNT))
        wait_stored(db, taken)
        until(lambda: not spooled(state), "the spool is not empty")


def test_a_file_that_stays_is_not_sent_over_and_over(cluster, db, state):
    """What is refused cannot be written anew, the disk being full: its file stays for a minute, and no empty ones beside it."""
    db.sql(REFUSE)
    with serving(db, state) as sender:
        with away(cluster):
            assert sender.resend(body_of(1), "msg_1").status == 200
            assert sender.resend(LARGE, "msg_bad").status == 200
            resource.prlimit(sender.runner.process.pid, resource.RLIMIT_FSIZE, (500_000, 500_000))
        wait_stored(db, {"msg_1"})
        sender.runner.wait_log("a file of the spool cannot be removed")
        for n in range(2, 12):
            assert sender.resend(body_of(n), f"msg_{n}").status == 200
        assert len(spooled(state)) == 1
        assert sender.runner.log().count("stored without type and headers") < 3


def test_a_long_outage_makes_few_files(db, state):
    """Each attempt to send what waits fails after two seconds here."""
    with serving(db, state) as sender, contextlib.closing(psycopg2.connect(db.dsn)) as other:
        other.cursor().execute("lock table errand.webhook_event")
        for n in range(3):
            assert sender.resend(body_of(n), f"msg_{n}").status == 200
            lines = sender.runner.log().count("webhooks not stored in the database")
            until(lambda: sender.runner.log().count("webhooks not stored in the database") > lines, sender.runner.log)
        assert len(spooled(state)) <= 2
        other.rollback()
        wait_stored(db, {"msg_0", "msg_1", "msg_2"})


def test_has_a_bound(cluster, db, state):
    text = "x" * 200000
    body = json.dumps({"type": "email.sent", "text": text}).encode()
    with away(cluster), serving(db, state, ready=False, ERRAND_WEBHOOK_SPOOL_MB="1") as sender:
        statuses = [sender.resend(body, f"msg_{n}").status for n in range(10)]
        assert statuses == [200] * 5 + [503] * 5
        sender.runner.wait_log("the spool is full")


def test_one_that_is_refused_keeps_no_other(cluster, db, state):
    db.sql(REFUSE)
    with serving(db, state) as sender:
        with away(cluster):
            assert sender.resend(body_of(1), "msg_1").status == 200
            assert sender.resend(body_of(2), "msg_bad").status == 200
            assert sender.resend(body_of(3), "msg_3").status == 200
        wait_stored(db, {"msg_1", "msg_3"})
        sender.runner.wait_log("the database refuses webhooks of the spool.*event=msg_bad")
        assert sender.resend(body_of(4), "msg_4").status == 200
        wait_stored(db, {"msg_1", "msg_3", "msg_4"})
        until(lambda: len(spooled(state)) == 1, "what was refused does not stay")
    db.sql("drop function public.refuse() cascade")
    with serving(db, state):
        db.wait("select count(*) = 4 from errand.webhook_event")
        until(lambda: not spooled(state), "the spool is not empty")


def test_another_runner_sends_what_was_left(cluster, db, state):
    """Two on one directory: neither takes the file that the other one writes."""
    with serving(db, state) as one, serving(db, state) as two:
        with away(cluster):
            taken = post_many(one, range(0, 50)) | post_many(two, range(50, 100))
            assert len(taken) == 100
            one.runner.process.kill()
            one.runner.wait()
        wait_stored(db, taken)
        until(lambda: not spooled(state), "the spool is not empty")


def test_a_directory_that_cannot_be_is_told(db):
    with Errand(db.dsn, STATE_DIRECTORY="/nowhere/at/all") as errand:
        done = errand.run("run", "--http-listen", f"127.0.0.1:{free_port()}", check=False)
        assert done.returncode == 1 and "errand.state_directory: cannot make the directory /nowhere/at/all/webhooks" in done.stderr
