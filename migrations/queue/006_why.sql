-- errand.why: the one sentence that says why a job is not running, for every reason that there is. What only its runner knows, it
-- tells with each beat (errand.runner.state).

-- A time as a person reads it, beside how far away it is.
create function errand.why_time(at timestamptz) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    apart constant interval := pg_catalog.date_trunc('second', why_time.at - pg_catalog.clock_timestamp());
begin
    if why_time.at = 'infinity' then
        return 'for ever';
    end if;
    return pg_catalog.to_char(why_time.at, 'YYYY-MM-DD HH24:MI:SS TZ')
        || case when apart >= interval '1 second' then ' (in ' || apart || ')'
            when apart <= interval '-1 second' then ' (' || -apart || ' ago)' else '' end;
end
$$;

-- 'a', 'a and b', 'a, b and 4 more'.
create function errand.why_list(items text[], total bigint) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    shown constant text[] := items || case when total > pg_catalog.cardinality(items)
        then total - pg_catalog.cardinality(items) || ' more' end;
    last constant integer := pg_catalog.cardinality(pg_catalog.array_remove(shown, null));
begin
    return case when last > 1 then pg_catalog.array_to_string(shown[1:last - 1], ', ') || ' and ' || shown[last] else shown[1] end;
end
$$;

-- ' until ...: reason', of something that is paused.
create function errand.why_until(until timestamptz, reason text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return case when why_until.until = 'infinity' then ' until somebody resumes it' else ' until ' || errand.why_time(why_until.until) end
        || coalesce(': ' || nullif(pg_catalog.rtrim(why_until.reason, '.'), ''), '');
end
$$;

-- How a job ended that is no longer owed.
create function errand.why_ended(id bigint) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    h record;
begin
    select e.outcome, e.finished_at, e.error into h from (
        select x.outcome, x.finished_at, x.error from errand.history x where x.id = why_ended.id
        union all
        select 'dead', d.died_at, d.error from errand.dead_letter d
        where d.lane = errand.dead_letter_lane(why_ended.id) and d.id = why_ended.id
    ) e order by e.finished_at desc limit 1;
    if h.outcome is null then
        return pg_catalog.format('There is no job %s: it never was, its enqueue was rolled back, or its history is not kept (any more).',
            why_ended.id);
    end if;
    return pg_catalog.format('It is %s since %s%s.', h.outcome, errand.why_time(h.finished_at),
        coalesce(': ' || nullif(pg_catalog.rtrim(h.error, '.'), ''), ''));
end
$$;

-- Of a job that waits for others, or is held because of one.
create function errand.why_waiting(job_id bigint, held boolean) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    names text[];
    total bigint;
    ended bigint;
begin
    if why_waiting.held then
        select pg_catalog.array_agg(pg_catalog.format('job %s ended %s', d.parent_id, d.outcome) order by d.n) filter (where d.n <= 3),
            pg_catalog.count(*) into names, total
        from (select x.parent_id, x.outcome, pg_catalog.row_number() over (order by x.parent_id) as n
            from errand.dependency x where x.child_id = why_waiting.job_id and x.held) d;
        return pg_catalog.format('It is held, because it waited for others and %s: retry or cancel it, or redrive what is dead.',
            errand.why_list(names, total));
    end if;
    select pg_catalog.array_agg('job ' || d.parent_id order by d.n) filter (where d.n <= 3), pg_catalog.count(*),
        pg_catalog.count(*) filter (where d.ended)
    into names, total, ended
    from (select x.parent_id, p.id is not null as ended,
            pg_catalog.row_number() over (order by p.id is not null, x.parent_id) as n
        from errand.dependency x left join errand.parent_ended p on p.lane = x.lane and p.id = x.parent_id
        where x.child_id = why_waiting.job_id and not x.held) d;
    if ended = total then
        return pg_catalog.format('It waited for %s, which ended just now; the runner of that lane is about to tell it.',
            errand.why_list(names, total));
    end if;
    return pg_catalog.format('It waits for %s to end.', errand.why_list(names, total));
end
$$;

-- Nobody may start it, or nobody is there to start it; null: somebody may.
create function errand.why_nobody(lane integer, kind text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    l record;
    k record;
    owner record;
    other text;
begin
    select x.queue, x.owner, x.wanted_by, q.paused_until, q.pause_reason into l
    from errand.lane x join errand.queue q on q.name = x.queue where x.lane = why_nobody.lane;
    if l.paused_until > pg_catalog.clock_timestamp() then
        return pg_catalog.format('Queue %s is paused%s.', l.queue, errand.why_until(l.paused_until, l.pause_reason));
    end if;
    select s.paused_until, s.pause_reason into k from errand.kind_setting s where s.name = why_nobody.kind;
    if k.paused_until > pg_catalog.clock_timestamp() then
        return pg_catalog.format('Kind %s is paused%s.', why_nobody.kind, errand.why_until(k.paused_until, k.pause_reason));
    end if;
    if not exists (select from errand.runner x where (x.queues = '{*}' or l.queue = any (x.queues)) and errand.runner_alive(x.id)) then
        return pg_catalog.format('No runner serves queue %s: start one with errand run.', l.queue);
    end if;
    if not exists (select from errand.runner x
            where why_nobody.kind = any (x.kinds) and (x.queues = '{*}' or l.queue = any (x.queues)) and errand.runner_alive(x.id)) then
        select x.name into other from errand.runner x where why_nobody.kind = any (x.kinds) and errand.runner_alive(x.id)
        order by x.id limit 1;
        return case when other is null then pg_catalog.format('No runner here knows kind %s.', why_nobody.kind)
            else pg_catalog.format('No runner that serves queue %s knows kind %s; runner %s knows it and does not serve that queue.',
                l.queue, why_nobody.kind, other) end;
    end if;
    select x.name, x.kinds, x.lease_until into owner from errand.runner x where x.id = l.owner;
    if l.owner is null then
        return pg_catalog.format('Lane %s of queue %s has no owner at the moment; a runner is about to take it.', why_nobody.lane, l.queue);
    elsif not errand.runner_alive(l.owner) then
        return pg_catalog.format('Lane %s of queue %s is in takeover: runner %s, which owned it, is gone, and another one is about to take it.',
            why_nobody.lane, l.queue, coalesce(owner.name, l.owner::text));
    elsif why_nobody.kind <> all (owner.kinds) then
        return pg_catalog.format('Runner %s, which owns its lane, does not know kind %s; others do, and one of them is about to ask for the lane.',
            owner.name, why_nobody.kind);
    elsif l.wanted_by is not null then
        return pg_catalog.format('Lane %s of queue %s is being handed over from runner %s to %s.', why_nobody.lane, l.queue, owner.name,
            coalesce((select 'runner ' || x.name from errand.runner x where x.id = l.wanted_by), 'another one'));
    end if;
    return null;
end
$$;

-- What is written down as running in a queue, of one kind or one key if that is said: how many, and up to three of them.
create function errand.why_running(queue text, kind text, key text, out total bigint, out names text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    items text[];
begin
    select pg_catalog.count(*), pg_catalog.array_agg(pg_catalog.format('job %s on %s', r.id, r.name) order by r.n) filter (where r.n <= 3)
    into total, items
    from (
        select j.id, x.name, pg_catalog.row_number() over (order by j.started_at, j.id) as n
        from errand.lane l join errand.job j on j.lane = l.lane and j.claimed_by is not null
        join errand.runner x on x.id = j.claimed_by
        where l.queue = why_running.queue and (why_running.kind is null or j.kind = why_running.kind)
            and (why_running.key is null or j.key = why_running.key) and errand.runner_alive(x.id)
    ) r;
    names := errand.why_list(items, total);
end
$$;

-- Which limit holds it back: of its key, its kind or its queue; null: none that can be seen.
create function errand.why_limit(lane integer, job_id bigint, kind text, key text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    q record;
    waits text;
    running record;
    first record;
    kind_max integer;
begin
    select x.*, l.owner into q from errand.lane l join errand.queue x on x.name = l.queue where l.lane = why_limit.lane;
    select r.state -> q.name ->> 'waits' into waits from errand.runner r where r.id = q.owner;
    if q.key_ordered and why_limit.key is not null then
        select j.id, j.run_at, j.held, j.waiting_for, j.waits_signal, x.name into first
        from errand.job j left join errand.runner x on x.id = j.claimed_by
        where j.lane = why_limit.lane and j.key = why_limit.key order by j.created_at, j.id limit 1;
        if first.id <> why_limit.job_id then
            return pg_catalog.format('Jobs of key %s run one after the other in queue %s, and job %s goes first%s.', why_limit.key, q.name,
                first.id, case when first.name is not null then ', which runs on ' || first.name
                    when first.held or first.waiting_for > 0 then ', which waits for another one'
                    when first.waits_signal is not null and first.run_at > pg_catalog.clock_timestamp()
                    then ', which waits for the signal ' || first.waits_signal
                    when first.run_at > pg_catalog.clock_timestamp() then ', which is due at ' || errand.why_time(first.run_at) else '' end);
        end if;
    end if;
    if q.key_concurrency is not null and why_limit.key is not null then
        select r.total, r.names into running from errand.why_running(q.name, null, why_limit.key) r;
        if running.total >= q.key_concurrency then
            return pg_catalog.format('Of key %s only %s may run at a time in queue %s: %s.', why_limit.key, q.key_concurrency, q.name,
                running.names);
        end if;
    end if;
    select s.concurrency into kind_max from errand.kind_setting s where s.name = why_limit.kind;
    if kind_max is not null then
        select r.total, r.names into running from errand.why_running(q.name, why_limit.kind, null) r;
        if running.total >= kind_max then
            return pg_catalog.format('Of kind %s only %s may run at a time in queue %s: %s.', why_limit.kind, kind_max, q.name,
                running.names);
        end if;
    end if;
    if waits = 'lanes' then
        return pg_catalog.format('Queue %s has a limit for all of it, so one runner has to own all its lanes, and does not yet.', q.name);
    end if;
    if q.concurrency is not null then
        select r.total, r.names into running from errand.why_running(q.name, null, null) r;
        if running.total >= q.concurrency or waits = 'concurrency' then
            return pg_catalog.format('Only %s may run at a time in queue %s, and as many do%s.', q.concurrency, q.name,
                coalesce(': ' || running.names, ''));
        end if;
    end if;
    return case waits
        when 'rate' then pg_catalog.format('The rate of queue %s holds it back%s.', q.name,
            coalesce(': ' || q.rate || ' starts a second, ' || coalesce(q.burst, 1) || ' at once', ''))
        when 'hold' then pg_catalog.format('Queue %s is held back for a moment by its runner, as a handler of it asked.', q.name) end;
end
$$;

-- How many jobs of its key go before it in its lane, of those that are due and not written down as running; 1000 are 1000 or more.
create function errand.why_key_before(lane integer, job_id bigint, key text, priority integer, run_at timestamptz) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    before bigint;
begin
    select pg_catalog.count(*) into before from (
        select from (
            select j.priority, j.run_at, j.id, j.claimed_by from errand.job j
            where j.lane = why_key_before.lane and j.key = why_key_before.key and not j.key_shared
            union all
            select j.priority, j.run_at, j.id, j.claimed_by from errand.job j
            where j.lane = why_key_before.lane and j.key = why_key_before.key and j.key_shared
        ) j
        where j.claimed_by is null and j.run_at <= pg_catalog.clock_timestamp()
            and (j.priority, j.run_at, j.id) < (why_key_before.priority, why_key_before.run_at, why_key_before.job_id)
        limit 1000
    ) b;
    return before;
end
$$;

-- What its runner has told of the rate of its key: whether that holds the job back for sure, and what there is to say; reason null:
-- nothing. A rate's tokens are in the runner's memory alone, and with each beat it tells the keys that wait for one, and until when.
-- Since then a token came with each interval of the rate, and each of them let one of the jobs go that were waiting.
create function errand.why_rate(lane integer, job_id bigint, key text, priority integer, run_at timestamptz,
    out holds boolean, out reason text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    q record;
    told_at timestamptz;
    next_at timestamptz;
    until_at timestamptz;
    before bigint := 0;
    rate text;
begin
    holds := false;
    select x.name, x.key_rate, coalesce(x.key_burst, 1) as key_burst, x.key_ordered, l.acquired_at, r.name as runner,
        r.state -> x.name -> 'keys' as told
    into q
    from errand.lane l join errand.queue x on x.name = l.queue join errand.runner r on r.id = l.owner where l.lane = why_rate.lane;
    if q.key_rate is null or why_rate.key is null then
        return;
    end if;
    rate := pg_catalog.format('the rate of key %s in queue %s (%s starts a second, %s at once)', why_rate.key, q.name, q.key_rate, q.key_burst);
    told_at := pg_catalog.to_timestamp((q.told ->> 'at')::bigint / 1000000.0);
    next_at := pg_catalog.to_timestamp((q.told -> 'held' ->> why_rate.key)::bigint / 1000000.0);
    until_at := pg_catalog.to_timestamp((q.told ->> 'until')::bigint / 1000000.0);
    if told_at is null or told_at < why_rate.run_at or told_at < q.acquired_at then
        reason := pg_catalog.format('It is due since %s, and runner %s starts it at any moment or tells with its next beat until when %s holds it back.',
            errand.why_time(why_rate.run_at), q.runner, rate);
    elsif next_at is not null then
        if not q.key_ordered then -- otherwise it is the first, or waits for that one and not for the rate
            before := errand.why_key_before(why_rate.lane, why_rate.job_id, why_rate.key, why_rate.priority, why_rate.run_at);
        end if;
        holds := next_at > now_at or before > 0;
        if next_at <= now_at then
            next_at := next_at + pg_catalog.make_interval(secs => 1 / q.key_rate)
                * (1 + pg_catalog.floor(pg_catalog.date_part('epoch', now_at - next_at) * q.key_rate));
        end if;
        reason := case when holds
            then pg_catalog.format('It is held back by %s, which lets the next one start at %s%s.', rate, errand.why_time(next_at),
                case when before = 0 then '' when before = 1 then ', and one job of that key goes before it'
                    else pg_catalog.format(', and %s jobs of that key go before it',
                        case when before = 1000 then '1000 or more' else before::text end) end)
            else pg_catalog.format('It is due since %s, and runner %s starts it at any moment: %s holds it back no more.',
                errand.why_time(why_rate.run_at), q.runner, rate) end;
    elsif until_at > now_at then
        reason := pg_catalog.format('It is due since %s, and %s lets the next one start by %s at the latest: more keys are held back than runner %s tells of.',
            errand.why_time(why_rate.run_at), rate, errand.why_time(until_at), q.runner);
    end if;
end
$$;

-- Why a job that is due does not start.
create function errand.why_due(lane integer, job_id bigint, kind text, key text, priority integer, run_at timestamptz) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_reason text := coalesce(errand.why_nobody(why_due.lane, why_due.kind),
        errand.why_limit(why_due.lane, why_due.job_id, why_due.kind, why_due.key));
    r record;
    rate record;
    before bigint;
begin
    if found_reason is not null then
        return found_reason;
    end if;
    select x.* into rate from errand.why_rate(why_due.lane, why_due.job_id, why_due.key, why_due.priority, why_due.run_at) x;
    if rate.holds then
        return rate.reason;
    end if;
    select x.name, x.running, x.concurrency into r
    from errand.lane l join errand.runner x on x.id = l.owner where l.lane = why_due.lane;
    if r.running >= r.concurrency then
        return pg_catalog.format('All %s slots of runner %s are taken.', r.concurrency, r.name);
    elsif rate.reason is not null then
        return rate.reason;
    end if;
    select pg_catalog.count(*) into before from (
        select from pg_catalog.generate_series(0, why_due.priority) p(priority)
        cross join lateral (
            select from errand.job j
            where j.lane = why_due.lane and j.priority = p.priority and j.claimed_by is null and j.run_at <= pg_catalog.clock_timestamp()
                and (p.priority < why_due.priority or (j.run_at, j.id) < (why_due.run_at, why_due.job_id))
            order by j.run_at, j.id limit 1000
        ) j limit 1000
    ) b;
    return pg_catalog.format('It is due since %s, and runner %s starts it %s.', errand.why_time(why_due.run_at), r.name,
        case when before = 0 then 'at any moment' else pg_catalog.format('after %s of its lane that %s before it',
            case when before = 1 then 'one job' when before = 1000 then '1000 jobs or more' else before || ' jobs' end,
            case when before = 1 then 'goes' else 'go' end) end);
end
$$;

-- Why a job is not running (or that it is, or how it ended), in one sentence.
create function errand.why(id bigint) returns text
language plpgsql stable strict security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := errand.job_lane(why.id);
    j record;
    runner_name text;
begin
    select x.lane, x.id, x.kind, x.key, x.priority, x.run_at, x.attempt, x.claimed_by, x.started_at, x.last_error, x.cancel_requested,
        x.cancel_reason, x.held, x.waiting_for, x.waits_signal, x.expires_at, coalesce(x.max_attempts, k.max_attempts, 20) as max_attempts
    into j
    from errand.job x left join errand.kind k on k.name = x.kind where x.lane = at_lane and x.id = why.id;
    if j.lane is null then
        return errand.why_ended(why.id);
    end if;
    if j.claimed_by is not null then
        select r.name into runner_name from errand.runner r where r.id = j.claimed_by;
        if errand.runner_alive(j.claimed_by) then
            return pg_catalog.format('It is running on %s since %s, attempt %s of %s%s.', runner_name, errand.why_time(j.started_at),
                j.attempt, j.max_attempts, case when j.cancel_requested
                    then '; it was asked to end' || coalesce(': ' || nullif(pg_catalog.rtrim(j.cancel_reason, '.'), ''), '') else '' end);
        end if;
        return pg_catalog.format('Runner %s, which ran it, is gone; attempt %s of %s counts as failed, and the next owner of lane %s goes on.',
            coalesce(runner_name, j.claimed_by::text), j.attempt, j.max_attempts, j.lane);
    elsif j.held or j.waiting_for > 0 then
        return errand.why_waiting(why.id, j.held);
    elsif j.cancel_requested then
        return pg_catalog.format('It was asked to end%s; its runner ends it as cancelled at any moment.',
            coalesce(' (' || nullif(pg_catalog.rtrim(j.cancel_reason, '.'), '') || ')', ''));
    elsif j.expires_at <= pg_catalog.clock_timestamp() then
        return pg_catalog.format('It expired at %s, so it starts no more and ends as cancelled at any moment.', errand.why_time(j.expires_at));
    elsif j.waits_signal is not null and j.run_at > pg_catalog.clock_timestamp() then
        return errand.why_signal(j.lane, j.id, j.waits_signal);
    elsif j.run_at = 'infinity' then
        return 'It is due never: its run_at is infinity.';
    elsif j.run_at > pg_catalog.clock_timestamp() then
        return case when j.expires_at <= j.run_at
                then pg_catalog.format('It expires at %s, before it is due again at %s', errand.why_time(j.expires_at), errand.why_time(j.run_at))
                when j.attempt > 0 and j.last_error is not null then 'It waits until ' || errand.why_time(j.run_at)
                else 'It is due at ' || errand.why_time(j.run_at) end
            || case when j.attempt > 0 and j.last_error is not null
                then pg_catalog.format(', because attempt %s of %s failed: %s.', j.attempt, j.max_attempts,
                    pg_catalog.rtrim(j.last_error, '.')) else '.' end;
    end if;
    return errand.why_due(j.lane, j.id, j.kind, j.key, j.priority, j.run_at);
end
$$;
