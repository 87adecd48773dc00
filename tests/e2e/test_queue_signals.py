"""Signals: a job that waits for one is woken by it once, and forgets nothing, whatever ends its attempts."""

import pytest

from signal_support import db, errand, nothing_left, result, send, taken, wait_waiting


@pytest.mark.parametrize("kind", ["probe.wait", "probe.wait_first", "probe.wait_batch"])
def test_an_approval_with_steps(db, errand, kind):
    runner = errand.start().wait_ready()
    id = db.enqueue(kind, {"signals": ["one", "two"], "steps": True, "effect": True})
    for name in ("one", "two"):
        job = wait_waiting(db, id, name)
        assert job.attempt == 0 and job.run_at.year == 9999
        assert send(db, id, name, {"by": name}) == "delivered"
    assert db.wait_ended(id).state == "done"
    assert taken(db, id) == ["one", "two"]
    assert result(db, id) == [{"by": "one"}, 0, {"by": "two"}, 1]
    assert db.sql("select job, attempt from public.probe_effect") == [(id, 1)], "only of the attempt that ended the job"
    assert db.one("select attempt from errand.history where id = %s", id) == 1, "a wait is no attempt"
    assert db.one("select count(*) from errand.attempt") == 0 and nothing_left(db)
    assert runner.terminate() == 0
    assert "finished a job twice" not in runner.log()


def test_what_was_sent_before_is_kept(db, errand):
    id = db.enqueue("probe.wait", {"signals": ["go", "again"]})
    assert send(db, id, "go", [1, "ä"]) == "stored" and send(db, id, "go", 2) == "known" and send(db, id, "again") == "stored"
    runner = errand.start().wait_ready()
    assert db.wait_ended(id).state == "done"
    assert result(db, id) == [[1, "ä"], None]
    assert db.one("select errand.signal(%s, 'go')", id) == "ended" and db.one("select errand.signal(1000000, 'go')") == "not found"
    assert nothing_left(db) and runner.terminate() == 0


def test_the_time_is_up(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait", {"signals": ["late", "look"], "timeout_ms": 1500, "end": "retry"})
    job = wait_waiting(db, id, "late")
    assert 0 < (job.run_at - db.one("select now()")).total_seconds() <= 1.5
    assert db.one("select until = run_at from errand.signals s join errand.jobs j using (id) where id = %s", id)
    db.wait("select waits_signal = 'look' and run_at > now() from errand.job where id = %s", id)
    assert send(db, id, "late") == "late"
    assert send(db, id, "look", 3) == "delivered"
    assert db.wait_ended(id).state == "done"
    assert result(db, id) == [None, 3] and db.one("select attempt from errand.history where id = %s", id) == 2
    assert nothing_left(db) and runner.terminate() == 0


def test_a_look_does_not_wait(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait", {"signals": ["a"], "timeout_ms": 0})
    assert db.wait_ended(id).state == "done" and result(db, id) == [None]
    assert nothing_left(db) and runner.terminate() == 0


def test_cancelled_deleted_retried_expired_while_it_waits(db, errand):
    runner = errand.start().wait_ready()
    cancelled, deleted, retried = (db.enqueue("probe.wait", {"signals": ["go"]}) for _ in range(3))
    replaced = db.enqueue("probe.wait", {"signals": ["go"]}, key="k")
    expired = db.one("select errand.enqueue('probe.wait', '{\"signals\": [\"go\"]}', expires_at => now() + interval '2 seconds')")
    for id in (cancelled, deleted, retried, replaced, expired):
        wait_waiting(db, id, "go")
    assert db.one("select errand.cancel(%s, 'enough')", cancelled) == "cancelled"
    assert db.row("select outcome, isfinite(run_at), error from errand.history where id = %s", cancelled) == ("cancelled", True, "enough")
    assert db.one("select errand.delete(%s)", deleted) == "deleted"
    assert db.one("select errand.enqueue('probe.none', key => 'k', on_conflict => 'replace')") == replaced
    assert db.wait_ended(replaced).state == "done"
    before = db.one("select revision from errand.job where id = %s", retried)
    assert db.one("select errand.retry(%s)", retried) == "due"
    db.wait("select revision > %s and run_at = 'infinity' from errand.job where id = %s", before, retried)
    assert db.wait_ended(expired).state == "cancelled"
    assert db.sql("select id, name from errand.signals") == [(retried, "go")]
    assert send(db, retried, "go") == "delivered" and db.wait_ended(retried).state == "done"
    assert nothing_left(db) and runner.terminate() == 0


def test_asked_to_end_at_the_moment_it_begins_to_wait(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait_first", {"signals": ["go"], "sleep_ms": 60000})
    db.wait_state(id, "running")
    assert db.one("select errand.cancel(%s)", id) == "requested"
    assert db.wait_ended(id).state == "cancelled"
    assert nothing_left(db) and runner.terminate() == 0


def test_dead_and_redriven_it_has_its_signals_yet(db, errand):
    runner = errand.start().wait_ready()
    id = db.enqueue("probe.wait", {"signals": ["go"], "end": "fail"})
    wait_waiting(db, id, "go")
    assert send(db, id, "go", "yes") == "delivered"
    db.wait_state(id, "dead")
    assert send(db, id, "more") == "ended"
    assert db.sql("select name, payload from errand.signals where id = %s", id) == [("go", "yes")]
    assert db.one("select errand.redrive(%s)", id) == "redriven"
    db.wait("select count(*) = 2 from errand.history where id = %s", id)
    assert db.one("select errand.delete(%s)", id) == "deleted" and nothing_left(db)
    assert runner.terminate() == 0


def test_all_jobs_of_a_key(db, errand):
    runner = errand.start().wait_ready()
    ids = [db.enqueue("probe.wait", {"signals": ["paid"]}, key="order 7", on_conflict="allow") for _ in range(2)]
    other = db.enqueue("probe.wait", {"signals": ["paid"]}, key="order 8")
    for id in (*ids, other):
        wait_waiting(db, id, "paid")
    assert db.one("select errand.signal_key('default', 'order 7', 'paid', '{\"cents\": 100}')") == 2
    for id in ids:
        assert db.wait_ended(id).state == "done" and result(db, id) == [{"cents": 100}]
    assert db.job(other).state == "waiting" and db.one("select errand.signal_key('default', 'order 9', 'paid')") == 0
    assert runner.terminate() == 0


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_name_that_is_none(db, errand, name):
    runner = errand.start().wait_ready()
    job = db.wait_ended(db.enqueue("probe.wait", {"signals": [name]}))
    assert job.state == "dead" and "its name is not 1 to 200 bytes long" in job.last_error
    assert runner.terminate() == 0


def test_upkeep_forgets_what_nobody_dropped(db, errand):
    owed = db.enqueue("probe.none", after=3600)
    send(db, owed, "a")
    db.sql("insert into errand.signal (lane, job_id, name, sent_at, payload) select lane, 999999999, 'a', now(), '1' from errand.job where id = %s", owed)
    runner = errand.start().wait_ready()
    db.wait("select array_agg(job_id) = array[%s::bigint] from errand.signal", owed)
    assert runner.terminate() == 0


def test_a_handler_tells_another_job(db, errand):
    runner = errand.start().wait_ready()
    one, two = (db.enqueue("probe.wait", {"signals": ["a", "b"]}) for _ in range(2))
    for id in (one, two):
        wait_waiting(db, id, "a")
    both = db.enqueue("probe.signal", {"to": one, "more": two, "name": "a", "payload": [1], "with": True})
    assert db.wait_ended(both).state == "done"
    for id in (one, two):
        wait_waiting(db, id, "b")
    told = [db.enqueue("probe.signal", {"to": to, "name": "b"}) for to in (one, two)]
    for id in (one, two):
        assert db.wait_ended(id).state == "done" and result(db, id) == [[1], None]
    assert [result(db, id) for id in told if db.wait_ended(id)] == ["delivered"] * 2
    late = db.enqueue("probe.signal", {"to": one, "name": "b"})
    assert db.wait_ended(late).state == "done" and result(db, late) == "ended"
    for wrong, error in (({"name": ""}, "the name of a signal is not 1 to 200 bytes long"),
                         ({"name": "a", "payload": "x" * 1048575}, "of its payload: it is too large")):
        job = db.wait_ended(db.enqueue("probe.signal", {"to": one, **wrong}))
        assert job.state == "dead" and error in job.last_error
    assert nothing_left(db) and runner.terminate() == 0
