-- Base tables: workspaces, their projects, and the work orders of a project with what came out of them. Row security
-- is on from the start; until 002 adds the policies nobody but service_role and the owner sees a row.

-- Asked for first, so that a server without pgvector is found out before anything stands. Supabase keeps extensions
-- in a schema of their own.
do $$
begin
    if to_regnamespace('extensions') is not null then
        create extension if not exists vector with schema extensions;
    else
        create extension if not exists vector with schema public;
    end if;
end
$$;

create function public.set_updated_at() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;
revoke all on function public.set_updated_at() from public, anon, authenticated, service_role;

create table public.workspaces (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    owner_id uuid not null references auth.users (id) on delete cascade,
    owner_email text, -- the owner can write it: for display, not proof of an address
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index workspaces_owner_id_idx on public.workspaces (owner_id);
create trigger set_updated_at before update on public.workspaces
    for each row execute function public.set_updated_at();

create table public.projects (
    id uuid primary key default gen_random_uuid(),
    name text not null,
    description text,
    workspace_id uuid not null references public.workspaces (id) on delete cascade,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index projects_workspace_id_idx on public.projects (workspace_id);
create trigger set_updated_at before update on public.projects
    for each row execute function public.set_updated_at();

create table public.work_tickets (
    id uuid primary key default gen_random_uuid(),
    task text not null,
    agent_type text not null check (agent_type in ('research', 'content', 'reporting')),
    status text not null default 'pending' check (status in ('pending', 'running', 'completed', 'failed')),
    parameters jsonb not null default '{}',
    error_message text,
    project_id uuid not null references public.projects (id) on delete cascade,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz
);
create index work_tickets_project_id_idx on public.work_tickets (project_id);
create index work_tickets_pending_idx on public.work_tickets (created_at) where status = 'pending';

create table public.work_outputs (
    id uuid primary key default gen_random_uuid(),
    title text not null,
    output_type text not null default 'text' check (output_type in ('text', 'file')),
    content text,
    file_url text,
    file_format text,
    ticket_id uuid not null references public.work_tickets (id) on delete cascade,
    created_at timestamptz not null default now()
);
create index work_outputs_ticket_id_idx on public.work_outputs (ticket_id);

alter table public.workspaces enable row level security;
alter table public.projects enable row level security;
alter table public.work_tickets enable row level security;
alter table public.work_outputs enable row level security;
