"""errand.why: one true sentence for each reason that there is, the rows set up as runners and callers leave them."""

import json
import re

import pytest

from support.cluster import shared_cluster
from support.statements import end_jobs, release
from support.wait import QueueDatabase

ADA, BOB = 1, 2
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+( \((in )?[\d:]+( ago)?\))?"


@pytest.fixture
def db():
    """Queue q of one lane, owned by ada, which lives and knows kind a."""
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("select errand.queue_create('q', 1)")
        db.lane = db.one("select lane from errand.lane where queue = 'q'")
        add_runner(db, ADA, "ada")
        db.sql("update errand.lane set owner = %s, epoch = 1", ADA)
        yield db


def add_runner(db, id, name, queues="{*}", kinds="{a}", lease="1 hour"):
    db.sql("insert into errand.runner (id, name, version, queues, kinds, concurrency, lease_until) values (%s, %s, 'v', %s, %s, 10,"
           " now() + %s::interval)", id, name, queues, kinds, lease)


def enqueue(db, more="", kind="a"):
    return db.one(f"select errand.enqueue(%s, queue => 'q' {more and ', ' + more})", kind)


def run(db, id, runner=ADA):
    db.sql("update errand.job set claimed_by = %s, started_at = now() - interval '1 minute', attempt = 1 where id = %s", runner, id)
    return id


def state(db, text, runner=ADA):
    db.sql("update errand.runner set state = %s where id = %s", text, runner)


def check(db, id, pattern):
    """T stands for a time."""
    found = db.one("select errand.why(%s)", id)
    wanted = re.escape(pattern).replace("<T>", TIME)
    assert re.fullmatch(wanted, found), found
    assert found.count(". ") == 0 and found.endswith("."), "one sentence"


# ---- Not yet, or no more ----

def test_due_later(db):
    check(db, enqueue(db, "run_at => now() + interval '1 hour'"), "It is due at <T>.")
    check(db, enqueue(db, "run_at => 'infinity'"), "It is due never: its run_at is infinity.")


def test_backing_off(db):
    id = enqueue(db, "run_at => now() + interval '1 hour', max_attempts => 5")
    db.sql("update errand.job set attempt = 2, last_error = 'the disk is full.' where id = %s", id)
    check(db, id, "It waits until <T>, because attempt 2 of 5 failed: the disk is full.")
    db.sql("update errand.job set expires_at = now() + interval '1 minute' where id = %s", id)
    check(db, id, "It expires at <T>, before it is due again at <T>, because attempt 2 of 5 failed: the disk is full.")


def test_expired(db):
    id = enqueue(db, "expires_at => now() + interval '1 minute'")
    db.sql("update errand.job set expires_at = now() - interval '1 minute' where id = %s", id)
    check(db, id, "It expired at <T>, so it starts no more and ends as cancelled at any moment.")


def test_cancel_requested(db):
    id = run(db, enqueue(db))
    check(db, id, "It is running on ada since <T>, attempt 1 of 20.")
    db.sql("select errand.cancel(%s, 'too late')", id)
    check(db, id, "It is running on ada since <T>, attempt 1 of 20; it was asked to end: too late.")
    db.sql("update errand.job set claimed_by = null where id = %s", id)
    check(db, id, "It was asked to end (too late); its runner ends it as cancelled at any moment.")


def test_runner_that_ran_it_is_gone(db):
    add_runner(db, BOB, "bob", lease="-1 second")
    id = run(db, enqueue(db), BOB)
    check(db, id, f"Runner bob, which ran it, is gone; attempt 1 of 20 counts as failed, and the next owner of lane {db.lane} goes on.")


def test_ended(db):
    for outcome, text in (("done", "It is done since <T>."), ("dead", "It is dead since <T>: it broke."),
                          ("unknown", "It is unknown since <T>: it broke.")):
        id = enqueue(db)
        end_jobs(db.connection, ADA, [id], outcome, "it broke.")
        check(db, id, text)
    id = enqueue(db)
    db.sql("select errand.cancel(%s, 'not wanted')", id)
    check(db, id, "It is cancelled since <T>: not wanted.")
    check(db, 999, "There is no job 999: it never was, its enqueue was rolled back, or its history is not kept (any more).")


def test_dead_letter_outlives_the_history(db):
    id = enqueue(db)
    end_jobs(db.connection, ADA, [id], "dead", "it broke.")
    db.sql("truncate errand.history")
    check(db, id, "It is dead since <T>: it broke.")


# ---- Others ----

def test_waits_for_others(db):
    parents = [enqueue(db) for _ in range(5)]
    one, two, five = (db.one("select errand.enqueue('a', after => %s)", parents[:n]) for n in (1, 2, 5))
    names = [f"job {id}" for id in parents]
    check(db, one, f"It waits for {names[0]} to end.")
    check(db, two, f"It waits for {names[0]} and {names[1]} to end.")
    check(db, five, f"It waits for {names[0]}, {names[1]}, {names[2]} and 2 more to end.")
    lanes = end_jobs(db.connection, ADA, parents[:1])
    check(db, one, f"It waited for {names[0]}, which ended just now; the runner of that lane is about to tell it.")
    check(db, two, f"It waits for {names[1]} and {names[0]} to end.")
    release(db.connection, lanes)
    check(db, two, f"It waits for {names[1]} to end.")
    assert db.one("select errand.why(%s)", one).startswith("It is due since")


def test_held(db):
    parents = [enqueue(db) for _ in range(2)]
    child = db.one("select errand.enqueue('a', after => %s, on_parent => 'hold')", parents)
    release(db.connection, end_jobs(db.connection, ADA, parents[:1], "dead"))
    check(db, child, f"It is held, because it waited for others and job {parents[0]} ended dead: retry or cancel it, or redrive what is dead.")
    release(db.connection, end_jobs(db.connection, ADA, parents[1:], "unknown"))
    check(db, child, f"It is held, because it waited for others and job {parents[0]} ended dead and job {parents[1]} ended unknown: "
          "retry or cancel it, or redrive what is dead.")


# ---- Nobody may, nobody can ----

def test_paused(db):
    id = enqueue(db)
    db.sql("select errand.kind_pause('a', 'a bug.')")
    check(db, id, "Kind a is paused until somebody resumes it: a bug.")
    db.sql("select errand.kind_pause('a', until => now() + interval '1 hour')")
    check(db, id, "Kind a is paused until <T>.")
    db.sql("select errand.queue_pause('q', 'moving house', now() + interval '1 hour')")
    check(db, id, "Queue q is paused until <T>: moving house.")
    db.sql("select errand.queue_pause('q')")
    check(db, id, "Queue q is paused until somebody resumes it.")
    db.sql("select errand.queue_resume('q'), errand.kind_resume('a')")
    check(db, id, "It is due since <T>, and runner ada starts it at any moment.")


def test_no_runner(db):
    id = enqueue(db)
    db.sql("update errand.runner set queues = '{other}'")
    check(db, id, "No runner serves queue q: start one with errand run.")
    db.sql("update errand.runner set queues = '{other,q}'")
    check(db, id, "It is due since <T>, and runner ada starts it at any moment.")
    db.sql("update errand.runner set lease_until = now() - interval '1 second'")
    check(db, id, "No runner serves queue q: start one with errand run.")


def test_kind_that_nobody_knows(db):
    id = enqueue(db, kind="b")
    check(db, id, "No runner here knows kind b.")
    add_runner(db, BOB, "bob", "{other}", "{b}")
    check(db, id, "No runner that serves queue q knows kind b; runner bob knows it and does not serve that queue.")
    db.sql("update errand.runner set queues = '{q}' where id = %s", BOB)
    check(db, id, "Runner ada, which owns its lane, does not know kind b; others do, and one of them is about to ask for the lane.")


def test_takeover(db):
    id = enqueue(db)
    add_runner(db, BOB, "bob", lease="-1 second")
    db.sql("update errand.lane set owner = %s where queue = 'q'", BOB)
    check(db, id, f"Lane {db.lane} of queue q is in takeover: runner bob, which owned it, is gone, and another one is about to take it.")
    db.sql("delete from errand.runner where id = %s", BOB)
    check(db, id, f"Lane {db.lane} of queue q is in takeover: runner 2, which owned it, is gone, and another one is about to take it.")
    db.sql("update errand.lane set owner = null where queue = 'q'")
    check(db, id, f"Lane {db.lane} of queue q has no owner at the moment; a runner is about to take it.")


def test_owner_whose_backend_is_gone(db):
    id = enqueue(db)
    add_runner(db, BOB, "bob")
    db.sql("update errand.runner set backend_pid = 1, backend_start = now() where id = %s", ADA)
    check(db, id, f"Lane {db.lane} of queue q is in takeover: runner ada, which owned it, is gone, and another one is about to take it.")


def test_hand_over(db):
    id = enqueue(db)
    add_runner(db, BOB, "bob")
    db.sql("update errand.lane set wanted_by = %s where queue = 'q'", BOB)
    check(db, id, f"Lane {db.lane} of queue q is being handed over from runner ada to runner bob.")


# ---- Limits ----

def test_slots(db):
    id = enqueue(db)
    db.sql("update errand.runner set running = 10")
    check(db, id, "All 10 slots of runner ada are taken.")


def test_queue_concurrency(db):
    db.sql("select errand.queue_limit('q', concurrency => 4)")
    running = [run(db, enqueue(db)) for _ in range(3)]
    id = enqueue(db)
    check(db, id, "It is due since <T>, and runner ada starts it at any moment.")
    state(db, '{"q": {"running": 4, "waits": "concurrency"}}')
    check(db, id, "Only 4 may run at a time in queue q, and as many do: job {} on ada, job {} on ada and job {} on ada.".format(*running))
    state(db, "{}")
    run(db, enqueue(db))
    check(db, id, "Only 4 may run at a time in queue q, and as many do: job {} on ada, job {} on ada, job {} on ada and 1 more."
          .format(*running))
    db.sql("update errand.job set claimed_by = null")
    state(db, '{"q": {"running": 4, "waits": "concurrency"}}')
    check(db, id, "Only 4 may run at a time in queue q, and as many do.")


def test_kind_concurrency(db):
    db.sql("select errand.kind_limit('a', 2)")
    add_runner(db, BOB, "bob")
    one, two = run(db, enqueue(db)), run(db, enqueue(db), BOB)
    check(db, enqueue(db), f"Of kind a only 2 may run at a time in queue q: job {one} on ada and job {two} on bob.")
    db.sql("update errand.runner set lease_until = now() - interval '1 second' where id = %s", BOB)
    check(db, enqueue(db), "It is due since <T>, and runner ada starts it after one job of its lane that goes before it.")


def test_key_concurrency(db):
    db.sql("select errand.queue_limit('q', key_concurrency => 1)")
    allow = "key => 'k', on_conflict => 'allow'"
    one = run(db, enqueue(db, allow))
    check(db, enqueue(db, allow), f"Of key k only 1 may run at a time in queue q: job {one} on ada.")
    assert db.one("select errand.why(%s)", enqueue(db, "key => 'other'")).startswith("It is due since")


def test_key_order(db):
    db.sql("select errand.queue_limit('q', key_ordered => true)")
    allow = "key => 'k', on_conflict => 'allow'"
    one, two, three = (enqueue(db, allow) for _ in range(3))
    check(db, one, "It is due since <T>, and runner ada starts it at any moment.")
    for id in (two, three):
        check(db, id, f"Jobs of key k run one after the other in queue q, and job {one} goes first.")
    run(db, one)
    check(db, three, f"Jobs of key k run one after the other in queue q, and job {one} goes first, which runs on ada.")
    db.sql("update errand.job set claimed_by = null, run_at = now() + interval '1 hour' where id = %s", one)
    check(db, three, f"Jobs of key k run one after the other in queue q, and job {one} goes first, which is due at <T>.")
    db.sql("update errand.job set waiting_for = 1 where id = %s", one)
    check(db, three, f"Jobs of key k run one after the other in queue q, and job {one} goes first, which waits for another one.")
    db.sql("update errand.job set waiting_for = null, waits_signal = 'paid' where id = %s", one)
    check(db, three, f"Jobs of key k run one after the other in queue q, and job {one} goes first, which waits for the signal paid.")


def test_signal(db):
    id = enqueue(db)
    db.sql("update errand.job set waits_signal = 'paid', run_at = 'infinity' where id = %s", id)
    db.sql("insert into errand.signal (lane, job_id, waited_at, name) select lane, id, now(), 'paid' from errand.job where id = %s", id)
    check(db, id, "It waits for the signal paid since <T>.")
    db.sql("update errand.job set run_at = now() + interval '1 hour' where id = %s", id)
    db.sql("update errand.signal set until = now() + interval '1 hour' where job_id = %s", id)
    check(db, id, "It waits for the signal paid since <T>, until <T>.")
    db.sql("update errand.job set run_at = now() where id = %s", id)
    assert db.one("select errand.why(%s)", id).startswith("It is due since")


def test_rate(db):
    id = enqueue(db)
    db.sql("select errand.queue_limit('q', rate => 0.5)")
    state(db, '{"q": {"waits": "rate"}}')
    check(db, id, "The rate of queue q holds it back: 0.5 starts a second, 1 at once.")
    db.sql("select errand.queue_limit('q', rate => 50, burst => 5)")
    check(db, id, "The rate of queue q holds it back: 50 starts a second, 5 at once.")
    db.sql("select errand.queue_limit('q', rate => 0)")
    check(db, id, "The rate of queue q holds it back.")  # a handler asked for it
    state(db, '{"q": {"waits": "hold"}}')
    check(db, id, "Queue q is held back for a moment by its runner, as a handler of it asked.")


def told(db, at, until=None, **held):
    """What ada tells of the keys of q, in seconds from now."""
    db.sql("""update errand.runner r set state = jsonb_build_object('q', jsonb_build_object('running', 0, 'keys', jsonb_strip_nulls(
        jsonb_build_object('at', told_us(%s), 'until', told_us(%s), 'held',
            (select coalesce(jsonb_object_agg(key, told_us(value::float)), '{}') from jsonb_each_text(%s)))))) where id = %s""",
           at, until, json.dumps(held), ADA)


@pytest.fixture
def rated(db):
    """Keys of q may start 2 a second, 3 at once. Returns a job of key k that became due a minute ago."""
    db.sql("create function told_us(seconds float) returns bigint return (extract(epoch from clock_timestamp()) * 1000000 + seconds * 1000000)::bigint")
    db.sql("select errand.queue_limit('q', key_rate => 2, key_burst => 3)")
    db.sql("update errand.lane set acquired_at = now() - interval '1 day' where queue = 'q'")
    return keyed(db)


def keyed(db, more="", key="k", due="1 minute"):
    id = enqueue(db, f"key => '{key}', on_conflict => 'allow'{more and ', ' + more}")
    db.sql("update errand.job set run_at = now() - %s::interval where id = %s", due, id)
    return id


RATE = "the rate of key k in queue q (2 starts a second, 3 at once)"


def test_rate_of_a_key_holds_it_back(db, rated):
    told(db, -1, k=3600)
    check(db, rated, f"It is held back by {RATE}, which lets the next one start at <T>.")
    for n, jobs in ((1, "one job"), (2, "2 jobs")):
        second = keyed(db, due="30 seconds")
        keyed(db, "priority => 3", due="50 seconds")  # goes behind it
        run(db, keyed(db))  # runs
        keyed(db, key="other")
        check(db, second, f"It is held back by {RATE}, which lets the next one start at <T>, and {jobs} of that key go{'es' * (n == 1)} before it.")
    db.sql("select count(*) from errand.enqueue_many('a', array_fill('{}'::jsonb, array[1100]), keys => array_fill('k'::text, array[1100]),"
           " on_conflict => 'allow', queue => 'q', priority => 0)")
    check(db, rated, f"It is held back by {RATE}, which lets the next one start at <T>, and 1000 or more jobs of that key go before it.")


def test_rate_of_a_key_that_has_let_it_go(db, rated):
    """The token came after the runner told of it: the first one of the key has it, those behind it the next ones."""
    db.sql("select errand.queue_limit('q', key_rate => 0.001)")
    told(db, -5, k=-2)
    rate = RATE.replace("2 starts", "0.001 starts")
    check(db, rated, f"It is due since <T>, and runner ada starts it at any moment: {rate} holds it back no more.")
    second = keyed(db, due="30 seconds")
    check(db, second, f"It is held back by {rate}, which lets the next one start at <T>, and one job of that key goes before it.")
    assert re.search(r"\(in 00:16:3[678]\)", db.one("select errand.why(%s)", second)), "1000 s after the one before, 2 s ago"
    first = keyed(db, due="3 hours")
    second = keyed(db, due="2 hours")
    told(db, -5000, k=-4002)  # five came since then
    assert "at any moment" in db.one("select errand.why(%s)", first)
    assert re.search(r"\(in 00:16:3[678]\)", db.one("select errand.why(%s)", second))


def test_rate_of_a_key_that_the_runner_does_not_tell_of(db, rated):
    told(db, -1, k2=3600)
    check(db, rated, "It is due since <T>, and runner ada starts it at any moment.")
    told(db, -1, until=1800, k2=3600)
    check(db, rated, f"It is due since <T>, and {RATE} lets the next one start by <T> at the latest: "
          "more keys are held back than runner ada tells of.")
    told(db, -2, until=-1, k2=3600)
    check(db, rated, "It is due since <T>, and runner ada starts it at any moment.")


def test_rate_of_a_key_that_is_not_told_yet(db, rated):
    untold = ("It is due since <T>, and runner ada starts it at any moment or tells with its next beat until when "
              f"{RATE} holds it back.")
    check(db, rated, untold)  # a runner that has told nothing since the rate was set
    told(db, -120, k=3600)
    check(db, rated, untold)  # it became due since
    told(db, -1)
    check(db, rated, "It is due since <T>, and runner ada starts it at any moment.")
    db.sql("update errand.lane set acquired_at = now() where queue = 'q'")
    check(db, rated, untold)  # the lane came to it since


def test_rate_of_a_key_and_slots(db, rated):
    """Slots count where the rate does not hold it back for sure."""
    db.sql("update errand.runner set running = 10")
    told(db, -1, k=3600)
    check(db, rated, f"It is held back by {RATE}, which lets the next one start at <T>.")
    for held in ({"k": -1}, {}, {"until": 1800}):
        told(db, -2, **held)
        check(db, rated, "All 10 slots of runner ada are taken.")


def test_rate_of_a_key_and_its_order(db, rated):
    """The first one as it was enqueued waits for the rate, the others for the first one."""
    db.sql("select errand.queue_limit('q', key_ordered => true)")
    told(db, -1, k=3600)
    check(db, keyed(db, "priority => 0"), f"Jobs of key k run one after the other in queue q, and job {rated} goes first.")
    check(db, rated, f"It is held back by {RATE}, which lets the next one start at <T>.")


def test_rate_of_keys_is_nothing_to_a_job_without(db, rated):
    id = enqueue(db)
    told(db, -1, k=3600)
    check(db, id, "It is due since <T>, and runner ada starts it after one job of its lane that goes before it.")


def test_lanes_of_a_whole_queue(db):
    id = enqueue(db)
    db.sql("select errand.queue_limit('q', rate => 5)")
    state(db, '{"q": {"waits": "lanes"}}')
    check(db, id, "Queue q has a limit for all of it, so one runner has to own all its lanes, and does not yet.")


def test_others_go_before(db):
    for more, text in (("run_at => now()", "after one job of its lane that goes before it"),
                       ("priority => 0", "after 2 jobs of its lane that go before it"), ("priority => 3", "after 2 jobs of its lane that go before it"),
                       ("run_at => now() + interval '1 day'", "after 2 jobs of its lane that go before it")):
        enqueue(db, more)
        last = db.one("select id from errand.job where priority = 2 and run_at <= now() order by run_at desc, id desc limit 1")
        if more == "run_at => now()":
            last = enqueue(db)
        check(db, last, f"It is due since <T>, and runner ada starts it {text}.")
    db.sql("select count(*) from errand.enqueue_many('a', array_fill('{}'::jsonb, array[3000]), queue => 'q', priority => 0)")
    check(db, last, "It is due since <T>, and runner ada starts it after 1000 jobs or more of its lane that go before it.")
