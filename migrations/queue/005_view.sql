-- What operators look at.

-- One row per job, owed or ended.
create view errand.jobs with (security_invoker = true) as
select j.id, j.lane, l.queue, j.kind,
    case when j.claimed_by is not null then 'running' when j.run_at > pg_catalog.now() then 'scheduled' else 'ready' end as state,
    j.priority, j.run_at, j.attempt, coalesce(j.max_attempts, k.max_attempts, 20) as max_attempts, j.key, j.args,
    j.progress, j.claimed_by as runner, j.started_at, null::timestamptz as finished_at, j.last_error, j.created_at
from errand.job j join errand.lane l on l.lane = j.lane left join errand.kind k on k.name = j.kind
union all
select h.id, h.lane, l.queue, h.kind, h.outcome, h.priority, h.run_at, h.attempt, null, h.key, h.args,
    null, h.runner, h.started_at, h.finished_at, h.error, h.created_at
from errand.history h join errand.lane l on l.lane = h.lane;

create view errand.queues with (security_invoker = true) as
select q.name, q.lanes, coalesce(q.paused_until > pg_catalog.now(), false) as paused,
    case when q.paused_until > pg_catalog.now() then q.pause_reason end as pause_reason, q.paused_until,
    coalesce(c.ready, 0) as ready, coalesce(c.scheduled, 0) as scheduled, coalesce(c.running, 0) as running, c.oldest_due
from errand.queue q left join (
    select l.queue, pg_catalog.count(*) filter (where j.claimed_by is null and j.run_at <= pg_catalog.now()) as ready,
        pg_catalog.count(*) filter (where j.claimed_by is null and j.run_at > pg_catalog.now()) as scheduled,
        pg_catalog.count(*) filter (where j.claimed_by is not null) as running,
        pg_catalog.min(j.run_at) filter (where j.claimed_by is null and j.run_at <= pg_catalog.now()) as oldest_due
    from errand.lane l join errand.job j on j.lane = l.lane group by l.queue
) c on c.queue = q.name;

create view errand.runners with (security_invoker = true) as
select r.id, r.name, r.version, r.queues, r.started_at, r.lease_until, r.lease_until > pg_catalog.clock_timestamp() as alive,
    (select pg_catalog.count(*) from errand.lane l where l.owner = r.id) as lanes, r.running, r.concurrency, r.stopping
from errand.runner r;
