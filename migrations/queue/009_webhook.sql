-- Events that others send: each is stored once, as it was received, together with the one job that acts on it.

-- event_id: the sender's own id; for a source that gives none, a hash of the body. headers: those of interest only, never a credential.
-- status: stored, and its job is yet to act; applied; ignored, it asks for nothing; unassigned, nobody here is known that it is about;
-- failed. effect: what became of it, in words. Whoever acts on the event sets both, in the transaction of what it does. kind, queue: of
-- its job, so that it can be made again.
create table errand.webhook_event (
    source text not null check (source ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    event_id text not null check (pg_catalog.octet_length(event_id) between 1 and 256),
    type text check (pg_catalog.octet_length(type) <= 256),
    received_at timestamptz not null default pg_catalog.clock_timestamp(),
    headers jsonb not null check (pg_catalog.jsonb_typeof(headers) = 'object'),
    body bytea not null,
    job_id bigint,
    status text not null default 'stored' check (status in ('stored', 'applied', 'ignored', 'unassigned', 'failed')),
    effect text,
    kind text,
    queue text,
    primary key (source, event_id)
) with (fillfactor = 80);
create index webhook_event_received on errand.webhook_event (received_at, source, event_id);
create index webhook_event_settled on errand.webhook_event (received_at) where status in ('applied', 'ignored');
create index webhook_event_open on errand.webhook_event (status, received_at) where status in ('stored', 'unassigned', 'failed');

-- What operators look at: everything but the body, which may tell of people. Who may read that reads it from the table.
create view errand.webhooks with (security_invoker = true) as
select e.source, e.event_id, e.type, e.received_at, e.headers, e.job_id, e.status, e.effect, e.kind from errand.webhook_event e;

-- Stores an event whose signature was found right, and enqueues its job, in the caller's transaction. Returns the job's id; null when
-- the event was known, and then nothing was done. The same event at the same moment: one stores it, the others wait for that and
-- return null, or store it when that one rolls back.
--   headers       an object; those that the handler may want
--   kind, queue   of the job; its args are {"source": ..., "event_id": ...}, its key is source:event_id
create function errand.webhook_accept(
    source text,
    event_id text,
    type text,
    headers jsonb,
    body bytea,
    kind text,
    queue text default null
) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    new_id bigint;
begin
    insert into errand.webhook_event (source, event_id, type, headers, body, kind, queue)
    values (webhook_accept.source, webhook_accept.event_id, webhook_accept.type, coalesce(webhook_accept.headers, '{}'), webhook_accept.body,
        webhook_accept.kind, webhook_accept.queue)
    on conflict (source, event_id) do nothing;
    if not found then
        return null;
    end if;
    new_id := errand.enqueue(webhook_accept.kind,
        pg_catalog.jsonb_build_object('source', webhook_accept.source, 'event_id', webhook_accept.event_id),
        queue => webhook_accept.queue, key => webhook_accept.source || ':' || webhook_accept.event_id);
    update errand.webhook_event e set job_id = new_id
    where e.source = webhook_accept.source and e.event_id = webhook_accept.event_id;
    return new_id;
end
$$;

-- The same for many events of one source, in one statement. Returns how many of them were new: when the transaction has committed, all
-- of them are stored, each with its one job. The arrays are of one length; an event may stand in them twice.
-- What the database says against the job (no such queue, a kind that is no kind) loses no event: they are stored as failed, effect says
-- why, and there is no job.
create function errand.webhook_accept_many(
    source text,
    event_ids text[],
    types text[],
    headers jsonb[],
    bodies bytea[],
    kind text,
    queue text default null,
    received timestamptz[] default null
) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    fresh text[];
    jobs bigint[];
    problem text;
begin
    -- In one order: of two calls with the same events, none waits for one that waits for it.
    with made as (
        insert into errand.webhook_event (source, event_id, type, headers, body, kind, queue, received_at)
        select webhook_accept_many.source, g.event_id, g.type, coalesce(g.headers, '{}'), g.body, webhook_accept_many.kind,
            webhook_accept_many.queue, coalesce(g.received_at, pg_catalog.clock_timestamp())
        from rows from (pg_catalog.unnest(webhook_accept_many.event_ids), pg_catalog.unnest(webhook_accept_many.types),
            pg_catalog.unnest(webhook_accept_many.headers), pg_catalog.unnest(webhook_accept_many.bodies),
            pg_catalog.unnest(webhook_accept_many.received)) g(event_id, type, headers, body, received_at)
        order by g.event_id
        on conflict (source, event_id) do nothing
        returning event_id
    )
    select pg_catalog.array_agg(m.event_id order by m.event_id) into fresh from made m;
    if fresh is null then
        return 0;
    end if;
    begin
        jobs := array(select e.id from errand.enqueue_many(webhook_accept_many.kind,
            array(select pg_catalog.jsonb_build_object('source', webhook_accept_many.source, 'event_id', f.event_id)
                from pg_catalog.unnest(fresh) with ordinality f(event_id, n) order by f.n),
            keys => array(select webhook_accept_many.source || ':' || f.event_id
                from pg_catalog.unnest(fresh) with ordinality f(event_id, n) order by f.n),
            queue => webhook_accept_many.queue) with ordinality e(id, n) order by e.n);
    exception when invalid_parameter_value or undefined_object or object_not_in_prerequisite_state then
        get stacked diagnostics problem = message_text;
        update errand.webhook_event e set status = 'failed', effect = 'no job was made: ' || problem
        where e.source = webhook_accept_many.source and e.event_id = any (fresh);
        return pg_catalog.cardinality(fresh);
    end;
    -- One by one: joined with its list, a table whose statistics are old may be read whole.
    for n in 1 .. pg_catalog.cardinality(fresh) loop
        update errand.webhook_event e set job_id = jobs[n] where e.source = webhook_accept_many.source and e.event_id = fresh[n];
    end loop;
    return pg_catalog.cardinality(fresh);
end
$$;

-- Has the job of an event act on it again, when it has ended: 'redriven' (it was a dead letter), 'enqueued' (a new job), 'not ended', 'not
-- found', or 'no kind' (an event that was stored without one). The event is then as if it had just come.
create function errand.webhook_replay(source text, event_id text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    event record;
    result text;
    new_id bigint;
begin
    select e.job_id, e.kind, e.queue into event from errand.webhook_event e
    where e.source = webhook_replay.source and e.event_id = webhook_replay.event_id for update;
    if not found then
        return 'not found';
    elsif errand.job_lane(event.job_id) is not null then
        return 'not ended';
    end if;
    result := errand.redrive(event.job_id);
    new_id := event.job_id;
    if result <> 'redriven' and event.kind is null then
        return 'no kind';
    elsif result <> 'redriven' then
        result := 'enqueued';
        new_id := errand.enqueue(event.kind,
            pg_catalog.jsonb_build_object('source', webhook_replay.source, 'event_id', webhook_replay.event_id),
            queue => event.queue, key => webhook_replay.source || ':' || webhook_replay.event_id);
    end if;
    update errand.webhook_event e set job_id = new_id, status = 'stored', effect = null
    where e.source = webhook_replay.source and e.event_id = webhook_replay.event_id;
    return result;
end
$$;

-- What became of an event whose job has ended. Its kind or queue may keep nothing of jobs that went well.
create function errand.webhook_job_end(job_id bigint, out status text, out effect text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    last record;
begin
    select coalesce(h.outcome, 'done') as outcome, h.error into last
    from (select) x left join lateral (
        select h.outcome, h.error from errand.history h where h.id = webhook_job_end.job_id order by h.finished_at desc limit 1) h on true;
    status := case last.outcome when 'done' then 'applied' else 'failed' end;
    effect := pg_catalog.left(pg_catalog.concat_ws(': ', case last.outcome when 'done' then 'its job is done'
        when 'cancelled' then 'its job was cancelled' else 'its job is dead' end, last.error), 500);
end
$$;

-- Says of events whose job has ended what became of them, where nobody has said so: the handler of a source of one's own need not, and one
-- that died could not. Looks at the max that have been stored the longest; returns how many it was said of. The runner calls it.
create function errand.webhook_settle(max integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    one record;
    ended record;
    settled integer := 0;
begin
    for one in
        select x.source, x.event_id, x.job_id from (
            select e.source, e.event_id, e.job_id from errand.webhook_event e
            where e.status = 'stored' and e.job_id is not null order by e.received_at limit webhook_settle.max) x
        where errand.job_lane(x.job_id) is null
    loop
        perform from errand.webhook_event e
        where e.source = one.source and e.event_id = one.event_id and e.status = 'stored' and e.job_id = one.job_id for update skip locked;
        continue when not found or errand.job_lane(one.job_id) is not null; -- replayed meanwhile
        select x.status, x.effect into ended from errand.webhook_job_end(one.job_id) x;
        update errand.webhook_event e set status = ended.status, effect = ended.effect
        where e.source = one.source and e.event_id = one.event_id;
        settled := settled + 1;
    end loop;
    return settled;
end
$$;

-- Removes events that came so many days ago, at most max of them, the oldest first: those that are applied or ignored after settled_days,
-- others after open_days, unless their job is yet to end. Returns how many it removed. The runner calls it until it is fewer than max.
create function errand.webhook_forget(settled_days integer, open_days integer, max integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    settled integer;
    open integer := 0;
begin
    delete from errand.webhook_event e where e.ctid = any (array(
        select x.ctid from errand.webhook_event x
        where x.status in ('applied', 'ignored') and x.received_at < pg_catalog.now() - pg_catalog.make_interval(days => settled_days)
        order by x.received_at limit webhook_forget.max for update skip locked));
    get diagnostics settled = row_count;
    if settled < webhook_forget.max then
        delete from errand.webhook_event e where e.ctid = any (array(
            select x.ctid from errand.webhook_event x
            where x.status in ('stored', 'unassigned', 'failed') and x.received_at < pg_catalog.now() - pg_catalog.make_interval(days => open_days)
                and errand.job_lane(x.job_id) is null
            limit webhook_forget.max - settled for update skip locked));
        get diagnostics open = row_count;
    end if;
    return settled + open;
end
$$;

revoke all on function errand.webhook_accept, errand.webhook_accept_many, errand.webhook_replay, errand.webhook_job_end, errand.webhook_settle, errand.webhook_forget from public;
grant execute on function errand.webhook_replay to errand_operator;
grant execute on function errand.webhook_accept, errand.webhook_accept_many, errand.webhook_settle, errand.webhook_forget to errand_runner;
grant select on errand.webhook_event to errand_operator, errand_runner;
grant select (source, event_id, type, received_at, headers, job_id, status, effect, kind, queue) on errand.webhook_event to errand_viewer;
grant select on errand.webhooks to errand_viewer, errand_operator, errand_runner;
grant update (status, effect) on errand.webhook_event to errand_runner;
