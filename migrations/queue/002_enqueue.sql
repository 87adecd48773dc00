-- Enqueueing: one job or a set, with or without keys, and the wake-up of who is to run them.

-- Enqueues one job and returns its id. The job exists if and only if the caller's transaction commits.
--   kind          what to do; names the handler
--   args          for the handler; a jsonb object by custom, {} by default; at most 16 MB
--   queue         default: the kind's own, else 'default'
--   run_at        not before; default, and at the earliest: now
--   priority      0 first, 1, 2 (default), 3 last
--   key           at most one job of a queue bears a key at a time
--   on_conflict   what to do when the key stands: 'keep' (default) returns the id of the job that bears it; 'replace' gives
--                 a job that has not started the new args, run_at, priority and max_attempts
--   max_attempts  1 to 1000; default: the kind's
--   timeout       of one attempt, 1 ms to 1 day; default: the kind's
create function errand.enqueue(
    kind text,
    args jsonb default '{}',
    queue text default null,
    run_at timestamptz default null,
    priority integer default null,
    key text default null,
    on_conflict text default 'keep',
    max_attempts integer default null,
    timeout interval default null,
    trace text default null
) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
    ids bigint[];
begin
    select pg_catalog.array_agg(e.id) into ids
    from errand.enqueue_rows(enqueue.kind, array[enqueue.args],
        case when enqueue.run_at is not null then array[enqueue.run_at] end,
        case when enqueue.key is not null then array[enqueue.key] end,
        enqueue.queue, enqueue.priority, enqueue.on_conflict, enqueue.max_attempts, enqueue.timeout, enqueue.trace) e;
    return ids[1];
end
$$;

-- Enqueues a set of jobs of one kind, one for each element of args, and returns their ids in that order. run_at and
-- keys are arrays of the same length, or null; the rest holds for all. A job kept for its key comes back with the id
-- of the one that stands.
create function errand.enqueue_many(
    kind text,
    args jsonb[],
    run_at timestamptz[] default null,
    keys text[] default null,
    queue text default null,
    priority integer default null,
    on_conflict text default 'keep',
    max_attempts integer default null,
    timeout interval default null
) returns setof bigint
language plpgsql security definer set search_path = '' as $$
begin
    return query select e.id from errand.enqueue_rows(enqueue_many.kind, enqueue_many.args, enqueue_many.run_at,
        enqueue_many.keys, enqueue_many.queue, enqueue_many.priority, enqueue_many.on_conflict,
        enqueue_many.max_attempts, enqueue_many.timeout, null) e;
end
$$;

-- What enqueue and enqueue_many share; not for callers. One statement inserts, whatever the number of rows. No job gets a
-- run_at in the past: runners read their lanes forward in time, and what is due before now is due now.
create function errand.enqueue_rows(
    kind text, args jsonb[], run_at timestamptz[], keys text[], queue text, priority integer,
    on_conflict text, max_attempts integer, timeout interval, trace text
) returns table (id bigint)
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    rows constant integer := pg_catalog.cardinality(enqueue_rows.args);
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    in_queue text := enqueue_rows.queue;
    lanes integer;
    lane_of integer[]; -- lane of each shard, from 1
    chosen integer[];  -- lane of each row
    timeout_ms integer := pg_catalog.date_part('epoch', enqueue_rows.timeout) * 1000;
begin
    perform errand.enqueue_check(enqueue_rows.kind, enqueue_rows.args, enqueue_rows.run_at, enqueue_rows.keys,
        enqueue_rows.on_conflict);
    if in_queue is null then
        select k.queue into in_queue from errand.kind k where k.name = enqueue_rows.kind;
        in_queue := coalesce(in_queue, 'default');
    end if;
    lanes := errand.queue_lanes(in_queue);
    lane_of := array(select l.lane from errand.lane l where l.queue = in_queue order by l.shard);
    if enqueue_rows.keys is null then
        -- Without keys the rows of one call stand in as few lanes as keeps runners busy: 64 in a row.
        declare
            first constant integer := pg_catalog.floor(pg_catalog.random() * lanes)::integer;
        begin
            if rows = 1 then
                chosen := array[lane_of[1 + first]];
            else
                chosen := array(select lane_of[1 + (first + n / 64) % lanes] from pg_catalog.generate_series(0, rows - 1) n);
            end if;
        end;
    else
        chosen := array(
            select case when k.key is null then lane_of[1 + (k.n % lanes)::integer]
                else lane_of[1 + (pg_catalog.hashtextextended(k.key, 0) & 1073741823)::integer % lanes] end
            from pg_catalog.unnest(enqueue_rows.keys) with ordinality k(key, n) order by k.n);
    end if;

    if rows = 1 and enqueue_rows.keys is null then
        return query
        insert into errand.job (lane, kind, args, run_at, priority, max_attempts, timeout_ms, trace, created_at)
        values (chosen[1], enqueue_rows.kind, enqueue_rows.args[1], greatest(enqueue_rows.run_at[1], now_at),
            coalesce(enqueue_rows.priority, 2), enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at)
        returning id;
    elsif enqueue_rows.keys is null then
        return query
        insert into errand.job (lane, kind, args, run_at, priority, max_attempts, timeout_ms, trace, created_at)
        select c.lane, enqueue_rows.kind, c.args, greatest(c.run_at, now_at), coalesce(enqueue_rows.priority, 2),
            enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at
        from rows from (pg_catalog.unnest(chosen), pg_catalog.unnest(enqueue_rows.args),
            pg_catalog.unnest(enqueue_rows.run_at)) c(lane, args, run_at)
        returning id;
    else
        return query
        select errand.enqueue_keyed(chosen[c.n], enqueue_rows.kind, c.args, greatest(c.run_at, now_at),
            coalesce(enqueue_rows.priority, 2), c.key, enqueue_rows.on_conflict, enqueue_rows.max_attempts,
            timeout_ms, enqueue_rows.trace, now_at)
        from rows from (pg_catalog.unnest(enqueue_rows.args), pg_catalog.unnest(enqueue_rows.run_at),
            pg_catalog.unnest(enqueue_rows.keys)) with ordinality c(args, run_at, key, n)
        order by c.n;
    end if;
    perform errand.lanes_wake(chosen, enqueue_rows.run_at);
end
$$;

-- One job with a key (or without, among others that have one). on conflict arbitrates; a job that stands and vanishes in
-- between is tried anew.
create function errand.enqueue_keyed(
    lane integer, kind text, args jsonb, run_at timestamptz, priority integer, key text, on_conflict text,
    max_attempts integer, timeout_ms integer, trace text, now_at timestamptz
) returns bigint
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    new_id bigint;
    changed boolean;
begin
    loop
        if enqueue_keyed.on_conflict = 'replace' then
            insert into errand.job as j (lane, kind, args, run_at, priority, key, max_attempts, timeout_ms, trace, created_at)
            values (enqueue_keyed.lane, enqueue_keyed.kind, enqueue_keyed.args, enqueue_keyed.run_at,
                enqueue_keyed.priority, enqueue_keyed.key, enqueue_keyed.max_attempts, enqueue_keyed.timeout_ms,
                enqueue_keyed.trace, enqueue_keyed.now_at)
            on conflict (lane, key) where key is not null and not key_shared do update set
                kind = excluded.kind, args = excluded.args, run_at = excluded.run_at, priority = excluded.priority,
                max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms, trace = excluded.trace,
                revision = j.revision + 1
            where j.claimed_by is null
            returning j.id, j.revision > 0 into new_id, changed;
            -- Its owner may hold it in memory as it was.
            if changed then
                perform pg_catalog.pg_notify('errand.' || l.owner, 'changed ' || l.lane || ' ' || new_id)
                from errand.lane l where l.lane = enqueue_keyed.lane and l.owner is not null;
            end if;
        else
            insert into errand.job as j (lane, kind, args, run_at, priority, key, max_attempts, timeout_ms, trace, created_at)
            values (enqueue_keyed.lane, enqueue_keyed.kind, enqueue_keyed.args, enqueue_keyed.run_at,
                enqueue_keyed.priority, enqueue_keyed.key, enqueue_keyed.max_attempts, enqueue_keyed.timeout_ms,
                enqueue_keyed.trace, enqueue_keyed.now_at)
            on conflict (lane, key) where key is not null and not key_shared do nothing
            returning j.id into new_id;
        end if;
        if new_id is null then
            select j.id into new_id from errand.job j
            where j.lane = enqueue_keyed.lane and j.key = enqueue_keyed.key;
        end if;
        exit when new_id is not null;
    end loop;
    return new_id;
end
$$;

create function errand.enqueue_check(kind text, args jsonb[], run_at timestamptz[], keys text[], on_conflict text)
returns void language plpgsql set search_path = '' as $$
declare
    rows constant integer := coalesce(pg_catalog.cardinality(enqueue_check.args), 0);
begin
    if enqueue_check.kind is null or enqueue_check.kind !~ '^[a-z0-9][a-z0-9_.-]{0,62}$' then
        raise exception 'kind "%" is not valid', enqueue_check.kind using errcode = '22023',
            hint = 'A kind is 1 to 63 characters of a-z, 0-9, "_", "." and "-", like email.send.';
    end if;
    if pg_catalog.array_position(enqueue_check.args, null) is not null or enqueue_check.args is null then
        raise exception 'args is null' using errcode = '22004', hint = 'Leave it out, or give ''{}''.';
    end if;
    if enqueue_check.on_conflict is null or enqueue_check.on_conflict not in ('keep', 'replace') then
        raise exception 'on_conflict "%" is not known', enqueue_check.on_conflict using errcode = '22023',
            hint = 'It is ''keep'' or ''replace''.';
    end if;
    if pg_catalog.cardinality(enqueue_check.run_at) <> rows or pg_catalog.cardinality(enqueue_check.keys) <> rows then
        raise exception 'args has % elements, and run_at or keys another number', rows using errcode = '22023';
    end if;
end
$$;

-- Wakes the owners that sleep of those lanes, at commit, once a transaction and lane. The payload tells from which
-- run_at on to look: the transaction's start for jobs that are due, because what is enqueued bears no earlier one.
create function errand.lanes_wake(lanes integer[], run_at timestamptz[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
    since timestamptz := pg_catalog.now();
    least_at timestamptz;
begin
    -- null among them: due now.
    if lanes_wake.run_at is not null and pg_catalog.array_position(lanes_wake.run_at, null) is null then
        select pg_catalog.min(r.at) into least_at from pg_catalog.unnest(lanes_wake.run_at) r(at);
        since := greatest(since, least_at);
    end if;
    perform pg_catalog.pg_notify('errand.' || l.owner, 'lane ' || l.lane || ' '
        || case when since = 'infinity' then '9000000000000000'
            else pg_catalog.floor(pg_catalog.date_part('epoch', since) * 1000000)::bigint::text end)
    from errand.lane l
    where l.lane = any (lanes_wake.lanes) and l.armed and l.owner is not null;
end
$$;
