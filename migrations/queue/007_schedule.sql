-- Schedules: rows that make jobs at the times that a cron expression names. A runner computes those times; what is here keeps
-- that each of them makes its job once, together with the schedule's step to the next one, whatever crashes or runs twice.

-- next_at: the next fire time; '-infinity': a runner is to compute it; 'infinity': there is none any more. It only moves forward.
-- revision grows with every change from outside, and a fire that saw another one, or another next_at, does nothing.
create table errand.schedule (
    name text primary key check (name ~ '^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,88}$'),
    cron text not null,
    timezone text not null,
    kind text not null,
    args jsonb not null,
    queue text, -- null: the kind's own
    priority smallint not null check (priority between 0 and 3),
    max_attempts smallint check (max_attempts between 1 and 1000),
    timeout_ms integer check (timeout_ms between 1 and 86400000),
    tags text[] not null,
    missed text not null check (missed in ('skip', 'once', 'all')),
    missed_max interval not null,
    overlap text not null check (overlap in ('allow', 'skip', 'queue')),
    jitter interval not null,
    enabled boolean not null,
    starts_at timestamptz,
    ends_at timestamptz,
    next_at timestamptz not null default '-infinity',
    last_at timestamptz, -- the last fire time that was dealt with
    last_lane integer,
    last_job bigint,
    problem text, -- why it cannot fire, until somebody sets it anew
    revision bigint not null default 1,
    created_at timestamptz not null default now()
) with (fillfactor = 50);
create index schedule_next on errand.schedule (next_at) where enabled and problem is null;

-- What became of the fire times, by day, kept for 35 days. made: a job was made; skipped: the last one (job_id) was still owed; missed: nobody was
-- there, and this one and those behind it, before until_at, were passed over; run now: somebody asked for a job, at fire_at.
create table errand.schedule_fire (
    schedule text not null,
    fire_at timestamptz not null,
    decided_at timestamptz not null,
    keep_until date not null,
    outcome text not null check (outcome in ('made', 'skipped', 'missed', 'run now')),
    job_id bigint,
    until_at timestamptz
) partition by range (keep_until);
create index schedule_fire_at on errand.schedule_fire (schedule, fire_at);
create table errand.schedule_fire_rest partition of errand.schedule_fire default;

-- ---- What operators call ----

-- Makes a schedule, or changes the one of that name to all that this call says. Returns 'created', 'changed' or 'unchanged'.
--   name          1 to 89 characters of A-Z, a-z, 0-9 and _.:@/-
--   cron          five or six fields, or @hourly, @every 90s, ... (docs/schedules.md)
--   kind, args, queue, priority, max_attempts, timeout, tags    of its jobs, as in enqueue. In args, {{fire_time}} inside a text becomes
--                 the fire time, in RFC 3339, in the schedule's time zone. Its jobs bear the key and the tag 'schedule:NAME'
--   timezone      an IANA name; the expression's times are times there
--   missed        of the fire times that passed while no runner was there, more than 60 s ago: 'skip' none makes a job, 'once'
--                 (default) the last one does when none came since, 'all' each does
--   missed_max    but none that is older
--   overlap       while a job of the schedule is still owed: 'allow' (default) makes another beside it, 'skip' makes none, 'queue' makes one
--                 that waits for the last one's end
--   jitter        its jobs start up to so much later, each fire time's by a length of its own
--   enabled       false: it makes nothing until it is enabled
--   starts_at, ends_at    no fire time before the one, none at or after the other
-- The expression is read by a runner (and before that by errand schedule set and apply): what is wrong with it, problem tells.
create function errand.schedule_set(
    name text,
    cron text,
    kind text,
    args jsonb default '{}',
    timezone text default 'UTC',
    queue text default null,
    missed text default 'once',
    missed_max interval default '1 day',
    overlap text default 'allow',
    jitter interval default '0',
    enabled boolean default true,
    starts_at timestamptz default null,
    ends_at timestamptz default null,
    priority integer default 2,
    max_attempts integer default null,
    timeout interval default null,
    tags text[] default '{}'
) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    timeout_ms integer;
    revision bigint;
begin
    perform errand.enqueue_check(schedule_set.kind, array[schedule_set.args], null, null, 'keep', null, schedule_set.priority,
        schedule_set.max_attempts, schedule_set.timeout);
    timeout_ms := pg_catalog.date_part('epoch', schedule_set.timeout) * 1000;
    perform errand.enqueue_check_more(null, null, 'keep', null, null, 'cancel', schedule_set.tags, pg_catalog.now());
    perform errand.schedule_check(schedule_set.name, schedule_set.cron, schedule_set.timezone, schedule_set.missed,
        schedule_set.missed_max, schedule_set.overlap, schedule_set.jitter, schedule_set.starts_at, schedule_set.ends_at);
    perform errand.queue_lanes(schedule_set.queue) where schedule_set.queue is not null;
    insert into errand.schedule as s (name, cron, timezone, kind, args, queue, priority, max_attempts, timeout_ms, tags, missed, missed_max,
        overlap, jitter, enabled, starts_at, ends_at)
    values (schedule_set.name, schedule_set.cron, schedule_set.timezone, schedule_set.kind, schedule_set.args, schedule_set.queue,
        coalesce(schedule_set.priority, 2), schedule_set.max_attempts, timeout_ms, coalesce(schedule_set.tags, '{}'), schedule_set.missed,
        schedule_set.missed_max, schedule_set.overlap, coalesce(schedule_set.jitter, '0'), coalesce(schedule_set.enabled, true),
        schedule_set.starts_at, schedule_set.ends_at)
    on conflict (name) do update set
        cron = excluded.cron, timezone = excluded.timezone, kind = excluded.kind, args = excluded.args, queue = excluded.queue,
        priority = excluded.priority, max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms, tags = excluded.tags,
        missed = excluded.missed, missed_max = excluded.missed_max, overlap = excluded.overlap, jitter = excluded.jitter,
        enabled = excluded.enabled, starts_at = excluded.starts_at, ends_at = excluded.ends_at, problem = null, revision = s.revision + 1,
        -- The same times as before: what passed while nobody was there is still to be dealt with.
        next_at = case when s.cron = excluded.cron and s.timezone = excluded.timezone and s.enabled and s.problem is null
                and s.starts_at is not distinct from excluded.starts_at and s.ends_at is not distinct from excluded.ends_at
            then s.next_at else '-infinity' end
    where s.problem is not null or (s.cron, s.timezone, s.kind, s.args, s.queue, s.priority, s.max_attempts, s.timeout_ms, s.tags, s.missed,
            s.missed_max, s.overlap, s.jitter, s.enabled, s.starts_at, s.ends_at)
        is distinct from (excluded.cron, excluded.timezone, excluded.kind, excluded.args, excluded.queue, excluded.priority,
            excluded.max_attempts, excluded.timeout_ms, excluded.tags, excluded.missed, excluded.missed_max, excluded.overlap,
            excluded.jitter, excluded.enabled, excluded.starts_at, excluded.ends_at)
    returning s.revision into revision;
    if revision is null then
        return 'unchanged';
    end if;
    perform errand.schedule_changed();
    return case revision when 1 then 'created' else 'changed' end;
end
$$;

create function errand.schedule_check(
    name text, cron text, timezone text, missed text, missed_max interval, overlap text, jitter interval, starts_at timestamptz,
    ends_at timestamptz
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if schedule_check.name is null or schedule_check.name !~ '^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,88}$' then
        raise exception 'name "%" is not valid', schedule_check.name using errcode = '22023',
            hint = 'A schedule''s name is 1 to 89 characters of A-Z, a-z, 0-9, "_", ".", ":", "@", "/" and "-", like report.daily.';
    end if;
    perform errand.schedule_check_cron(schedule_check.cron);
    if schedule_check.timezone is null or schedule_check.timezone !~ '^[A-Za-z0-9_+/-]{1,64}$' then
        raise exception 'time zone "%" is not valid', schedule_check.timezone using errcode = '22023',
            hint = 'It is an IANA name, like Europe/Berlin.';
    end if;
    perform pg_catalog.timezone(schedule_check.timezone, pg_catalog.now());
    if schedule_check.missed is null or schedule_check.missed not in ('skip', 'once', 'all') then
        raise exception 'missed "%" is not known', schedule_check.missed using errcode = '22023',
            hint = 'It is ''skip'', ''once'' or ''all''.';
    end if;
    if schedule_check.overlap is null or schedule_check.overlap not in ('allow', 'skip', 'queue') then
        raise exception 'overlap "%" is not known', schedule_check.overlap using errcode = '22023',
            hint = 'It is ''allow'', ''skip'' or ''queue''.';
    end if;
    if schedule_check.missed_max is null or schedule_check.missed_max not between interval '0' and interval '366 days' then
        raise exception 'missed_max % is not valid', schedule_check.missed_max using errcode = '22023', hint = 'It is from 0 to 366 days.';
    end if;
    if schedule_check.jitter not between interval '0' and interval '1 day' then
        raise exception 'jitter % is not valid', schedule_check.jitter using errcode = '22023', hint = 'It is from 0 to 1 day.';
    end if;
    if schedule_check.starts_at >= schedule_check.ends_at then
        raise exception 'ends_at % is not later than starts_at %', schedule_check.ends_at, schedule_check.starts_at using errcode = '22023',
            hint = 'It would never fire.';
    end if;
end
$$;

-- The shape only: what a runner cannot read at all is refused at once.
create function errand.schedule_check_cron(cron text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    fields constant integer := pg_catalog.cardinality(pg_catalog.regexp_split_to_array(
        pg_catalog.btrim(schedule_check_cron.cron, E' \t'), E'[ \t]+'));
begin
    if schedule_check_cron.cron is null or pg_catalog.octet_length(schedule_check_cron.cron) > 250
            or schedule_check_cron.cron !~ E'^[A-Za-z0-9@*/,?#. \t-]+$' then
        raise exception 'cron "%" is not valid', schedule_check_cron.cron using errcode = '22023',
            hint = 'It has five fields (minute hour day month weekday), or six with the second first, or is @hourly, @every 90s and the like.';
    end if;
    if schedule_check_cron.cron !~ E'^[ \t]*@' and fields not in (5, 6) then
        raise exception 'cron "%" has % fields', schedule_check_cron.cron, fields using errcode = '22023',
            hint = 'It has five fields (minute hour day month weekday), or six with the second first.';
    end if;
end
$$;

-- Tells the runners to look at the schedules.
create function errand.schedule_changed() returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_catalog.pg_notify('errand.' || r.id, 'schedule') from errand.runner r;
end
$$;

create function errand.schedule_missing(name text) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    raise exception 'schedule "%" does not exist', schedule_missing.name using errcode = '42704',
        hint = 'errand.schedules lists the schedules.';
end
$$;

-- What it has made stays.
create function errand.schedule_remove(name text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from errand.schedule s where s.name = schedule_remove.name;
    if not found then
        perform errand.schedule_missing(schedule_remove.name);
    end if;
end
$$;

-- From now on; fire times that passed while it was disabled are not made up for. One that had a problem is tried again.
create function errand.schedule_enable(name text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update errand.schedule s set enabled = true, problem = null, revision = s.revision + 1,
        next_at = case when s.enabled and s.problem is null then s.next_at else '-infinity' end
    where s.name = schedule_enable.name;
    if not found then
        perform errand.schedule_missing(schedule_enable.name);
    end if;
    perform errand.schedule_changed();
end
$$;

create function errand.schedule_disable(name text) returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update errand.schedule s set enabled = false, revision = s.revision + 1 where s.name = schedule_disable.name;
    if not found then
        perform errand.schedule_missing(schedule_disable.name);
    end if;
end
$$;

-- Makes a job of the schedule now, whatever its times, overlap and enabled say, and returns its id. Its next fire time stays.
create function errand.schedule_run_now(name text) returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    s errand.schedule;
    at_lane integer;
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    job_id bigint;
begin
    select x.* into s from errand.schedule x where x.name = schedule_run_now.name;
    if s.name is null then
        perform errand.schedule_missing(schedule_run_now.name);
    end if;
    job_id := errand.schedule_job(s, now_at, now_at, null);
    at_lane := errand.job_lane(job_id);
    update errand.schedule x set last_job = job_id, last_lane = at_lane where x.name = schedule_run_now.name;
    insert into errand.schedule_fire (schedule, fire_at, decided_at, keep_until, outcome, job_id)
    values (s.name, now_at, now_at, pg_catalog.timezone('UTC', now_at)::date + 35, 'run now', job_id);
    perform errand.lanes_wake(array[at_lane], array[now_at]);
    return job_id;
end
$$;

-- ---- What the runner calls ----

-- The lane of a schedule's jobs: that of their key. Or why they can have none.
create function errand.schedule_lane(schedule errand.schedule, out lane integer, out problem text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    k record;
    in_queue text := (schedule_lane.schedule).queue;
begin
    select x.queue, s.concurrency into k
    from errand.kind x left join errand.kind_setting s on s.name = x.name where x.name = (schedule_lane.schedule).kind;
    if k.concurrency is not null and in_queue <> k.queue then
        problem := pg_catalog.format('kind %s has a concurrency limit, which holds in its own queue only: set the schedule without a queue',
            (schedule_lane.schedule).kind);
        return;
    end if;
    in_queue := coalesce(in_queue, k.queue, 'default');
    select l.lane into lane
    from errand.queue q join errand.lane l on l.queue = q.name and l.shard =
        (pg_catalog.hashtextextended('schedule:' || (schedule_lane.schedule).name, 0) & 1073741823)::integer % q.lanes
    where q.name = in_queue;
    if lane is null then
        problem := pg_catalog.format('queue %s does not exist', in_queue);
    end if;
end
$$;

-- A fire time in RFC 3339 as it reads in a time zone (in UTC where this server does not know that one).
create function errand.schedule_time(at timestamptz, timezone text) returns text language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    there timestamp := pg_catalog.timezone('UTC', schedule_time.at);
    ahead integer;
begin
    begin
        there := pg_catalog.timezone(schedule_time.timezone, schedule_time.at);
    exception when invalid_parameter_value then
        null;
    end;
    ahead := pg_catalog.date_part('epoch', there - pg_catalog.timezone('UTC', schedule_time.at)) / 60;
    return pg_catalog.to_char(there, 'YYYY-MM-DD"T"HH24:MI:SS') || case when ahead = 0 then 'Z' else
        case when ahead < 0 then '-' else '+' end || pg_catalog.lpad((pg_catalog.abs(ahead) / 60)::text, 2, '0')
        || ':' || pg_catalog.lpad((pg_catalog.abs(ahead) % 60)::text, 2, '0') end;
end
$$;

-- One job of a schedule, behind another one that it waits for (null: none). The caller wakes the lane.
create function errand.schedule_job(schedule errand.schedule, fire_at timestamptz, run_at timestamptz, after_id bigint) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    s constant errand.schedule := schedule_job.schedule;
    mark constant text := 'schedule:' || s.name;
    args jsonb := s.args;
    place record;
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    made_id bigint;
begin
    if pg_catalog.strpos(args::text, '{{fire_time}}') > 0 then
        args := pg_catalog.replace(args::text, '{{fire_time}}', errand.schedule_time(schedule_job.fire_at, s.timezone))::jsonb;
    end if;
    if schedule_job.after_id is not null then
        select e.id into made_id from errand.enqueue_rows(s.kind, array[args], array[schedule_job.run_at], array[mark], s.queue, s.priority,
            'allow', s.max_attempts, s.timeout_ms * interval '1 ms', null, null, null, array[schedule_job.after_id], 'run',
            s.tags || mark) e;
        return made_id;
    end if;
    select l.lane, l.problem into place from errand.schedule_lane(s) l;
    if place.lane is null then
        raise exception '%', place.problem using errcode = '55000';
    end if;
    insert into errand.job (lane, kind, args, run_at, priority, key, key_shared, max_attempts, timeout_ms, created_at, tags)
    values (place.lane, s.kind, args, greatest(schedule_job.run_at, now_at), s.priority, mark, true, s.max_attempts, s.timeout_ms, now_at,
        s.tags || mark)
    returning id into made_id;
    return made_id;
end
$$;

-- Deals with fire times: of each schedule that still stands as it was seen (revision, next_at), makes its jobs and moves it on, all in one
-- transaction. Returns how many were moved on.
--   nexts         the fire time behind those that are dealt with; 'infinity': there is none
--   problems      why it cannot fire; null: it can
--   passed        fire times before this one, from the one that was seen on, are passed over; null: none are
--   firsts, counts    where in fires the schedule's own stand, from 1, and how many
create function errand.schedules_fire(
    names text[], revisions bigint[], seen timestamptz[], nexts timestamptz[], problems text[], passed timestamptz[], firsts integer[],
    counts integer[], fires timestamptz[]
) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    d record;
    s errand.schedule;
    at_lane integer;
    ended record;
    lanes integer[] := '{}';
    least_at timestamptz;
    moved integer := 0;
    until date := pg_catalog.timezone('UTC', pg_catalog.now())::date + 35;
    now_at constant timestamptz := pg_catalog.clock_timestamp();
begin
    for d in
        select x as schedule, g.next_at, g.problem, g.passed_at, g.first, g.fires
        from unnest(schedules_fire.names, schedules_fire.revisions, schedules_fire.seen, schedules_fire.nexts, schedules_fire.problems,
            schedules_fire.passed, schedules_fire.firsts, schedules_fire.counts)
            g(name, revision, seen_at, next_at, problem, passed_at, first, fires)
        -- Not by the index of next_at, in which all that are due together are the same.
        join errand.schedule x on x.name = g.name and x.revision = g.revision and x.next_at is not distinct from g.seen_at
        where x.enabled and x.problem is null and g.next_at > g.seen_at
        order by x.name
        for no key update of x
    loop
        s := d.schedule;
        if d.problem is null then
            select l.lane, l.problem into at_lane, d.problem from errand.schedule_lane(s) l;
        end if;
        if d.problem is not null then
            update errand.schedule x set problem = d.problem where x.name = s.name;
            moved := moved + 1;
            continue;
        end if;
        if d.passed_at is not null then
            insert into errand.schedule_fire (schedule, fire_at, decided_at, keep_until, outcome, until_at)
            values (s.name, s.next_at, now_at, until, 'missed', d.passed_at);
        end if;
        select f.next_at, f.last_at, f.last_job, f.least_at into ended
        from errand.schedule_fire_one(s, at_lane, d.next_at, schedules_fire.fires[d.first : d.first + d.fires - 1], now_at) f;
        update errand.schedule x set next_at = ended.next_at, last_at = ended.last_at, last_job = coalesce(ended.last_job, x.last_job),
            last_lane = case when ended.last_job is null then x.last_lane else at_lane end
        where x.name = s.name;
        if ended.least_at is not null then
            lanes := lanes || at_lane;
            least_at := least(least_at, ended.least_at);
        end if;
        moved := moved + case when ended.next_at = d.next_at then 1 else 0 end;
    end loop;
    if lanes <> '{}' then
        perform errand.lanes_wake(lanes, array[least_at]);
    end if;
    return moved;
end
$$;

-- The fire times of one schedule, in order. Stops before one whose turn is not sure: somebody is just dealing with the job that it is to wait for.
create function errand.schedule_fire_one(
    schedule errand.schedule, at_lane integer, next_to timestamptz, fires timestamptz[], now_at timestamptz,
    out next_at timestamptz, out last_at timestamptz, out last_job bigint, out least_at timestamptz
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    s constant errand.schedule := schedule_fire_one.schedule;
    until constant date := pg_catalog.timezone('UTC', schedule_fire_one.now_at)::date + 35;
    fire_at timestamptz;
    run_at timestamptz;
    owed_id bigint;
    made boolean;
begin
    last_at := s.last_at;
    foreach fire_at in array schedule_fire_one.fires loop
        owed_id := null;
        if s.overlap <> 'allow' then
            owed_id := errand.schedule_owed(schedule_fire_one.at_lane, 'schedule:' || s.name, s.overlap = 'queue');
        end if;
        if owed_id < 0 then
            next_at := fire_at;
            return;
        end if;
        made := s.overlap <> 'skip' or owed_id is null;
        if made then
            run_at := fire_at;
            if s.jitter > interval '0' then
                run_at := fire_at + s.jitter
                    * ((pg_catalog.hashtextextended(s.name || pg_catalog.date_part('epoch', fire_at), 0) & 1048575) / 1048576.0);
            end if;
            last_job := errand.schedule_job(s, fire_at, run_at, owed_id);
            least_at := least(least_at, run_at);
        end if;
        insert into errand.schedule_fire (schedule, fire_at, decided_at, keep_until, outcome, job_id)
        values (s.name, fire_at, schedule_fire_one.now_at, until, case when made then 'made' else 'skipped' end,
            case when made then last_job else owed_id end);
        last_at := fire_at;
    end loop;
    next_at := schedule_fire_one.next_to;
end
$$;

-- The last job of a schedule that is still owed; null: none. locked: it stays so until this transaction ends; -1 when somebody else has it, whom
-- nobody who may hold others must wait for.
create function errand.schedule_owed(lane integer, key text, locked boolean) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    owed_id bigint;
    looked_at bigint;
begin
    loop
        select j.id into owed_id from errand.job j
        where j.lane = schedule_owed.lane and j.key = schedule_owed.key and j.key_shared
        order by j.created_at desc, j.id desc limit 1;
        if owed_id is null or not schedule_owed.locked then
            return owed_id;
        end if;
        perform from errand.job j where j.lane = schedule_owed.lane and j.id = owed_id for no key update skip locked;
        if found then
            return owed_id;
        elsif looked_at = owed_id then
            return -1;
        end if;
        looked_at := owed_id; -- if it has just ended, the next look finds another one, or none
    end loop;
end
$$;

-- ---- What operators look at ----

-- A row per schedule. next_at null: not computed yet, or there is none; problem: why it does not fire, or why what it makes does not run.
create view errand.schedules with (security_invoker = true) as
select s.name, s.cron, s.timezone, s.kind, s.args, s.enabled,
    case when s.enabled and s.problem is null and pg_catalog.isfinite(s.next_at) then s.next_at end as next_at, s.last_at, s.last_job,
    case when s.last_job is not null then coalesce(
        (select case when j.claimed_by is not null then 'running' when j.held then 'held' when j.waiting_for > 0 then 'waiting'
            when j.run_at > pg_catalog.now() then case when j.waits_signal is null then 'scheduled' else 'waiting' end else 'ready' end
        from errand.job j where j.lane = s.last_lane and j.id = s.last_job),
        (select h.outcome from errand.history h where h.id = s.last_job order by h.finished_at desc limit 1)) end as last_state,
    case when s.problem is not null then s.problem
        when not s.enabled then null
        when s.next_at = 'infinity' then 'it has no fire time any more'
        when not exists (select from errand.runner r where r.lease_until > pg_catalog.clock_timestamp()) then 'no runner is there'
        when not exists (select from errand.runner r where r.lease_until > pg_catalog.clock_timestamp() and s.kind = any (r.kinds))
            then pg_catalog.format('no runner here knows kind %s', s.kind)
    end as problem,
    s.queue, s.priority, s.max_attempts, pg_catalog.make_interval(secs => s.timeout_ms / 1000.0) as timeout, s.tags, s.missed, s.missed_max,
    s.overlap, s.jitter, s.starts_at, s.ends_at, s.created_at
from errand.schedule s;
