-- What the provider tells of the mails that it has taken: the timeline of each mail, its status in the log, and the suppression
-- list. docs/email.md tells how to use it.
--
-- Events come in any order, more than once, and some before the answer that brings the mail's id. So an event is put down once, under
-- the provider's id; the log's status is what the greatest of a mail's events says, and whoever learns last whose the id is applies them.

-- Lanes of their own: while the queue email is paused, or waits for its rate, events go on.
select errand.queue_create('email_event', 4);
insert into errand.kind (name, queue, max_attempts, timeout_ms) values ('email.event', 'email_event', 20, 60000)
on conflict (name) do nothing;

-- A mail as its provider names it. log_id null: no entry of the log has that id yet. Who writes the id into the log and who brings an
-- event both insert it, and so the second waits for the first and sees what it did.
create table errand.email_mail (
    provider_message_id text primary key check (pg_catalog.octet_length(provider_message_id) between 1 and 256),
    log_id uuid unique references public.email_delivery_log (id) on delete cascade,
    noted_at timestamptz not null default pg_catalog.now()
);
create index email_mail_unassigned on errand.email_mail (noted_at) where log_id is null;

-- at: when it happened, as the provider says. reason: of a bounce, failure or suppression, in the provider's words.
create table errand.email_event (
    source text not null,
    event_id text not null,
    provider_message_id text not null references errand.email_mail (provider_message_id) on delete cascade,
    status text not null,
    at timestamptz not null,
    reason text,
    primary key (source, event_id)
);
create index email_event_mail on errand.email_event (provider_message_id, at);

-- Of what is said about a mail the word with the greatest rank is its status; null: no such word. What comes later in a mail's life ranks
-- higher, since a late `sent` is no news when it was delivered. What went wrong ranks above what went well: a mail server may accept a
-- mail and return it afterwards, and a scanner that opens links makes no mail arrive. A complaint is the last that can be said, and
-- asks most of the sender. The first two are no events: what errand itself knows before the first one.
create function errand.email_status_rank(status text) returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return pg_catalog.array_position(array['queued', 'unknown', 'scheduled', 'sent', 'delivery_delayed', 'delivered', 'opened', 'clicked',
        'failed', 'suppressed', 'bounced', 'complained'], email_status_rank.status);
end
$$;

-- ---- Reading an event ----

-- What a body says. status: null when it says nothing of a mail. made_at: when the provider took the mail. message_id: of the tag. suppress:
-- why its recipient shall get no more mail.
create type errand.email_reading as (
    type text, status text, provider_message_id text, at timestamptz, made_at timestamptz, recipients text[], message_id uuid,
    reason text, suppress text
);

-- Raises what is wrong with a body (class 22).
create function errand.email_event_read(body bytea) returns errand.email_reading
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    payload constant jsonb := pg_catalog.convert_from(email_event_read.body, 'UTF8')::jsonb;
    data constant jsonb := payload -> 'data';
    word constant text := pg_catalog.substring(payload ->> 'type', '^email\.(.*)$');
    tag text;
    r errand.email_reading;
begin
    r.type := payload ->> 'type';
    if r.type is null then
        raise exception 'the body has no type' using errcode = '22023';
    end if;
    if errand.email_status_rank(word) > errand.email_status_rank('unknown') then
        r.status := word;
    else
        return r;
    end if;
    r.provider_message_id := nullif(data ->> 'email_id', '');
    r.at := (payload ->> 'created_at')::timestamptz;
    if r.provider_message_id is null or r.at is null then
        raise exception '% has no %', r.type, case when r.at is null then 'created_at' else 'data.email_id' end using errcode = '22023';
    end if;
    if pg_catalog.octet_length(r.provider_message_id) > 256 then
        raise exception 'data.email_id has more than 256 bytes' using errcode = '22023';
    end if;
    r.made_at := coalesce((data ->> 'created_at')::timestamptz, r.at);
    r.recipients := case pg_catalog.jsonb_typeof(data -> 'to')
        when 'array' then array(select pg_catalog.jsonb_array_elements_text(data -> 'to'))
        when 'string' then array[data ->> 'to'] else '{}' end;
    -- An object in events; in requests it is a list.
    tag := case pg_catalog.jsonb_typeof(data -> 'tags')
        when 'object' then data #>> '{tags,message_id}'
        when 'array' then (select t ->> 'value' from pg_catalog.jsonb_array_elements(data -> 'tags') t where t ->> 'name' = 'message_id' limit 1) end;
    if tag ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
        r.message_id := tag::uuid;
    end if;
    r.reason := pg_catalog.left(nullif(case r.status
        when 'bounced' then pg_catalog.concat_ws(': ', pg_catalog.concat_ws('/', data #>> '{bounce,type}', data #>> '{bounce,subType}'),
            data #>> '{bounce,message}')
        when 'failed' then data #>> '{failed,reason}'
        when 'suppressed' then pg_catalog.concat_ws(': ', data #>> '{suppressed,type}', data #>> '{suppressed,message}') end, ''), 500);
    r.suppress := case
        when r.status = 'complained' then 'complaint'
        when r.status = 'bounced' and pg_catalog.lower(data #>> '{bounce,type}') = 'permanent' then 'hard bounce' end;
    return r;
end
$$;

-- ---- What is known of a mail goes into its log ----

-- Called by who holds the mail's row. was_assigned: its log_id stood before, so no event waits for it.
create function errand.email_log_refresh(provider_message_id text, was_assigned boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update public.email_delivery_log l set status = e.status, status_updated_at = e.at
    from errand.email_mail m, (
        select x.status, x.at from errand.email_event x where x.provider_message_id = email_log_refresh.provider_message_id
        order by errand.email_status_rank(x.status) desc, x.at desc limit 1) e
    where m.provider_message_id = email_log_refresh.provider_message_id and l.id = m.log_id
        and errand.email_status_rank(e.status) >= coalesce(errand.email_status_rank(l.status), 0)
        and (l.status, l.status_updated_at) is distinct from (e.status, e.at);
    if was_assigned then
        return;
    end if;
    update errand.webhook_event h set status = 'applied', effect = pg_catalog.format('message %s: %s, told before its id was known',
        coalesce(l.scheduled_message_id::text, 'that is gone'), e.status)
    from errand.email_event e join errand.email_mail m on m.provider_message_id = e.provider_message_id
        join public.email_delivery_log l on l.id = m.log_id
    where e.provider_message_id = email_log_refresh.provider_message_id and h.source = e.source and h.event_id = e.event_id
        and h.status = 'unassigned';
end
$$;

-- What became of a message of a request, written down once: outcome, the provider's id, error, time. A message that somebody called off
-- stays so when it was refused; if it was or may have been sent, that is told. Events that came before the id are applied.
create function errand.email_finish(request_id uuid, message_id uuid, outcome text, provider_message_id text, error text, at timestamptz)
returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    member errand.email_request_message;
    word text := email_finish.outcome;
    id text := email_finish.provider_message_id;
    why text := email_finish.error;
    message uuid;
    log uuid;
begin
    select m.* into member from errand.email_request_message m
    where m.request_id = email_finish.request_id and m.message_id = email_finish.message_id and m.done_at is null for update;
    if not found then
        return;
    end if;
    if word = 'unknown' and member.outcome = 'sent' then -- an event has said so while the job was giving up
        word := 'sent';
        id := member.provider_message_id;
        why := null;
    end if;
    update errand.email_request_message m set done_at = pg_catalog.now(), outcome = word, provider_message_id = id, error = why
    where m.request_id = email_finish.request_id and m.position = member.position;
    update public.scheduled_messages s
    set status = case when word = 'sent' then 'sent' when word = 'failed' and s.status <> 'pending' then s.status else 'failed' end,
        sent_at = case when word = 'sent' then email_finish.at else s.sent_at end,
        failure_reason = why
    where s.id = email_finish.message_id returning s.id into message;
    insert into public.email_delivery_log
        (scheduled_message_id, recipient, subject, provider, provider_message_id, status, status_updated_at)
    values (message, member.recipient, member.subject, 'resend', id, word, email_finish.at)
    returning email_delivery_log.id into log;
    if id is null then
        return;
    end if;
    insert into errand.email_mail (provider_message_id, log_id) values (id, log) on conflict (provider_message_id) do nothing;
    if not found then
        update errand.email_mail m set log_id = log where m.provider_message_id = id and m.log_id is null;
        perform errand.email_log_refresh(id, false);
    end if;
end
$$;

-- ---- What the job calls ----

-- By its tag an event says which message it is about, though nobody knows the provider's id: the answer was lost, or is under way. Then
-- the mail was sent. A send whose outcome is open learns that; its job, made due, writes the log. One whose outcome was given up as unknown
-- is settled here, and its entry in the log returned. A message may have been sent more than once, by hand: the time at which
-- the provider took the mail says which send it was; clocks may differ by 5 s.
create function errand.email_settle(read errand.email_reading) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    log uuid;
begin
    update errand.email_request_message m set outcome = 'sent', provider_message_id = read.provider_message_id, error = null
    from errand.email_request r
    where m.message_id = read.message_id and m.done_at is null and m.outcome is null
        and r.id = m.request_id and r.first_sent_at <= read.made_at + interval '5 seconds';
    if found then
        -- Not only when its next attempt would have come. One that runs is claimed, and finds it by itself.
        perform errand.retry(j.id) from errand.lane l, errand.job j
        where l.queue = 'email' and j.lane = l.lane and j.key = 'message:' || read.message_id and j.claimed_by is null
            and j.run_at > pg_catalog.clock_timestamp();
        return null;
    end if;
    -- Before its logs, as whoever deletes it locks them; and two events about it go one after the other, so that each takes a log of its own.
    perform from public.scheduled_messages s where s.id = read.message_id for no key update;
    update public.email_delivery_log l set provider_message_id = read.provider_message_id
    where l.provider_message_id is null and l.id = (
        select x.id from public.email_delivery_log x
        where x.scheduled_message_id = read.message_id and x.status = 'unknown' and x.provider_message_id is null
        order by x.created_at < read.made_at - interval '5 seconds',
            pg_catalog.abs(extract(epoch from x.created_at - read.made_at)), x.id limit 1)
    returning l.id into log;
    update public.scheduled_messages s set status = 'sent', sent_at = read.made_at, failure_reason = null
    where log is not null and s.id = read.message_id and s.status = 'failed' and s.failure_reason like 'unknown:%';
    return log;
end
$$;

-- Puts the recipient on the list. The earliest event stands there, whichever comes first; what was put there by hand stays. Lifted later
-- than the event: it stays lifted. Returns what was done, in words.
create function errand.email_event_suppress(read errand.email_reading, source text, event_id text) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    address text;
begin
    if pg_catalog.cardinality(read.recipients) <> 1 then
        return pg_catalog.format('nobody is suppressed: which of its %s recipients it means is not said',
            pg_catalog.cardinality(read.recipients));
    end if;
    begin
        address := errand.email_address(read.recipients[1]);
    exception when invalid_parameter_value then
        return 'nobody is suppressed: ' || sqlerrm;
    end;
    if exists (select from errand.suppression_lift x where x.recipient = address and x.lifted_at >= read.at) then
        return address || ' is not suppressed: it was taken off the list after this';
    end if;
    insert into errand.suppression as s (recipient, reason, source, event_id, created_at)
    values (address, pg_catalog.concat_ws(': ', read.suppress, read.reason), email_event_suppress.source, email_event_suppress.event_id, read.at)
    on conflict (recipient) do update
    set reason = excluded.reason, source = excluded.source, event_id = excluded.event_id, created_at = excluded.created_at
    where s.event_id is not null and (s.created_at, s.source, s.event_id) > (excluded.created_at, excluded.source, excluded.event_id);
    return address || ' is suppressed';
end
$$;

-- Applies an event of errand.webhook_event, and says there what became of it, in one transaction; as often as one likes. status failed:
-- effect is why. Locks are taken in one order: the message's open send, the mail, its log, the address.
create function errand.email_event_apply(source text, event_id text, out status text, out effect text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    body bytea;
    read errand.email_reading;
    log uuid;
    is_new boolean;
    was_assigned boolean;
begin
    select h.body into body from errand.webhook_event h
    where h.source = email_event_apply.source and h.event_id = email_event_apply.event_id;
    if not found then
        raise exception 'there is no event % of %', email_event_apply.event_id, email_event_apply.source using errcode = '22023',
            hint = 'errand.webhook_event lists them.';
    end if;
    begin
        read := errand.email_event_read(body);
    exception when data_exception or program_limit_exceeded then
        status := 'failed';
        effect := 'the body cannot be used: ' || sqlerrm;
    end;
    if status is null and read.status is null then
        status := 'ignored';
        effect := pg_catalog.left(read.type, 100) || ' changes nothing';
    elsif status is null then
        perform from errand.email_request_message m where m.message_id = read.message_id and m.done_at is null for update;
        insert into errand.email_mail (provider_message_id) values (read.provider_message_id) on conflict (provider_message_id) do nothing;
        select m.log_id into log from errand.email_mail m where m.provider_message_id = read.provider_message_id for update;
        insert into errand.email_event (source, event_id, provider_message_id, status, at, reason)
        values (email_event_apply.source, email_event_apply.event_id, read.provider_message_id, read.status, read.at, read.reason)
        on conflict (source, event_id) do nothing;
        is_new := found;
        was_assigned := log is not null;
        if not was_assigned then
            -- One that was logged by somebody else, or before there were events; not one that is just being deleted.
            select l.id into log from public.email_delivery_log l where l.provider_message_id = read.provider_message_id
            order by l.created_at, l.id limit 1 for key share;
            log := coalesce(log, errand.email_settle(read));
            update errand.email_mail m set log_id = log where log is not null and m.provider_message_id = read.provider_message_id;
        end if;
        perform errand.email_log_refresh(read.provider_message_id, was_assigned);
        select case when log is null then 'unassigned' else 'applied' end, case
                when log is not null then (
                    select pg_catalog.format('message %s: %s', coalesce(l.scheduled_message_id::text, 'that is gone'), case
                        when l.status = read.status then l.status else read.status || ' noted, it stays ' || l.status end)
                    from public.email_delivery_log l where l.id = log)
                when exists (
                    select from errand.email_request_message m
                    where m.message_id = read.message_id and m.done_at is null and m.provider_message_id = read.provider_message_id)
                    then pg_catalog.format('message %s was sent; its job has yet to write that down', read.message_id)
                else 'no mail with the id ' || read.provider_message_id || ' is known yet' end
        into status, effect;
        if is_new and read.suppress is not null then
            effect := effect || '; ' || errand.email_event_suppress(read, email_event_apply.source, email_event_apply.event_id);
        end if;
    end if;
    update errand.webhook_event h set status = email_event_apply.status, effect = email_event_apply.effect
    where h.source = email_event_apply.source and h.event_id = email_event_apply.event_id
        and (is_new is not false or h.status <> email_event_apply.status);
    if not found then -- applied again: what it did the first time stands
        select h.effect into effect from errand.webhook_event h
        where h.source = email_event_apply.source and h.event_id = email_event_apply.event_id;
    end if;
end
$$;

-- Forgets events of mails that nobody here has known for 30 days; at most max mails.
create function errand.email_event_forget(max integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from errand.email_mail m where m.provider_message_id in (
        select x.provider_message_id from errand.email_mail x
        where x.log_id is null and x.noted_at < pg_catalog.now() - interval '30 days'
        order by x.noted_at limit email_event_forget.max for update skip locked);
end
$$;

-- ---- What people look at ----

-- What was told of each mail; order by at.
create view errand.email_events with (security_invoker = true) as
select l.scheduled_message_id as message_id, l.recipient, l.subject, e.at, e.status, e.reason, e.provider_message_id, e.source, e.event_id
from errand.email_event e join errand.email_mail m on m.provider_message_id = e.provider_message_id
left join public.email_delivery_log l on l.id = m.log_id;

-- ---- Who may what ----

revoke all on function errand.email_status_rank, errand.email_event_read, errand.email_log_refresh, errand.email_finish, errand.email_settle,
    errand.email_event_suppress, errand.email_event_apply, errand.email_event_forget from public;
grant execute on function errand.email_finish, errand.email_event_apply, errand.email_event_forget to errand_runner;
grant execute on function errand.email_status_rank to errand_operator, errand_viewer, errand_runner;
grant select on errand.email_mail, errand.email_event, errand.email_events to errand_operator, errand_viewer, errand_runner;
