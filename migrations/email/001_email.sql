-- Mail: rows of public.scheduled_messages become jobs of kind email.send, and what leaves for the provider is
-- written down first. Needs the sets queue and domain. docs/email.md tells how to use it.

-- One lane, because a provider's rate is one number for all.
select errand.queue_create('email', 1);
insert into errand.kind (name, queue, max_attempts, timeout_ms)
values ('email.send', 'email', 25, 120000), ('email.sweep', 'email', 1000, 60000)
on conflict (name) do nothing;

-- ---- What was sent, to the byte ----

-- A request to the provider, stored before it leaves and sent again with the same id (its Idempotency-Key) and the
-- same bytes until the outcome is known. open: it may or may not have arrived. settled: the outcome stands beside
-- its messages. void: certainly nothing was sent; its messages travel in another one.
create table errand.email_request (
    id uuid primary key default pg_catalog.gen_random_uuid(),
    path text not null check (path in ('/emails', '/emails/batch')),
    body bytea not null, -- emptied when it is no longer needed
    state text not null default 'open' check (state in ('open', 'settled', 'void')),
    first_sent_at timestamptz not null default pg_catalog.now(), -- written before the first send
    settled_at timestamptz,
    status_code integer,
    answer text -- the beginning of it, or why there is none
);
create index email_request_age on errand.email_request (first_sent_at);
create index email_request_open on errand.email_request (id) where state = 'open';

-- The messages of a request, in its order. outcome is also the status in email_delivery_log. done_at: what became of it
-- has been written into the message, so that the message may be sent anew if somebody opens it again.
create table errand.email_request_message (
    request_id uuid not null references errand.email_request (id) on delete cascade,
    position integer not null,
    message_id uuid not null,
    recipient text not null,
    subject text,
    outcome text check (outcome in ('sent', 'failed', 'unknown', 'void')),
    provider_message_id text,
    error text,
    done_at timestamptz,
    primary key (request_id, position)
);
create unique index email_request_message_live on errand.email_request_message (message_id) where done_at is null;

-- Addresses that must not be mailed: lower case, without a name. event_id: of the event of errand.webhook_event that put it there, at the
-- time created_at; null: by hand.
create table errand.suppression (
    recipient text primary key check (recipient = pg_catalog.lower(recipient)),
    reason text not null,
    source text not null default 'manual',
    event_id text,
    created_at timestamptz not null default pg_catalog.now()
);

-- When an address was last taken off the list: an event from before that, which comes late, does not put it there again.
create table errand.suppression_lift (
    recipient text primary key,
    lifted_at timestamptz not null
);

-- `Name <User@Example.COM>` as user@example.com; raises when that is no address.
create function errand.email_address(address text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
    bare constant text := pg_catalog.lower(pg_catalog.btrim(
        coalesce(pg_catalog.substring(email_address.address, '<([^<>]*)>\s*$'), email_address.address)));
begin
    if bare is null or bare !~ '^[^@\s<>,]+@[^@\s<>,]+$' or pg_catalog.length(bare) > 320 then
        raise exception '"%" is no mail address', email_address.address using errcode = '22023';
    end if;
    return bare;
end
$$;

-- From now on no mail goes to the address; messages to it fail with the reason.
create function errand.suppress(address text, reason text, source text default 'manual') returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into errand.suppression as s (recipient, reason, source)
    values (errand.email_address(suppress.address), suppress.reason, suppress.source)
    on conflict (recipient) do update
    set reason = excluded.reason, source = excluded.source, event_id = null, created_at = excluded.created_at;
end
$$;

-- Takes an address off the list; false when it was not there.
create function errand.unsuppress(address text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from errand.suppression s where s.recipient = errand.email_address(unsuppress.address);
    if not found then
        return false;
    end if;
    insert into errand.suppression_lift (recipient, lifted_at)
    values (errand.email_address(unsuppress.address), pg_catalog.clock_timestamp())
    on conflict (recipient) do update set lifted_at = excluded.lifted_at;
    return true;
end
$$;

-- ---- Messages become jobs ----

-- One job a message, under the key message:ID. 'replace' moves the one that waits; one that runs is left alone, because its
-- handler looks at the message again before it sends and after it waits.
create function errand.email_enqueue(ids uuid[], run_at timestamptz[], on_conflict text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if pg_catalog.cardinality(email_enqueue.ids) > 0 then
        perform errand.enqueue_rows('email.send',
            array(select pg_catalog.jsonb_build_object('message_id', u.id)
                from pg_catalog.unnest(email_enqueue.ids) with ordinality u(id, n) order by u.n),
            email_enqueue.run_at,
            array(select 'message:' || u.id from pg_catalog.unnest(email_enqueue.ids) with ordinality u(id, n) order by u.n),
            'email', null, email_enqueue.on_conflict, null, null, null);
    end if;
end
$$;

-- Ends the waiting jobs of messages that are no longer to be sent. A job stays when a request with its message is on
-- its way: it will say what became of that.
create function errand.email_dequeue(ids uuid[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform errand.cancel(j.id)
    from errand.lane l, pg_catalog.unnest(email_dequeue.ids) u(id), errand.job j
    where l.queue = 'email' and j.lane = l.lane and j.key = 'message:' || u.id and j.claimed_by is null
        and not exists (
            select from errand.email_request_message m where m.message_id = u.id and m.done_at is null);
end
$$;

create function errand.email_on_insert() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
    times timestamptz[];
begin
    select pg_catalog.array_agg(n.id), pg_catalog.array_agg(n.scheduled_for) into ids, times
    from new_rows n where n.status = 'pending' and n.scheduled_for is not null;
    perform errand.email_enqueue(ids, times, 'replace');
    return null;
end
$$;

-- What a pending message says is read when it is due, so only its time and its status matter here.
create function errand.email_on_update() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
    times timestamptz[];
begin
    select pg_catalog.array_agg(n.id), pg_catalog.array_agg(n.scheduled_for) into ids, times
    from new_rows n left join old_rows o on o.id = n.id
    where n.status = 'pending' and n.scheduled_for is not null
        and (o.status, o.scheduled_for) is distinct from (n.status, n.scheduled_for);
    perform errand.email_enqueue(ids, times, 'replace');
    select pg_catalog.array_agg(o.id) into ids
    from old_rows o left join new_rows n on n.id = o.id
    where o.status = 'pending' and o.scheduled_for is not null
        and (n.status is distinct from 'pending' or n.scheduled_for is null);
    perform errand.email_dequeue(ids);
    return null;
end
$$;

create function errand.email_on_delete() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids uuid[];
begin
    select pg_catalog.array_agg(o.id) into ids from old_rows o where o.status = 'pending';
    perform errand.email_dequeue(ids);
    return null;
end
$$;

create trigger errand_email_insert after insert on public.scheduled_messages
    referencing new table as new_rows for each statement execute function errand.email_on_insert();
create trigger errand_email_update after update on public.scheduled_messages
    referencing old table as old_rows new table as new_rows for each statement execute function errand.email_on_update();
create trigger errand_email_delete after delete on public.scheduled_messages
    referencing old table as old_rows for each statement execute function errand.email_on_delete();

-- Called in the transaction in which a job goes back to wait for its message's time: somebody may have moved the message
-- while the job ran. (Who moves it locks the job's row, and so comes wholly before this or wholly after.)
create function errand.email_follow(message uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform errand.email_enqueue(array[s.id], array[s.scheduled_for], 'replace')
    from public.scheduled_messages s, errand.lane l, errand.job j
    where s.id = email_follow.message and s.status = 'pending' and l.queue = 'email' and j.lane = l.lane
        and j.key = 'message:' || s.id and j.run_at > greatest(s.scheduled_for, pg_catalog.clock_timestamp());
end
$$;

create index if not exists scheduled_messages_pending_idx on public.scheduled_messages (scheduled_for)
    where status = 'pending';
create index dead_letter_email on errand.dead_letter (key) where kind = 'email.send';

-- Finds messages that are pending until `until` and have no job: inserted while the triggers were off, restored, replicated.
-- One whose job died without writing down why is failed instead, so that nothing stays pending for ever. Returns
-- how many were found, at most max. Also closes requests all of whose messages were given up, and forgets those of
-- more than a week ago.
create function errand.email_sweep(max integer, until timestamptz) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := (select l.lane from errand.lane l where l.queue = 'email');
    ids uuid[];
    times timestamptz[];
    died uuid[];
begin
    select pg_catalog.array_agg(f.id), pg_catalog.array_agg(f.scheduled_for),
        pg_catalog.array_agg(f.id) filter (where exists (
            select from errand.dead_letter d where d.kind = 'email.send' and d.key = 'message:' || f.id))
    into ids, times, died
    from (
        select s.id, s.scheduled_for from public.scheduled_messages s
        where s.status = 'pending' and s.scheduled_for <= email_sweep.until
            and not exists (select from errand.job j where j.lane = at_lane and j.key = 'message:' || s.id)
        order by s.scheduled_for limit email_sweep.max
    ) f;
    perform errand.email_bury(u.id) from pg_catalog.unnest(died) u(id);
    perform errand.email_enqueue(pg_catalog.array_agg(u.id), pg_catalog.array_agg(u.at), 'keep')
    from rows from (pg_catalog.unnest(ids), pg_catalog.unnest(times)) u(id, at)
    where died is null or u.id <> all (died);
    update errand.email_request r set state = 'settled', body = '', settled_at = pg_catalog.now()
    where r.state = 'open' and not exists (
        select from errand.email_request_message m where m.request_id = r.id and m.done_at is null);
    delete from errand.email_request r
    where r.first_sent_at < pg_catalog.now() - interval '7 days' and not exists (
        select from errand.email_request_message m where m.request_id = r.id and m.done_at is null);
    return coalesce(pg_catalog.cardinality(ids), 0);
end
$$;

-- Fails a message whose job died, with what the dead letter says.
create function errand.email_bury(message uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    word text;
    why text;
begin
    update errand.email_request_message m set done_at = pg_catalog.now(), outcome = 'unknown'
    where m.message_id = email_bury.message and m.done_at is null;
    word := case when found then 'unknown' else 'failed' end;
    select case when word = 'unknown' then 'unknown: the provider may or may not have sent this mail; ' else '' end
        || 'its job died: ' || pg_catalog.left(d.error, 400) into why
    from errand.dead_letter d where d.kind = 'email.send' and d.key = 'message:' || email_bury.message
    order by d.died_at desc limit 1;
    with buried as (
        update public.scheduled_messages s set status = 'failed', failure_reason = why
        where s.id = email_bury.message and s.status = 'pending'
        returning s.id, s.recipient_email, s.subject
    )
    insert into public.email_delivery_log (scheduled_message_id, recipient, subject, provider, status, status_updated_at)
    select b.id, b.recipient_email, b.subject, 'resend', word, pg_catalog.now() from buried b;
end
$$;

-- ---- Requests ----

-- Stores a request, unless one of its messages stands in the way; then it stores nothing and tells which, and why:
--   changed      the message is not what it was when it was read (version), or somebody is changing it now
--   on its way   it is in another request whose outcome is not known
--   suppressed   its recipient is on the list, with the reason
--   copies       some of its cc and bcc are: addresses
-- messages is an array of {id, version, recipient, subject, copied: [address, ...]}, in the order of the request. A
-- change that commits after this comes too late for this request.
create function errand.email_request_store(path text, body text, messages jsonb)
returns table (request_id uuid, first_sent_at timestamptz, "position" integer, verdict text, reason text, addresses jsonb)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    standing uuid[];
begin
    standing := array(
        select s.id from public.scheduled_messages s
        join pg_catalog.jsonb_to_recordset(email_request_store.messages) w(id uuid, version text)
            on w.id = s.id and w.version = s.xmin::text
        order by s.id for no key update of s skip locked);
    return query
    select null::uuid, null::timestamptz, w.n::integer - 1,
        case when w.id <> all (standing) then 'changed' when m.message_id is not null then 'on its way'
            when s.recipient is not null then 'suppressed' else 'copies' end,
        s.reason, c.found
    from rows from (pg_catalog.jsonb_to_recordset(email_request_store.messages)
        as (id uuid, recipient text, copied jsonb)) with ordinality w(id, recipient, copied, n)
    left join errand.email_request_message m on m.message_id = w.id and m.done_at is null
    left join errand.suppression s on s.recipient = pg_catalog.lower(w.recipient)
    left join lateral (
        select pg_catalog.jsonb_agg(a.address) as found
        from pg_catalog.jsonb_array_elements_text(w.copied) a(address)
        join errand.suppression x on x.recipient = pg_catalog.lower(a.address)
    ) c on true
    where w.id <> all (standing) or m.message_id is not null or s.recipient is not null or c.found is not null;
    if found then
        return;
    end if;
    return query
    with stored as (
        insert into errand.email_request as r (path, body, first_sent_at)
        values (email_request_store.path, pg_catalog.convert_to(email_request_store.body, 'UTF8'),
            pg_catalog.clock_timestamp())
        returning r.id, r.first_sent_at
    ), members as (
        insert into errand.email_request_message (request_id, position, message_id, recipient, subject)
        select r.id, w.n - 1, w.id, w.recipient, w.subject
        from stored r, rows from (pg_catalog.jsonb_to_recordset(email_request_store.messages)
            as (id uuid, recipient text, subject text)) with ordinality w(id, recipient, subject, n)
    )
    select r.id, r.first_sent_at, null::integer, null, null, null::jsonb from stored r;
end
$$;

-- ---- What people look at ----

-- One row a message: where it stands.
create view errand.emails with (security_invoker = true) as
select s.id, s.recipient_email as recipient, s.subject, s.status, s.scheduled_for, s.sent_at, s.failure_reason,
    d.provider_message_id, d.status as delivery_status, j.attempt as attempts, j.run_at as next_attempt_at,
    j.claimed_by is not null as sending, j.last_error, r.state as request_state, r.first_sent_at as request_first_sent_at,
    d.status_updated_at as delivery_status_at
from public.scheduled_messages s
left join errand.lane l on l.queue = 'email'
left join errand.job j on j.lane = l.lane and j.key = 'message:' || s.id
left join errand.email_request_message m on m.message_id = s.id and m.done_at is null
left join errand.email_request r on r.id = m.request_id
left join lateral (
    select x.provider_message_id, x.status, x.status_updated_at from public.email_delivery_log x
    where x.scheduled_message_id = s.id order by x.created_at desc limit 1
) d on true;

-- ---- Who may what ----

revoke all on function errand.email_address, errand.suppress, errand.unsuppress, errand.email_enqueue, errand.email_dequeue,
    errand.email_on_insert, errand.email_on_update, errand.email_on_delete, errand.email_follow, errand.email_sweep,
    errand.email_bury, errand.email_request_store from public;
grant execute on function errand.suppress, errand.unsuppress to errand_operator, errand_runner;
grant execute on function errand.email_address to errand_operator, errand_viewer;
grant execute on function errand.email_follow, errand.email_sweep, errand.email_request_store to errand_runner;
grant select, insert, update, delete on errand.email_request, errand.email_request_message, errand.suppression
    to errand_runner;
-- Not the bodies: they are the mails.
grant select (id, path, state, first_sent_at, settled_at, status_code, answer) on errand.email_request
    to errand_operator, errand_viewer;
grant select on errand.email_request_message, errand.suppression, errand.suppression_lift to errand_operator, errand_viewer;
grant select on errand.emails to errand_operator, errand_viewer, errand_runner;

grant usage on schema public to errand_runner, errand_operator, errand_viewer;
grant select, update on public.scheduled_messages to errand_runner;
grant select, insert, update on public.email_delivery_log to errand_runner;
grant select (id, workspace_id, scheduled_for, message_type, subject, recipient_email, status, sent_at, failure_reason,
    created_at) on public.scheduled_messages to errand_operator, errand_viewer;
grant select on public.email_delivery_log to errand_operator, errand_viewer;
create policy errand_runner on public.scheduled_messages to errand_runner using (true) with check (true);
create policy errand_runner on public.email_delivery_log to errand_runner using (true) with check (true);
create policy errand_operator on public.scheduled_messages for select to errand_operator, errand_viewer using (true);
create policy errand_operator on public.email_delivery_log for select to errand_operator, errand_viewer using (true);

-- ---- What stands already ----

select errand.email_sweep(2147483647, 'infinity');
select errand.enqueue('email.sweep', '{}', queue => 'email', priority => 3, key => 'email.sweep', max_attempts => 1000);
