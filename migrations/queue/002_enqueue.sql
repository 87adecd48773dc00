-- Enqueueing: one job or a set, with or without keys, after others or not, and the wake-up of who is to run them.

-- What new jobs wait for: the parents that have not ended, and those that ended badly where on_parent minds that (their
-- outcome is set).
create type errand.parents as (on_parent text, lanes integer[], ids bigint[], outcomes text[]);

-- Whether it is a W3C traceparent: version, trace, span and flags in hexadecimal small letters, of which trace and span are not nought.
create function errand.trace_is_valid(trace text) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return trace_is_valid.trace ~ '^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$';
end
$$;

-- Enqueues one job and returns its id. The job exists if and only if the caller's transaction commits.
--   kind          what to do; names the handler
--   args          for the handler; a jsonb object by custom, {} by default; at most 16 MiB as PostgreSQL holds it
--   queue         default: the kind's own, else 'default'
--   run_at        not before; default, and at the earliest: now
--   priority      0 first, 1, 2 (default), 3 last
--   key           what the job is about, at most 2000 bytes; the limits per key of its queue hold for all jobs that bear it
--   on_conflict   what to do when a job of the queue bears the key: 'keep' (default) returns that one's id; 'replace' gives
--                 it, if it has not started, everything that this call says; 'allow' makes another one beside it
--   max_attempts  1 to 1000; default: the kind's
--   timeout       of one attempt, 1 ms to 1 day; default: the kind's
--   unique_for    makes no job when a call with unique_for made one under that key less than so long ago, whether it
--                 stands, ran or was cancelled: returns that one's id. Needs a key; not with 'allow'
--   expires_at    no attempt starts at or after it: the job ends as cancelled then. Later than run_at
--   after         ids of jobs; it waits until all of them have ended, and for run_at
--   on_parent     when one of those ends otherwise than done: 'cancel' (default), 'run' all the same, or 'hold' until an
--                 operator retries or cancels it, or redrives the other
--   tags          at most 32 words of 1 to 100 characters, to find it by
--   trace         a W3C traceparent, which the handler and what it calls go on with
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
    trace text default null,
    unique_for interval default null,
    expires_at timestamptz default null,
    after bigint[] default null,
    on_parent text default 'cancel',
    tags text[] default null
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    place constant double precision := pg_catalog.random();
    new_id bigint;
    at_lane integer;
begin
    -- The plain call, in as few steps as there can be; what is wrong is told below.
    if enqueue.key is null and pg_catalog.num_nonnulls(enqueue.unique_for, enqueue.expires_at, enqueue.after, enqueue.tags) = 0
            and enqueue.kind ~ '^[a-z0-9][a-z0-9_.-]{0,62}$' and enqueue.args is not null
            and enqueue.on_conflict in ('keep', 'replace', 'allow') and enqueue.on_parent = 'cancel'
            and (enqueue.trace is null or errand.trace_is_valid(enqueue.trace)) and pg_catalog.pg_column_size(enqueue.args) <= 16777216
            and (pg_catalog.num_nonnulls(enqueue.priority, enqueue.max_attempts, enqueue.timeout) = 0
                or (coalesce(enqueue.priority, 2) between 0 and 3 and coalesce(enqueue.max_attempts, 1) between 1 and 1000
                    and coalesce(enqueue.timeout, interval '1 s') between interval '1 ms' and interval '1 day')) then
        select l.lane into at_lane
        from errand.queue q join errand.lane l on l.queue = q.name and l.shard = pg_catalog.floor(place * q.lanes)::integer
        where q.name = coalesce(enqueue.queue, (select k.queue from errand.kind k where k.name = enqueue.kind), 'default');
        if found then
            insert into errand.job (lane, kind, args, run_at, priority, max_attempts, timeout_ms, trace, created_at)
            values (at_lane, enqueue.kind, enqueue.args, greatest(enqueue.run_at, now_at), coalesce(enqueue.priority, 2),
                enqueue.max_attempts, pg_catalog.date_part('epoch', enqueue.timeout) * 1000, enqueue.trace, now_at)
            returning job.id into new_id;
            perform errand.lanes_wake(array[at_lane], case when enqueue.run_at is not null then array[enqueue.run_at] end);
            return new_id;
        end if;
    end if;
    select e.id into new_id
    from errand.enqueue_rows(enqueue.kind, array[enqueue.args],
        case when enqueue.run_at is not null then array[enqueue.run_at] end,
        case when enqueue.key is not null then array[enqueue.key] end,
        enqueue.queue, enqueue.priority, enqueue.on_conflict, enqueue.max_attempts, enqueue.timeout, enqueue.trace,
        enqueue.unique_for, enqueue.expires_at, enqueue.after, enqueue.on_parent, enqueue.tags) e;
    return new_id;
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
    timeout interval default null,
    unique_for interval default null,
    expires_at timestamptz default null,
    after bigint[] default null,
    on_parent text default 'cancel',
    tags text[] default null,
    trace text default null
) returns setof bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    return query select e.id from errand.enqueue_rows(enqueue_many.kind, enqueue_many.args, enqueue_many.run_at,
        enqueue_many.keys, enqueue_many.queue, enqueue_many.priority, enqueue_many.on_conflict,
        enqueue_many.max_attempts, enqueue_many.timeout, enqueue_many.trace, enqueue_many.unique_for, enqueue_many.expires_at,
        enqueue_many.after, enqueue_many.on_parent, enqueue_many.tags) e;
end
$$;

-- What enqueue and enqueue_many share; not for callers. One statement inserts, whatever the number of rows. No job gets a
-- run_at in the past: runners read their lanes forward in time, and what is due before now is due now.
create function errand.enqueue_rows(
    kind text, args jsonb[], run_at timestamptz[], keys text[], queue text, priority integer,
    on_conflict text, max_attempts integer, timeout interval, trace text, unique_for interval default null,
    expires_at timestamptz default null, after bigint[] default null, on_parent text default 'cancel',
    tags text[] default null
) returns table (id bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    rows constant integer := pg_catalog.cardinality(enqueue_rows.args);
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    in_queue text := enqueue_rows.queue;
    lanes integer;
    lane_of integer[]; -- lane of each shard, from 1
    chosen integer[];  -- lane of each row
    timeout_ms integer;
    parents errand.parents;
    made_ids bigint[];
begin
    perform errand.enqueue_check(enqueue_rows.kind, enqueue_rows.args, enqueue_rows.run_at, enqueue_rows.keys,
        enqueue_rows.on_conflict, enqueue_rows.trace, enqueue_rows.priority, enqueue_rows.max_attempts, enqueue_rows.timeout);
    timeout_ms := pg_catalog.date_part('epoch', enqueue_rows.timeout) * 1000;
    -- The plain call pays for this line alone.
    if pg_catalog.num_nonnulls(enqueue_rows.unique_for, enqueue_rows.expires_at, enqueue_rows.after, enqueue_rows.tags) > 0
            or enqueue_rows.on_parent is distinct from 'cancel' then
        perform errand.enqueue_check_more(enqueue_rows.run_at, enqueue_rows.keys, enqueue_rows.on_conflict,
            enqueue_rows.unique_for, enqueue_rows.expires_at, enqueue_rows.on_parent, enqueue_rows.tags, now_at);
        parents := errand.parents_find(enqueue_rows.after, enqueue_rows.on_parent);
    end if;
    if in_queue is null then
        select k.queue into in_queue from errand.kind k where k.name = enqueue_rows.kind;
        in_queue := coalesce(in_queue, 'default');
    elsif exists (select from errand.kind_setting s join errand.kind k on k.name = s.name
            where s.name = enqueue_rows.kind and s.concurrency is not null and k.queue <> in_queue) then
        raise exception 'kind "%" has a concurrency limit, which holds in its own queue only', enqueue_rows.kind using errcode = '55000',
            hint = pg_catalog.format('Leave the queue out, or lift the limit: select errand.kind_limit(%L, 0)', enqueue_rows.kind);
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

    if parents.ids is not null and (enqueue_rows.keys is null or enqueue_rows.on_conflict = 'allow') then
        return query select errand.enqueue_waiting(chosen, enqueue_rows.kind, enqueue_rows.args, enqueue_rows.run_at,
            enqueue_rows.keys, enqueue_rows.priority, enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace,
            enqueue_rows.expires_at, enqueue_rows.tags, parents, now_at);
        return;
    elsif enqueue_rows.keys is null and rows = 1 then
        return query
        insert into errand.job (lane, kind, args, run_at, priority, max_attempts, timeout_ms, trace, created_at, expires_at, tags)
        values (chosen[1], enqueue_rows.kind, enqueue_rows.args[1], greatest(enqueue_rows.run_at[1], now_at),
            coalesce(enqueue_rows.priority, 2), enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at,
            enqueue_rows.expires_at, enqueue_rows.tags)
        returning id;
    elsif enqueue_rows.keys is null then
        return query
        insert into errand.job (lane, kind, args, run_at, priority, max_attempts, timeout_ms, trace, created_at, expires_at, tags)
        select c.lane, enqueue_rows.kind, c.args, greatest(c.run_at, now_at), coalesce(enqueue_rows.priority, 2),
            enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at, enqueue_rows.expires_at, enqueue_rows.tags
        from rows from (pg_catalog.unnest(chosen), pg_catalog.unnest(enqueue_rows.args),
            pg_catalog.unnest(enqueue_rows.run_at)) c(lane, args, run_at)
        returning id;
    elsif enqueue_rows.on_conflict = 'allow' then
        return query
        insert into errand.job (lane, kind, args, run_at, priority, key, key_shared, max_attempts, timeout_ms, trace, created_at,
            expires_at, tags)
        select c.lane, enqueue_rows.kind, c.args, greatest(c.run_at, now_at), coalesce(enqueue_rows.priority, 2), c.key,
            c.key is not null, enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at, enqueue_rows.expires_at,
            enqueue_rows.tags
        from rows from (pg_catalog.unnest(chosen), pg_catalog.unnest(enqueue_rows.args),
            pg_catalog.unnest(enqueue_rows.run_at), pg_catalog.unnest(enqueue_rows.keys)) c(lane, args, run_at, key)
        returning id;
    else
        -- Mostly no key stands yet: then one statement does.
        if rows > 1 and enqueue_rows.on_conflict = 'keep' and enqueue_rows.unique_for is null and parents.ids is null
                and pg_catalog.array_position(enqueue_rows.keys, null) is null then
            with made as (
                insert into errand.job (lane, kind, args, run_at, priority, key, max_attempts, timeout_ms, trace, created_at, expires_at, tags)
                select c.lane, enqueue_rows.kind, c.args, greatest(c.run_at, now_at), coalesce(enqueue_rows.priority, 2), c.key,
                    enqueue_rows.max_attempts, timeout_ms, enqueue_rows.trace, now_at, enqueue_rows.expires_at, enqueue_rows.tags
                from rows from (pg_catalog.unnest(chosen), pg_catalog.unnest(enqueue_rows.args),
                    pg_catalog.unnest(enqueue_rows.run_at), pg_catalog.unnest(enqueue_rows.keys)) c(lane, args, run_at, key)
                on conflict (lane, key) where key is not null and not key_shared do nothing
                returning job.id
            )
            select pg_catalog.array_agg(m.id) into made_ids from made m;
            if pg_catalog.cardinality(made_ids) = rows then
                perform errand.lanes_wake(chosen, enqueue_rows.run_at);
                return query select x.id from pg_catalog.unnest(made_ids) x(id);
                return;
            end if;
        end if;
        -- Those that were made just now are kept like any other.
        return query
        select errand.enqueue_keyed(chosen[c.n], enqueue_rows.kind, c.args, greatest(c.run_at, now_at),
            coalesce(enqueue_rows.priority, 2), c.key, enqueue_rows.on_conflict, enqueue_rows.max_attempts,
            timeout_ms, enqueue_rows.trace, enqueue_rows.unique_for, enqueue_rows.expires_at, enqueue_rows.tags, parents, now_at)
        from rows from (pg_catalog.unnest(enqueue_rows.args), pg_catalog.unnest(enqueue_rows.run_at),
            pg_catalog.unnest(enqueue_rows.keys)) with ordinality c(args, run_at, key, n)
        order by c.n;
        if parents.ids is not null then
            return;
        end if;
    end if;
    perform errand.lanes_wake(chosen, enqueue_rows.run_at);
end
$$;

-- Jobs that wait for others, none of which asks whether its key stands. Returns their ids in the order of args.
create function errand.enqueue_waiting(
    chosen integer[], kind text, args jsonb[], run_at timestamptz[], keys text[], priority integer, max_attempts integer,
    timeout_ms integer, trace text, expires_at timestamptz, tags text[], parents errand.parents, now_at timestamptz
) returns setof bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    waits constant integer := pg_catalog.cardinality((enqueue_waiting.parents).ids);
    holds constant boolean := errand.parents_hold(enqueue_waiting.parents);
    ids bigint[];
begin
    with made as (
        insert into errand.job (lane, kind, args, run_at, priority, key, key_shared, max_attempts, timeout_ms, trace, created_at,
            expires_at, tags, waiting_for, wanted_at, held)
        select c.lane, enqueue_waiting.kind, c.args, 'infinity', coalesce(enqueue_waiting.priority, 2), c.key, c.key is not null,
            enqueue_waiting.max_attempts, enqueue_waiting.timeout_ms, enqueue_waiting.trace, enqueue_waiting.now_at,
            enqueue_waiting.expires_at, enqueue_waiting.tags, waits,
            greatest(c.run_at, enqueue_waiting.now_at), holds
        from rows from (pg_catalog.unnest(enqueue_waiting.chosen), pg_catalog.unnest(enqueue_waiting.args),
            pg_catalog.unnest(enqueue_waiting.run_at), pg_catalog.unnest(enqueue_waiting.keys)) c(lane, args, run_at, key)
        returning job.id
    )
    select pg_catalog.array_agg(m.id) into ids from made m;
    perform errand.parents_bind(enqueue_waiting.parents, enqueue_waiting.chosen, ids);
    return query select x.id from pg_catalog.unnest(ids) x(id);
end
$$;

-- One job with a key (or without, among others that have one). on conflict arbitrates; a job that stands and vanishes in
-- between is tried anew.
create function errand.enqueue_keyed(
    lane integer, kind text, args jsonb, run_at timestamptz, priority integer, key text, on_conflict text,
    max_attempts integer, timeout_ms integer, trace text, unique_for interval, expires_at timestamptz, tags text[],
    parents errand.parents, now_at timestamptz
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    waits constant integer := pg_catalog.cardinality((enqueue_keyed.parents).ids);
    due_at constant timestamptz := case when waits > 0 then 'infinity' else enqueue_keyed.run_at end;
    asked_at constant timestamptz := case when waits > 0 then enqueue_keyed.run_at end;
    holds constant boolean := case when waits > 0 then errand.parents_hold(enqueue_keyed.parents) else false end;
    taken boolean := false;
    found_id bigint;
    changed boolean;
begin
    if enqueue_keyed.unique_for is not null then
        found_id := errand.recent_key_take(enqueue_keyed.lane, enqueue_keyed.key, enqueue_keyed.unique_for, enqueue_keyed.now_at);
        taken := found_id is null;
        if not taken then
            -- Too soon for another one; but one that stands may be replaced, and the lock keeps it standing.
            perform from errand.job j
            where j.lane = enqueue_keyed.lane and j.key = enqueue_keyed.key and not j.key_shared and j.claimed_by is null
                and enqueue_keyed.on_conflict = 'replace'
            for update;
            if not found then
                return found_id;
            end if;
        end if;
    end if;
    loop
        if enqueue_keyed.on_conflict = 'replace' then
            insert into errand.job as j (lane, kind, args, run_at, priority, key, max_attempts, timeout_ms, trace, created_at,
                expires_at, tags, waiting_for, wanted_at, held)
            values (enqueue_keyed.lane, enqueue_keyed.kind, enqueue_keyed.args, due_at, enqueue_keyed.priority,
                enqueue_keyed.key, enqueue_keyed.max_attempts, enqueue_keyed.timeout_ms, enqueue_keyed.trace,
                enqueue_keyed.now_at, enqueue_keyed.expires_at, enqueue_keyed.tags, waits, asked_at, holds)
            on conflict (lane, key) where key is not null and not key_shared do update set
                kind = excluded.kind, args = excluded.args, run_at = excluded.run_at, priority = excluded.priority,
                max_attempts = excluded.max_attempts, timeout_ms = excluded.timeout_ms, trace = excluded.trace,
                expires_at = excluded.expires_at, tags = excluded.tags, waiting_for = excluded.waiting_for,
                wanted_at = excluded.wanted_at, held = excluded.held, waits_signal = null, revision = j.revision + 1
            where j.claimed_by is null
            returning j.id, j.revision > 0 into found_id, changed;
            if changed then
                delete from errand.step s where s.lane = enqueue_keyed.lane and s.job_id = found_id;
                delete from errand.signal s where s.lane = enqueue_keyed.lane and s.job_id = found_id;
                perform errand.dependencies_drop(array[found_id]);
                perform errand.parents_check(found_id, (enqueue_keyed.parents).ids) where waits > 0;
                -- Its owner may hold it in memory as it was.
                perform pg_catalog.pg_notify('errand.' || l.owner, 'changed ' || l.lane || ' ' || found_id)
                from errand.lane l where l.lane = enqueue_keyed.lane and l.owner is not null;
            end if;
        else
            insert into errand.job as j (lane, kind, args, run_at, priority, key, max_attempts, timeout_ms, trace, created_at,
                expires_at, tags, waiting_for, wanted_at, held)
            values (enqueue_keyed.lane, enqueue_keyed.kind, enqueue_keyed.args, due_at, enqueue_keyed.priority,
                enqueue_keyed.key, enqueue_keyed.max_attempts, enqueue_keyed.timeout_ms, enqueue_keyed.trace,
                enqueue_keyed.now_at, enqueue_keyed.expires_at, enqueue_keyed.tags, waits, asked_at, holds)
            on conflict (lane, key) where key is not null and not key_shared do nothing
            returning j.id into found_id;
        end if;
        if found_id is not null then
            if taken then
                perform errand.recent_key_set(enqueue_keyed.lane, enqueue_keyed.key, found_id, enqueue_keyed.now_at);
            end if;
            if waits > 0 then
                perform errand.parents_bind(enqueue_keyed.parents, array[enqueue_keyed.lane], array[found_id]);
            end if;
            return found_id;
        end if;
        select j.id into found_id from errand.job j
        where j.lane = enqueue_keyed.lane and j.key = enqueue_keyed.key and not j.key_shared;
        if found_id is not null then
            if taken then
                -- No job was made: it still counts from the one before.
                perform errand.recent_key_set(enqueue_keyed.lane, enqueue_keyed.key, found_id, null);
            end if;
            return found_id;
        end if;
    end loop;
end
$$;

-- Null: no call with unique_for made a job under the key in that time, and now nobody else can until this transaction ends.
-- Else the id of the one that was made.
create function errand.recent_key_take(lane integer, key text, unique_for interval, now_at timestamptz) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    until constant timestamptz := recent_key_take.now_at + recent_key_take.unique_for;
    since constant timestamptz := recent_key_take.now_at - recent_key_take.unique_for;
    found_id bigint;
begin
    loop
        insert into errand.recent_key as r (lane, key, id, enqueued_at, until)
        values (recent_key_take.lane, recent_key_take.key, 0, recent_key_take.now_at, until)
        on conflict (lane, key) do update set id = 0, enqueued_at = excluded.enqueued_at, before_at = r.enqueued_at,
            until = case when r.until > excluded.until then r.until else excluded.until end
        where r.enqueued_at <= since;
        if found then
            return null;
        end if;
        select r.id into found_id from errand.recent_key r
        where r.lane = recent_key_take.lane and r.key = recent_key_take.key;
        if found_id is not null then
            return found_id;
        end if;
    end loop;
end
$$;

-- enqueued_at null: as it was before it was taken.
create function errand.recent_key_set(lane integer, key text, id bigint, enqueued_at timestamptz) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update errand.recent_key r set id = recent_key_set.id, enqueued_at = coalesce(recent_key_set.enqueued_at, r.before_at)
    where r.lane = recent_key_set.lane and r.key = recent_key_set.key;
end
$$;

create function errand.enqueue_check(
    kind text, args jsonb[], run_at timestamptz[], keys text[], on_conflict text, trace text default null, priority integer default null,
    max_attempts integer default null, timeout interval default null
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    rows constant integer := coalesce(pg_catalog.cardinality(enqueue_check.args), 0);
    most_bytes integer;
begin
    perform errand.name_check('kind', enqueue_check.kind);
    if pg_catalog.array_position(enqueue_check.args, null) is not null or enqueue_check.args is null then
        raise exception 'args is null' using errcode = '22004', hint = 'Leave it out, or give ''{}''.';
    end if;
    if pg_catalog.pg_column_size(enqueue_check.args) > 16777216 then
        select pg_catalog.max(pg_catalog.pg_column_size(a.args)) into most_bytes from pg_catalog.unnest(enqueue_check.args) a(args);
        if most_bytes > 16777216 then
            raise exception 'args has % bytes', most_bytes using errcode = '22023',
                hint = 'At most 16777216: store what is larger, and let the args say where.';
        end if;
    end if;
    select pg_catalog.max(pg_catalog.octet_length(k.key)) into most_bytes from pg_catalog.unnest(enqueue_check.keys) k(key);
    if most_bytes > 2000 then
        raise exception 'a key has % bytes', most_bytes using errcode = '22023',
            hint = 'At most 2000: for something longer, let its hash be the key.';
    end if;
    if enqueue_check.priority is not null then
        perform errand.number_check('priority', enqueue_check.priority, 0, 3, '0 goes first, 3 last; 2 where it is left out.');
    end if;
    if enqueue_check.max_attempts is not null then
        perform errand.number_check('max_attempts', enqueue_check.max_attempts, 1, 1000, 'The kind''s own where it is left out.');
    end if;
    if enqueue_check.timeout not between interval '1 ms' and interval '1 day' then
        raise exception 'timeout is %, and not from 1 ms to 1 day', enqueue_check.timeout using errcode = '22023',
            hint = 'It is the time for one attempt; the kind''s own where it is left out.';
    end if;
    if enqueue_check.on_conflict is null or enqueue_check.on_conflict not in ('keep', 'replace', 'allow') then
        raise exception 'on_conflict "%" is not known', enqueue_check.on_conflict using errcode = '22023',
            hint = 'It is ''keep'', ''replace'' or ''allow''.';
    end if;
    if pg_catalog.cardinality(enqueue_check.run_at) <> rows or pg_catalog.cardinality(enqueue_check.keys) <> rows then
        raise exception 'args has % elements, and run_at or keys another number', rows using errcode = '22023',
            hint = 'Give one of each for every job (null: now, no key), or leave the array out.';
    end if;
    if enqueue_check.trace is not null and not errand.trace_is_valid(enqueue_check.trace) then
        raise exception 'trace "%" is not a traceparent', enqueue_check.trace using errcode = '22023',
            hint = 'It is like 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 (W3C Trace Context, in small letters).';
    end if;
end
$$;

-- What only a call with the rarer arguments has to fear.
create function errand.enqueue_check_more(
    run_at timestamptz[], keys text[], on_conflict text, unique_for interval, expires_at timestamptz, on_parent text,
    tags text[], now_at timestamptz
) returns void language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    latest_at timestamptz;
begin
    if enqueue_check_more.on_parent is null or enqueue_check_more.on_parent not in ('cancel', 'run', 'hold') then
        raise exception 'on_parent "%" is not known', enqueue_check_more.on_parent using errcode = '22023',
            hint = 'It is ''cancel'', ''run'' or ''hold''.';
    end if;
    if enqueue_check_more.unique_for is not null then
        if enqueue_check_more.unique_for <= interval '0' then
            raise exception 'unique_for % is not a length of time', enqueue_check_more.unique_for using errcode = '22023',
                hint = 'It is longer than nothing, like 1 hour.';
        end if;
        if enqueue_check_more.unique_for > interval '1000 years' and pg_catalog.isfinite(enqueue_check_more.unique_for) then
            raise exception 'unique_for % is too long', enqueue_check_more.unique_for using errcode = '22023',
                hint = 'It is at most 1000 years.';
        end if;
        if enqueue_check_more.keys is null or pg_catalog.array_position(enqueue_check_more.keys, null) is not null then
            raise exception 'unique_for needs a key' using errcode = '22023',
                hint = 'Give the key under which there is to be one job in that time.';
        end if;
        if enqueue_check_more.on_conflict = 'allow' then
            raise exception 'unique_for and on_conflict ''allow'' exclude each other' using errcode = '22023',
                hint = 'One job in that time: ''keep'' or ''replace''. As many as you like: leave unique_for out.';
        end if;
    end if;
    if enqueue_check_more.expires_at is not null then
        select pg_catalog.max(r.at) into latest_at from pg_catalog.unnest(enqueue_check_more.run_at) r(at);
        latest_at := greatest(latest_at, enqueue_check_more.now_at);
        if enqueue_check_more.expires_at <= latest_at then
            raise exception 'expires_at % is not later than run_at %', enqueue_check_more.expires_at, latest_at
                using errcode = '22023', hint = 'The job could never start.';
        end if;
    end if;
    if pg_catalog.cardinality(enqueue_check_more.tags) > 32 or pg_catalog.array_position(enqueue_check_more.tags, null) is not null
            or exists (select from pg_catalog.unnest(enqueue_check_more.tags) t(tag)
                where pg_catalog.char_length(t.tag) not between 1 and 100) then
        raise exception 'tags are not valid' using errcode = '22023', hint = 'At most 32, each of 1 to 100 characters.';
    end if;
end
$$;

-- ---- After others ----

-- Which of those jobs a new one is to wait for. The ones that have not ended are locked until the transaction ends, so that
-- their end finds what is bound to them. Null: none.
create function errand.parents_find(after bigint[], on_parent text) returns errand.parents
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    wanted constant bigint[] := array(select distinct a.id from pg_catalog.unnest(parents_find.after) a(id) order by a.id);
    found_parents errand.parents;
    missing bigint[];
    ended record;
begin
    if wanted = '{}' then
        return null;
    end if;
    if pg_catalog.array_position(wanted, null) is not null then
        raise exception 'after has a null' using errcode = '22004', hint = 'Give the ids of the jobs that have to end first.';
    end if;
    select parents_find.on_parent, coalesce(pg_catalog.array_agg(p.lane), '{}'), coalesce(pg_catalog.array_agg(p.id), '{}'),
        coalesce(pg_catalog.array_agg(null::text), '{}')
    into found_parents from errand.parents_lock(wanted) p;
    missing := array(select w.id from pg_catalog.unnest(wanted) w(id) except select p.id from pg_catalog.unnest(found_parents.ids) p(id));
    for ended in
        select w.id, coalesce(h.lane, d.lane) as lane, coalesce(h.outcome, case when d.id is not null then 'dead' end) as outcome
        from pg_catalog.unnest(missing) w(id)
        left join lateral (
            select x.lane, x.outcome from errand.history x where x.id = w.id order by x.finished_at desc limit 1) h on true
        left join lateral (
            select x.lane, x.id from errand.dead_letter x
            where h.outcome is null and x.lane = errand.dead_letter_lane(w.id) and x.id = w.id) d on true
        order by w.id
    loop
        if ended.outcome is null then
            raise exception 'job %, which is to end first, does not exist', ended.id using errcode = '22023',
                hint = 'It never was, its enqueue was rolled back, or it has ended and its history is not kept.';
        elsif ended.outcome <> 'done' and parents_find.on_parent <> 'run' then
            found_parents.lanes := found_parents.lanes || ended.lane;
            found_parents.ids := found_parents.ids || ended.id;
            found_parents.outcomes := found_parents.outcomes || ended.outcome;
        end if;
    end loop;
    return case when found_parents.ids <> '{}' then found_parents end;
end
$$;

-- Locks those of the jobs that have not ended, marked as having dependents. It does not wait for one while it holds others, because
-- a completion may hold that one and want these: it lets all go and begins anew (and in the end it waits all the same). The planner is
-- to see how many they are.
create function errand.parents_lock(ids bigint[]) returns table (lane integer, id bigint)
language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = 'force_custom_plan' as $$
#variable_conflict use_column
declare
    tries integer := case when pg_catalog.cardinality(parents_lock.ids) = 1 then 100 else 0 end;
    missing integer;
    part record;
    locked bigint[];
    held_lanes integer[];
    held_ids bigint[];
begin
    loop
        begin
            for looks in 1..5 loop
                missing := 0;
                held_lanes := '{}';
                held_ids := '{}';
                for part in select f.lane, f.ids from errand.parents_owed(parents_lock.ids) f loop
                    locked := errand.parents_lock_lane(part.lane, part.ids, tries >= 100);
                    missing := missing + pg_catalog.cardinality(part.ids) - pg_catalog.cardinality(locked);
                    held_ids := held_ids || locked;
                    held_lanes := held_lanes || pg_catalog.array_fill(part.lane, array[pg_catalog.cardinality(locked)]);
                end loop;
                exit when missing = 0 or tries >= 100;
                perform pg_catalog.pg_sleep(0.001);
            end loop;
            if missing > 0 and tries < 100 then
                raise exception 'somebody else has one of the jobs' using errcode = '55P03';
            end if;
            return query
                select h.lane, h.id from rows from (pg_catalog.unnest(held_lanes), pg_catalog.unnest(held_ids)) h(lane, id);
            return;
        exception when lock_not_available then
            if tries >= 100 then
                raise; -- lock_timeout
            end if;
        end;
        tries := tries + 1;
        perform pg_catalog.pg_sleep(pg_catalog.random() * least(tries * 0.002, 0.1));
    end loop;
end
$$;

-- Those of the jobs that have not ended, by lane. Ids that lie close together, as those of a set do, are read in one go; others are looked
-- for in every lane.
create function errand.parents_owed(wanted bigint[]) returns table (lane integer, ids bigint[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    first bigint;
    last bigint;
begin
    select pg_catalog.min(w.id), pg_catalog.max(w.id) into first, last from pg_catalog.unnest(parents_owed.wanted) w(id);
    if last - first < 1000 + 4::bigint * pg_catalog.cardinality(parents_owed.wanted) then
        return query
        select f.lane, pg_catalog.array_agg(f.id order by f.id)
        from (
            select pg_catalog.max(a.lane) as lane, a.id
            from (
                select j.lane, j.id from errand.lane l
                cross join lateral (select x.lane, x.id from errand.job x where x.lane = l.lane and x.id between first and last offset 0) j
                union all
                select null, w.id from pg_catalog.unnest(parents_owed.wanted) w(id)
            ) a
            group by a.id having pg_catalog.count(*) = 2
        ) f
        group by f.lane order by f.lane;
    else
        return query
        select l.lane, pg_catalog.array_agg(j.id order by j.id)
        from errand.lane l
        cross join lateral (select x.id from errand.job x where x.lane = l.lane and x.id = any (parents_owed.wanted) offset 0) j
        group by l.lane order by l.lane;
    end if;
end
$$;

-- Returns those that are locked now. One that is marked already needs the weaker lock only: others may bind to it meanwhile.
create function errand.parents_lock_lane(lane integer, ids bigint[], wait boolean) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    free bigint[];
begin
    if parents_lock_lane.wait then
        perform from errand.job j
        where j.lane = parents_lock_lane.lane and j.id = any (parents_lock_lane.ids) and not j.dependents
        order by j.id for no key update;
        update errand.job j set dependents = true
        where j.lane = parents_lock_lane.lane and j.id = any (parents_lock_lane.ids) and not j.dependents;
        return array(
            select j.id from errand.job j where j.lane = parents_lock_lane.lane and j.id = any (parents_lock_lane.ids)
            order by j.id for key share);
    end if;
    free := array(
        select j.id from errand.job j
        where j.lane = parents_lock_lane.lane and j.id = any (parents_lock_lane.ids) and not j.dependents
        order by j.id for no key update skip locked);
    update errand.job j set dependents = true where j.lane = parents_lock_lane.lane and j.id = any (free);
    return array(
        select j.id from errand.job j
        where j.lane = parents_lock_lane.lane and j.id = any (parents_lock_lane.ids) and j.dependents
        order by j.id for key share skip locked);
end
$$;

-- A job that is replaced must not come to wait for itself.
create function errand.parents_check(child_id bigint, parents bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    above bigint[] := parents_check.parents;
begin
    while above <> '{}' loop
        if parents_check.child_id = any (above) then
            raise exception 'job % would wait for itself', parents_check.child_id using errcode = '22023',
                hint = 'A job of after waits for the one that is to be replaced.';
        end if;
        above := array(select distinct d.parent_id from errand.dependency d where d.child_id = any (above));
    end loop;
end
$$;

-- Whether a new job is held at once.
create function errand.parents_hold(parents errand.parents) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return (parents_hold.parents).on_parent = 'hold'
        and exists (select from pg_catalog.unnest((parents_hold.parents).outcomes) o(outcome) where o.outcome is not null);
end
$$;

-- Binds new jobs to those they wait for. Where one of these has ended badly already and its jobs are to be cancelled, they are.
create function errand.parents_bind(parents errand.parents, child_lanes integer[], child_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    bad record;
    part record;
begin
    select p.id, p.outcome into bad
    from unnest((parents_bind.parents).ids, (parents_bind.parents).outcomes) p(id, outcome)
    where p.outcome is not null and (parents_bind.parents).on_parent = 'cancel' limit 1;
    if bad.id is null then
        insert into errand.dependency (lane, parent_id, child_lane, child_id, on_parent, outcome, held)
        select p.lane, p.id, c.lane, c.id, (parents_bind.parents).on_parent, p.outcome, p.outcome is not null
        from unnest((parents_bind.parents).lanes, (parents_bind.parents).ids, (parents_bind.parents).outcomes) p(lane, id, outcome),
            unnest(parents_bind.child_lanes, parents_bind.child_ids) c(lane, id);
        return;
    end if;
    for part in
        select c.lane, pg_catalog.array_agg(c.id) as ids
        from unnest(parents_bind.child_lanes, parents_bind.child_ids) c(lane, id) group by c.lane order by c.lane
    loop
        perform errand.jobs_cancel(part.lane, part.ids, errand.dependency_reason(bad.id, bad.outcome));
    end loop;
end
$$;

-- Wakes the owners that sleep of those lanes, at commit, once a transaction and lane. The payload tells from which
-- run_at on to look: the transaction's start for jobs that are due, because what is enqueued bears no earlier one.
create function errand.lanes_wake(lanes integer[], run_at timestamptz[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
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
