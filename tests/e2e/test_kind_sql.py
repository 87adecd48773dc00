"""Kinds that are SQL: in the completion's transaction, in one of their own, with what goes wrong."""

import pytest

from kind_support import JobsDirectory, runner_with
from support.bouncer import PGBOUNCER, Bouncer
from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase
from test_kind_files import listed


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


def make_table(db):
    db.sql("create table paid (id bigint primary key, what text, attempt int)")
    db.sql("grant all on paid to public")


def test_completion_is_exactly_once(jobs):
    """1,000 jobs; one of their runners is killed."""
    jobs.put("pay.note.sql", "-- errand: queue = payments\n"
             "insert into public.paid (id, what) values (:id, :args->>'what');\n"
             "update public.paid set attempt = :attempt where id = :id")
    with runner_with(jobs, ERRAND_LEASE_TTL_MS="2000") as (errand, db, runner):
        make_table(db)
        db.wait("select exists (select from errand.kind where name = 'pay.note')")
        ids = db.enqueue_many(1000, {"what": "it's a \"test\""}, kind="pay.note")
        db.wait("select count(*) > 100 from errand.history")
        runner.kill()
        errand.start()
        db.wait_empty(60)
        db.check_history(ids)
        assert db.row("select count(*) as jobs, count(distinct what) as whats, min(what) as what, min(attempt) as attempt from paid") == (
            1000, 1, "it's a \"test\"", 1)
        assert db.one("select every(outcome = 'done') from errand.history")


def test_statement_that_fails_undoes_the_completion(jobs):
    jobs.put("pay.note.sql",
             "insert into public.paid (id) values (:id); insert into public.paid (id) values ((:args->>'id')::bigint)")
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        db.sql("select errand.kind_retry_set('pay.note', 'never', error_class => 'sql.23505')")
        good = db.enqueue("pay.note", {"id": 1000000})
        assert db.wait_ended(good).state == "done"
        bad = db.enqueue("pay.note", {"id": 1000000})
        job = db.wait_ended(bad)
        assert (job.state, "duplicate key value" in job.last_error) == ("dead", True)
        assert [row[0] for row in db.sql("select id from paid order by 1")] == [good, 1000000]


def test_statement_that_ends_its_connection_costs_its_own_job_alone(jobs):
    """Whatever ends the server's process; others of its batch go on, and it has failed when it did so again and again."""
    jobs.put("pay.kill.sql", "-- errand: max_attempts = 2\nselect pg_terminate_backend(pg_backend_pid())")
    jobs.put("pay.note.sql", "insert into public.paid (id, what) values (:id, 'note')")
    with runner_with(jobs) as (_, db, runner):
        make_table(db)
        db.wait("select count(*) = 2 from errand.kind where name like 'pay.%%'")
        db.sql("select errand.kind_retry_set('pay.kill', 'fixed', delays => array[interval '10 milliseconds'])")
        db.sql("select errand.queue_pause('default')")
        good = db.enqueue_many(20, kind="pay.note")
        kill = db.enqueue("pay.kill")
        good += db.enqueue_many(20, kind="pay.note")
        db.sql("select errand.queue_resume('default')")
        job = db.wait_ended(kill, timeout=20)
        assert (job.state, job.attempt) == ("dead", 2)
        assert job.last_error.startswith("completing the job failed: the connection was lost before the answer")
        db.wait_empty()
        db.check_history(good + [kill])
        assert db.one("select count(*) from paid") == 40
        assert runner.log().count("committing failed, trying again") <= 2 * 5


def test_byte_order_mark(jobs):
    """What some editors begin a file with is neither SQL nor in the way of the settings."""
    jobs.put("pay.note.sql", "\ufeff-- errand: max_attempts = 3\ninsert into public.paid (id) values (:id)")
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        db.wait("select max_attempts = 3 from errand.kind where name = 'pay.note'")
        assert db.wait_ended(db.enqueue("pay.note")).state == "done"


def test_slow_statements_cost_their_own_job_alone(jobs):
    """What commits with a job's end is short: where it is not, its own attempt fails, and the others' completions go on."""
    jobs.put("pay.slow.sql", "-- errand: max_attempts = 1\n"
             "insert into public.paid (id) values (:id); select pg_sleep(4); select pg_sleep(4); select pg_sleep(600)")
    jobs.put("pay.note.sql", "insert into public.paid (id, what) values (:id, 'note')")
    with runner_with(jobs) as (_, db, runner):
        make_table(db)
        db.wait("select count(*) = 2 from errand.kind where name like 'pay.%%'")
        db.sql("select errand.queue_pause('default')")
        slow = db.enqueue("pay.slow")
        good = db.enqueue_many(20, kind="pay.note")
        db.sql("select errand.queue_resume('default')")
        job = db.wait_ended(slow, timeout=25)
        assert (job.state, job.attempt) == ("dead", 1)
        assert job.last_error == "completing the job failed: what commits with it took longer than 10000 ms, for which others wait"
        db.wait_empty()
        db.check_history(good + [slow])
        assert db.row("select count(*) as jobs, count(what) as notes from paid") == (20, 20)
        assert "connection failed" not in runner.log()
        assert db.one("select count(*) from pg_stat_activity where query like '%%pg_sleep(600)%%' and state = 'active'"
                      " and pid <> pg_backend_pid()") == 0


def test_notices_are_the_log(jobs):
    """As they come, also those of an attempt that fails; in the completion's transaction they are nobody's."""
    say = ("do $$ begin raise notice E'one\\ntwo'; raise warning 'three'; raise debug 'four'; raise info 'five'; end $$; select pg_sleep(1.5);"
           "do $$ begin for n in 1..1000 loop raise notice '%', n; end loop; raise exception 'broken'; end $$")
    jobs.put("own.say.sql", "-- errand: transaction = own\n-- errand: max_attempts = 1\n" + say)
    jobs.put("with.say.sql", "-- errand: max_attempts = 1\ndo $$ begin raise notice 'nobody hears'; end $$")
    with runner_with(jobs) as (_, db, _runner):
        def lines(id):
            return [tuple(row) for row in db.sql("select level, message from errand.job_logs where id = %s order by logged_at, line", id)]
        with_end, id = db.enqueue("with.say"), db.enqueue("own.say")
        db.wait("select count(*) = 4 from errand.job_logs where id = %s", id)
        first = [("info", "one"), ("info", "two"), ("warn", "three"), ("info", "five")]
        assert db.job(id).finished_at is None and lines(id) == first
        job = db.wait_ended(id)
        assert (job.state, "broken" in job.last_error) == ("dead", True)
        assert lines(id) == first + [("info", str(n)) for n in range(1, 196)] + [("warn", "805 more lines of notices were left out")]
        assert db.wait_ended(with_end).state == "done" and lines(with_end) == []


def test_trace_goes_on(jobs):
    jobs.put("fan.out.sql", "select errand.enqueue('not.served', trace => :trace)")
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with runner_with(jobs) as (_, db, _runner):
        for given in (trace, None):
            assert db.wait_ended(db.enqueue("fan.out", trace=given)).state == "done"
        traced, plain = [row[0] for row in db.sql("select trace from errand.job where kind = 'not.served' order by id")]
        assert traced[:36] == trace[:36] and traced != trace and plain is None


def test_result_of_its_own_transaction(jobs):
    jobs.put("report.nightly.sql", "-- errand: transaction = own\n"
             "insert into public.paid (id, what) values (:id, 'first');\n"
             "select count(*) as jobs, 1.50 as price, 'NaN'::numeric as none, true as good, null as nothing,\n"
             "  :args as args, 'a \"b\"' as \"the text\", '2026-01-02'::date as day, :attempt::smallint as attempt from public.paid")
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        job = db.wait_ended(db.enqueue("report.nightly", {"x": [1]}))
        assert job.result == {"jobs": 1, "price": 1.5, "none": "NaN", "good": True, "nothing": None, "args": {"x": [1]},
                              "the text": 'a "b"', "day": "2026-01-02", "attempt": 1}


def test_own_transaction_is_undone_and_tried_again(jobs):
    """With the class of its error, which operators may set a policy for."""
    jobs.put("pay.twice.sql", "-- errand: transaction = own\n-- errand: max_attempts = 5\n"
             "insert into public.paid (id) values (:id);\nselect 1 / (:attempt - 1) as result")
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        db.sql("select errand.kind_retry_set('pay.twice', 'fixed', delays => '{10 milliseconds}', error_class => 'sql.22012')")
        job = db.wait_ended(db.enqueue("pay.twice"))
        assert (job.state, job.attempt, job.result) == ("done", 2, {"result": 1})
        assert db.one("select count(*) from paid") == 1


def test_timeout_and_cancel_end_the_statement(jobs):
    """On the server, too; at once."""
    jobs.put("sleep.long.sql", "-- errand: transaction = own\n-- errand: max_attempts = 1\n"
             "insert into public.paid (id) values (:id); select pg_sleep(600)")
    running = "select count(*) = %s from pg_stat_activity where application_name like 'errand job%%' and state = 'active'"
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        timed = db.enqueue("sleep.long", timeout="300 ms")
        cancelled = db.enqueue("sleep.long")
        job = db.wait_ended(timed, timeout=5)
        assert (job.state, job.last_error) == ("dead", "timed out")
        db.wait_state(cancelled, "running")
        db.wait(running, 1)
        db.sql("select errand.cancel(%s)", cancelled)
        assert db.wait_ended(cancelled, timeout=5).state == "cancelled"
        db.wait(running, 0, timeout=5)
        assert db.one("select count(*) from paid") == 0


def test_cancel_ends_what_waits_for_a_connection(jobs):
    """Its statements are not sent: those of others hold all four connections for long."""
    jobs.put("sleep.long.sql", "-- errand: transaction = own\nselect pg_sleep(600)")
    jobs.put("pay.note.sql", "-- errand: transaction = own\n-- errand: max_attempts = 1\ninsert into public.paid (id) values (:id)")
    with runner_with(jobs) as (_, db, _runner):
        make_table(db)
        db.enqueue_many(4, kind="sleep.long")
        db.wait("select count(*) = 4 from pg_stat_activity where application_name like 'errand job%%'")
        cancelled, timed = db.enqueue("pay.note"), db.enqueue("pay.note", timeout="300 ms")
        job = db.wait_ended(timed, timeout=5)
        assert (job.state, job.last_error) == ("dead", "timed out")
        db.wait_state(cancelled, "running")
        db.sql("select errand.cancel(%s)", cancelled)
        assert db.wait_ended(cancelled, timeout=5).state == "cancelled"
        assert db.one("select count(*) from paid") == 0


@pytest.mark.skipif(not PGBOUNCER, reason="pgbouncer is not installed (./dev test installs it)")
def test_behind_a_pooler(jobs):
    """In transaction mode: the effects, the result, and the end of a statement that takes too long."""
    jobs.put("pay.note.sql", "insert into public.paid (id) values (:id)")
    jobs.put("sleep.own.sql", "-- errand: transaction = own\n-- errand: max_attempts = 1\n"
             "select current_setting('enable_seqscan') as scans, pg_sleep((:args->>'s')::float)::text as slept")
    cluster = shared_cluster(vector=False)
    bouncer = Bouncer(cluster, 8)
    try:
        with QueueDatabase(cluster) as db, Errand(bouncer.dsn(db.dsn), ERRAND_JOBS=str(jobs.path)) as errand:
            make_table(db)
            errand.start().wait_ready()
            long = db.enqueue("sleep.own", {"s": 600}, timeout="500 ms")
            ids = db.enqueue_many(50, kind="pay.note")
            assert db.wait_ended(db.enqueue("sleep.own", {"s": 0})).result == {"scans": "on", "slept": ""}
            assert db.wait_ended(long).last_error == "timed out"
            db.wait_empty()
            assert [row[0] for row in db.sql("select id from paid order by 1")] == sorted(ids)
            db.wait("select count(*) = 0 from pg_stat_activity where query like '%%pg_sleep%%' and state = 'active'"
                    " and pid <> pg_backend_pid()", timeout=5)
    finally:
        bouncer.destroy()


def test_long_statements_leave_handlers_alone(jobs):
    """Those of their own transactions have connections of their own."""
    jobs.put("sleep.long.sql", "-- errand: transaction = own\nselect pg_sleep(600)")
    with runner_with(jobs) as (_, db, _runner):
        db.enqueue_many(8, kind="sleep.long")
        db.wait("select count(*) = 4 from pg_stat_activity where application_name like 'errand job%%'")
        assert db.wait_ended(db.enqueue("probe.values"), timeout=5).finished_at


def test_change_is_what_the_next_job_runs(jobs):
    """Nothing of the version before is left on the connections."""
    with runner_with(jobs) as (_, db, runner):
        for number in range(5):
            jobs.put("what.now.sql", f"-- errand: transaction = own\nselect {number} as number")
            db.wait("select 'what.now' = any (kinds) from errand.runner")
            runner.wait_log(f"(?s)(kind (loaded|changed).*){{{number + 1}}}")
            ids = db.enqueue_many(8, kind="what.now")
            db.wait_empty()
            assert {db.job(id).result["number"] for id in ids} == {number}


REFUSED = {
    "unknown_parameter": ("select :job", "a.b.sql: line 1: :job is no parameter: there are :args, :id, :attempt and :trace"),
    "transaction": ("-- errand: transaction = mine\nselect 1", "transaction is 'mine'; allowed: completion or own"),
    "commit": ("select 1;\ncommit", "a.b.sql: line 2: commit: begin and end of the transaction are errand's"),
    "nothing": ("-- nothing\n", "there is no statement in it"),
    "nul": ("select 1;\0 select 2", "the file holds a NUL byte"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(jobs, name):
    text, reason = REFUSED[name]
    jobs.put("a.b.sql", text)
    with Errand("postgresql:///x?host=/nowhere", ERRAND_JOBS=str(jobs.path)) as errand:
        assert reason in listed(errand)["a.b.sql"]["reason"]
