-- What Lemon Squeezy's events say: the state on the workspace, the events as a log. Billing writes both; the owner of
-- a workspace writes everything else of it, but does not make himself a subscriber.

alter table public.workspaces
    add column subscription_status text not null default 'free' check (subscription_status in ('free', 'pro')),
    add column subscription_expires_at timestamptz,
    add column lemonsqueezy_customer_id text,
    add column lemonsqueezy_subscription_id text;
create index workspaces_ls_customer_idx on public.workspaces (lemonsqueezy_customer_id);
create index workspaces_ls_subscription_idx on public.workspaces (lemonsqueezy_subscription_id);

-- A trigger, not column privileges: "grant all on all tables" is run often and would undo those.
create function public.guard_subscription_fields() returns trigger
language plpgsql set search_path = '' as $$
begin
    if public.acts_only_as_self() and
        (new.subscription_status, new.subscription_expires_at,
         new.lemonsqueezy_customer_id, new.lemonsqueezy_subscription_id)
        is distinct from
        (coalesce(old.subscription_status, 'free'), old.subscription_expires_at,
         old.lemonsqueezy_customer_id, old.lemonsqueezy_subscription_id) -- old is null at insert
    then
        raise exception 'only billing sets the subscription of a workspace' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
revoke all on function public.guard_subscription_fields() from public, anon, authenticated, service_role;
create trigger guard_subscription_fields before insert or update on public.workspaces
    for each row execute function public.guard_subscription_fields();

-- workspace_id is null for an event that fits no workspace, and once the workspace is deleted: books outlive it.
create table public.subscription_events (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid references public.workspaces (id) on delete set null,
    event_type text not null,
    event_source text not null default 'lemonsqueezy',
    ls_subscription_id text,
    ls_customer_id text,
    payload jsonb not null default '{}',
    created_at timestamptz not null default now()
);
create index subscription_events_workspace_id_idx on public.subscription_events (workspace_id, created_at);
create index subscription_events_ls_subscription_idx on public.subscription_events (ls_subscription_id);

alter table public.subscription_events enable row level security;
revoke all on public.subscription_events from anon, authenticated;
grant select on public.subscription_events to authenticated;
grant select, insert, update, delete on public.subscription_events to service_role;

create policy subscription_events_view on public.subscription_events for select to authenticated
    using (workspace_id = any (array(
        select w.id from public.workspaces w where w.owner_id = (select auth.uid()))));
