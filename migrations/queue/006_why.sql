-- errand.why: the one sentence that says why a job is not running, for every reason that the database knows of. What only a runner knows
-- (its queue's rate) is named as a possibility.

-- A time as a person reads it, beside how far away it is.
create function errand.why_time(at timestamptz) returns text
language plpgsql stable set search_path = '' as $$
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

-- How a job ended that is no longer owed.
create function errand.why_ended(id bigint) returns text
language plpgsql stable set search_path = '' as $$
declare
    h record;
begin
    select x.outcome, x.finished_at, x.error into h from errand.history x
    where x.id = why_ended.id order by x.finished_at desc limit 1;
    if h.outcome is null then
        return pg_catalog.format('There is no job %s: it never was, its enqueue was rolled back, or its history is older than is kept.',
            why_ended.id);
    end if;
    return pg_catalog.format('It is %s since %s%s.', h.outcome, errand.why_time(h.finished_at),
        coalesce(': ' || nullif(pg_catalog.rtrim(h.error, '.'), ''), ''));
end
$$;

-- Why a job that is due does not start: its queue, its lane, its kind, its runner.
create function errand.why_due(lane integer, kind text, run_at timestamptz) returns text
language plpgsql stable set search_path = '' as $$
declare
    l record;
    r record;
    serving integer;
begin
    select x.queue, x.owner, q.paused_until, q.pause_reason into l
    from errand.lane x join errand.queue q on q.name = x.queue where x.lane = why_due.lane;
    if l.paused_until > pg_catalog.clock_timestamp() then
        return pg_catalog.format('Queue %s is paused %s%s.', l.queue,
            case when l.paused_until = 'infinity' then 'until somebody resumes it' else 'until ' || errand.why_time(l.paused_until) end,
            coalesce(': ' || pg_catalog.rtrim(l.pause_reason, '.'), ''));
    end if;
    select pg_catalog.count(*) into serving from errand.runner x
    where errand.runner_alive(x.id) and (x.queues = '{*}' or l.queue = any (x.queues));
    if serving = 0 then
        return pg_catalog.format('No runner serves queue %s: start one with errand run.', l.queue);
    end if;
    if not exists (select from errand.runner x where errand.runner_alive(x.id) and why_due.kind = any (x.kinds)) then
        return pg_catalog.format('No runner here knows kind %s.', why_due.kind);
    end if;
    if l.owner is null or not errand.runner_alive(l.owner) then
        return pg_catalog.format('Lane %s of queue %s has no owner at the moment; a runner is about to take it over.', why_due.lane, l.queue);
    end if;
    select x.name, x.running, x.concurrency, x.kinds into r from errand.runner x where x.id = l.owner;
    if why_due.kind <> all (r.kinds) then
        return pg_catalog.format('Runner %s, which owns its lane, does not know kind %s; others do.', r.name, why_due.kind);
    end if;
    if r.running >= r.concurrency then
        return pg_catalog.format('All %s slots of runner %s are taken.', r.concurrency, r.name);
    end if;
    return pg_catalog.format('It is due since %s and runner %s will start it at any moment, unless the rate of queue %s holds it back.',
        errand.why_time(why_due.run_at), r.name, l.queue);
end
$$;

-- Why a job is not running (or that it is, or how it ended), in one sentence.
create function errand.why(id bigint) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
    j record;
    runner_name text;
begin
    select x.lane, x.kind, x.run_at, x.attempt, x.claimed_by, x.started_at, x.last_error, x.cancel_requested,
        coalesce(x.max_attempts, k.max_attempts, 20) as max_attempts
    into j
    from errand.lane l join errand.job x on x.lane = l.lane and x.id = why.id left join errand.kind k on k.name = x.kind;
    if j.lane is null then
        return errand.why_ended(why.id);
    end if;
    if j.claimed_by is not null then
        select r.name into runner_name from errand.runner r where r.id = j.claimed_by;
        if errand.runner_alive(j.claimed_by) then
            return pg_catalog.format('It is running on %s since %s, attempt %s of %s%s.', runner_name, errand.why_time(j.started_at),
                j.attempt, j.max_attempts, case when j.cancel_requested then '; it was asked to end' else '' end);
        end if;
        return pg_catalog.format('Runner %s, which ran it, is gone; attempt %s of %s counts as failed, and the next owner of lane %s goes on.',
            coalesce(runner_name, j.claimed_by::text), j.attempt, j.max_attempts, j.lane);
    end if;
    if j.run_at > pg_catalog.clock_timestamp() then
        if j.attempt > 0 and j.last_error is not null then
            return pg_catalog.format('It waits until %s, because attempt %s of %s failed: %s.', errand.why_time(j.run_at), j.attempt,
                j.max_attempts, pg_catalog.rtrim(j.last_error, '.'));
        end if;
        return pg_catalog.format('It is due at %s.', errand.why_time(j.run_at));
    end if;
    return errand.why_due(j.lane, j.kind, j.run_at);
end
$$;
