-- Statements of the runner. $1 is the lane wherever one is read or written, so that each goes to one place.

-- Where jobs are found by ids, the least and the greatest of them are named as well: a planner that believes a lane to be all but empty reads it whole
-- for `id = any`, and then reads no more than what stands between these.

-- name: runner_register
-- $1 name, $2 version, $3 queues, $4 concurrency, $5 lease in ms, $6 true on a direct connection: the backend is named too, $7 kinds.
insert into errand.runner (name, version, queues, kinds, concurrency, lease_until, backend_pid, backend_start)
select $1, $2, $3::text[], $7::text[], $4::integer, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $5::double precision / 1000),
    a.pid, a.backend_start
from (select 1) one left join pg_catalog.pg_stat_activity a on a.pid = pg_catalog.pg_backend_pid() and $6::boolean
returning id, pg_catalog.clock_timestamp()

-- name: runner_listen
select errand.runner_listen($1::bigint)

-- name: runner_beat
-- Renews the lease: $1 runner, $2 lease in ms, $3 running, $4 stopping, $5 queues served (null: all), $6 direct: this connection's backend is named,
-- $7 what runs and waits, by queue. A row per queue (one without a
-- name when there is none), with the time,
-- whether the lease still stood, whether a lane is free, the runners that serve it, its lanes, how many of them one runner owns at most,
-- whether another has no free slot, those of ours that others want, a marker that changes with the settings of kinds, its limits, whether the clock of
-- schedules is ours, and their first fire time.
with t as materialized (
    select pg_catalog.clock_timestamp() as now,
        pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $2::double precision / 1000) as lease_until
), beat as (
    update errand.runner r set lease_until = t.lease_until, running = $3::integer, stopping = $4::boolean, state = $7::jsonb,
        backend_pid = a.pid, backend_start = a.backend_start
    from t left join pg_catalog.pg_stat_activity a on a.pid = pg_catalog.pg_backend_pid() and $6::boolean
    where r.id = $1::bigint
    returning r.id
), alive as materialized (
    select r.id, r.queues, r.stopping
    from errand.runner r, t
    where r.lease_until >= t.now and (r.backend_pid is null or exists (
        select from pg_catalog.pg_stat_activity a
        where a.pid = r.backend_pid and (a.backend_start = r.backend_start or a.backend_start is null)))
)
select t.now, (select pg_catalog.count(*) from beat) as alive, q.name, q.paused_until, q.pause_reason,
    exists (select from errand.lane l
        where l.queue = q.name and (l.owner is null or not exists (select from alive a where a.id = l.owner))) as free,
    (select pg_catalog.count(*) from alive a
        where not a.stopping and (a.queues = '{*}' or q.name = any (a.queues)))::integer as runners,
    q.lanes, q.history_days,
    (select pg_catalog.max(c.lanes) from (select pg_catalog.count(*) as lanes from errand.lane l
        where l.queue = q.name and l.owner is not null group by l.owner) c)::integer as most,
    exists (select from errand.lane l join errand.runner r on r.id = l.owner
        where l.queue = q.name and r.id <> $1::bigint and r.running >= r.concurrency) as saturated,
    (select pg_catalog.array_to_string(pg_catalog.array_agg(l.lane), ' ') from errand.lane l
        where l.queue = q.name and l.owner = $1::bigint and l.wanted_by is not null) as wanted,
    coalesce((select pg_catalog.bit_xor(pg_catalog.hashtextextended(x.line, 0)) from (
        select s::text as line from errand.kind_setting s union all select r::text from errand.kind_retry r) x), 0) as kinds_marker,
    errand.queue_is_whole(q.name) as whole, q.concurrency, q.rate::text, q.burst::text, q.key_concurrency, q.key_rate::text, q.key_burst::text,
    q.key_ordered, coalesce((select pg_catalog.min(a.id) from alive a where not a.stopping) = $1::bigint, false) as clock,
    (select s.next_at from errand.schedule s where s.enabled and s.problem is null order by s.next_at limit 1) as schedule_at
from t left join errand.queue q on $5::text[] is null or q.name = any ($5::text[])

-- name: runner_stopping
-- Others count their share of the lanes without it.
update errand.runner set stopping = true where id = $1::bigint

-- name: runner_leave
delete from errand.runner where id = $1::bigint

-- name: runners_forget
-- Runners that are long gone and own nothing.
delete from errand.runner r
where r.lease_until < pg_catalog.now() - interval '1 hour'
    and not exists (select from errand.lane l where l.owner = r.id)

-- name: runner_kinds
-- $1 runner, $2 the kinds that it serves from now on.
update errand.runner set kinds = $2::text[] where id = $1::bigint

-- name: kinds_register
-- $1 names, $2 queues, $3 max_attempts, $4 timeouts in ms.
insert into errand.kind as k (name, queue, max_attempts, timeout_ms)
select n.name, n.queue, n.max_attempts, n.timeout_ms
from unnest($1::text[], $2::text[], $3::smallint[], $4::integer[]) n(name, queue, max_attempts, timeout_ms)
on conflict (name) do update set queue = excluded.queue, max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms
where (k.queue, k.max_attempts, k.timeout_ms) is distinct from (excluded.queue, excluded.max_attempts, excluded.timeout_ms)

-- name: kind_settings
-- What operators set for the kinds $1: a row each, and one for each of their retry policies (its delays in ms as a text).
select s.name, s.paused_until, s.concurrency, s.keep, null::text as error_class, null::text as policy, null::text as delays,
    null::smallint as max_attempts
from errand.kind_setting s where s.name = any ($1::text[])
union all
select r.kind, null, null, null, r.error_class, r.policy, pg_catalog.array_to_string(r.delays_ms, ' '), r.max_attempts
from errand.kind_retry r where r.kind = any ($1::text[])

-- name: queues_missing
-- Makes the queues that kinds name and that nobody made: $1 names, $2 lanes.
select errand.queue_create(n.name, n.lanes)
from (select x.name, pg_catalog.min(x.lanes) as lanes from unnest($1::text[], $2::integer[]) x(name, lanes) group by x.name) n
where not exists (select from errand.queue q where q.name = n.name)

-- name: lanes_free
-- Lanes that nobody owns, or whose owner is gone: $1 queues served (null: all), $2 this runner. crashed: it was not let go in order. With the tokens of
-- the queue's rate as the last owner left them (null: not known), and how long ago; and whether it was left to us. What was left to another one is his
-- for three seconds.
select l.lane, l.queue, l.epoch, l.owner is not null as crashed, l.shard, errand.queue_is_whole(l.queue) as whole,
    (l.tokens * 1000000)::bigint as tokens,
    (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - l.tokens_at) * 1000000)::bigint as tokens_age,
    coalesce(l.owner is null and l.wanted_by = $2::bigint, false) as ours
from errand.lane l left join errand.runner r on r.id = l.owner
where ($1::text[] is null or l.queue = any ($1::text[]))
    and (l.owner is null or r.id is null or r.lease_until < pg_catalog.clock_timestamp()
        or (r.backend_pid is not null and not exists (
            select from pg_catalog.pg_stat_activity a
            where a.pid = r.backend_pid and (a.backend_start = r.backend_start or a.backend_start is null))))
    and (l.owner is not null or l.wanted_by is null or l.wanted_by = $2::bigint or not errand.runner_alive(l.wanted_by)
        or l.tokens_at < pg_catalog.clock_timestamp() - interval '3 seconds')
order by l.lane

-- name: lanes_owned
select l.lane, l.epoch from errand.lane l where l.owner = $1::bigint

-- name: lane_acquire
-- $2 runner, $3 epoch seen. The owner of before is looked at once more, under a lock that its beat waits for: it may have come back. The lanes of a
-- whole queue go to who has its first one.
with old as materialized (
    select r.lease_until, r.backend_pid, r.backend_start
    from errand.lane l join errand.runner r on r.id = l.owner
    where l.lane = $1::integer and l.epoch = $3::bigint
    for no key update of r
)
update errand.lane l set owner = $2::bigint, epoch = l.epoch + 1, armed = false, wanted_by = null, acquired_at = t.now, tokens = null
from (select pg_catalog.clock_timestamp() as now) t
where l.lane = $1::integer and l.epoch = $3::bigint and not exists (
    select from old o
    where o.lease_until >= t.now and (o.backend_pid is null or exists (
        select from pg_catalog.pg_stat_activity a
        where a.pid = o.backend_pid and (a.backend_start = o.backend_start or a.backend_start is null))))
    and (l.shard = 0 or not errand.queue_is_whole(l.queue)
        or exists (select from errand.lane z where z.queue = l.queue and z.shard = 0 and z.owner = $2::bigint))
returning l.epoch

-- name: lane_arm
-- $2 epoch, $3 armed.
update errand.lane l set armed = $3::boolean where l.lane = $1::integer and l.epoch = $2::bigint and l.armed <> $3::boolean

-- name: lane_release
-- $2 epoch, $3 tokens of the queue's rate, $4 the runner that it is kept for (null: none). The jobs that run were written down before.
update errand.lane l set owner = null, armed = false, wanted_by = $4::bigint, tokens = $3::double precision, tokens_at = t.now
from (select pg_catalog.clock_timestamp() as now) t
where l.lane = $1::integer and l.epoch = $2::bigint

-- name: runner_for_kind
-- A runner beside $2 that may have lane $1 and knows kind $3: the one with the most free slots.
select r.id
from errand.lane l join errand.runner r on r.queues = '{*}' or l.queue = any (r.queues)
where l.lane = $1::integer and r.id <> $2::bigint and not r.stopping and $3 = any (r.kinds) and errand.runner_alive(r.id)
order by r.concurrency - r.running desc, r.id
limit 1

-- name: lane_tell_ended
-- A job that ended here, of a lane that is another's by now, which counts it as running: $2 id.
select pg_catalog.pg_notify('errand.' || l.owner, 'ended ' || l.lane || ' ' || $2)
from errand.lane l where l.lane = $1::integer and l.owner is not null

-- name: lanes_spread
-- Who owns what of a queue: $1 queue, $2 kinds of the runner that asks, which has less than its share and free slots.
select l.lane, l.epoch, l.owner, l.wanted_by is not null as wanted, r.running >= r.concurrency as saturated,
    r.running >= r.concurrency and l.wanted_by is null and errand.lane_is_stuck(l.lane, r.id, r.concurrency, $2::text[]) as stuck
from errand.lane l join errand.runner r on r.id = l.owner
where l.queue = $1
order by l.lane

-- name: lane_want
-- Asks the owner for a lane: $2 epoch seen, $3 runner that asks.
update errand.lane l set wanted_by = $3::bigint
where l.lane = $1::integer and l.epoch = $2::bigint and l.wanted_by is null

-- name: runner_tell
-- $1 runner, $2 message.
select pg_catalog.pg_notify('errand.' || $1, $2)

-- name: runners_tell_free
-- All but $1: a lane is free.
select pg_catalog.pg_notify('errand.' || r.id, 'free') from errand.runner r where r.id <> $1::bigint

-- name: lane_wake
-- A job that was put back by a runner that no longer owns its lane: $2 run_at in us.
select errand.lanes_wake(array[$1::integer], array[pg_catalog.to_timestamp($2::double precision / 1000000)])

-- name: lane_read
-- What a lane holds after the cursors, one priority class at a time, due by the horizon: $2 classes, $3 and $4 cursors (run_at, id), $5
-- limits, $6 horizon, $7 kinds: only theirs come with args, $8 whether the order of a key counts: then with the job that goes before. And of each
-- class the next one after the horizon (later true; it is told, not held). Nought and false come as null: most rows have little else, and a null
-- costs next to nothing on either side.
select c.priority, j.run_at, j.id, nullif(j.attempt, 0::smallint) as attempt, nullif(j.revision, 0) as revision, j.max_attempts, j.timeout_ms, j.claimed_by,
    nullif(j.cancel_requested, false) as cancel_requested,
    j.kind, case when j.kind = any ($7::text[]) then j.args::text end, null::boolean as later,
    case when j.claimed_by is not null then errand.runner_alive(j.claimed_by) end as claimer_alive, j.expires_at, j.key,
    case when $8::boolean then j.created_at end,
    case when $8::boolean and j.key is not null then errand.job_before(j.lane, j.key, j.created_at, j.id) end as after_id, j.trace
from unnest($2::smallint[], $3::timestamptz[], $4::bigint[], $5::integer[]) c(priority, run_at, id, n)
cross join lateral (
    select j.* from errand.job j
    where j.lane = $1::integer and j.priority = c.priority and (j.run_at, j.id) > (c.run_at, c.id)
        and j.run_at <= $6::timestamptz
    order by j.run_at, j.id limit c.n
) j
union all
select c.priority, j.run_at, j.id, null, null, null, null, null, null, null, null, true, null, null, null, null, null, null
from unnest($2::smallint[]) c(priority)
cross join lateral (
    select j.run_at, j.id from errand.job j
    where j.lane = $1::integer and j.priority = c.priority and j.run_at > $6::timestamptz and j.run_at < 'infinity'
    order by j.run_at limit 1
) j

-- name: lane_poll
-- lane_read for a lane that was read to its end a moment ago, at a fraction of its cost: all classes from one time ($2) to the horizon ($3), $4
-- limit, $5 kinds, in no order, and nothing of what comes later. With as many rows as the limit there may be more.
select j.priority, j.run_at, j.id, nullif(j.attempt, 0::smallint) as attempt, nullif(j.revision, 0) as revision, j.max_attempts, j.timeout_ms, j.claimed_by,
    nullif(j.cancel_requested, false) as cancel_requested,
    j.kind, case when j.kind = any ($5::text[]) then j.args::text end, null::boolean as later,
    case when j.claimed_by is not null then errand.runner_alive(j.claimed_by) end as claimer_alive, j.expires_at, j.key,
    null::timestamptz, null::bigint as after_id, j.trace
from errand.job j
where j.lane = $1::integer and j.priority = any ('{0,1,2,3}'::smallint[]) and j.run_at >= $2::timestamptz and j.run_at <= $3::timestamptz
limit $4::integer

-- name: lanes_look
-- lane_read for lanes that are idle, all of them in one statement: $1 lanes, $2 from, $3 horizon, $4 until when the next ones are told (later true), $5
-- limit of a lane and class. In the order of $1, and without args: what is new in a lane is read by lane_read.
select f.priority, f.run_at, f.id, null::smallint as attempt, nullif(f.revision, 0) as revision, null::smallint as max_attempts,
    null::integer as timeout_ms, f.claimed_by, nullif(f.cancel_requested, false) as cancel_requested, f.kind, null::text as args,
    nullif(f.run_at > $3::timestamptz, false) as later,
    case when f.claimed_by is not null then errand.runner_alive(f.claimed_by) end as claimer_alive, null::timestamptz as expires_at,
    null::text as key, null::timestamptz as created_at, null::bigint as after_id, null::text as trace, f.lane
from errand.lanes_look($1::integer[], $2::timestamptz, $4::timestamptz, $5::integer) f

-- name: lane_read_key
-- The first jobs of a key, in the form of lane_read: $2 key, $3 limit, $4 horizon, $5 kinds, $6 whether its order counts.
select j.priority, j.run_at, j.id, nullif(j.attempt, 0::smallint) as attempt, nullif(j.revision, 0) as revision, j.max_attempts, j.timeout_ms, j.claimed_by,
    nullif(j.cancel_requested, false) as cancel_requested,
    j.kind, case when j.kind = any ($5::text[]) then j.args::text end, null::boolean as later,
    case when j.claimed_by is not null then errand.runner_alive(j.claimed_by) end as claimer_alive, j.expires_at, j.key,
    case when $6::boolean then j.created_at end,
    case when $6::boolean then errand.job_before(j.lane, j.key, j.created_at, j.id) end as after_id, j.trace
from (
    select s.* from errand.job s where s.lane = $1::integer and s.key = $2 and s.key_shared
    union all
    select u.* from errand.job u where u.lane = $1::integer and u.key = $2 and not u.key_shared
) j
where j.run_at <= $4::timestamptz
order by case when $6::boolean then 0 else j.priority end, case when $6::boolean then j.created_at else j.run_at end, j.id
limit $3::integer

-- name: lane_read_kind
-- The first jobs of a kind that are due from a time on, in the form of lane_read: $2 kind, $3 from, $4 limit, $5 horizon, $6 kinds, $7 whether the
-- order of keys counts.
select j.priority, j.run_at, j.id, nullif(j.attempt, 0::smallint) as attempt, nullif(j.revision, 0) as revision, j.max_attempts, j.timeout_ms, j.claimed_by,
    nullif(j.cancel_requested, false) as cancel_requested,
    j.kind, case when j.kind = any ($6::text[]) then j.args::text end, null::boolean as later,
    case when j.claimed_by is not null then errand.runner_alive(j.claimed_by) end as claimer_alive, j.expires_at, j.key,
    case when $7::boolean then j.created_at end,
    case when $7::boolean and j.key is not null then errand.job_before(j.lane, j.key, j.created_at, j.id) end as after_id, j.trace
from unnest(array[0, 1, 2, 3]::smallint[]) c(priority)
cross join lateral (
    select j.* from errand.job j
    where j.lane = $1::integer and j.priority = c.priority and j.run_at >= $3::timestamptz and j.run_at <= $5::timestamptz
        and j.kind = $2
    order by j.run_at, j.id limit $4::integer
) j
order by j.priority, j.run_at, j.id
limit $4::integer

-- name: lane_cancelled
-- Which of these jobs ($2), which run on after the lane was handed over, somebody wants to end.
select j.lane, j.id from errand.job j
where j.lane = $1::integer and j.id = any ($2::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($2::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($2::bigint[]) b(id))
    and j.cancel_requested

-- name: lane_claimed
-- What other runners that live still run of a lane: $2 this runner.
select j.id, j.kind, j.key
from errand.job j
where j.lane = $1::integer and j.claimed_by is not null and j.claimed_by <> $2::bigint and errand.runner_alive(j.claimed_by)

-- name: attempt_lost
-- Attempts whose runner is gone, before job_claim counts the next one; as there, and $8 days that the history keeps them.
insert into errand.attempt (lane, attempt, id, started_at, finished_at, keep_until, runner, error_class, error)
select j.lane, j.attempt, j.id, j.started_at, pg_catalog.now(), pg_catalog.timezone('UTC', pg_catalog.now())::date + $8::integer, j.claimed_by,
    'lost', 'the runner ended during the attempt'
from unnest($4::bigint[], $5::smallint[], $6::integer[], $7::bigint[]) d(id, attempt, revision, started_us), errand.job j
where j.lane = $1::integer and j.id = any ($4::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
    and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision and not j.cancel_requested
    and j.claimed_by <> $3::bigint
    and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)

-- name: job_claim
-- Writes jobs down as running: $2 epoch, $3 runner, $4 ids, $5 attempts seen, $6 revisions seen, $7 start times in us. Of those that a cancel was asked
-- for it changes none, nor of those that somebody has locked. One whose answer was lost may be sent again as it is.
update errand.job j set attempt = d.attempt + 1::smallint, claimed_by = $3::bigint, started_at = d.started_at
from (
    select d.id, d.attempt, d.revision, pg_catalog.to_timestamp(d.started_us::double precision / 1000000) as started_at
    from unnest($4::bigint[], $5::smallint[], $6::integer[], $7::bigint[]) d(id, attempt, revision, started_us)
) d
where j.lane = $1::integer and j.id = any ($4::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
    and j.id = d.id and j.revision = d.revision and not j.cancel_requested
    and (j.attempt = d.attempt
        or (j.attempt = d.attempt + 1 and j.claimed_by = $3::bigint and j.started_at = d.started_at))
    and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)
    and j.id = any (array(
        select x.id from errand.job x
        where x.lane = $1::integer and x.id = any ($4::bigint[])
            and x.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        for no key update skip locked))
returning j.id

-- name: job_progress
-- What running jobs tell of themselves: $2 runner, $3 ids, $4 attempts, $5 JSON texts.
update errand.job j set progress = d.progress
from (
    select d.id, d.attempt, d.progress::jsonb as progress
    from unnest($3::bigint[], $4::smallint[], $5::text[]) d(id, attempt, progress)
) d
where j.lane = $1::integer and j.id = any ($3::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($3::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($3::bigint[]) b(id))
    and j.id = d.id and j.attempt = d.attempt and j.claimed_by = $2::bigint

-- name: step_read
-- What an attempt needs to know before it takes a step: whether the job is its own yet, as it was seen ($2 epoch, $3 runner, $4 id, $5 this attempt,
-- counted from 1, $6 revision), and the step's ($7) result where it was taken.
select exists (
        select from errand.job j
        where j.lane = $1::integer and j.id = $4::bigint and j.revision = $6::integer
            and ((j.claimed_by = $3::bigint and j.attempt = $5::smallint)
                or (j.claimed_by is null and j.attempt = $5::smallint - 1::smallint
                    and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)))),
    (select s.result::text from errand.step s where s.lane = $1::integer and s.job_id = $4::bigint and s.name = $7)

-- name: step_write
-- A step was taken: as step_read, and $8 its result. What stands under its name stays. The job's row is locked, so that a claim by another
-- runner comes before (then nothing is written) or behind. Tells whether the job is the attempt's own, and whether the step stands.
with own as materialized (
    select j.lane, j.id from errand.job j
    where j.lane = $1::integer and j.id = $4::bigint and j.revision = $6::integer
        and ((j.claimed_by = $3::bigint and j.attempt = $5::smallint)
            or (j.claimed_by is null and j.attempt = $5::smallint - 1::smallint
                and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)))
    for no key update of j
), before as materialized (
    select pg_catalog.count(*) as steps, coalesce(pg_catalog.bool_or(s.name = $7), false) as stands
    from errand.step s where s.lane = $1::integer and s.job_id = $4::bigint
), written as (
    insert into errand.step (lane, job_id, attempt, name, result)
    select o.lane, o.id, $5::smallint, $7, $8::jsonb from own o, before b where b.steps < 1000 and not b.stands
    on conflict (lane, job_id, name) do nothing
    returning 1
)
select exists (select from own), b.stands or exists (select from written) from before b

-- name: steps_drop
-- Steps of jobs that end in this transaction, or that have ended: $2 ids. Those of a job that is owed or dead stay.
delete from errand.step s
where s.lane = $1::integer and s.job_id = any ($2::bigint[])
    and s.job_id between (select pg_catalog.min(b.id) from unnest($2::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($2::bigint[]) b(id))
    and not exists (select from errand.job j where j.lane = $1::integer and j.id = s.job_id offset 0)
    and not exists (select from errand.dead_letter d where d.lane = $1::integer and d.id = s.job_id offset 0)

-- name: job_log_write
-- Lines that handlers logged: $1 lanes, $2 jobs, $3 attempts, $4 levels, $5 numbers in the attempt, $6 times in us, $7 days that the history keeps them, $8 texts.
insert into errand.job_log (lane, job_id, attempt, level, line, logged_at, keep_until, message)
select g.lane, g.job_id, g.attempt, g.level, g.line, g.logged_at, pg_catalog.timezone('UTC', g.logged_at)::date + g.days, g.message
from (
    select g.lane, g.job_id, g.attempt, g.level, g.line, pg_catalog.to_timestamp(g.logged_us::double precision / 1000000) as logged_at, g.days, g.message
    from unnest($1::integer[], $2::bigint[], $3::smallint[], $4::smallint[], $5::integer[], $6::bigint[], $7::integer[], $8::text[])
        g(lane, job_id, attempt, level, line, logged_us, days, message)
) g
on conflict do nothing

-- name: steps_forget
select errand.steps_forget()

-- name: job_own
-- Locks a job that is an attempt's own yet, as it was seen ($2 epoch, $3 runner, $4 id, $5 this attempt, counted from 1, $6 revision). No row: it is not.
select j.id
from errand.job j
where j.lane = $1::integer and j.id = $4::bigint and j.revision = $6::integer
    and ((j.claimed_by = $3::bigint and j.attempt = $5::smallint)
        or (j.claimed_by is null and j.attempt = $5::smallint - 1::smallint
            and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)))
for no key update of j

-- name: signal_read
-- Behind job_own: what was sent to job $2 under name $3 (null: nothing), whether its wait for that is over without, and until when it is to wait, in
-- us: as an attempt before said, or $4 ms from now (null: for ever).
select s.payload::text, s.payload is null and coalesce(s.until <= t.now, false),
    (pg_catalog.date_part('epoch', case when s.waited_at is not null then s.until
        else t.now + pg_catalog.make_interval(secs => $4::double precision / 1000) end) * 1000000)::bigint
from (select pg_catalog.clock_timestamp() as now) t
left join errand.signal s on s.lane = $1::integer and s.job_id = $2::bigint and s.name = $3

-- name: signals_drop
-- As steps_drop.
delete from errand.signal s
where s.lane = $1::integer and s.job_id = any ($2::bigint[])
    and s.job_id between (select pg_catalog.min(b.id) from unnest($2::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($2::bigint[]) b(id))
    and not exists (select from errand.job j where j.lane = $1::integer and j.id = s.job_id offset 0)
    and not exists (select from errand.dead_letter d where d.lane = $1::integer and d.id = s.job_id offset 0)

-- name: signals_forget
select errand.signals_forget()

-- name: job_done_first
-- Jobs that are done and were never written to since they were enqueued (attempt 0, revision 0, not claimed), in a lane that is still ours: $2
-- epoch, $3 expected number (-1: no check), $4 ids, ascending and near each other in the lane, as it is walked from the first one to the last: that
-- costs less than a way down the index for each; $5 start times, $6 runner, $7 days that the history keeps them. width_bucket finds an id's place
-- in $4 by halving. Tells as job_done.
with gone as (
    delete from errand.job j
    where j.lane = $1::integer and j.id between ($4::bigint[])[1] and ($4::bigint[])[pg_catalog.cardinality($4::bigint[])]
        and ($4::bigint[])[pg_catalog.width_bucket(j.id, $4::bigint[])] = j.id
        and j.attempt = 0 and j.revision = 0
        and exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint)
    returning j.lane, j.priority, j.id, j.run_at, j.created_at, j.kind, j.key, j.args, j.trace, j.tags, j.dependents
), told as (
    insert into errand.history (lane, attempt, priority, id, run_at, created_at, started_at, finished_at, keep_until, runner, outcome, kind, key,
        args, trace, tags)
    select g.lane, 1, g.priority, g.id, g.run_at, g.created_at,
        least(($5::timestamptz[])[pg_catalog.width_bucket(g.id, $4::bigint[])], pg_catalog.now()), pg_catalog.now(),
        (select pg_catalog.timezone('UTC', pg_catalog.now())::date + $7::integer), $6::bigint, 'done', g.kind, g.key, g.args, g.trace, g.tags
    from gone g
), ended as (
    insert into errand.parent_ended as p (lane, id, outcome)
    select g.lane, g.id, 'done' from gone g where g.dependents
    on conflict (lane, id) do update set outcome = excluded.outcome
    returning 1
)
select errand.completion_check($3::integer, n.done), (select pg_catalog.count(*) from ended),
    case when n.done < pg_catalog.cardinality($4::bigint[]) then (select pg_catalog.string_agg(x.id::text, ' ') from gone x) end
from (select pg_catalog.count(*) as done from gone) n

-- name: job_done
-- Jobs that are done (written down as ours, or in a lane that is still ours): $2 epoch, $3 expected number (-1: no check), $4 ids, $5 attempts, $6 revisions, $7 start times in us, $8
-- runner, $9 days that the history keeps them. Tells how many were done, how many of them others wait
-- for, and where some were not done, which were (ids; null: all, or none).
with gone as (
    delete from errand.job j
    using unnest($4::bigint[], $5::smallint[], $6::integer[], $7::bigint[]) d(id, attempt, revision, started_us)
    where j.lane = $1::integer and j.id = any ($4::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision
        and (j.claimed_by = $8::bigint
            or exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint))
    returning j.lane, j.attempt, j.priority, j.id, j.run_at, j.created_at, j.claimed_by, d.started_us, j.kind, j.key, j.args, j.trace, j.tags,
        j.dependents
), told as (
    insert into errand.history (lane, attempt, priority, id, run_at, created_at, started_at, finished_at, keep_until, runner, outcome, kind, key,
        args, trace, tags)
    select g.lane, case when g.claimed_by is null then g.attempt + 1 else g.attempt end, g.priority, g.id, g.run_at, g.created_at,
        least(pg_catalog.to_timestamp(g.started_us::double precision / 1000000), pg_catalog.now()), pg_catalog.now(),
        pg_catalog.timezone('UTC', pg_catalog.now())::date + $9::integer, $8::bigint, 'done', g.kind, g.key, g.args, g.trace, g.tags
    from gone g
), ended as (
    insert into errand.parent_ended as p (lane, id, outcome)
    select g.lane, g.id, 'done' from gone g where g.dependents
    on conflict (lane, id) do update set outcome = excluded.outcome
    returning 1
)
select errand.completion_check($3::integer, n.done), (select pg_catalog.count(*) from ended),
    case when n.done < pg_catalog.cardinality($4::bigint[]) then (select pg_catalog.string_agg(x.id::text, ' ') from gone x) end
from (select pg_catalog.count(*) as done from gone) n

-- name: job_done_unkept
-- As job_done, of kinds whose done jobs the history does not keep.
with gone as (
    delete from errand.job j
    using unnest($4::bigint[], $5::smallint[], $6::integer[]) d(id, attempt, revision)
    where j.lane = $1::integer and j.id = any ($4::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision
        and (j.claimed_by = $8::bigint
            or exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint))
    returning j.id, j.dependents
), ended as (
    insert into errand.parent_ended as p (lane, id, outcome)
    select $1::integer, g.id, 'done' from gone g where g.dependents
    on conflict (lane, id) do update set outcome = excluded.outcome
    returning 1
)
select errand.completion_check($3::integer, n.done), (select pg_catalog.count(*) from ended),
    case when n.done < pg_catalog.cardinality($4::bigint[]) then (select pg_catalog.string_agg(x.id::text, ' ') from gone x) end
from (select pg_catalog.count(*) as done from gone) n, (select $7::bigint[], $9::integer) unused

-- name: job_end
-- Jobs that end otherwise, or with a result: as job_done, and $10 outcomes, $11 reasons, $12 classes of errors, $13 whether the history keeps them,
-- $14 results. Those with outcome dead become dead letters.
with gone as (
    delete from errand.job j
    using unnest($4::bigint[], $5::smallint[], $6::integer[], $7::bigint[], $10::text[], $11::text[], $12::text[],
            $13::boolean[], $14::text[])
        d(id, attempt, revision, started_us, outcome, error, error_class, kept, result)
    where j.lane = $1::integer and j.id = any ($4::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision
        and (j.claimed_by = $8::bigint
            or exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint))
    returning j.lane, case when j.claimed_by is null and d.started_us is not null then j.attempt + 1 else j.attempt end as attempt,
        j.priority, j.id, j.run_at, j.created_at, d.started_us, j.kind, j.key, j.args, j.trace, j.timeout_ms, j.max_attempts,
        j.key_shared, j.expires_at, j.tags, j.dependents, d.outcome,
        case when d.outcome = 'cancelled' then coalesce(j.cancel_reason, d.error) else d.error end as error, d.error_class, d.kept, d.result
), dead as (
    insert into errand.dead_letter (lane, attempt, priority, id, run_at, created_at, timeout_ms, max_attempts, key_shared, expires_at,
        died_at, kind, key, args, error, trace, tags)
    select g.lane, g.attempt, g.priority, g.id, g.run_at, g.created_at, g.timeout_ms, g.max_attempts, g.key_shared, g.expires_at,
        pg_catalog.now(), g.kind, g.key, g.args, g.error, g.trace, g.tags
    from gone g where g.outcome = 'dead'
), told as (
    insert into errand.history (lane, attempt, priority, id, run_at, created_at, started_at, finished_at, keep_until, runner, outcome, kind, key,
        args, error, trace, tags, error_class, result)
    select g.lane, g.attempt, g.priority, g.id, g.run_at, g.created_at,
        case when g.started_us is not null then least(pg_catalog.to_timestamp(g.started_us::double precision / 1000000), pg_catalog.now()) end,
        pg_catalog.now(),
        pg_catalog.timezone('UTC', pg_catalog.now())::date + $9::integer, $8::bigint, g.outcome, g.kind, g.key, g.args, g.error, g.trace, g.tags,
        nullif(g.error_class, ''), g.result::jsonb
    from gone g where g.kept
), ended as (
    insert into errand.parent_ended as p (lane, id, outcome)
    select g.lane, g.id, g.outcome from gone g where g.dependents
    on conflict (lane, id) do update set outcome = excluded.outcome
    returning 1
)
select errand.completion_check($3::integer, n.done), (select pg_catalog.count(*) from ended),
    case when n.done < pg_catalog.cardinality($4::bigint[]) then (select pg_catalog.string_agg(x.id::text, ' ') from gone x) end
from (select pg_catalog.count(*) as done from gone) n

-- name: job_again
-- Jobs that run again: as job_done, and $10 the attempts to be written down, $11 the next run_at in us, $12 reasons, $13 whether the attempt failed (a
-- snooze did not), $14 classes of errors.
with again as (
    update errand.job j set attempt = d.next_attempt, revision = j.revision + 1, run_at = d.run_at, claimed_by = null, started_at = null,
        last_error = coalesce(d.error, j.last_error)
    from (
        select d.id, d.attempt, d.revision, d.started_us, d.next_attempt, d.error, d.failed, d.error_class,
            pg_catalog.to_timestamp(d.run_us::double precision / 1000000) as run_at
        from unnest($4::bigint[], $5::smallint[], $6::integer[], $7::bigint[], $10::smallint[], $11::bigint[], $12::text[],
            $13::boolean[], $14::text[]) d(id, attempt, revision, started_us, next_attempt, run_us, error, failed, error_class)
    ) d
    where j.lane = $1::integer and j.id = any ($4::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision
        and (j.claimed_by = $8::bigint
            or exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint))
    returning j.lane, j.attempt, j.id, d.started_us, d.error, d.failed, d.error_class
), told as (
    insert into errand.attempt (lane, attempt, id, started_at, finished_at, keep_until, runner, error_class, error)
    select a.lane, a.attempt, a.id,
        case when a.started_us is not null then least(pg_catalog.to_timestamp(a.started_us::double precision / 1000000), pg_catalog.now()) end,
        pg_catalog.now(),
        pg_catalog.timezone('UTC', pg_catalog.now())::date + $9::integer, $8::bigint, a.error_class, coalesce(a.error, '')
    from again a where a.failed
)
select errand.completion_check($3::integer, n.done), 0::bigint,
    case when n.done < pg_catalog.cardinality($4::bigint[]) then (select pg_catalog.string_agg(x.id::text, ' ') from again x) end
from (select pg_catalog.count(*) as done from again) n

-- name: jobs_lock
-- Before job_wait: $2 ids. A signal that is being sent comes before it, or behind.
select j.id from errand.job j
where j.lane = $1::integer and j.id = any ($2::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($2::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($2::bigint[]) b(id))
order by j.id
for no key update

-- name: job_wait
-- Jobs that wait for a signal: as job_again, and $10 the attempts to be written down, $11 until when in us (null: for ever), $12 the signals' names. One whose
-- signal was sent meanwhile is due now, and so is one that is to end. In a last column the time in us from which on such ones are to be looked for.
with seen as materialized (
    select d.id, d.attempt, d.revision, d.next_attempt, d.name, t.now as at, s.payload is not null as sent,
        case when s.waited_at is not null then s.until else pg_catalog.to_timestamp(d.until_us::double precision / 1000000) end as until
    from (select pg_catalog.clock_timestamp() as now) t
    cross join unnest($4::bigint[], $5::smallint[], $6::integer[], $10::smallint[], $11::bigint[], $12::text[])
        d(id, attempt, revision, next_attempt, until_us, name)
    left join errand.signal s on s.lane = $1::integer and s.job_id = d.id and s.name = d.name
), waiting as (
    update errand.job j set attempt = d.next_attempt, revision = j.revision + 1, claimed_by = null, started_at = null, wanted_at = j.run_at,
        waits_signal = case when not d.sent then d.name end,
        run_at = case when d.sent or j.cancel_requested then d.at when j.expires_at < coalesce(d.until, 'infinity') then j.expires_at
            else coalesce(d.until, 'infinity') end
    from seen d
    where j.lane = $1::integer and j.id = any ($4::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($4::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($4::bigint[]) b(id))
        and j.id = d.id and j.attempt = d.attempt and j.revision = d.revision
        and (j.claimed_by = $8::bigint
            or exists (select from errand.lane l where l.lane = $1::integer and l.epoch = $2::bigint))
    returning j.lane, j.id, d.name, d.until, d.sent, d.at, j.cancel_requested
), told as (
    insert into errand.signal (lane, job_id, waited_at, until, name)
    select w.lane, w.id, w.at, w.until, w.name from waiting w where not w.sent
    on conflict (lane, job_id, name) do nothing
)
select errand.completion_check($3::integer, (select pg_catalog.count(*) from waiting)), 0::bigint,
    case when (select pg_catalog.count(*) from waiting) < pg_catalog.cardinality($4::bigint[])
        then (select pg_catalog.string_agg(x.id::text, ' ') from waiting x) end,
    (select (pg_catalog.date_part('epoch', pg_catalog.min(w.at)) * 1000000)::bigint from waiting w where w.sent or w.cancel_requested)
from (select $7::bigint[], $9::integer) unused

-- name: dependents_release
-- Tells what waits for jobs of the lane that were marked as ended.
select errand.dependents_release($1::integer) where exists (select from errand.parent_ended p where p.lane = $1::integer)

-- name: statistic_write
-- What this runner has counted in a minute so far: $1 minutes in s, $2 queues, $3 kinds, $4 outcomes, $5 runners, $6 jobs, $7 and $8 times in us, $9 and $10
-- histograms, each an array's text.
insert into errand.statistic (minute, queue, kind, outcome, runner, keep_until, jobs, wait_us, run_us, waits, runs)
select c.minute, c.queue, c.kind, c.outcome, c.runner, pg_catalog.timezone('UTC', c.minute)::date + 35, c.jobs, c.wait_us, c.run_us,
    c.waits::integer[], c.runs::integer[]
from (
    select pg_catalog.to_timestamp(c.minute_s::double precision) as minute, c.queue, c.kind, c.outcome, c.runner, c.jobs, c.wait_us, c.run_us, c.waits, c.runs
    from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::text[])
        c(minute_s, queue, kind, outcome, runner, jobs, wait_us, run_us, waits, runs)
) c
on conflict (keep_until, minute, queue, kind, outcome, runner) do update
set jobs = excluded.jobs, wait_us = excluded.wait_us, run_us = excluded.run_us, waits = excluded.waits, runs = excluded.runs

-- name: schedules_due
-- Schedules whose fire time has come, and those whose next one is not known ('-infinity'): of each at most $1. And in a last row without a name
-- the first fire time after them. With the database's time.
with t as materialized (select pg_catalog.clock_timestamp() as now)
select t.now, s.next_at, s.name, s.revision, s.cron, s.timezone, s.missed,
    (pg_catalog.date_part('epoch', s.missed_max) * 1000000)::bigint as missed_max, s.starts_at, s.ends_at, s.last_at
from t cross join lateral (
    select x.* from errand.schedule x
    where x.enabled and x.problem is null and x.next_at > '-infinity' and x.next_at <= t.now
    order by x.next_at limit $1::integer
) s
union all
select t.now, s.next_at, s.name, s.revision, s.cron, s.timezone, s.missed, (pg_catalog.date_part('epoch', s.missed_max) * 1000000)::bigint,
    s.starts_at, s.ends_at, s.last_at
from t cross join lateral (
    select x.* from errand.schedule x where x.enabled and x.problem is null and x.next_at = '-infinity' limit $1::integer
) s
union all
select t.now, (select x.next_at from errand.schedule x
        where x.enabled and x.problem is null and x.next_at > t.now order by x.next_at limit 1),
    null, null, null, null, null, null, null, null, null
from t

-- name: schedules_fire
-- $1 names, $2 revisions, $3 next_at as they were seen, $4 next_at to be, $5 problems, $6 passed over before, $7 and $8 where in the fire times $9 the
-- schedule's own stand, and how many. Tells how many were moved on.
select errand.schedules_fire($1::text[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::timestamptz[], $7::integer[],
    $8::integer[], $9::timestamptz[])

-- name: job_hand_back
-- Jobs whose handler did not end in time while the runner stops: free for the next runner, the attempt not counted. $2 ids, $3 runner.
update errand.job j set claimed_by = null, started_at = null, attempt = j.attempt - 1::smallint
where j.lane = $1::integer and j.id = any ($2::bigint[]) and j.claimed_by = $3::bigint

-- name: jobs_locked
-- Of jobs that are to end, those whose rows somebody else has locked, in the order of their ids: $3 ids. It waits for none.
with free as materialized (
    select j.id from errand.job j
    where j.lane = $1::integer and j.id = any ($3::bigint[])
        and j.id between (select pg_catalog.min(b.id) from unnest($3::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($3::bigint[]) b(id))
    for update skip locked
)
select j.id from errand.job j
where j.lane = $1::integer and j.id = any ($3::bigint[])
    and j.id between (select pg_catalog.min(b.id) from unnest($3::bigint[]) b(id)) and (select pg_catalog.max(b.id) from unnest($3::bigint[]) b(id))
    and $2::bigint is not null and not exists (select from free f where f.id = j.id)
order by j.id

-- name: effects_patience
-- An effect must not wait long for somebody's open transaction, nor last long itself ($1, ms): others wait behind it.
select pg_catalog.set_config('lock_timeout', '2s', true),
    pg_catalog.set_config('errand.effects_before', pg_catalog.current_setting('statement_timeout'), true),
    pg_catalog.set_config('errand.effects_begun', extract(epoch from pg_catalog.clock_timestamp())::text, true),
    pg_catalog.set_config('statement_timeout', $1, true)

-- name: effects_patience_left
-- $1 of the next ones each, $2 of all together, ms.
select pg_catalog.set_config('statement_timeout', greatest(1, least($1::integer, $2::integer -
    ((extract(epoch from pg_catalog.clock_timestamp()) - pg_catalog.current_setting('errand.effects_begun')::numeric) * 1000)::integer))::text, true)

-- name: effects_over
-- The commit has its time: a wait for a replica that is cut off is none.
select pg_catalog.set_config('statement_timeout', pg_catalog.current_setting('errand.effects_before'), true)

-- name: queue_pause
-- $1 queue, $2 reason, $3 until: what is over by now would be refused.
select errand.queue_pause($1, $2, greatest($3::timestamptz, pg_catalog.clock_timestamp() + interval '10 ms'))

-- name: upkeep_limits
-- It may move a day's rows; but while it waits for a table that somebody reads, all completions wait behind it.
select pg_catalog.set_config('statement_timeout', '600000', true), pg_catalog.set_config('lock_timeout', '2000', true)

-- name: history_maintain
select errand.history_maintain()

-- name: webhook_settle
-- $1 at most so many are looked at.
select errand.webhook_settle($1::integer)

-- name: webhook_forget
-- $1 days that settled events are kept, $2 the others, $3 at most so many.
select errand.webhook_forget($1::integer, $2::integer, $3::integer)
