-- Billing: what Lemon Squeezy's events say becomes the state of workspaces. Needs the sets queue and domain. docs/billing.md
-- tells how to use it.
--
-- The events come in any order and more than once. So nothing here is a step from one state to the next: an event puts what it
-- knows into the tables below, where the newest knowledge wins whenever it comes, and a workspace is then computed from them.

-- A workspace is billed by one errand: each would end what only the other one knows of.
do $$
declare
    other text;
begin
    select c.relnamespace::pg_catalog.regnamespace into other from pg_catalog.pg_class c where c.relname = 'billing_turn' and c.relkind = 'r' limit 1;
    if other is not null then
        raise exception 'the workspaces of this database are billed by the errand in schema %', other
            using hint = 'Leave the set billing out here: errand migrate up --only queue,auth,domain';
    end if;
end
$$;

select errand.queue_create('billing', 1);
insert into errand.kind (name, queue, max_attempts, timeout_ms)
values ('billing.event', 'billing', 20, 60000), ('billing.sweep', 'billing', 1000, 60000)
on conflict (name) do nothing;

-- Who holds its row is the one that writes the state: events of billing are few, and one after the other needs no proof.
create table errand.billing_turn (
    one boolean primary key default true check (one)
);
insert into errand.billing_turn default values;

-- For which workspace a customer bought: what the newest event said that named one (named_at, then named_by, the event's id).
create table errand.billing_customer (
    customer_id text primary key,
    named_workspace_id uuid not null,
    named_at timestamptz not null,
    named_by text not null
);
create index billing_customer_workspace on errand.billing_customer (named_workspace_id);

-- What is known of each subscription. status null: only heard of, through an invoice.
--   workspace_id  the one that it counts for; null: unassigned
--   expires_at    until when it is paid or was cancelled to; null: no end
--   updated_at, event_id  of the event that status and expires_at are from
create table errand.billing_subscription (
    subscription_id text primary key,
    customer_id text not null,
    workspace_id uuid,
    named_workspace_id uuid,
    named_at timestamptz,
    named_by text,
    status text check (status in ('on_trial', 'active', 'paused', 'past_due', 'unpaid', 'cancelled', 'expired')),
    expires_at timestamptz,
    updated_at timestamptz,
    event_id text
);
create index billing_subscription_customer on errand.billing_subscription (customer_id);
create index billing_subscription_workspace on errand.billing_subscription (workspace_id);

-- Each event that was read, once, for as long as the policy's keep_days (errand.billing_sweep). Its row in public.subscription_events has the id made of the same key (errand.billing_event_uuid).
create table errand.billing_event (
    source text not null,
    event_id text not null,
    name text not null,
    subscription_id text,
    customer_id text,
    named_workspace_id uuid,
    workspace_id uuid,
    status text not null check (status in ('applied', 'ignored', 'unassigned')),
    noted_at timestamptz not null default pg_catalog.clock_timestamp(),
    primary key (source, event_id)
);
create index billing_event_customer on errand.billing_event (customer_id);
create index billing_event_subscription on errand.billing_event (subscription_id);
create index billing_event_noted on errand.billing_event (noted_at) where status <> 'unassigned';
create index billing_event_unassigned on errand.billing_event (noted_at) where status = 'unassigned';

-- ---- Reading an event ----

create function errand.billing_event_uuid(source text, event_id text) returns uuid
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return pg_catalog.md5(billing_event_uuid.source || ':' || billing_event_uuid.event_id)::uuid;
end
$$;

-- What a body says. object: null when its name is none that we know.
create type errand.billing_reading as (
    payload jsonb, name text, object text, test_mode boolean, subscription_id text, customer_id text, workspace_id uuid, status text,
    expires_at timestamptz, updated_at timestamptz
);

-- Raises what is wrong with a body (class 22).
create function errand.billing_read(body bytea) returns errand.billing_reading
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    r errand.billing_reading;
    attributes jsonb;
    named text;
begin
    r.payload := pg_catalog.convert_from(billing_read.body, 'UTF8')::jsonb;
    r.name := r.payload #>> '{meta,event_name}';
    if r.name is null then
        raise exception 'the body has no meta.event_name' using errcode = '22023';
    end if;
    attributes := r.payload #> '{data,attributes}';
    r.test_mode := coalesce((r.payload #>> '{meta,test_mode}')::boolean, false)
        or coalesce((attributes ->> 'test_mode')::boolean, false);
    r.customer_id := attributes ->> 'customer_id';
    named := r.payload #>> '{meta,custom_data,workspace_id}';
    if named ~* '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' then
        r.workspace_id := named::uuid;
    end if;
    r.object := case
        when r.name in ('order_created', 'order_refunded') then 'orders'
        when r.name in ('subscription_created', 'subscription_updated', 'subscription_cancelled', 'subscription_resumed', 'subscription_expired',
            'subscription_paused', 'subscription_unpaused', 'subscription_plan_changed',
            'subscription_reconciled') then 'subscriptions' -- the last one is errand's own: errand.billing_reconcile
        when r.name in ('subscription_payment_success', 'subscription_payment_failed', 'subscription_payment_recovered',
            'subscription_payment_refunded') then 'subscription-invoices' end;
    r.payload := r.payload #- '{data,attributes,urls}'; -- they open the customer's account, for a day
    if r.object is null then
        return r;
    end if;
    if r.payload #>> '{data,type}' is distinct from r.object then
        raise exception '% has data.type "%", not "%"', r.name, r.payload #>> '{data,type}', r.object using errcode = '22023';
    end if;
    -- An invoice's own id is no subscription's.
    r.subscription_id := case r.object when 'subscriptions' then r.payload #>> '{data,id}'
        when 'subscription-invoices' then attributes ->> 'subscription_id' end;
    if r.customer_id is null or (r.object <> 'orders' and r.subscription_id is null) then
        raise exception '% has no %', r.name, case when r.customer_id is null then 'attributes.customer_id'
            when r.object = 'subscriptions' then 'data.id' else 'attributes.subscription_id' end using errcode = '22023';
    end if;
    if greatest(pg_catalog.octet_length(r.customer_id), pg_catalog.octet_length(r.subscription_id)) > 64 then
        raise exception '% has an id of more than 64 bytes', r.name using errcode = '22023';
    end if;
    r.updated_at := (attributes ->> 'updated_at')::timestamptz;
    if r.updated_at is null then
        raise exception '% has no attributes.updated_at', r.name using errcode = '22023';
    end if;
    if r.object <> 'subscriptions' then
        return r;
    end if;
    r.status := attributes ->> 'status';
    if r.status is null or r.status not in ('on_trial', 'active', 'paused', 'past_due', 'unpaid', 'cancelled', 'expired') then
        raise exception '% has attributes.status "%", which is not known', r.name, r.status using errcode = '22023';
    end if;
    r.expires_at := case
        when r.status in ('cancelled', 'expired') then (attributes ->> 'ends_at')::timestamptz
        when r.status = 'on_trial' then coalesce((attributes ->> 'trial_ends_at')::timestamptz, (attributes ->> 'renews_at')::timestamptz)
        when r.status <> 'paused' then (attributes ->> 'renews_at')::timestamptz end;
    if r.status = 'cancelled' and r.expires_at is null then
        raise exception '% is cancelled without attributes.ends_at', r.name using errcode = '22023';
    end if;
    return r;
end
$$;

-- ---- From what is known to the workspace ----

-- Of two events with the same updated_at the one that takes more away is the later one, so that which came first does not matter.
create function errand.billing_status_rank(status text) returns integer
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return pg_catalog.array_position(array['on_trial', 'active', 'past_due', 'paused', 'unpaid', 'cancelled', 'expired'],
        billing_status_rank.status);
end
$$;

-- A workspace that is there, and stays there until this transaction ends; null: it is not, or somebody has just deleted it.
create function errand.billing_hold(workspace_id uuid) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    return (select w.id from public.workspaces w where w.id = billing_hold.workspace_id for key share);
end
$$;

-- The workspace of a customer for what names none, held; null: there is none yet.
create function errand.billing_customer_workspace(customer_id text) returns uuid
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    return coalesce(
        errand.billing_hold((select c.named_workspace_id from errand.billing_customer c
            where c.customer_id = billing_customer_workspace.customer_id)),
        errand.billing_hold((select w.id from public.workspaces w where w.lemonsqueezy_customer_id = billing_customer_workspace.customer_id
            order by w.created_at, w.id limit 1)));
end
$$;

-- Writes the state of a workspace as it is at that time. policy: {"paused": whether a paused subscription keeps access, "grace_ms",
-- "past_due_ms": how long after expires_at access ends}. Among several subscriptions one that grants counts, of those the one that lasts
-- longest. A workspace that never had one is not touched, except for its customer. Returns whether it was another one before.
create function errand.billing_workspace_set(workspace_id uuid, policy jsonb, at timestamptz) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    best record;
    customer text;
    changed boolean;
begin
    select x.* into best from (
        select s.*, case
            when s.status in ('on_trial', 'active', 'cancelled') then coalesce(billing_workspace_set.at < s.expires_at
                + (policy ->> 'grace_ms')::double precision * interval '1 millisecond', true)
            when s.status = 'past_due' then coalesce(billing_workspace_set.at < s.expires_at
                + (policy ->> 'past_due_ms')::double precision * interval '1 millisecond', true)
            when s.status = 'paused' then (policy ->> 'paused')::boolean
            else false end as grants
        from errand.billing_subscription s
        where s.workspace_id = billing_workspace_set.workspace_id and s.status is not null
    ) x
    order by x.grants desc, case when x.grants then coalesce(x.expires_at, 'infinity') end desc, x.updated_at desc, x.subscription_id desc
    limit 1;
    if found then
        update public.workspaces w set subscription_status = case when best.grants then 'pro' else 'free' end,
            subscription_expires_at = best.expires_at, lemonsqueezy_customer_id = best.customer_id,
            lemonsqueezy_subscription_id = best.subscription_id
        where w.id = billing_workspace_set.workspace_id and
            (w.subscription_status, w.subscription_expires_at, w.lemonsqueezy_customer_id, w.lemonsqueezy_subscription_id)
            is distinct from (case when best.grants then 'pro' else 'free' end, best.expires_at, best.customer_id, best.subscription_id);
        return found;
    end if;
    select c.customer_id into customer from errand.billing_customer c
    where c.named_workspace_id = billing_workspace_set.workspace_id order by c.named_at desc, c.named_by desc limit 1;
    -- Its subscription turned out to be another workspace's.
    update public.workspaces w set subscription_status = 'free', subscription_expires_at = null, lemonsqueezy_subscription_id = null,
        lemonsqueezy_customer_id = customer
    where w.id = billing_workspace_set.workspace_id and exists (
        select from errand.billing_subscription s
        where s.subscription_id = w.lemonsqueezy_subscription_id and s.workspace_id is distinct from w.id);
    changed := found;
    update public.workspaces w set lemonsqueezy_customer_id = customer
    where w.id = billing_workspace_set.workspace_id and customer is not null and w.lemonsqueezy_customer_id is distinct from customer;
    return changed or found;
end
$$;

-- Gives what belongs to a customer or a subscription (either may be null) to its workspace: subscriptions, events and the log; and the
-- workspaces that this touches are written. Returns whether any of them was another one before.
create function errand.billing_assign(customer_id text, subscription_id text, policy jsonb, at timestamptz) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
declare
    touched uuid[];
    changed boolean := false;
    one record;
begin
    -- Row by row, and without scans: joined with what is to change, a table whose statistics are old may be read whole.
    for one in
        select s.subscription_id, s.workspace_id as was, coalesce(
            errand.billing_hold(s.named_workspace_id),
            errand.billing_customer_workspace(s.customer_id)) as workspace_id
        from errand.billing_subscription s
        where s.customer_id = billing_assign.customer_id or s.subscription_id = billing_assign.subscription_id
    loop
        touched := touched || one.was || one.workspace_id;
        if one.workspace_id is distinct from one.was then
            update errand.billing_subscription s set workspace_id = one.workspace_id where s.subscription_id = one.subscription_id;
        end if;
    end loop;
    for one in
        select x.* from (
            select e.source, e.event_id, e.status, e.workspace_id as was, coalesce(
                errand.billing_hold(e.named_workspace_id),
                errand.billing_hold((select s.workspace_id from errand.billing_subscription s where s.subscription_id = e.subscription_id)),
                errand.billing_customer_workspace(e.customer_id)) as workspace_id
            from errand.billing_event e
            where e.customer_id = billing_assign.customer_id or e.subscription_id = billing_assign.subscription_id
        ) x where x.workspace_id is distinct from x.was
    loop
        one.status := case when one.status = 'ignored' then one.status when one.workspace_id is null then 'unassigned' else 'applied' end;
        update errand.billing_event e set workspace_id = one.workspace_id, status = one.status
        where e.source = one.source and e.event_id = one.event_id;
        update public.subscription_events l set workspace_id = one.workspace_id
        where l.id = errand.billing_event_uuid(one.source, one.event_id);
        update errand.webhook_event h set status = 'applied', effect = 'workspace ' || one.workspace_id || ', named by a later event'
        where h.source = one.source and h.event_id = one.event_id and h.status = 'unassigned' and one.status = 'applied';
    end loop;
    touched := array(select distinct u.id from pg_catalog.unnest(touched || errand.billing_customer_workspace(billing_assign.customer_id)) u(id)
        where u.id is not null order by 1);
    for i in 1 .. pg_catalog.cardinality(touched) loop
        changed := errand.billing_workspace_set(touched[i], policy, at) or changed;
    end loop;
    return changed;
end
$$;

-- A workspace's state in words.
create function errand.billing_effect(workspace_id uuid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return (select pg_catalog.format('workspace %s: %s%s', w.id, w.subscription_status, ' until ' || pg_catalog.to_char(
            w.subscription_expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
        from public.workspaces w where w.id = billing_effect.workspace_id);
end
$$;

-- ---- What the jobs call ----

-- Puts down what an event that was read says.
create function errand.billing_learn(event_id text, read errand.billing_reading) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    named constant uuid := (select w.id from public.workspaces w where w.id = read.workspace_id);
begin
    if named is not null then
        insert into errand.billing_customer as c (customer_id, named_workspace_id, named_at, named_by)
        values (read.customer_id, named, read.updated_at, billing_learn.event_id)
        on conflict (customer_id) do update
        set named_workspace_id = excluded.named_workspace_id, named_at = excluded.named_at, named_by = excluded.named_by
        where (c.named_at, c.named_by) < (excluded.named_at, excluded.named_by);
    end if;
    if read.subscription_id is null then
        return;
    end if;
    insert into errand.billing_subscription (subscription_id, customer_id) values (read.subscription_id, read.customer_id)
    on conflict (subscription_id) do nothing;
    update errand.billing_subscription s
    set named_workspace_id = named, named_at = read.updated_at, named_by = billing_learn.event_id
    where s.subscription_id = read.subscription_id and named is not null
        and (s.named_at is null or (s.named_at, s.named_by) < (read.updated_at, billing_learn.event_id));
    update errand.billing_subscription s
    set customer_id = read.customer_id, status = read.status, expires_at = read.expires_at, updated_at = read.updated_at,
        event_id = billing_learn.event_id
    where s.subscription_id = read.subscription_id and read.status is not null
        and (s.status is null or (s.updated_at, errand.billing_status_rank(s.status), s.event_id)
            < (read.updated_at, errand.billing_status_rank(read.status), billing_learn.event_id));
end
$$;

-- Applies an event of errand.webhook_event, and says there what became of it, in one transaction; as often as one likes. policy as of
-- errand.billing_workspace_set, and "test_mode": whether events of the provider's test mode count. status failed: effect is why.
create function errand.billing_apply(source text, event_id text, policy jsonb, at timestamptz default null,
    out status text, out effect text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    body bytea;
    read errand.billing_reading;
    counts boolean;
    now constant timestamptz := coalesce(billing_apply.at, pg_catalog.clock_timestamp());
begin
    perform from errand.billing_turn for update;
    select h.body into body from errand.webhook_event h where h.source = billing_apply.source and h.event_id = billing_apply.event_id;
    if not found then
        raise exception 'there is no event % of %', billing_apply.event_id, billing_apply.source using errcode = '22023',
            hint = 'errand.webhook_event lists them.';
    end if;
    begin
        read := errand.billing_read(body);
    exception when data_exception or program_limit_exceeded then
        status := 'failed';
        effect := 'the body cannot be used: ' || sqlerrm;
        update errand.webhook_event h set status = billing_apply.status, effect = billing_apply.effect
        where h.source = billing_apply.source and h.event_id = billing_apply.event_id;
        return;
    end;
    counts := read.object is not null and (not read.test_mode or coalesce((policy ->> 'test_mode')::boolean, false));
    insert into errand.billing_event as e (source, event_id, name, subscription_id, customer_id, named_workspace_id, status)
    values (billing_apply.source, billing_apply.event_id, read.name, case when counts then read.subscription_id end,
        case when counts then read.customer_id end, case when counts then read.workspace_id end,
        case when counts then 'unassigned' else 'ignored' end)
    on conflict on constraint billing_event_pkey do update
    set subscription_id = excluded.subscription_id, customer_id = excluded.customer_id, named_workspace_id = excluded.named_workspace_id,
        status = excluded.status
    where e.status = 'ignored' and excluded.status <> 'ignored'; -- test events count now
    insert into public.subscription_events (id, event_type, event_source, ls_subscription_id, ls_customer_id, payload)
    values (errand.billing_event_uuid(billing_apply.source, billing_apply.event_id), read.name, billing_apply.source, read.subscription_id,
        read.customer_id, read.payload)
    on conflict (id) do nothing;
    if counts then
        perform errand.billing_learn(billing_apply.event_id, read);
        perform errand.billing_assign(read.customer_id, read.subscription_id, policy, now);
    end if;
    select e.status, case
            when read.object is null then 'recorded: ' || pg_catalog.left(read.name, 100) || ' changes nothing'
            when e.status = 'ignored' then 'recorded: test mode'
            when e.workspace_id is null then 'no workspace is known for customer ' || read.customer_id
            else errand.billing_effect(e.workspace_id) end
    into status, effect
    from errand.billing_event e
    where e.source = billing_apply.source and e.event_id = billing_apply.event_id;
    update errand.webhook_event h set status = billing_apply.status, effect = billing_apply.effect
    where h.source = billing_apply.source and h.event_id = billing_apply.event_id;
end
$$;

-- Forgets events that were put down keep_days ago, or keep_open_days where they are unassigned yet; at most max of each. What they said of
-- subscriptions stays, and so do their rows in public.subscription_events.
create function errand.billing_forget(keep_days integer, keep_open_days integer, max integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    delete from errand.billing_event e where e.ctid = any (array(
        select x.ctid from errand.billing_event x
        where x.status <> 'unassigned' and x.noted_at < pg_catalog.now() - pg_catalog.make_interval(days => keep_days)
        order by x.noted_at limit billing_forget.max));
    delete from errand.billing_event e where e.ctid = any (array(
        select x.ctid from errand.billing_event x
        where x.status = 'unassigned' and x.noted_at < pg_catalog.now() - pg_catalog.make_interval(days => keep_open_days)
        order by x.noted_at limit billing_forget.max));
end
$$;

-- Ends the access of workspaces whose time and grace are over; returns how many. Forgets events: policy as above, and "keep_days".
create function errand.billing_sweep(policy jsonb, at timestamptz default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    now constant timestamptz := coalesce(billing_sweep.at, pg_catalog.clock_timestamp());
    over constant timestamptz := now - (policy ->> 'grace_ms')::double precision * interval '1 millisecond';
    ids uuid[];
    ended integer;
begin
    perform from errand.billing_turn for update;
    select pg_catalog.array_agg(w.id order by w.id) into ids from public.workspaces w
    where w.subscription_status = 'pro' and w.subscription_expires_at <= over;
    perform errand.billing_workspace_set(u.id, billing_sweep.policy, now) from pg_catalog.unnest(ids) u(id);
    -- Those that nobody has a subscription for were given their time by hand.
    update public.workspaces w set subscription_status = 'free'
    where w.id = any (ids) and w.subscription_status = 'pro' and not exists (
        select from errand.billing_subscription s where s.workspace_id = w.id and s.status is not null);
    select pg_catalog.count(*) into ended from public.workspaces w where w.id = any (ids) and w.subscription_status = 'free';
    perform errand.billing_forget((policy ->> 'keep_days')::integer, 180, 1000);
    return ended;
end
$$;

-- ---- Who may what ----

revoke all on function errand.billing_event_uuid, errand.billing_read, errand.billing_status_rank, errand.billing_hold, errand.billing_customer_workspace,
    errand.billing_workspace_set, errand.billing_assign, errand.billing_effect, errand.billing_learn, errand.billing_apply,
    errand.billing_forget, errand.billing_sweep from public;
grant execute on function errand.billing_apply, errand.billing_sweep to errand_runner;
grant select on errand.billing_customer, errand.billing_subscription, errand.billing_event to errand_operator, errand_viewer, errand_runner;

select errand.enqueue('billing.sweep', '{}', queue => 'billing', priority => 3, key => 'billing.sweep', max_attempts => 1000);
