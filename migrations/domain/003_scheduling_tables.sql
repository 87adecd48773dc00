-- Messages that are to go out, and the log of what became of the mails. Users read both and write neither: a user who
-- could insert here would send mail in the product's name.

create table public.scheduled_messages (
    id uuid primary key default gen_random_uuid(),
    workspace_id uuid not null references public.workspaces (id) on delete cascade,
    scheduled_for timestamptz not null,
    message_type text not null,
    subject text,
    content jsonb not null default '{}',
    recipient_email text not null,
    status text not null default 'pending' check (status in ('pending', 'sent', 'failed', 'cancelled')),
    sent_at timestamptz,
    failure_reason text,
    created_at timestamptz not null default now()
);
create index scheduled_messages_workspace_id_idx on public.scheduled_messages (workspace_id, scheduled_for);
create index scheduled_messages_pending_idx on public.scheduled_messages (scheduled_for) where status = 'pending';

-- status holds the provider's word for it, and providers invent new ones: no list of values. A log outlives what it
-- reports on, so deleting a message leaves its entries.
create table public.email_delivery_log (
    id uuid primary key default gen_random_uuid(),
    scheduled_message_id uuid references public.scheduled_messages (id) on delete set null,
    recipient text not null,
    subject text,
    provider text not null default 'resend',
    provider_message_id text,
    status text not null default 'queued',
    status_updated_at timestamptz not null default now(),
    created_at timestamptz not null default now()
);
create index email_delivery_log_message_idx on public.email_delivery_log (scheduled_message_id);
create index email_delivery_log_provider_idx on public.email_delivery_log (provider_message_id);

alter table public.scheduled_messages enable row level security;
alter table public.email_delivery_log enable row level security;
revoke all on public.scheduled_messages, public.email_delivery_log from anon, authenticated;
grant select on public.scheduled_messages, public.email_delivery_log to authenticated;
grant select, insert, update, delete on public.scheduled_messages, public.email_delivery_log to service_role;

create policy scheduled_messages_view on public.scheduled_messages for select to authenticated
    using (workspace_id = any (array(
        select w.id from public.workspaces w where w.owner_id = (select auth.uid()))));

create policy email_delivery_log_view on public.email_delivery_log for select to authenticated
    using (exists (
        select from public.scheduled_messages m join public.workspaces w on w.id = m.workspace_id
        where m.id = email_delivery_log.scheduled_message_id and w.owner_id = (select auth.uid())));
