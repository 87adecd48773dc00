"""Settings of queues and kinds that hold while runners run: what is kept, what is refused, and that runners are told."""

import contextlib

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect

OWNER, OTHER = 7001, 7002


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        for id in (OWNER, OTHER):
            db.sql("insert into errand.runner (id, name, version, queues, kinds, concurrency, lease_until) values (%s, 'n', 'v', '{*}', '{}', 1,"
                   " now() + interval '1 hour')", id)
        db.sql("update errand.lane set owner = %s", OWNER)
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("truncate errand.kind_setting, errand.kind_retry, errand.history, errand.job")
    database.sql("update errand.queue set concurrency = null, rate = null, burst = null, key_concurrency = null, key_rate = null,"
                 " key_burst = null, key_ordered = false, history_days = 14")


@pytest.fixture
def heard(db):
    with contextlib.closing(connect(db.dsn)) as connection:
        for id in (OWNER, OTHER):
            ask(connection, f'listen "errand.{id}"')

        def heard():
            ask(connection, "select 1")
            connection.poll()
            told = sorted((note.channel, note.payload) for note in connection.notifies)
            connection.notifies.clear()
            return told
        yield heard


ALL = [(f"errand.{OWNER}", "queue"), (f"errand.{OTHER}", "queue")]


def refused(db, call, sqlstate, message, hint):
    with pytest.raises(psycopg2.Error) as caught:
        db.sql(f"select errand.{call}")
    assert caught.value.pgcode == sqlstate, caught.value
    assert message in caught.value.diag.message_primary
    assert caught.value.diag.message_hint == hint


# ---- Queues ----

LIMITS = "select concurrency, rate, burst, key_concurrency, key_rate, key_burst, key_ordered from errand.queue where name = 'default'"


def test_limits(db, heard):
    assert db.row(LIMITS) == (None, None, None, None, None, None, False)
    db.sql("select errand.queue_limit('default', concurrency => 3, key_rate => 0.5)")
    assert heard() == ALL[:1], "the owner of its lanes"
    assert db.row(LIMITS) == (3, None, None, None, 0.5, None, False)
    db.sql("select errand.queue_limit('default', rate => 50, burst => 5, key_concurrency => 1, key_burst => 2, key_ordered => true)")
    assert db.row(LIMITS) == (3, 50, 5, 1, 0.5, 2, True)
    db.sql("select errand.queue_limit('default', concurrency => 0, burst => 0, key_ordered => false)")
    assert db.row(LIMITS) == (None, 50, None, 1, 0.5, 2, False)
    db.sql("select errand.queue_limit('default', 0, 0, 0, 0, 0, 0, false)")
    assert db.row(LIMITS) == (None, None, None, None, None, None, False)


LIFTS = "What is null stays as it is, 0 lifts a limit."
DAYS = "For so many days a job stands in the history after its end."
MISSING = ("42704", "does not exist", "errand.queues lists the queues.")


@pytest.mark.parametrize("call, sqlstate, message, hint", [
    ("queue_limit('nosuch', 3)", *MISSING), ("queue_limit(null, 3)", *MISSING), ("queue_retention('nosuch', 3)", *MISSING),
    ("queue_limit('default', -1)", "22023", "concurrency is -1, and not a number from 1 to 100000", LIFTS),
    ("queue_limit('default', 100001)", "22023", "concurrency is 100001, and not", LIFTS),
    ("queue_limit('default', rate => -1)", "22023", "rate is -1, and not a number from 0.00001 to 1000000", LIFTS),
    ("queue_limit('default', rate => 0.000001)", "22023", "rate is 1e-06, and not", LIFTS),
    ("queue_limit('default', rate => 'NaN')", "22023", "rate is NaN, and not", LIFTS),
    ("queue_limit('default', rate => 'infinity')", "22023", "rate is Infinity, and not", LIFTS),
    ("queue_limit('default', burst => 0.5)", "22023", "burst is 0.5, and not a number from 1 to 1000000", LIFTS),
    ("queue_limit('default', key_concurrency => -1)", "22023", "key_concurrency is -1, and not a number from 1 to 100000", LIFTS),
    ("queue_limit('default', key_rate => 2000000)", "22023", "key_rate is 2000000, and not a number from 0.00001 to 1000000", LIFTS),
    ("queue_limit('default', key_burst => 0.1)", "22023", "key_burst is 0.1, and not a number from 1 to 1000000", LIFTS),
    ("queue_retention('default', 0)", "22023", "days is 0, and not a number from 1 to 3650", DAYS),
    ("queue_retention('default', 3651)", "22023", "days is 3651, and not", DAYS),
    ("queue_retention('default', null)", "22023", "days is null, and not", DAYS),
])
def test_queue_settings_that_are_refused(db, call, sqlstate, message, hint):
    before = db.sql("select * from errand.queue")
    refused(db, call, sqlstate, message, hint)
    assert db.sql("select * from errand.queue") == before


def test_retention_makes_its_partitions_at_once(db, heard):
    db.sql("select errand.queue_retention('default', 90)")
    assert heard() == ALL[:1]
    id = db.enqueue()
    db.sql("select errand.cancel(%s)", id)
    place, kept = db.row("select tableoid::regclass::text, keep_until - timezone('UTC', now())::date from errand.history")
    assert kept == 90 and place == "errand.history_" + db.one("select to_char(timezone('UTC', now()) + interval '90 days', 'YYYYMMDD')")
    assert db.one("select errand.keep_until('default') - timezone('UTC', now())::date") == 90


def test_retention_waits_for_another_maintenance(db):
    with contextlib.closing(connect(db.dsn)) as one, contextlib.closing(connect(db.dsn)) as two:
        ask(one, "begin")
        ask(one, "select errand.history_maintain()")
        ask(two, "set statement_timeout = '300ms'")
        with pytest.raises(psycopg2.errors.QueryCanceled):
            ask(two, "select errand.queue_retention('default', 30)")
        ask(one, "commit")
        ask(two, "select errand.queue_retention('default', 30)")
    assert db.one("select to_regclass('errand.history_' || to_char(timezone('UTC', now()) + interval '30 days', 'YYYYMMDD')) is not null")


# ---- Kinds ----

SETTING = "select paused_until = 'infinity', pause_reason, concurrency, keep from errand.kind_setting where name = 'a.kind'"


def test_kind_pause_limit_and_keep(db, heard):
    db.sql("select errand.kind_pause('a.kind', 'a reason')")
    assert heard() == ALL
    assert db.row(SETTING) == (True, "a reason", None, None)
    db.sql("select errand.kind_limit('a.kind', 2)")
    assert heard() == ALL
    db.sql("select errand.kind_keep('a.kind', 'errors')")
    assert heard() == ALL
    assert db.row(SETTING) == (True, "a reason", 2, "errors")
    db.sql("select errand.kind_resume('a.kind')")
    assert heard() == ALL
    assert db.row(SETTING) == (None, None, 2, "errors")
    db.sql("select errand.kind_pause('a.kind', until => '2999-01-01')")
    db.sql("select errand.kind_limit('a.kind', 0)")
    assert db.row(SETTING) == (False, None, None, "errors")
    assert db.one("select paused_until from errand.kind_setting").year == 2999


def test_kind_resume_of_nothing(db):
    db.sql("select errand.kind_resume('nosuch')")
    assert db.sql("select * from errand.kind_setting") == []


KIND = 'A kind is 1 to 63 characters of a-z, 0-9, "_", "." and "-", like email.send.'
KEEP = "It is 'all', 'errors' or 'none'."


@pytest.mark.parametrize("call, sqlstate, message, hint", [
    *((f"{call}", "22023", 'kind "A Kind" is not valid', KIND) for call in (
        "kind_pause('A Kind')", "kind_limit('A Kind', 1)", "kind_keep('A Kind', 'all')")),
    ("kind_pause(null)", "22023", 'kind "<NULL>" is not valid', KIND),
    ("kind_limit('a', -1)", "22023", "concurrency is -1, and not a number from 0 to 100000", "0 lifts the limit."),
    ("kind_limit('a', null)", "22004", "concurrency is null", "0 lifts the limit."),
    ("kind_keep('a', 'some')", "22023", 'keep "some" is not known', KEEP), ("kind_keep('a', null)", "22023", "is not known", KEEP),
])
def test_kind_settings_that_are_refused(db, call, sqlstate, message, hint):
    refused(db, call, sqlstate, message, hint)
    assert db.sql("select * from errand.kind_setting") == []


RETRY = "select error_class, policy, delays_ms, max_attempts from errand.kind_retry where kind = 'a.kind' order by 1"


def test_kind_retry(db, heard):
    db.sql("select errand.kind_retry_set('a.kind', 'exponential', delays => array['2 s', '1 hour']::interval[])")
    assert heard() == ALL
    db.sql("select errand.kind_retry_set('a.kind', 'list', 'timeout', array['1 s', '90 s', '1 day']::interval[], 4)")
    db.sql("select errand.kind_retry_set('a.kind', 'never', 'bad_address')")
    assert db.sql(RETRY) == [("", "exponential", [2000, 3600000], None), ("bad_address", "never", [], None),
                             ("timeout", "list", [1000, 90000, 86400000], 4)]
    db.sql("select errand.kind_retry_set('a.kind', 'fixed', 'timeout', array['1.5 s']::interval[])")
    assert db.sql(RETRY)[2] == ("timeout", "fixed", [1500], None)
    heard()
    db.sql("select errand.kind_retry_reset('a.kind', 'timeout')")
    assert heard() == ALL
    assert [row.error_class for row in db.sql(RETRY)] == ["", "bad_address"]
    db.sql("select errand.kind_retry_reset('a.kind')")
    assert db.sql(RETRY) == []


POLICY = "It is 'exponential', 'fixed', 'list' or 'never'."
COUNT = "exponential takes two, fixed one, list 1 to 100, never none."
DELAYS = "Each is from 0 to 365 days; the first bound of exponential is not above the last."
CLASS = 'At most 63 characters of a-z, 0-9, "_", "." and "-", like timeout.'
ATTEMPTS = "Null: as the job says."


@pytest.mark.parametrize("args, message, hint", [
    ("'a', 'sometimes'", 'policy "sometimes" is not known', POLICY), ("'a', null", "is not known", POLICY),
    ("'a', 'fixed'", 'policy "fixed" does not go with 0 delays', COUNT),
    ("'a', 'fixed', delays => array['1 s', '2 s']::interval[]", 'policy "fixed" does not go with 2 delays', COUNT),
    ("'a', 'exponential', delays => array['1 s']::interval[]", 'policy "exponential" does not go with 1 delays', COUNT),
    ("'a', 'exponential', delays => array['2 s', '1 s']::interval[]", "delays are not valid", DELAYS),
    ("'a', 'list'", 'policy "list" does not go with 0 delays', COUNT),
    ("'a', 'list', delays => null", 'policy "list" does not go with 0 delays', COUNT),
    ("'a', 'never', delays => array['1 s']::interval[]", 'policy "never" does not go with 1 delays', COUNT),
    ("'a', 'fixed', delays => array['-1 s']::interval[]", "delays are not valid", DELAYS),
    ("'a', 'fixed', delays => array[null]::interval[]", "delays are not valid", DELAYS),
    ("'a', 'fixed', delays => array['366 days']::interval[]", "delays are not valid", DELAYS),
    ("'a', 'list', delays => array_fill('1 s'::interval, array[101])", 'policy "list" does not go with 101 delays', COUNT),
    ("'A', 'never'", 'kind "A" is not valid', KIND), ("null, 'never'", 'kind "<NULL>" is not valid', KIND),
    ("'a', 'never', 'Bad Class'", 'error_class "Bad Class" is not valid', CLASS),
    ("'a', 'never', repeat('c', 64)", "is not valid", CLASS),
    ("'a', 'never', max_attempts => 0", "max_attempts is 0, and not a number from 1 to 1000", ATTEMPTS),
    ("'a', 'never', max_attempts => 100000", "max_attempts is 100000, and not a number from 1 to 1000", ATTEMPTS),
])
def test_kind_retry_refuses(db, args, message, hint):
    refused(db, f"kind_retry_set({args})", "22023", message, hint)
    assert db.sql("select * from errand.kind_retry") == []


def test_nobody_is_told_of_what_is_rolled_back(db, heard):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        ask(other, "select errand.kind_pause('a'), errand.queue_limit('default', 3)")
        ask(other, "rollback")
    assert heard() == []
