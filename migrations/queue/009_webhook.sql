-- Events that others send: each is stored once, as it was received, together with the one job that acts on it.

-- event_id: the sender's own id; for a source that gives none, a hash of the body. headers: those of interest only, never a credential.
-- status: stored, and its job is yet to act; applied; ignored, it asks for nothing; unassigned, nobody here is known that it is about;
-- failed. effect: what became of it, in words. Whoever acts on the event sets both, in the transaction of what it does.
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
    primary key (source, event_id)
) with (fillfactor = 80);
create index webhook_event_received on errand.webhook_event (received_at, source, event_id);
create index webhook_event_open on errand.webhook_event (status, received_at) where status in ('stored', 'unassigned', 'failed');

-- What operators look at: everything but the body, which may tell of people. Who may read that reads it from the table.
create view errand.webhooks with (security_invoker = true) as
select e.source, e.event_id, e.type, e.received_at, e.headers, e.job_id, e.status, e.effect from errand.webhook_event e;

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
language plpgsql security definer set search_path = '' as $$
#variable_conflict use_column
declare
    new_id bigint;
begin
    insert into errand.webhook_event (source, event_id, type, headers, body)
    values (webhook_accept.source, webhook_accept.event_id, webhook_accept.type, coalesce(webhook_accept.headers, '{}'), webhook_accept.body)
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

revoke all on function errand.webhook_accept from public;
grant execute on function errand.webhook_accept to errand_runner;
grant select on errand.webhook_event to errand_operator, errand_runner;
grant select (source, event_id, type, received_at, headers, job_id, status, effect) on errand.webhook_event to errand_viewer;
grant select on errand.webhooks to errand_viewer, errand_operator, errand_runner;
grant update (status, effect) on errand.webhook_event to errand_runner;
