"""A shell script, a worker in Python, a SQL file, a plug-in in C and an HTTP endpoint do 1,000 jobs each, all in one runner at the same
time, with failures, crashes, timeouts and cancels among them; the books must balance."""

import json
import os
import random
import threading

import pytest

from kind_support import JobsDirectory, runner_with
from support.endpoint import Endpoint
from support.hooks import SECRET
from support.wait import until
from support.worker import worker
from test_plugins import compile_plugin

# What a job is to do: how many do so of each kind, how they end, in which attempt
LEDGER = {
    "good": (760, "done", 1),
    "fail": (60, "dead", 1),
    "again": (80, "done", 2),
    "crash": (20, "dead", 2),
    "late": (20, "dead", 2),
    "hang": (30, "cancelled", 1),
    "gone": (30, "cancelled", 0),
}

SCRIPT = """# errand: max_attempts = 2
# errand: concurrency = 40
# errand: grace_ms = 50
read -r args
case $args in
*fail*) exit 65 ;;
*again*) [ "$ERRAND_ATTEMPT" -gt 1 ] || exit 75 ;;
*crash*) kill -9 $$ ;;
*hang* | *late*) exec sleep 600 ;;
esac
echo "{\\"id\\": $ERRAND_JOB_ID}"
"""

WORKER = """\
    do = job["args"]["do"]
    if do == "fail": return {"outcome": "fail", "error": "no"}
    if do == "again" and job["attempt"] == 1: raise ValueError("again")
    if do == "crash": os.kill(os.getpid(), 9)
    if do in ("hang", "late"): time.sleep(600)
    return {"outcome": "done", "result": {"id": job["id"]}}"""

STATEMENTS = """-- errand: transaction = own
-- errand: max_attempts = 2
-- errand: concurrency = 40
insert into public.did (id, attempt) values (:id, :attempt);
select case
  when :args->>'do' in ('hang', 'late') then pg_sleep(600)::text::bigint
  when :args->>'do' = 'fail' then 1 / (:attempt - :attempt)
  when :args->>'do' = 'again' and :attempt = 1 then 'again'::text::int
  when :args->>'do' = 'crash' then pg_terminate_backend(pg_backend_pid())::int
  else :id end as id
"""

PLUGIN = """#include <errand/errand.h>
#include <string.h>
static void run(struct errand_job *job)
{
    const char *what = json_string_value(json_object_get(errand_args(job), "do"));
    if (strcmp(what, "hang") == 0 || strcmp(what, "late") == 0)
        errand_sleep(job, 600000);
    if (strcmp(what, "crash") == 0)
        *(volatile int *)0 = 1;
    if (strcmp(what, "fail") == 0) {
        errand_fail(job, "no");
    } else if (strcmp(what, "again") == 0 && errand_attempt(job) == 1) {
        errand_retry(job, -1, "again");
    } else {
        errand_result_text(job, errand_printf(job, "{\\"id\\": %lld}", (long long)errand_id(job)), NULL);
        errand_done(job);
    }
}
static const struct errand_kind kinds[] = {
    {.size = sizeof(struct errand_kind), .name = "mixed.plugin", .run = run, .max_attempts = 2, .claim = ERRAND_CLAIM_FIRST}};
extern const struct errand_module mixed_module;
ERRAND_EXPORT const struct errand_module mixed_module = {
    .abi = ERRAND_ABI, .size = sizeof(struct errand_module), .name = "mixed", .version = "1", .kinds = kinds, .kind_count = 1};
"""

KINDS = ["mixed.script", "mixed.worker", "mixed.sql", "mixed.plugin", "mixed.http"]


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


class Answers:
    """What the endpoint does; those that hang do so until the end of the test."""

    def __init__(self):
        self.over = threading.Event()

    def __call__(self, request):
        do, attempt = json.loads(request.body)["do"], request.headers["errand-attempt"]
        if do in ("hang", "late"):
            self.over.wait()
        if do == "crash" or self.over.is_set():
            return None
        if do == "fail" or (do == "again" and attempt == "1"):
            return (400 if do == "fail" else 503, {}, b"no")
        body = json.dumps({"id": int(request.headers["webhook-id"].removeprefix("job_"))})
        return (200, {"content-type": "application/json"}, body.encode())


def put_all(jobs, endpoint):
    jobs.script("mixed.script", SCRIPT)
    jobs.put("mixed.worker.worker", worker(WORKER, "max_attempts = 2\nprocesses = 6\ngrace_ms = 50"))
    jobs.put("mixed.sql.sql", STATEMENTS)
    jobs.put("mixed.http.http", f"[kind]\nurl = {endpoint.url}\nallow_private = true\nsecret = {SECRET}\nmax_attempts = 2\nconcurrency = 40\n")
    compile_plugin(jobs.path, "mixed", PLUGIN)


def set_up(db):
    db.sql("create table did (id bigint, attempt int)")
    db.sql("grant all on did to public")
    for kind in KINDS:
        db.wait("select exists (select from errand.kind where name = %s)", kind)
        db.sql("select errand.kind_retry_set(%s, 'fixed', delays => '{10 milliseconds}')", kind)
        db.sql("select errand.kind_pause(%s)", kind)
    db.sql("select errand.kind_retry_set('mixed.sql', 'never', error_class => 'sql.22012')")
    db.sql("select errand.kind_retry_set('mixed.http', 'never', error_class => 'http.400')")


def enqueue_all(db):
    """{(kind, do): ids}, in an order of chance."""
    wanted = [(kind, do) for kind in KINDS for do, (count, *_) in LEDGER.items() for _ in range(count)]
    random.Random(4).shuffle(wanted)
    found = db.sql("select errand.enqueue(kind, jsonb_build_object('do', what), timeout => case when what = 'late' then interval '1 second' end)"
                   " from unnest(%s, %s) with ordinality as w (kind, what, n) order by n",
                   [kind for kind, _ in wanted], [do for _, do in wanted])
    ids = {}
    for key, (id,) in zip(wanted, found):
        ids.setdefault(key, []).append(id)
    return ids


def cancel_those_that_hang(db, ids):
    """Each once it runs."""
    def step():
        db.sql("select errand.cancel(id) from errand.jobs where id = any (%s) and state = 'running'", ids)
        return db.one("select not exists (select from errand.job where id = any (%s))", ids)
    def left():
        return [(*row, db.one("select errand.why(%s)", row.first)) for row in db.sql(
            "select kind, state, count(*) as jobs, min(id) as first from errand.jobs where finished_at is null group by 1, 2")]
    until(step, lambda: f"jobs that hang are not cancelled: {left()}", timeout=60, every=0.1)


def check_books(db, ids):
    db.check_history(sum(ids.values(), []))
    for (kind, do), some in ids.items():
        count, outcome, attempt = LEDGER[do]
        assert db.sql("select outcome, attempt, count(*)::int from errand.history where id = any (%s) group by 1, 2", some) == [
            (outcome, attempt, count)], (kind, do)
        failed = db.sql("select attempt, count(*)::int as attempts, count(distinct id)::int as jobs from errand.attempt where id = any (%s) group by 1", some)
        assert failed == ([(1, count, count)] if attempt == 2 else []), (kind, do)
    dead = sorted(sum((some for (_, do), some in ids.items() if LEDGER[do][1] == "dead"), []))
    assert [row[0] for row in db.sql("select id from errand.dead_letter order by 1")] == dead
    assert db.one("select every(result = jsonb_build_object('id', id)) from errand.history where outcome = 'done'")
    did = {tuple(row) for row in db.sql("select id, attempt from did")}
    wanted = {(id, LEDGER[do][2]) for do in ("good", "again") for id in ids["mixed.sql", do]}
    assert did == wanted, db.sql("select * from errand.history where id = any (%s)", [id for id, _ in did ^ wanted])


def test_five_kinds_of_a_thousand(jobs):
    answers = Answers()
    with Endpoint(answers) as endpoint:
        put_all(jobs, endpoint)
        with runner_with(jobs, ERRAND_CONCURRENCY="200") as (_, db, runner):
            set_up(db)
            descriptors = len(os.listdir(f"/proc/{runner.pid}/fd"))
            ids = enqueue_all(db)
            db.sql("select errand.cancel(id) from unnest(%s) id", sum((some for (_, do), some in ids.items() if do == "gone"), []))
            for kind in KINDS:
                db.sql("select errand.kind_resume(%s)", kind)
            cancel_those_that_hang(db, sum((some for (_, do), some in ids.items() if do == "hang"), []))
            db.wait_empty(60)
            check_books(db, ids)
            answers.over.set()
            until(lambda: len(os.listdir(f"/proc/{runner.pid}/fd")) <= descriptors + 70,  # connections that are kept, six workers
                  "descriptors are left")
            with open(f"/proc/{runner.pid}/task/{runner.pid}/children", encoding="ascii") as file:
                assert len(file.read().split()) <= 1 + 6  # the warden and the workers
