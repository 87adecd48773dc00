-- Uploaded documents and the chunks they are cut into; the storage bucket, where there is storage. Chunks get their
-- policy in 011; until then users do not see them.

do $$
begin
    perform set_config('search_path', format('pg_catalog, public, %I', n.nspname), true)
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
end
$$;

-- A file is fetched with the service's key, so a path into another user's folder would hand that user's file over.
create table public.documents (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    project_id uuid references public.projects (id) on delete cascade,
    filename text not null,
    file_url text, -- the user can write it: for display, not to be fetched
    storage_path text,
    file_type text not null check (file_type in ('pdf', 'docx', 'txt', 'md')),
    file_size integer check (file_size >= 0),
    processing_status text not null default 'pending'
        check (processing_status in ('pending', 'processing', 'completed', 'failed')),
    processed_at timestamptz,
    error_message text,
    page_count integer check (page_count >= 0),
    word_count integer check (word_count >= 0),
    created_at timestamptz not null default now(),
    constraint documents_storage_path_in_user_folder check (
        starts_with(storage_path, user_id::text || '/') and storage_path !~ '(^|[/\\])\.{0,2}([/\\]|$)')
);
create index documents_user_id_idx on public.documents (user_id, created_at);
create index documents_project_id_idx on public.documents (project_id);
create index documents_pending_idx on public.documents (created_at) where processing_status = 'pending';

create table public.chunks (
    id uuid primary key default gen_random_uuid(),
    document_id uuid not null references public.documents (id) on delete cascade,
    content text not null,
    embedding vector(1536),
    chunk_index integer not null check (chunk_index >= 0),
    page_number integer,
    metadata jsonb not null default '{}',
    token_count integer check (token_count >= 0),
    created_at timestamptz not null default now(),
    unique (document_id, chunk_index)
);
create index chunks_unembedded_idx on public.chunks (created_at) where embedding is null;
create index chunks_embedding_idx on public.chunks using hnsw (embedding vector_cosine_ops);

alter table public.documents enable row level security;
alter table public.chunks enable row level security;
revoke all on public.documents, public.chunks from anon, authenticated;
grant select, insert, update, delete on public.documents, public.chunks to authenticated, service_role;

create policy documents_own on public.documents to authenticated
    using ((select auth.uid()) = user_id)
    with check ((select auth.uid()) = user_id and (project_id is null or exists (
        select from public.projects p join public.workspaces w on w.id = p.workspace_id
        where p.id = documents.project_id and w.owner_id = (select auth.uid()))));

-- The p_limit (1 to 200) chunks nearest to the query: of one document of the user, or of all his documents in the
-- scope of a project (its own and the user-wide ones), or of the user-wide ones. similarity = 1 - cosine distance.
-- Error 42501 when a user asks for another's. Up to p_exact_rows chunks are all compared; beyond, the index proposes,
-- and when it proposes too few all are compared after all. A zero vector counts as similarity 0.
create function public.match_chunks(
    p_user_id uuid,
    p_query_embedding vector(1536),
    p_document_id uuid default null,
    p_project_id uuid default null,
    p_limit integer default 5,
    p_exact_rows integer default 10000)
returns table (
    id uuid, document_id uuid, content text, chunk_index integer, page_number integer, metadata jsonb,
    token_count integer, created_at timestamptz, similarity double precision)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_limit constant integer := least(greatest(coalesce(p_limit, 5), 1), 200);
    v_exact_rows constant integer := least(greatest(coalesce(p_exact_rows, 10000), 0), 1000000);
    v_rows integer;
    v_top uuid[]; -- null: compare all
begin
    if public.acts_only_as_self() and p_user_id is distinct from auth.uid() then
        raise exception 'a user can search only his own documents' using errcode = 'insufficient_privilege';
    end if;

    select count(*) into v_rows from (
        select from public.chunks c join public.documents d on d.id = c.document_id
        where d.user_id = p_user_id and c.embedding is not null
          and case when p_document_id is null then d.project_id is null or d.project_id = p_project_id
                   else d.id = p_document_id end
        limit v_exact_rows + 1) s;

    if v_rows > v_exact_rows then
        with near as materialized (
            select c.id, c.embedding <=> p_query_embedding as distance
            from public.chunks c join public.documents d on d.id = c.document_id
            where d.user_id = p_user_id and c.embedding is not null
              and case when p_document_id is null then d.project_id is null or d.project_id = p_project_id
                       else d.id = p_document_id end
            order by c.embedding <=> p_query_embedding
            limit v_limit
        )
        select array(select n.id from near n) into v_top
        where (select count(*) from near) = v_limit
          and (select max(n.distance) from near n) <= 1; -- a zero vector is in no index
    end if;

    return query
    with candidate as materialized (
        select c.id, 1 - coalesce(nullif(c.embedding <=> p_query_embedding, 'NaN'), 1) as similarity
        from public.chunks c join public.documents d on d.id = c.document_id
        where d.user_id = p_user_id and c.embedding is not null
          and case when p_document_id is null then d.project_id is null or d.project_id = p_project_id
                   else d.id = p_document_id end
          and (v_top is null or c.id = any (v_top))
    )
    select c.id, c.document_id, c.content, c.chunk_index, c.page_number, c.metadata, c.token_count, c.created_at,
           n.similarity
    from candidate n join public.chunks c on c.id = n.id
    order by n.similarity desc, c.id
    limit v_limit;
end
$$;

do $$
declare
    v_match constant regprocedure := 'public.match_chunks(uuid, vector, uuid, uuid, integer, integer)';
    v_extension record;
begin
    perform '[1]'::vector;
    select n.nspname as schema, string_to_array(e.extversion, '.')::integer[] >= '{0,8}' as iterates into v_extension
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
    execute format('alter function %s set search_path = pg_catalog, %I, pg_temp', v_match, v_extension.schema);
    execute format('alter function %s set hnsw.ef_search = 800', v_match);
    if v_extension.iterates then
        execute format('alter function %s set hnsw.iterative_scan = strict_order', v_match);
    end if;
end
$$;
revoke all on function public.match_chunks(uuid, vector, uuid, uuid, integer, integer) from public, anon;
grant execute on function public.match_chunks(uuid, vector, uuid, uuid, integer, integer)
    to authenticated, service_role;

-- Files lie under {user_id}/ in the private bucket "documents". An existing bucket is left as it is.
do $$
begin
    if to_regclass('storage.buckets') is null then
        return;
    end if;
    insert into storage.buckets (id, name, public) values ('documents', 'documents', false) on conflict do nothing;
    if exists (select from storage.buckets b where b.id = 'documents' and b.public) then
        raise warning 'the storage bucket "documents" is public: anyone can read its files by URL';
    end if;
    create policy documents_own_folder on storage.objects to authenticated
        using (bucket_id = 'documents' and (storage.foldername(name))[1] = (select auth.uid())::text)
        with check (bucket_id = 'documents' and (storage.foldername(name))[1] = (select auth.uid())::text);
end
$$;
