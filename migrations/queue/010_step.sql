-- Steps: what a handler has done of a long job, each with its result, so that the next attempt goes on behind them.

-- They stand while the job is owed or a dead letter. The statement that writes one names the attempt that it comes from, and locks the job's row.
create table errand.step (
    lane integer not null,
    job_id bigint not null,
    attempt smallint not null,
    finished_at timestamptz not null default clock_timestamp(),
    name text not null check (octet_length(name) between 1 and 200),
    result jsonb not null,
    primary key (lane, job_id, name)
);
create index step_job on errand.step (job_id);

-- A row per step of a job that is owed or dead.
create view errand.steps with (security_invoker = true) as
select s.job_id as id, s.lane, l.queue, s.name, s.attempt, s.finished_at, pg_catalog.octet_length(s.result::text) as bytes, s.result
from errand.step s join errand.lane l on l.lane = s.lane;

-- Forgets the steps of jobs that have ended without a look at them: a redriven one, say, whose handler asked for none this time. The runner calls it.
create function errand.steps_forget() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    at_lane integer;
begin
    for at_lane in select l.lane from errand.lane l order by l.lane loop
        delete from errand.step s
        where s.lane = at_lane
            and not exists (select from errand.job j where j.lane = s.lane and j.id = s.job_id offset 0)
            and not exists (select from errand.dead_letter d where d.lane = s.lane and d.id = s.job_id offset 0);
    end loop;
end
$$;

revoke all on function errand.steps_forget from public;
grant execute on function errand.steps_forget to errand_runner;
grant select on errand.step, errand.steps to errand_viewer, errand_operator, errand_runner;
grant insert, delete on errand.step to errand_runner;
