"""errand.enqueue and enqueue_many: what a job becomes, what is refused, and that it exists only with its transaction."""

import contextlib
import datetime

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase, ask, connect


@pytest.fixture(scope="module")
def database():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('mail', 1) as one, errand.queue_create('wide', 64) as other")
        db.sql("insert into errand.kind values ('known.kind', 'mail', 7, 9000)")
        yield db


@pytest.fixture
def db(database):
    yield database
    database.sql("delete from errand.job")


def job(db, id):
    return db.row("select j.*, l.queue, j.args::text as text from errand.job j join errand.lane l on l.lane = j.lane"
                  " where j.id = %s", id)


def refused(db, sqlstate, message, hint, call, *params):
    """The call fails so, and leaves nothing."""
    with pytest.raises(psycopg2.Error) as caught:
        db.sql(f"select {call}", *params)
    assert caught.value.pgcode == sqlstate, caught.value
    assert message in caught.value.diag.message_primary
    assert (caught.value.diag.message_hint or "") == hint
    assert db.one("select count(*) from errand.job") == 0


# ---- One ----

def test_defaults(db):
    before = db.one("select clock_timestamp()")
    id = db.one("select errand.enqueue('some.kind')")
    found = job(db, id)
    assert (found.kind, found.text, found.queue, found.priority) == ("some.kind", "{}", "default", 2)
    assert (found.key, found.max_attempts, found.timeout_ms, found.trace, found.progress) == (None,) * 5
    assert (found.attempt, found.revision, found.cancel_requested, found.claimed_by) == (0, 0, False, None)
    assert (found.started_at, found.last_error) == (None, None)
    assert before <= found.run_at == found.created_at <= db.one("select clock_timestamp()")


def test_every_argument(db):
    id = db.one("""select errand.enqueue(kind => 'some.kind', args => '{"n": 12345678901234567890.50, "t": "a\\u00e4"}',
        queue => 'mail', run_at => '2999-01-02 03:04:05.678901+00', priority => 0, key => 'a key', on_conflict => 'replace',
        max_attempts => 1000, timeout => interval '24 hours', trace => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')""")
    found = job(db, id)
    assert (found.queue, found.priority, found.key, found.max_attempts) == ("mail", 0, "a key", 1000)
    assert (found.timeout_ms, found.trace) == (86400000, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert found.text == '{"n": 12345678901234567890.50, "t": "aä"}'
    assert found.run_at == datetime.datetime(2999, 1, 2, 3, 4, 5, 678901, datetime.timezone.utc)


def test_positional_as_documented(db):
    id = db.one("select errand.enqueue('some.kind', '[1]', 'mail', 'infinity', 3, 'k', 'keep', 2, interval '1 ms')")
    found = db.row("select args::text, run_at = 'infinity' as never, priority, key, max_attempts, timeout_ms from errand.job"
                   " where id = %s", id)
    assert found == ("[1]", True, 3, "k", 2, 1)


@pytest.mark.parametrize("run_at", ["2001-01-01", "-infinity", "now"])
def test_run_at_is_never_in_the_past(db, run_at):
    found = job(db, db.one("select errand.enqueue('some.kind', run_at => %s::timestamptz)", run_at))
    assert found.run_at == found.created_at
    [id] = db.row("select errand.enqueue_many('some.kind', array['{}'::jsonb], array[%s::timestamptz])", run_at)
    assert job(db, id).run_at == job(db, id).created_at


def test_run_at_does_not_precede_the_statement(db):
    """In a long transaction now() is long ago."""
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[began]] = ask(other, "select now()")
        ask(other, "select pg_sleep(0.05)")
        [[id]] = ask(other, "select errand.enqueue('some.kind', run_at => now())")
        ask(other, "commit")
    assert (job(db, id).run_at - began).total_seconds() >= 0.05


def test_kinds_own_queue(db):
    assert job(db, db.one("select errand.enqueue('known.kind')")).queue == "mail"
    assert job(db, db.one("select errand.enqueue('known.kind', queue => 'default')")).queue == "default"
    [[many]] = db.sql("select errand.enqueue_many('known.kind', array['{}'::jsonb])")
    assert job(db, many).queue == "mail"
    # What the kind says is not copied: it holds as it is when the job runs.
    assert job(db, many).max_attempts is None


def test_jobs_without_key_are_spread(db):
    lanes = {job(db, db.one("select errand.enqueue('some.kind')")).lane for _ in range(100)}
    assert len(lanes) == 8


@pytest.mark.parametrize("args", [
    '"text"', "17", "true", "null", "[]", '{"deep": ' + "[" * 500 + "]" * 500 + "}",
    '{"k": "' + "x" * 1000000 + '"}', '{"k": "\\ud83d\\ude00 \\\\ \\" \\n"}',
])
def test_any_jsonb_is_kept_as_it_is(db, args):
    id = db.one("select errand.enqueue('some.kind', %s::jsonb)", args)
    assert db.one("select args = %s::jsonb from errand.job where id = %s", args, id)


KIND_HINT = 'A kind is 1 to 63 characters of a-z, 0-9, "_", "." and "-", like email.send.'
ARGS_HINT = "Leave it out, or give '{}'."
TAGS_HINT = "At most 32, each of 1 to 100 characters."


@pytest.mark.parametrize("kind", ["", "A", "with space", "-first", ".x", "ä", "a" * 64, "a\nb", "a\n", "a;b"])
def test_bad_kind(db, kind):
    refused(db, "22023", f'kind "{kind}" is not valid', KIND_HINT, "errand.enqueue(%s)", kind)


@pytest.mark.parametrize("kind", ["a", "0", "a" * 63, "email.send", "a_b-c.d"])
def test_good_kind(db, kind):
    assert job(db, db.one("select errand.enqueue(%s)", kind)).kind == kind


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_HINT = f"It is like {TRACE} (W3C Trace Context, in small letters)."


@pytest.mark.parametrize("trace", [
    "", "00", TRACE + "0", TRACE + "\n", TRACE.upper(), TRACE.replace("-", "_"), "ff" + TRACE[2:], f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"])
@pytest.mark.parametrize("call", ["errand.enqueue('a', trace => %s)", "errand.enqueue_many('a', array['{}'::jsonb], trace => %s)"])
def test_trace_that_is_none(db, call, trace):
    refused(db, "22023", f'trace "{trace}" is not a traceparent', TRACE_HINT, call, trace)


def test_trace_of_many(db):
    ids = [row[0] for row in db.sql("select errand.enqueue_many('a', array_fill('{}'::jsonb, array[3]), trace => %s)", TRACE)]
    assert [job(db, id).trace for id in ids] == [TRACE] * 3


ROWS_HINT = "Give one of each for every job (null: now, no key), or leave the array out."
PRIORITY_HINT = "0 goes first, 3 last; 2 where it is left out."
ATTEMPTS_HINT = "The kind's own where it is left out."
TIMEOUT_HINT = "It is the time for one attempt; the kind's own where it is left out."


@pytest.mark.parametrize("message, hint, named", [
    ("priority is 4, and not a number from 0 to 3", PRIORITY_HINT, "priority => 4"),
    ("priority is -1, and not a number from 0 to 3", PRIORITY_HINT, "priority => -1"),
    ("priority is 100000, and not a number from 0 to 3", PRIORITY_HINT, "priority => 100000"),
    ("max_attempts is 0, and not a number from 1 to 1000", ATTEMPTS_HINT, "max_attempts => 0"),
    ("max_attempts is 1001, and not a number from 1 to 1000", ATTEMPTS_HINT, "max_attempts => 1001"),
    ("max_attempts is 100000, and not a number from 1 to 1000", ATTEMPTS_HINT, "max_attempts => 100000"),
    ("timeout is 00:00:00, and not from 1 ms to 1 day", TIMEOUT_HINT, "timeout => interval '0'"),
    ("timeout is 00:00:00.0004, and not from 1 ms to 1 day", TIMEOUT_HINT, "timeout => interval '0.4 ms'"),
    ("timeout is -00:00:01, and not from 1 ms to 1 day", TIMEOUT_HINT, "timeout => interval '-1 second'"),
    ("timeout is 24:00:00.001, and not from 1 ms to 1 day", TIMEOUT_HINT, "timeout => interval '24 hours 1 ms'"),
    ("timeout is 100 days, and not from 1 ms to 1 day", TIMEOUT_HINT, "timeout => interval '100 days'"),
])
@pytest.mark.parametrize("call", ["errand.enqueue('a', ", "errand.enqueue('a', key => 'k', ", "errand.enqueue_many('a', array['{}'::jsonb], "])
def test_numbers_out_of_range(db, call, message, hint, named):
    """Not the error of a table's constraint, which shows the args and says nothing of what is allowed."""
    refused(db, "22023", message, hint, f"{call}{named})")


def test_largest_args(db):
    call = "array[jsonb_build_object('a', repeat('x', %s)), '{}']"
    hint = "At most 16777216: store what is larger, and let the args say where."
    for made in ("errand.enqueue('a', (%s)[1])", "errand.enqueue_many('a', %s)", "errand.enqueue('a', (%s)[1], key => 'k')"):
        refused(db, "22023", "args has 16777217 bytes", hint, made % (call % (16777216 - 16)))
        db.sql("select " + made % (call % (16777216 - 17)))
        db.sql("delete from errand.job")


@pytest.mark.parametrize("call", ["errand.enqueue('a', key => {})", "errand.enqueue('a', key => {}, on_conflict => 'allow')",
                                  "errand.enqueue('a', key => {}, unique_for => '1 hour')",
                                  "errand.enqueue_many('a', array['{{}}', '{{}}']::jsonb[], keys => array[null, {}])"])
def test_longest_key(db, call):
    """What an index can hold, also of text that does not compress."""
    key = "(select left(string_agg(md5(n::text), ''), %s - 2) || 'ä' from generate_series(1, 63) n)"
    refused(db, "22023", "a key has 2001 bytes", "At most 2000: for something longer, let its hash be the key.", call.format(key % 2001))
    db.sql("select " + call.format(key % 2000))


@pytest.mark.parametrize("sqlstate, message, hint, call", [
    ("22023", "is not valid", KIND_HINT, "errand.enqueue(null)"),
    ("22004", "args is null", ARGS_HINT, "errand.enqueue('a', null)"),
    ("22023", 'on_conflict "update" is not known', "It is 'keep', 'replace' or 'allow'.", "errand.enqueue('a', on_conflict => 'update')"),
    ("22023", "is not known", "It is 'keep', 'replace' or 'allow'.", "errand.enqueue('a', on_conflict => null)"),
    ("42704", 'queue "nosuch" does not exist', "Make it with: select errand.queue_create('nosuch')",
     "errand.enqueue('a', queue => 'nosuch')"),
    ("42704", 'queue "it\'s" does not exist', "Make it with: select errand.queue_create('it''s')",
     "errand.enqueue('a', queue => 'it''s')"),
    ("22004", "after has a null", "Give the ids of the jobs that have to end first.", "errand.enqueue('a', after => '{null}')"),
    ("22P02", "invalid input syntax for type json", "", "errand.enqueue('a', '{')"),
    ("22P05", "unsupported Unicode escape sequence", "", "errand.enqueue('a', '{\"a\": \"\\u0000\"}')"),
    ("22004", "args is null", ARGS_HINT, "errand.enqueue_many('a', null)"),
    ("22004", "args is null", ARGS_HINT, "errand.enqueue_many('a', array['{}', null]::jsonb[])"),
    ("22023", "args has 2 elements, and run_at or keys another number", ROWS_HINT,
     "errand.enqueue_many('a', array['{}', '{}']::jsonb[], array[now()])"),
    ("22023", "args has 1 elements, and run_at or keys another number", ROWS_HINT,
     "errand.enqueue_many('a', array['{}']::jsonb[], null, array['k', 'l'])"),
    ("22023", "args has 0 elements, and run_at or keys another number", ROWS_HINT,
     "errand.enqueue_many('a', '{}'::jsonb[], array[now()])"),
    ("22023", "is not later than run_at", "The job could never start.", "errand.enqueue('a', expires_at => now())"),
    ("22023", "is not later than run_at", "The job could never start.",
     "errand.enqueue('a', run_at => '2999-01-02', expires_at => '2999-01-02')"),
    ("22023", "is not later than run_at", "The job could never start.",
     "errand.enqueue_many('a', array['{}', '{}']::jsonb[], array[null, '2999-01-02'::timestamptz], expires_at => '2999-01-01')"),
    ("22023", "tags are not valid", TAGS_HINT, "errand.enqueue('a', tags => array['x', null])"),
    ("22023", "tags are not valid", TAGS_HINT, "errand.enqueue('a', tags => array['x', ''])"),
    ("22023", "tags are not valid", TAGS_HINT, "errand.enqueue('a', tags => array[repeat('x', 101)])"),
    ("22023", "tags are not valid", TAGS_HINT, "errand.enqueue('a', tags => array_fill('x'::text, array[33]))"),
    ("42704", 'queue "nosuch" does not exist', "Make it with: select errand.queue_create('nosuch')",
     "errand.enqueue_many('a', array['{}']::jsonb[], queue => 'nosuch')"),
])
def test_bad_input(db, sqlstate, message, hint, call):
    refused(db, sqlstate, message, hint, call)


@pytest.mark.parametrize("call", ["errand.enqueue('some.kind', %s)", "errand.enqueue_many('some.kind', array['{}'::jsonb], %s)",
                                  "errand.enqueue_many('some.kind', array['{}', '{}']::jsonb[], %s)", "errand.enqueue('some.kind', key => 'k', %s)",
                                  "errand.enqueue('some.kind', key => 'k', on_conflict => 'allow', %s)",
                                  "errand.enqueue('some.kind', key => 'k', on_conflict => 'replace', %s)"])
def test_expiry_and_tags_by_every_way(db, call):
    [[id], *_] = db.sql("select " + call.replace("%s", "expires_at => '2999-01-01 00:00:00+00', tags => '{red,\"a b\"}'"))
    found = job(db, id)
    assert (found.expires_at.year, found.tags, found.waiting_for, found.wanted_at, found.held) == (2999, ["red", "a b"], None, None, False)
    [[id], *_] = db.sql("select " + call.replace("%s", "queue => 'wide', tags => '{}'"))
    assert job(db, id).tags == []


# ---- With its transaction ----

def test_exists_only_when_the_transaction_commits(db):
    db.sql("create table if not exists business (n integer)")
    with contextlib.closing(connect(db.dsn)) as other:
        for end, exists in (("rollback", 0), ("commit", 1)):
            ask(other, "begin")
            ask(other, "insert into business values (1)")
            [[id]] = ask(other, "select errand.enqueue('some.kind')")
            assert db.one("select count(*) from errand.job") == 0
            ask(other, end)
            assert db.one("select count(*) from errand.job where id = %s", id) == exists
            assert db.one("select count(*) from business") == exists


def test_savepoint(db):
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "begin")
        [[kept]] = ask(other, "select errand.enqueue('some.kind')")
        ask(other, "savepoint s")
        [[gone]] = ask(other, "select errand.enqueue('some.kind')")
        ask(other, "rollback to s")
        ask(other, "commit")
    assert [row.id for row in db.sql("select id from errand.job")] == [kept] and gone != kept


def test_callers_search_path_does_not_matter(db):
    """A table or an operator of the caller's own, with a name that the function uses, is not met."""
    with contextlib.closing(connect(db.dsn)) as other:
        ask(other, "create schema trap")
        ask(other, "create table trap.job (x integer)")
        ask(other, "create function trap.clock_timestamp() returns timestamptz language sql as $$ select '-infinity'::timestamptz $$")
        ask(other, "create function trap.greatest(timestamptz, timestamptz) returns timestamptz language sql as $$ select $1 $$")
        ask(other, "set search_path = trap, errand, pg_catalog")
        [[id]] = ask(other, "select errand.enqueue('some.kind')")
        assert db.one("select run_at > now() - interval '1 minute' from errand.job where id = %s", id)
        ask(other, "drop schema trap cascade")


# ---- Many ----

def many(db, call, *params):
    return [row[0] for row in db.sql(f"select errand.enqueue_many('some.kind', {call})", *params)]


def numbers(db, ids):
    """The args of the jobs, in the order of the ids."""
    found = dict(db.sql("select id, (args->>'n')::integer from errand.job where id = any (%s)", ids))
    return [found[id] for id in ids]


ARGS = "(select array_agg(jsonb_build_object('n', n) order by n) from generate_series(1, %s) n)"


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 1000, 5000])
def test_ids_come_in_the_order_of_args(db, count):
    ids = many(db, ARGS, count)
    assert numbers(db, ids) == list(range(1, count + 1))
    lanes = db.one("select count(distinct lane) from errand.job")
    assert lanes == min(8, (count + 63) // 64)


def test_ids_come_in_the_order_of_args_with_keys(db):
    keys = "(select array_agg('k' || n order by n) from generate_series(1, 200) n)"
    ids = many(db, f"{ARGS}, keys => {keys}, queue => 'wide'", 200)
    assert numbers(db, ids) == list(range(1, 201))
    assert db.one("select count(distinct lane) from errand.job") > 40
    assert many(db, f"{ARGS}, keys => {keys}, queue => 'wide'", 200) == ids


def test_none(db):
    assert many(db, "'{}'::jsonb[]") == []
    assert many(db, "'{}'::jsonb[], '{}'::timestamptz[], '{}'::text[]") == []
    assert db.one("select count(*) from errand.job") == 0


def test_what_holds_for_all(db):
    ids = many(db, ARGS + ", queue => 'mail', priority => 1, max_attempts => 3, timeout => '2 s'", 5)
    for found in (job(db, id) for id in ids):
        assert (found.queue, found.priority, found.max_attempts, found.timeout_ms) == ("mail", 1, 3, 2000)


def test_run_at_each(db):
    ids = many(db, ARGS + ", array['2999-01-01', null, '2001-01-01', 'infinity']::timestamptz[]", 4)
    now = [job(db, id).created_at for id in ids[:1]][0]
    found = [db.one("select case when run_at = created_at then 'now' else run_at::date::text end from errand.job"
                    " where id = %s", id) for id in ids]
    assert found == ["2999-01-01", "now", "now", "infinity"] and now is not None


def test_keys_each(db):
    """Some with and some without; the same key twice in one set is one job."""
    ids = many(db, ARGS + ", null, array['a', null, 'b', 'a', null]", 5)
    assert ids[0] == ids[3] and len(set(ids)) == 4
    assert [job(db, id).key for id in ids] == ["a", None, "b", "a", None]
    assert db.one("select args->>'n' from errand.job where key = 'a'") == "1"
    ids = many(db, ARGS + ", null, array['c', 'c'], on_conflict => 'replace'", 2)
    assert ids[0] == ids[1]
    assert db.row("select args->>'n', revision from errand.job where key = 'c'") == ("2", 1)


def test_one_bad_element_leaves_none(db):
    refused(db, "22004", "args is null", ARGS_HINT, "errand.enqueue_many('a', array['{}', null, '{}']::jsonb[])")
