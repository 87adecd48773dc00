"""The runner's statements on jobs use the index that they were written for, whatever the statistics say: those of an empty table
that is full by now, of a lane that was drained, or none at all."""

import re

import pytest

from support.cluster import shared_cluster
from support.statements import QUEUE_SQL, read_statements
from support.wait import QueueDatabase

JOBS = 20000
SETTINGS = "set enable_seqscan = off; set jit = off"  # as src/db/db.sql has them for the runner's sessions

# Statement: what it must read jobs by, and its parameters.
BY_ID = {
    "job_done_first": ("1, 1, -1, '{1,2,3}'", "'{now,now,now}', 1, 14"),
    "job_done": ("1, 1, -1, '{1,2,3}'", "'{0,0,0}', '{0,0,0}', '{1,1,1}', 1, 14"),
    "job_done_unkept": ("1, 1, -1, '{1,2,3}'", "'{0,0,0}', '{0,0,0}', '{1,1,1}', 1, 14"),
    "job_claim": ("1, 1, 1", "'{1,2,3}', '{0,0,0}', '{0,0,0}', '{1,1,1}'"),
    "jobs_lock": ("1", "'{1,2,3}'"),
    "jobs_locked": ("1, 1", "'{1,2,3}'"),
    "lane_cancelled": ("1", "'{1,2,3}'"),
}
# What jobs leave behind: the same of a table of its own, in a lane that is believed to be empty.
LEFT_BEHIND = {"steps_drop": "step", "signals_drop": "signal"}


def fill(db):
    db.sql("select count(*) from errand.enqueue_many('probe.run', array_fill('{}'::jsonb, array[%s]))", JOBS)


def never_analysed(db):
    fill(db)


def analysed_when_empty(db):
    db.sql("analyze errand.job")
    fill(db)


def analysed_when_the_lane_was_empty(db):
    fill(db)
    db.sql("create table moved as select * from errand.job where lane = 1")
    db.sql("delete from errand.job where lane = 1")
    db.sql("analyze errand.job")
    db.sql("insert into errand.job select * from moved")


def analysed_when_full_and_drained(db):
    fill(db)
    db.sql("analyze errand.job")
    db.sql("delete from errand.job where lane > 1")
    db.sql("vacuum errand.job")


STATES = [never_analysed, analysed_when_empty, analysed_when_the_lane_was_empty, analysed_when_full_and_drained]


@pytest.fixture(params=STATES, ids=lambda state: state.__name__)
def db(request):
    with QueueDatabase(shared_cluster(vector=False)) as db:
        request.param(db)
        db.sql(SETTINGS)
        yield db


def plan(db, name, params, mode):
    return plan_text(db, read_statements(QUEUE_SQL.read_text(encoding="utf-8"))[name], params, mode)


def plan_text(db, text, params, mode):
    db.sql("deallocate all")
    db.sql(f"set plan_cache_mode = {mode}")
    db.sql(f"prepare asked as {text}")
    return "\n".join(row[0] for row in db.sql(f"explain (costs off) execute asked({params})"))


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", BY_ID)
def test_jobs_by_id_are_found_by_the_primary_key(db, name, mode):
    found = plan(db, name, ", ".join(BY_ID[name]), mode)
    assert set(re.findall(r"(?:using|on) (job_\w+)", found)) == {"job_pkey"}, found
    for condition in re.findall(r"Index Cond: (.*lane = .*)", found.replace("lane_pkey on lane", "")):
        if "job" in found and condition != "(lane = 1)" and condition != "(lane = $1)":
            assert "id = ANY" in condition or "id >= " in condition, found
    assert "id >= " in found


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_a_lane_is_read_in_its_order(db, mode):
    found = plan(db, "lane_read", "1, '{0,1,2,3}', '{-infinity,-infinity,-infinity,-infinity}', '{0,0,0,0}', '{9,9,9,9}', now(), '{probe.run}', false",
                 mode)
    assert set(re.findall(r"using (job_\w+)", found)) == {"job_ready"}, found
    assert "Sort" not in found and "Seq Scan on job" not in found, found


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_each_lane_of_a_look_is_read_in_its_order(db, mode):
    text = re.search(r"return query(.*?);", db.one("select prosrc from pg_proc where proname = 'lanes_look'"), re.DOTALL)[1]
    for variable, param in (("at_lane", "$1::integer"), ("lanes_look.since", "$2::timestamptz"), ("lanes_look.until", "$3::timestamptz"),
                            ("lanes_look.most", "$4::integer")):
        assert variable in text
        text = text.replace(variable, param)
    found = plan_text(db, text, "1, '-infinity', now(), 32", mode)
    assert set(re.findall(r"using (job_\w+)", found)) == {"job_ready"}, found
    assert "Sort" not in found and "Seq Scan on job" not in found and "run_at <= " in re.search(r"Index Cond: (.*)", found)[1], found


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_what_jobs_leave_behind_is_found_by_their_ids(name, mode):
    table = LEFT_BEHIND[name]
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("create table rows as select 1 as lane, id as job_id, 'a' as name, '1'::jsonb as result, '1'::jsonb as payload, 1 as attempt"
               " from generate_series(1, 20000) id")
        columns = "lane, job_id, name, " + ("attempt, result" if table == "step" else "payload")
        db.sql(f"insert into errand.{table} ({columns}) select {columns.replace('lane', '2', 1)} from rows")
        db.sql(f"analyze errand.{table}")
        db.sql(f"insert into errand.{table} ({columns}) select {columns} from rows")
        db.sql(SETTINGS)
        found = plan(db, name, "1, '{1,2,3}'", mode)
        assert re.search(r"Index Cond: .*job_id >= ", found), found
