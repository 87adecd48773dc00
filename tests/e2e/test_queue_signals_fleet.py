"""Signals at any moment: while a job comes to its wait, while runners die, stop and hand lanes over, and very many of them."""

import threading

from signal_support import db, errand, nothing_left, result, send, taken, wait_waiting
from support.wait import connect, until


def test_waiting_jobs_hold_no_slot(db, errand):
    """10,000 of them in a runner with four slots, in which others run on; then all are woken."""
    runner = errand.start("--concurrency", "4").wait_ready()
    ids = db.enqueue_many(10000, {"signals": ["go"]}, kind="probe.wait")
    db.wait("select count(*) = 10000 from errand.job where waits_signal = 'go' and run_at = 'infinity' and claimed_by is null", timeout=60)
    assert db.one("select sum(running) from errand.runner") == 0 or db.wait("select sum(running) = 0 from errand.runner")
    assert db.sql("select waiting, scheduled, more from errand.queues where name = 'default'") == [(10000, 0, False)]
    assert db.wait_ended(db.enqueue("probe.none")).state == "done"
    db.sql("select errand.signal(id, 'go', '7') from errand.job")
    db.wait("select count(*) = 10000 from errand.history where kind = 'probe.wait' and outcome = 'done' and result = '[7]'", timeout=60)
    assert nothing_left(db) and db.one("select count(distinct id) from errand.history where id = any (%s)", ids) == 10000
    assert runner.terminate() == 0


def test_none_is_lost_when_it_is_sent_at_any_moment(db, errand):
    """Each job is sent its signals by threads that do not look whether it has come to them yet."""
    runners = [errand.start("--name", name, "--concurrency", "50").wait_ready() for name in "ab"]
    names = ["a", "b", "c"]
    ids = db.enqueue_many(600, {"signals": names}, kind="probe.wait")
    found = []

    def sender(part):
        connection = connect(db.dsn)
        with connection.cursor() as cursor:
            for name in names:
                for id in part:
                    cursor.execute("select errand.signal(%s, %s, to_jsonb(%s::text))", (id, name, f"{id} {name}"))
                    found.append(cursor.fetchone()[0])
        connection.close()

    threads = [threading.Thread(target=sender, args=(ids[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db.wait("select count(*) = 600 from errand.history where outcome = 'done'")
    assert {"delivered", "stored"} == set(found) and len(found) == 1800
    assert db.sql("select id, result from errand.history order by id") == [(id, [f"{id} {name}" for name in names]) for id in sorted(ids)]
    assert nothing_left(db) and [runner.terminate() for runner in runners] == [0, 0]


def test_one_that_is_being_sent_while_the_job_is_written_down(db, errand):
    """The sender's transaction is open when the attempt ends: the runner waits for it, and sees what it brought."""
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait_first", {"signals": ["go"], "sleep_ms": 300})
    db.wait_state(id, "running")
    other = connect(db.dsn)
    other.autocommit = False
    with other.cursor() as cursor:
        cursor.execute("select errand.signal(%s, 'go', '5')", (id,))
        assert cursor.fetchone() == ("stored",)
        # The runner wants the row: to ask for the signal, or to write down that the job waits.
        db.wait("select count(*) > 0 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
        other.commit()
    other.close()
    assert db.wait_ended(id).state == "done" and result(db, id) == [5]
    assert runner.terminate() == 0


def test_killed_while_jobs_wait_and_after_they_were_woken(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait_first", {"signals": ["one", "two"], "steps": True})
    wait_waiting(db, id, "one")
    runner.kill()
    assert send(db, id, "one", 1) == "delivered"
    runner = errand.start().wait_ready()
    wait_waiting(db, id, "two")
    runner.kill()
    runner = errand.start().wait_ready()
    assert send(db, id, "two", 2) == "delivered"
    assert db.wait_ended(id).state == "done"
    assert taken(db, id) == ["one", "two"] and result(db, id) == [1, 0, 2, 1]
    assert nothing_left(db) and runner.terminate() == 0


def test_it_may_come_to_its_wait_while_the_runner_stops(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait", {"signals": ["go"], "sleep_ms": 2000})
    until(lambda: db.one("select sum(running) from errand.runner") == 1, db.state)
    assert runner.terminate() == 0
    wait_waiting(db, id, "go")
    assert db.job(id).attempt == 0
    runner = errand.start().wait_ready()
    assert send(db, id, "go") == "delivered" and db.wait_ended(id).state == "done"
    assert runner.terminate() == 0


def test_jobs_without_signals_pay_nothing(db, errand):
    """Their completions do not look at the table; the upkeep does, lane by lane, once."""
    runner = errand.start().wait_ready()
    db.enqueue_many(20000, kind="probe.claim")
    db.wait_empty()
    assert runner.terminate() == 0
    db.wait("select count(*) = 1 from pg_stat_activity where datname = current_database()")  # the others have told their counts
    assert db.one("select seq_scan + idx_scan from pg_stat_all_tables where relid = 'errand.signal'::regclass") <= 2 * 8


def test_lanes_change_hands_while_their_jobs_come_to_wait(db, errand):
    """The runner that parks a job is not the one that has its lane any more: that one hears of the signal, and of the wait's end."""
    a = errand.start("--name", "a", "--concurrency", "100").wait_ready()
    args = {"signals": ["go"], "sleep_ms": 4000, "timeout_ms": 1500}
    ids = [id for _ in range(8) for id in db.enqueue_many(10, args, kind="probe.wait_first")]
    db.wait("select count(*) = 80 from errand.job where claimed_by is not null")
    b = errand.start("--name", "b", "--concurrency", "100").wait_ready()
    db.wait("select count(*) >= 3 from errand.lane l join errand.runner r on r.id = l.owner where r.name = 'b'")
    moved = [id for id, in db.sql("select j.id from errand.job j join errand.lane l using (lane) join errand.runner o on o.id = l.owner"
                                  " join errand.runner c on c.id = j.claimed_by where o.name = 'b' and c.name = 'a'")]
    assert moved, "no lane was handed over under a running job"
    db.wait("select count(*) = %s from errand.signal where job_id = any (%s) and waited_at is not null", len(moved), moved, every=0.05)
    sent = [id for id in moved[::2] if send(db, id, "go", 1) == "delivered"]
    for id in sent:
        assert db.wait_ended(id, timeout=8).state == "done" and result(db, id) == [1]
    for id in set(moved) - set(sent):
        assert db.wait_ended(id, timeout=8).state == "done" and result(db, id) == [None]
    late = db.sql("select h.id, h.finished_at - h.started_at from errand.history h where h.id = any (%s) and"
                  " h.started_at > h.run_at + interval '2 seconds'", moved)
    assert late == [], "found by a full pass only"
    assert db.one("select count(*) from errand.history where id = any (%s)", ids) >= len(moved)
    assert a.terminate() == 0 and b.terminate() == 0
