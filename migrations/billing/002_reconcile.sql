-- Reconciliation: what Lemon Squeezy's API says of subscriptions is compared with what its events told, and what they did not tell is
-- made up for. docs/billing.md tells how to use it.
--
-- What the API says goes the way of an event: errand.billing_learn with the same guard, errand.billing_assign for the same workspaces.

select errand.queue_create('billing.reconcile', 1); -- of its own: its rate is that of requests to the provider
insert into errand.kind (name, queue, max_attempts, timeout_ms) values ('billing.reconcile', 'billing.reconcile', 20, 120000)
on conflict (name) do nothing;

alter table errand.billing_subscription add column checked_at timestamptz; -- when the provider was last asked about it

-- One run of billing.reconcile, and how far it has got: written in the transaction of what it did, so that another attempt goes on there.
--   workspace_id  that one only; null: all
--   page, listed  pages of the list of subscriptions that are done, and whether it was the last one
--   after_what, after_id  of what is asked for one by one: 'customer', then 'subscription', each in the order of ids
--   checked, repaired, failed, missing  subscriptions: seen; of these changed; that could not be read; that the provider does not know
create table errand.billing_reconciliation (
    job_id bigint primary key,
    workspace_id uuid,
    started_at timestamptz not null,
    ended_at timestamptz,
    page integer not null default 0,
    listed boolean not null,
    after_what text not null default '',
    after_id text not null default '',
    checked integer not null default 0,
    repaired integer not null default 0,
    failed integer not null default 0,
    missing integer not null default 0
);
create index billing_reconciliation_started on errand.billing_reconciliation (started_at);

-- Begins a run, or finds how far it is. Runs of more than 35 days ago are forgotten.
create function errand.billing_reconcile_begin(job_id bigint, workspace_id uuid, at timestamptz default null)
returns errand.billing_reconciliation
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    now constant timestamptz := coalesce(billing_reconcile_begin.at, pg_catalog.clock_timestamp());
    run errand.billing_reconciliation;
begin
    if billing_reconcile_begin.workspace_id is not null
            and not exists (select from public.workspaces w where w.id = billing_reconcile_begin.workspace_id) then
        raise exception 'there is no workspace %', billing_reconcile_begin.workspace_id using errcode = '22023';
    end if;
    insert into errand.billing_reconciliation (job_id, workspace_id, started_at, listed)
    values (billing_reconcile_begin.job_id, billing_reconcile_begin.workspace_id, now, billing_reconcile_begin.workspace_id is not null)
    on conflict (job_id) do nothing;
    if found then
        delete from errand.billing_reconciliation r where r.started_at < now - interval '35 days';
    end if;
    select r.* into run from errand.billing_reconciliation r where r.job_id = billing_reconcile_begin.job_id;
    return run;
end
$$;

-- What is to be asked for by itself, at most so many: of a run over all, the subscriptions that the list did not have (but for those that
-- have expired); of a run over one workspace, its customers and all its subscriptions. None any more: the run has ended.
create function errand.billing_reconcile_next(job_id bigint, max integer) returns table (what text, id text)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    run errand.billing_reconciliation;
begin
    select r.* into run from errand.billing_reconciliation r where r.job_id = billing_reconcile_next.job_id;
    return query
    select f.what, f.id from (
        (select 'subscription', s.subscription_id from errand.billing_subscription s
            where run.workspace_id is null and s.subscription_id > run.after_id and s.status is distinct from 'expired'
                and (s.checked_at is null or s.checked_at < run.started_at)
            order by s.subscription_id limit max)
        union
        (select 'subscription', w.lemonsqueezy_subscription_id from public.workspaces w
            where run.workspace_id is null and w.lemonsqueezy_subscription_id > run.after_id and not exists (
                select from errand.billing_subscription s where s.subscription_id = w.lemonsqueezy_subscription_id)
            order by w.lemonsqueezy_subscription_id limit max)
        union
        select 'subscription', s.subscription_id from errand.billing_subscription s where s.workspace_id = run.workspace_id
        union
        select 'subscription', w.lemonsqueezy_subscription_id from public.workspaces w where w.id = run.workspace_id
        union
        select 'customer', w.lemonsqueezy_customer_id from public.workspaces w where w.id = run.workspace_id
        union
        select 'customer', c.customer_id from errand.billing_customer c where c.named_workspace_id = run.workspace_id
    ) f(what, id)
    where (f.what, f.id) > (run.after_what, run.after_id) and f.id ~ '^[A-Za-z0-9_-]{1,64}$'
    order by f.what, f.id limit max;
end
$$;

-- Takes over one subscription as the API gives it (type, id, attributes). outcome: 'same', 'repaired', 'ignored' (test mode) or 'failed'.
create function errand.billing_reconcile_one(source text, said jsonb, policy jsonb, at timestamptz, out outcome text, out effect text)
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    event_id constant text := pg_catalog.format('reconciled:%s:%s', said ->> 'id',
        pg_catalog.to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'));
    read errand.billing_reading;
    before errand.billing_subscription;
    now_known errand.billing_subscription;
    repaired boolean;
begin
    begin
        read := errand.billing_read(pg_catalog.convert_to(pg_catalog.jsonb_build_object(
            'meta', pg_catalog.jsonb_build_object('event_name', 'subscription_reconciled'), 'data', said)::text, 'UTF8'));
    exception when data_exception or program_limit_exceeded then
        outcome := 'failed';
        effect := sqlerrm;
        return;
    end;
    if read.test_mode and not coalesce((policy ->> 'test_mode')::boolean, false) then
        outcome := 'ignored';
        effect := 'test mode';
        return;
    end if;
    select s.* into before from errand.billing_subscription s where s.subscription_id = read.subscription_id;
    if before.workspace_id is null then -- somebody wrote it into a workspace by hand
        select w.id into read.workspace_id from public.workspaces w where w.lemonsqueezy_subscription_id = read.subscription_id
        order by w.created_at, w.id limit 1;
    end if;
    -- What is known already does not become known from another event.
    if read.workspace_id is not null or (before.customer_id, before.status, before.expires_at, before.updated_at)
            is distinct from (read.customer_id, read.status, read.expires_at, read.updated_at) then
        perform errand.billing_learn(event_id, read);
    end if;
    select s.* into now_known from errand.billing_subscription s where s.subscription_id = read.subscription_id;
    repaired := errand.billing_assign(read.customer_id, read.subscription_id, policy, at) or now_known is distinct from before;
    update errand.billing_subscription s set checked_at = billing_reconcile_one.at where s.subscription_id = read.subscription_id
    returning s.* into now_known;
    outcome := case when repaired then 'repaired' else 'same' end;
    effect := coalesce(errand.billing_effect(now_known.workspace_id), 'no workspace is known for customer ' || read.customer_id);
    if repaired then
        insert into errand.billing_event (source, event_id, name, subscription_id, customer_id, workspace_id, status)
        values (billing_reconcile_one.source, event_id, read.name, read.subscription_id, read.customer_id, now_known.workspace_id,
            case when now_known.workspace_id is null then 'unassigned' else 'applied' end)
        on conflict on constraint billing_event_pkey do nothing;
        insert into public.subscription_events (id, workspace_id, event_type, event_source, ls_subscription_id, ls_customer_id, payload)
        values (errand.billing_event_uuid(billing_reconcile_one.source, event_id), now_known.workspace_id, read.name,
            billing_reconcile_one.source, read.subscription_id, read.customer_id, read.payload)
        on conflict (id) do nothing;
    end if;
end
$$;

-- Takes over what one answer held, and puts down how far the run is, in one transaction; as often as one likes. progress: {"page": the
-- page of the list, "listed": whether it was the last one}, or {"what", "id": what was asked for, "missing": the provider does not know it}.
-- resources: an array, of which only subscriptions count. Returns what became of each one.
create function errand.billing_reconcile(job_id bigint, source text, progress jsonb, resources jsonb, policy jsonb, at timestamptz default null)
returns table (id text, outcome text, effect text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    now constant timestamptz := coalesce(billing_reconcile.at, pg_catalog.clock_timestamp());
    seen integer := 0;
    changed integer := 0;
    bad integer := 0;
    one jsonb;
begin
    perform from errand.billing_turn for update;
    for one in select e.value from pg_catalog.jsonb_array_elements(billing_reconcile.resources) e where e.value ->> 'type' = 'subscriptions' loop
        id := one ->> 'id';
        select r.outcome, r.effect into outcome, effect
        from errand.billing_reconcile_one(billing_reconcile.source, one, billing_reconcile.policy, now) r;
        seen := seen + 1;
        changed := changed + (outcome = 'repaired')::integer;
        bad := bad + (outcome = 'failed')::integer;
        return next;
    end loop;
    update errand.billing_reconciliation r
    set page = coalesce((progress ->> 'page')::integer, r.page), listed = coalesce((progress ->> 'listed')::boolean, r.listed),
        after_what = coalesce(progress ->> 'what', r.after_what), after_id = coalesce(progress ->> 'id', r.after_id),
        checked = r.checked + seen, repaired = r.repaired + changed, failed = r.failed + bad,
        missing = r.missing + coalesce((progress ->> 'missing')::boolean, false)::integer
    where r.job_id = billing_reconcile.job_id;
end
$$;

-- Ends a run, and says what came of it.
create function errand.billing_reconcile_end(job_id bigint) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    result jsonb;
begin
    update errand.billing_reconciliation r set ended_at = coalesce(r.ended_at, pg_catalog.clock_timestamp())
    where r.job_id = billing_reconcile_end.job_id
    returning pg_catalog.jsonb_build_object('checked', r.checked, 'repaired', r.repaired, 'failed', r.failed, 'missing', r.missing) into result;
    return result;
end
$$;

revoke all on function errand.billing_reconcile_begin, errand.billing_reconcile_next, errand.billing_reconcile_one,
    errand.billing_reconcile, errand.billing_reconcile_end from public;
grant execute on function errand.billing_reconcile_begin, errand.billing_reconcile_next, errand.billing_reconcile,
    errand.billing_reconcile_end to errand_runner;
grant select on errand.billing_reconciliation to errand_operator, errand_viewer, errand_runner;

select errand.schedule_set('billing.reconcile', '0 4 * * *', 'billing.reconcile', queue => 'billing.reconcile', overlap => 'skip',
    jitter => '1 hour', priority => 3);
