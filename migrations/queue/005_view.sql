-- What operators look at.

-- One row per job, owed or ended. A job that is dead is told of while its dead letter stands: once it is redriven it is owed again.
create view errand.jobs with (security_invoker = true) as
select j.id, j.lane, l.queue, j.kind,
    case when j.claimed_by is not null then 'running' when j.held then 'held' when j.waiting_for > 0 then 'waiting'
        when j.run_at > pg_catalog.now() then case when j.waits_signal is null then 'scheduled' else 'waiting' end else 'ready' end as state,
    j.priority, case when j.waiting_for > 0 then j.wanted_at else j.run_at end as run_at, j.attempt,
    coalesce(j.max_attempts, k.max_attempts, 20) as max_attempts, j.key, j.args, j.progress, j.claimed_by as runner, j.started_at,
    null::timestamptz as finished_at, j.last_error, j.created_at, null::text as error_class, j.tags, j.expires_at,
    coalesce(j.waiting_for, 0) as waiting_for, null::jsonb as result, j.trace, j.waits_signal
from errand.job j join errand.lane l on l.lane = j.lane left join errand.kind k on k.name = j.kind
union all
select h.id, h.lane, l.queue, h.kind, h.outcome, h.priority, h.run_at, h.attempt, null, h.key, h.args,
    null, h.runner, h.started_at, h.finished_at, h.error, h.created_at, h.error_class, h.tags, null, 0, h.result, h.trace, null
from errand.history h join errand.lane l on l.lane = h.lane
where h.outcome <> 'dead' or exists (
    select from errand.dead_letter d where d.lane = h.lane and d.id = h.id and d.died_at = h.finished_at);

-- A row per queue: its settings, and what is in it. Nothing is counted further than 10,000 a lane and priority (more: there are more), and what
-- runs is as the runners said at their last beat. waits: what keeps its due jobs from starting, as they said then ('rate', 'concurrency', ...).
create view errand.queues with (security_invoker = true) as
select q.name, q.lanes, coalesce(q.paused_until > pg_catalog.now(), false) as paused,
    case when q.paused_until > pg_catalog.now() then q.pause_reason end as pause_reason, q.paused_until,
    coalesce(c.ready, 0) as ready, coalesce(c.scheduled, 0) as scheduled, coalesce(r.running, 0) as running, c.oldest_due,
    coalesce(c.waiting, 0) as waiting, coalesce(c.held, 0) as held, coalesce(c.more, false) as more, r.waits,
    q.concurrency, q.rate, q.burst, q.key_concurrency, q.key_rate, q.key_burst, q.key_ordered, q.history_days
from errand.queue q
left join lateral (
    select pg_catalog.sum(due.n)::bigint as ready, pg_catalog.sum(later.n + never.n)::bigint as scheduled,
        pg_catalog.sum(later.waiting + never.waiting)::bigint as waiting, pg_catalog.sum(never.held)::bigint as held, pg_catalog.min(due.oldest) as oldest_due,
        pg_catalog.bool_or(due.n = 10000 or later.n + later.waiting = 10000 or never.n + never.waiting + never.held = 10000) as more
    from errand.lane l
    cross join (values (0::smallint), (1::smallint), (2::smallint), (3::smallint)) p(priority)
    cross join lateral (
        select pg_catalog.count(*) as n, pg_catalog.min(x.run_at) as oldest
        from (select j.run_at from errand.job j
            where j.lane = l.lane and j.priority = p.priority and j.run_at <= pg_catalog.now() and j.claimed_by is null
            order by j.run_at, j.id limit 10000) x
    ) due
    cross join lateral (
        select pg_catalog.count(*) filter (where x.waits_signal is null) as n, pg_catalog.count(x.waits_signal) as waiting
        from (select j.waits_signal from errand.job j
            where j.lane = l.lane and j.priority = p.priority and j.run_at > pg_catalog.now() and j.run_at < 'infinity'
                and j.claimed_by is null
            order by j.run_at, j.id limit 10000) x
    ) later
    cross join lateral (
        select pg_catalog.count(*) filter (where x.held) as held,
            pg_catalog.count(*) filter (where (x.waiting_for > 0 or x.waits_signal is not null) and not x.held) as waiting,
            pg_catalog.count(*) filter (where coalesce(x.waiting_for, 0) = 0 and x.waits_signal is null and not x.held) as n
        from (select j.held, j.waiting_for, j.waits_signal from errand.job j
            where j.lane = l.lane and j.priority = p.priority and j.run_at = 'infinity' and j.claimed_by is null
            order by j.id limit 10000) x
    ) never
    where l.queue = q.name
) c on true
left join lateral (
    select pg_catalog.sum((r.state -> q.name ->> 'running')::bigint)::bigint as running,
        pg_catalog.string_agg(distinct r.state -> q.name ->> 'waits', ', ') as waits
    from errand.runner r where r.lease_until > pg_catalog.clock_timestamp() and r.state ? q.name
) r on true;

create view errand.runners with (security_invoker = true) as
select r.id, r.name, r.version, r.queues, r.started_at, r.lease_until, errand.runner_alive(r.id) as alive,
    (select pg_catalog.count(*) from errand.lane l where l.owner = r.id) as lanes, r.running, r.concurrency, r.stopping, r.kinds, r.state
from errand.runner r;

-- A row per kind that a runner has served or an operator has set something for. retry: the policies that operators set, by class of
-- error ('' for all others), in place of the kind's own; runners: how many know it now.
create view errand.kinds with (security_invoker = true) as
select n.name, k.queue, k.max_attempts, pg_catalog.make_interval(secs => k.timeout_ms / 1000.0) as timeout,
    coalesce(s.paused_until > pg_catalog.now(), false) as paused,
    case when s.paused_until > pg_catalog.now() then s.pause_reason end as pause_reason, s.paused_until,
    s.concurrency, coalesce(s.keep, 'all') as keep,
    (select pg_catalog.jsonb_object_agg(t.error_class, pg_catalog.jsonb_build_object('policy', t.policy, 'delays_ms', t.delays_ms,
        'max_attempts', t.max_attempts)) from errand.kind_retry t where t.kind = n.name) as retry,
    (select pg_catalog.count(*) from errand.runner r
        where n.name = any (r.kinds) and r.lease_until > pg_catalog.clock_timestamp()) as runners
from (select k.name from errand.kind k union select s.name from errand.kind_setting s union select t.kind from errand.kind_retry t) n
left join errand.kind k on k.name = n.name left join errand.kind_setting s on s.name = n.name;

-- Per minute, over all runners: errand.statistic says what the columns mean. Ask for a time (minute >= ...), and it reads that time only.
create view errand.statistics with (security_invoker = true) as
select b.minute, b.queue, b.kind, b.outcome, pg_catalog.sum(b.jobs) filter (where b.n = 1)::bigint as jobs,
    pg_catalog.sum(b.wait_us) filter (where b.n = 1)::bigint as wait_us, pg_catalog.sum(b.run_us) filter (where b.n = 1)::bigint as run_us,
    pg_catalog.array_agg(b.waits order by b.n) as waits, pg_catalog.array_agg(b.runs order by b.n) as runs
from (
    select s.minute, s.queue, s.kind, s.outcome, u.n, pg_catalog.sum(s.jobs) as jobs, pg_catalog.sum(s.wait_us) as wait_us,
        pg_catalog.sum(s.run_us) as run_us, pg_catalog.sum(u.waits)::bigint as waits, pg_catalog.sum(u.runs)::bigint as runs
    from errand.statistic s cross join lateral unnest(s.waits, s.runs) with ordinality u(waits, runs, n)
    group by s.minute, s.queue, s.kind, s.outcome, u.n
) b
group by b.minute, b.queue, b.kind, b.outcome;
