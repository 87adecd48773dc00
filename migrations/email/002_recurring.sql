-- Messages that come again and again: one for each (source, subject, period), whatever runs how often. A source is a function that
-- says which are due; digest.weekly is one. Jobs of the kinds digest.weekly and message.make call errand.messages_make, and a
-- schedule makes those jobs.

-- Only the owner of the schema writes it, because the function runs with his rights.
--   maker   schema.function of (at timestamptz, max integer) that returns rows of errand.message_due
create table errand.message_source (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9_.-]{0,62}$'),
    maker text not null
);

-- What a source says is due. subject: whom or what it is about, one message a period. recipient null: there is nothing to say, and
-- will not be in this period.
create type errand.message_due as (
    subject text, period text, workspace_id uuid, scheduled_for timestamptz, recipient text, message_type text, title text, content jsonb
);

-- What was decided, once and for all; message_id null: there was nothing to say.
create table errand.message_made (
    source text not null,
    subject text not null,
    period text not null,
    message_id uuid,
    made_at timestamptz not null default pg_catalog.now(),
    primary key (source, subject, period)
);

-- Makes the messages of a source that are due at `at` (null: now), at most max, of those that were not made yet. All in one transaction, and
-- several at once make each message once. Ask again until both are 0.
create function errand.messages_make(source text, at timestamptz, max integer, out made integer, out skipped integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    maker text;
    due errand.message_due[];
begin
    select s.maker into maker from errand.message_source s where s.name = messages_make.source;
    if maker is null then
        raise exception 'there is no source "%"', messages_make.source using errcode = '22023',
            hint = 'errand.message_source lists them.';
    end if;
    execute pg_catalog.format('select pg_catalog.array_agg(d) from %s($1, $2) d', maker::regproc)
    into due using coalesce(messages_make.at, pg_catalog.now()), messages_make.max;
    with new as (
        insert into errand.message_made (source, subject, period, message_id)
        select messages_make.source, d.subject, d.period, case when d.recipient is not null then pg_catalog.gen_random_uuid() end
        from pg_catalog.unnest(due) d order by d.subject, d.period
        on conflict (source, subject, period) do nothing
        returning message_made.subject, message_made.period, message_made.message_id
    ), sent as (
        insert into public.scheduled_messages (id, workspace_id, scheduled_for, message_type, subject, content, recipient_email)
        select n.message_id, d.workspace_id, d.scheduled_for, d.message_type, d.title, d.content, d.recipient
        from new n join pg_catalog.unnest(due) d on d.subject = n.subject and d.period = n.period
        where n.message_id is not null
    )
    select pg_catalog.count(n.message_id), pg_catalog.count(*) - pg_catalog.count(n.message_id) into made, skipped from new n;
end
$$;

-- ---- The weekly digest ----

-- When and where to; without a row: Mondays at 09:00 UTC, to the owner's address.
create table errand.digest_setting (
    workspace_id uuid primary key references public.workspaces (id) on delete cascade,
    timezone text not null default 'UTC' check (pg_catalog.timezone(timezone, '2000-01-01 00:00+00'::timestamptz) is not null),
    weekday smallint not null default 1 check (weekday between 1 and 7), -- 1: Monday
    hour smallint not null default 9 check (hour between 0 and 23),
    recipient text, -- null: the owner
    enabled boolean not null default true
);

-- Of each workspace the last digest whose time has come in its own zone, unless that was more than two days before `at`: too late to be of use.
-- It tells of the seven days before its time. Its period is the week in which its day lies, so a change of the day brings no second one.
create function errand.digest_weekly(at timestamptz, max integer) returns setof errand.message_due
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return query
    select t.id::text, t.period, t.id, t.due_at, case when n.documents + n.memories + n.tickets + n.outputs > 0 then t.recipient end,
        'digest.weekly', pg_catalog.format('%s: week %s', t.name, pg_catalog.to_char(t.day, 'IW')),
        pg_catalog.jsonb_build_object('text', pg_catalog.concat_ws(E'\n', 'In the last seven days in ' || t.name || ':', '',
            case when n.documents > 0 then 'documents processed: ' || n.documents end,
            case when n.memories > 0 then 'memories added: ' || n.memories end,
            case when n.tickets > 0 then 'tickets completed: ' || n.tickets end,
            case when n.outputs > 0 then 'outputs delivered: ' || n.outputs end))
    from (
        select w.id, w.name, l.day, pg_catalog.to_char(l.day, 'IYYY-"W"IW') as period, pg_catalog.timezone(l.zone, l.day) as due_at,
            pg_catalog.timezone(l.zone, l.day - interval '7 days') as since, coalesce(l.recipient, u.email::text) as recipient
        from public.workspaces w join auth.users u on u.id = w.owner_id
        left join errand.digest_setting s on s.workspace_id = w.id
        cross join lateral (
            select coalesce(s.timezone, 'UTC') as zone, s.recipient,
                pg_catalog.date_trunc('week', pg_catalog.timezone(coalesce(s.timezone, 'UTC'), digest_weekly.at))
                    + (coalesce(s.weekday, 1) - 1) * interval '1 day' + coalesce(s.hour, 9) * interval '1 hour' as day
        ) this
        cross join lateral (
            select this.zone, this.recipient, case when pg_catalog.timezone(this.zone, this.day) > digest_weekly.at
                then this.day - interval '7 days' else this.day end as day
        ) l
        where coalesce(s.enabled, true) and w.created_at < digest_weekly.at
    ) t
    cross join lateral (
        select
            (select pg_catalog.count(*) from public.documents d join public.projects p on p.id = d.project_id
                where p.workspace_id = t.id and d.processed_at >= t.since and d.processed_at < t.due_at) as documents,
            (select pg_catalog.count(*) from public.memories m join public.projects p on p.id = m.project_id
                where p.workspace_id = t.id and m.is_active and m.created_at >= t.since and m.created_at < t.due_at) as memories,
            (select pg_catalog.count(*) from public.work_tickets k join public.projects p on p.id = k.project_id
                where p.workspace_id = t.id and k.status = 'completed' and k.completed_at >= t.since and k.completed_at < t.due_at) as tickets,
            (select pg_catalog.count(*) from public.work_outputs o join public.work_tickets k on k.id = o.ticket_id
                join public.projects p on p.id = k.project_id
                where p.workspace_id = t.id and o.created_at >= t.since and o.created_at < t.due_at) as outputs
    ) n
    where t.due_at > digest_weekly.at - interval '2 days' and not exists (
        select from errand.message_made x
        where x.source = 'digest.weekly' and x.subject = t.id::text and x.period = t.period)
    order by t.id limit digest_weekly.max;
end
$$;

insert into errand.message_source (name, maker) values ('digest.weekly', 'errand.digest_weekly');

revoke all on function errand.messages_make, errand.digest_weekly from public;
grant execute on function errand.messages_make to errand_runner;
grant select on errand.message_source, errand.message_made, errand.digest_setting to errand_operator, errand_viewer, errand_runner;
grant insert, update, delete on errand.digest_setting to errand_operator;
