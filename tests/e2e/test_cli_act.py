"""errand jobs cancel, retry, redrive, reprioritize, delete: by ids and by filter; errand jobs wait."""

import json
import subprocess
import threading

import pytest

from cli_support import dsn, enqueue, errand, refused, sql
from support.errand import binary
from support.wait import until


def results(done):
    """{id: result} of a call with ids."""
    return {int(id): result for id, result in (line.split("\t") for line in done.stdout.splitlines()[1:])}


def make_dead(dsn, *jobs):
    """Owed jobs as dead letters, an hour ago, as a runner leaves them."""
    for n, job in enumerate(jobs):
        sql(dsn, f"""with gone as (delete from errand.job where id = {job} returning *),
            letter as (insert into errand.dead_letter (lane, attempt, priority, id, run_at, created_at, died_at, kind, key, args, error)
                select lane, 5, priority, id, run_at, created_at, now() - interval '1 h', kind, key, args, 'broken pipe {n}' from gone)
            insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, args, error)
            select lane, 5, priority, id, run_at, created_at, now() - interval '1 h', current_date + 14, 'dead', kind, args,
                'broken pipe {n}' from gone""")


# ---- By ids ----

def test_cancel(errand, dsn):
    ready, running = enqueue(errand, "mail.test"), enqueue(errand, "mail.test")
    sql(dsn, f"update errand.job set claimed_by = 1, started_at = now() where id = {running}")
    done = errand.run("jobs", "cancel", str(ready), str(running), "--reason", "no longer wanted")
    assert results(done) == {ready: "cancelled", running: "requested"} and done.stderr == ""
    [(outcome, error)] = sql(dsn, f"select outcome, error from errand.history where id = {ready}")
    assert outcome == "cancelled" and "no longer wanted" in error
    done = errand.run("jobs", "cancel", str(ready), str(running), "--json", check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout) == {"jobs": [{"id": ready, "result": "not found"}, {"id": running, "result": "requested"}]}
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "not_found" and error["message"] == f"job {ready} was not cancelled: not found"


def test_retry(errand, dsn):
    later, dead, running, done = (enqueue(errand, "mail.test", "--run-at", "+1h") for _ in range(4))
    sql(dsn, f"update errand.job set claimed_by = 1, started_at = now() where id = {running}")
    make_dead(dsn, dead)
    errand.run("jobs", "cancel", str(done))
    assert results(errand.run("jobs", "retry", str(later), str(dead))) == {later: "due", dead: "redriven"}
    assert sql(dsn, f"select count(*) from errand.jobs where id in ({later}, {dead}) and state = 'ready'") == [(2,)]
    text = refused(errand, "jobs", "retry", str(running), status=1, stdout=None)
    assert f"job {running} was not retried: running" in text and "wait for its end" in text
    text = refused(errand, "jobs", "retry", str(done), "987654", status=1, stdout=None)
    assert "2 of 2 jobs were not retried" in text


def test_redrive(errand, dsn):
    dead, taken, owed = enqueue(errand, "mail.test"), enqueue(errand, "mail.test", "--key", "k"), enqueue(errand, "mail.test")
    make_dead(dsn, dead, taken)
    enqueue(errand, "mail.test", "--key", "k")
    assert results(errand.run("jobs", "redrive", str(dead))) == {dead: "redriven"}
    text = refused(errand, "jobs", "redrive", str(taken), status=1, stdout=None)
    assert "key taken" in text and "Another job bears its key" in text
    refused(errand, "jobs", "redrive", str(owed), status=3, stdout=None)


def test_reprioritize_and_delete(errand, dsn):
    first, second = enqueue(errand, "mail.test"), enqueue(errand, "mail.test")
    assert results(errand.run("jobs", "reprioritize", "--priority", "0", str(first), str(second))) == {
        first: "changed", second: "changed"}
    assert sql(dsn, "select distinct priority from errand.job") == [(0,)]
    make_dead(dsn, second)
    assert results(errand.run("jobs", "delete", str(first), str(second))) == {first: "deleted", second: "deleted"}
    assert sql(dsn, "select id from errand.job union select id from errand.dead_letter") == []


def test_more_ids_than_a_batch(errand, dsn):
    ids = [id for id, in sql(dsn, "select errand.enqueue_many('mail.test', array_fill('{}'::jsonb, array[1201]))")]
    assert results(errand.run("jobs", "cancel", *map(str, ids))) == {id: "cancelled" for id in ids}


# ---- By filter ----

def test_a_filter_only_says_what_it_would_touch(errand, dsn):
    jobs = [enqueue(errand, "mail.test", "--tag", "spring") for _ in range(12)]
    other = enqueue(errand, "mail.test")
    done = errand.run("jobs", "cancel", "--tag", "spring", check=False)
    assert done.returncode == 2
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["id", *map(str, reversed(jobs[2:])), "... and 2 more"]
    assert done.stderr.splitlines() == ["errand: 12 jobs would be cancelled", "        Add --yes to do it."]
    done = errand.run("jobs", "cancel", "--tag", "spring", "--json", check=False)
    assert done.returncode == 2 and json.loads(done.stderr)["error"]["message"] == "12 jobs would be cancelled"
    found = json.loads(done.stdout)
    assert found["count"] == 12 and [job["id"] for job in found["jobs"]] == jobs[:1:-1]
    assert sql(dsn, "select count(*) from errand.job") == [(13,)]

    assert errand.run("jobs", "cancel", "--tag", "spring", "--yes").stdout == "cancelled\t12\n"
    assert sql(dsn, "select id from errand.job") == [(other,)]
    assert errand.run("jobs", "cancel", "--tag", "spring").stdout == "no job was found\n"
    assert json.loads(errand.run("jobs", "cancel", "--tag", "spring", "--yes", "--json").stdout) == {"count": 0, "results": {}}


def test_a_filter_reaches_all_lanes_in_batches(errand, dsn):
    """1,300 jobs of a kind among others, more than two batches in a lane; each batch is a transaction of its own."""
    sql(dsn, """select errand.queue_create('narrow', 1);
        select count(*) from errand.enqueue_many('mail.bulk', array_fill('{}'::jsonb, array[1300]), queue => 'narrow');
        select count(*) from errand.enqueue_many('mail.bulk', array_fill('{}'::jsonb, array[700]));
        select count(*) from errand.enqueue_many('mail.other', array_fill('{}'::jsonb, array[300]), queue => 'narrow')""")
    assert "1300 jobs would be changed" in refused(errand, "jobs", "reprioritize", "--priority", "3", "--queue", "narrow",
                                                   "--kind", "mail.bulk", status=2, stdout=None)
    done = errand.run("jobs", "reprioritize", "--priority", "3", "--kind", "mail.bulk", "--queue", "narrow", "--yes", "--json")
    assert json.loads(done.stdout) == {"count": 1300, "results": {"changed": 1300}}
    assert sql(dsn, "select count(*), count(distinct xmin::text) from errand.job where priority = 3") == [(1300, 3)]
    done = errand.run("jobs", "delete", "--kind", "mail.bulk", "--yes")
    assert done.stdout == "deleted\t2000\n"
    assert sql(dsn, "select count(*), min(kind) from errand.job") == [(300, "mail.other")]


def test_retry_all_that_failed_since(errand, dsn):
    jobs = [enqueue(errand, "mail.test", "--key", f"k{n}") for n in range(6)]
    make_dead(dsn, *jobs[:4])
    enqueue(errand, "mail.test", "--key", "k3")  # took the key of a dead one
    sql(dsn, f"update errand.dead_letter set died_at = now() - interval '2 d' where id = {jobs[0]}")
    done = errand.run("jobs", "redrive", "--kind", "mail.test", "--since", "-1d", "--yes", "--json")
    assert json.loads(done.stdout) == {"count": 3, "results": {"redriven": 2, "key taken": 1}} or \
        json.loads(done.stdout) == {"count": 3, "results": {"key taken": 1, "redriven": 2}}
    assert {id for id, in sql(dsn, "select id from errand.dead_letter")} == {jobs[0], jobs[3]}
    assert errand.run("jobs", "redrive", "--error", "broken pipe 0", "--yes").stdout == "redriven\t1\n"
    assert errand.run("jobs", "redrive", "--state", "ready", "--yes").stdout == "no job was found\n"


def test_a_failed_batch_leaves_those_before_it(errand, dsn):
    sql(dsn, """select count(*) from errand.enqueue_many('mail.test', array_fill('{}'::jsonb, array[40]))""")
    lanes = [lane for lane, in sql(dsn, "select distinct lane from errand.job")]
    sql(dsn, """create function errand.refuse() returns trigger language plpgsql as $$
            begin raise exception 'not this one' using errcode = '55000'; end $$;
        create trigger refuse before delete on errand.job for each row when (old.key = 'poison') execute function errand.refuse()""")
    try:
        sql(dsn, f"insert into errand.job (lane, run_at, kind, args, key) select max(lane), now(), 'mail.test', '{{}}', 'poison' from errand.lane")
        last = sql(dsn, "select max(lane) from errand.lane")[0][0]
        done = errand.run("jobs", "cancel", "--kind", "mail.test", "--yes", check=False)
        assert done.returncode == 1 and "jobs cancel cannot be done: not this one" in done.stderr
        before = 40 if last not in lanes else 40 - sql(dsn, f"select count(*) - 1 from errand.job where lane = {last}")[0][0]
        assert done.stdout == f"cancelled\t{before}\n"
        assert sql(dsn, "select count(*) from errand.history where outcome = 'cancelled'") == [(before,)]
    finally:
        sql(dsn, "drop trigger refuse on errand.job; drop function errand.refuse()")


def test_a_batch_that_met_other_locks_is_done_again(errand, dsn):
    jobs = [enqueue(errand, "mail.test") for _ in range(3)]
    sql(dsn, """create sequence public.tries;
        create function errand.refuse() returns trigger language plpgsql as $$ begin
            if nextval('public.tries') < 5 then raise exception 'deadlock detected' using errcode = '40P01'; end if;
            return old;
        end $$;
        create trigger refuse before delete on errand.job for each row execute function errand.refuse()""")
    try:
        assert results(errand.run("jobs", "cancel", *map(str, jobs))) == {job: "cancelled" for job in jobs}
    finally:
        sql(dsn, "drop trigger refuse on errand.job; drop function errand.refuse(); drop sequence public.tries")


# ---- wait ----

def test_wait_for_a_runner(errand, dsn):
    errand.start().wait_ready()
    jobs = [enqueue(errand, "probe.run", json.dumps(args)) for args in
            ({}, {"sleep_ms": 300}, {"outcome": "retry", "times": 1, "delay_ms": 50})]
    assert errand.run("jobs", "wait", *map(str, jobs)).stdout == "".join(f"{job}\tdone\n" for job in jobs)
    bad = enqueue(errand, "probe.run", '{"outcome": "fail", "text": "no\\nluck"}')
    done = errand.run("jobs", "wait", str(jobs[0]), str(bad), check=False)
    assert done.returncode == 1 and done.stdout == f"{jobs[0]}\tdone\n{bad}\tdead\tno luck\n"
    assert f"job {bad} ended as dead\n" in done.stderr
    worse = enqueue(errand, "probe.run", '{"outcome": "unknown", "text": "who knows"}')
    assert f"job {bad} ended as dead; 2 of 3 are not done" in refused(
        errand, "jobs", "wait", str(jobs[0]), str(bad), str(worse), status=1, stdout=None)
    done = errand.run("jobs", "wait", str(bad), "--json", check=False)
    assert json.loads(done.stdout) == {"jobs": [{"id": bad, "state": "dead", "ended": True, "last_error": "no\nluck"}]}


def test_wait_is_told_at_once(errand, dsn):
    job = enqueue(errand, "mail.test")
    call = subprocess.Popen([binary(), "jobs", "wait", str(job), "--timeout", "1m"], env=errand.env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    until(lambda: sql(dsn, "select exists (select from pg_stat_activity where application_name = 'errand')")[0][0], "it does not wait")
    errand.run("jobs", "cancel", str(job))
    out, error = call.communicate(timeout=5)
    assert call.returncode == 1 and out.startswith(f"{job}\tcancelled") and f"job {job} ended as cancelled" in error


def test_wait_gives_up(errand):
    job = enqueue(errand, "mail.test", "--run-at", "+1h")
    text = refused(errand, "jobs", "wait", str(job), "--timeout", "100ms", status=1, stdout=f"{job}\tscheduled\n")
    assert f"the time is over, job {job} is scheduled" in text and f"errand why {job}" in text
    assert "there is no job 987654" in refused(errand, "jobs", "wait", str(job), "987654", status=3)


def test_wait_for_what_leaves_no_trace(errand, dsn):
    """A deleted job, or one of a kind whose history is not kept: it has ended, and nobody knows how."""
    job = enqueue(errand, "mail.test")
    timer = threading.Timer(0.3, lambda: sql(dsn, f"select errand.delete({job})"))
    timer.start()
    text = refused(errand, "jobs", "wait", str(job), "--timeout", "1m", status=1, stdout=f"{job}\tgone\n")
    timer.join()
    assert f"job {job} ended as gone" in text


# ---- Signals ----

def test_signal(errand, dsn, tmp_path):
    job, waiting, ended = (enqueue(errand, "mail.test", "--run-at", "+1h") for _ in range(3))
    sql(dsn, f"update errand.job set run_at = 'infinity', waits_signal = 'go' where id = {waiting}")
    sql(dsn, f"insert into errand.signal (lane, job_id, waited_at, name) select lane, id, now(), 'go' from errand.job where id = {waiting}")
    assert errand.run("jobs", "list", "--state", "waiting").stdout.splitlines()[1].startswith(f"{waiting}\t")
    assert errand.run("jobs", "signal", str(job), "go").stdout == "stored\n"
    (tmp_path / "payload").write_text('{"by": "ä"}')
    done = errand.run("jobs", "signal", str(waiting), "go", f"@{tmp_path / 'payload'}", "--json")
    assert json.loads(done.stdout) == {"id": waiting, "result": "delivered"}
    assert errand.run("jobs", "signal", str(job), "more", "-", input="[1]").stdout == "stored\n"
    shown = json.loads(errand.run("jobs", "show", str(waiting), "--json").stdout)["signals"]
    assert [(s["name"], s["payload"], s["until"]) for s in shown] == [("go", {"by": "ä"}, None)]
    assert shown[0]["waited_at"] and shown[0]["sent_at"]
    assert "go\t" in errand.run("jobs", "show", str(job)).stdout
    errand.run("jobs", "cancel", str(ended))
    assert f"job {job} was sent a signal of that name before" in refused(errand, "jobs", "signal", str(job), "go", status=1, stdout="known\n")
    assert f"job {ended} has ended" in refused(errand, "jobs", "signal", str(ended), "go", status=1, stdout="ended\n")
    assert "job 987654 does not exist" in refused(errand, "jobs", "signal", "987654", "go", status=3, stdout="not found\n")
    sql(dsn, f"update errand.signal set until = now(), payload = null, sent_at = null where job_id = {waiting}")
    assert "as long as it would" in refused(errand, "jobs", "signal", str(waiting), "go", status=1, stdout="late\n")


@pytest.mark.parametrize("args, status, error", [
    (("x", "go"), 2, "ID"),
    (("1", "go", "@/no/such/file"), 2, "cannot open /no/such/file"),
    (("1", "go", "{"), 2, "invalid input syntax for type json"),
    (("1", ""), 2, "the name of a signal is not 1 to 200 bytes long\n        It is the one that the handler waits for, like approved."),
    (("1", "go", '"' + "x" * 1048576 + '"'), 2, "payload has 1048578 bytes, more than 1048576"),
])
def test_signal_refused(errand, dsn, args, status, error):
    if len(args[-1]) > 100000:
        done = errand.run("jobs", "signal", *args[:2], "-", input=args[2], check=False)
        assert done.returncode == status and error in done.stderr
    else:
        assert error in refused(errand, "jobs", "signal", *args, status=status)
