-- Log lines of jobs: what handlers tell with errand_log, kept as long as the history of their queue.

-- Append-only, by day as errand.history. The runner writes lines in batches, with completions or by themselves, and sends a batch again whose answer was
-- lost: the key keeps a line from standing twice. logged_at is the runner's reading of the database's clock, and never goes back within an attempt.
create table errand.job_log (
    lane integer not null,
    attempt smallint not null,
    level smallint not null check (level between 0 and 3), -- debug, info, warn, error
    line integer not null, -- of the attempt, from 1
    job_id bigint not null,
    logged_at timestamptz not null,
    keep_until date not null,
    message text not null,
    primary key (lane, job_id, logged_at, line, keep_until)
) partition by range (keep_until);
create index job_log_job on errand.job_log (job_id);
create table errand.job_log_rest partition of errand.job_log default;

-- A row per line; in their order: order by logged_at, line.
create view errand.job_logs with (security_invoker = true) as
select g.job_id as id, g.lane, l.queue, g.attempt, g.logged_at, g.line,
    (array['debug', 'info', 'warn', 'error'])[g.level + 1] as level, g.message
from errand.job_log g join errand.lane l on l.lane = g.lane;

select errand.history_maintain();

grant select on errand.job_log, errand.job_logs to errand_viewer, errand_operator, errand_runner;
grant insert on errand.job_log to errand_runner;
