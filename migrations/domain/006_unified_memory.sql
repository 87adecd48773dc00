-- Memories: what is known about a user, everywhere (project_id is null) or in one project.

-- The vector extension may live in any schema; this makes its names resolve until the end of the transaction.
do $$
begin
    perform set_config('search_path', format('pg_catalog, public, %I', n.nspname), true)
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
end
$$;

-- A project's memories go with it: losing only the project would make them visible to all other projects.
create table public.memories (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    project_id uuid references public.projects (id) on delete cascade,
    content text not null,
    embedding vector(1536),
    tags text[] not null default '{}',
    entities jsonb not null default '{}',
    importance double precision not null default 0.5 check (importance between 0 and 1),
    source_type text not null default 'manual' check (source_type in ('chat', 'document', 'manual', 'import')),
    source_ref jsonb,
    is_active boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create trigger set_updated_at before update on public.memories
    for each row execute function public.set_updated_at();

create index memories_user_id_idx on public.memories (user_id, project_id);
create index memories_project_id_idx on public.memories (project_id);
create index memories_unembedded_idx on public.memories (created_at) where embedding is null and is_active;
-- hnsw and not ivfflat: ivfflat takes its lists from the rows that exist when it is built, and here there are none.
create index memories_embedding_idx on public.memories using hnsw (embedding vector_cosine_ops) where is_active;

alter table public.memories enable row level security;
revoke all on public.memories from anon, authenticated;
grant select, insert, update, delete on public.memories to authenticated, service_role;

create policy memories_own on public.memories to authenticated
    using ((select auth.uid()) = user_id)
    with check ((select auth.uid()) = user_id and (project_id is null or exists (
        select from public.projects p join public.workspaces w on w.id = p.workspace_id
        where p.id = memories.project_id and w.owner_id = (select auth.uid()))));
