-- Semantic search over a user's memories. (Its sister for documents, match_chunks, comes with their tables in 009.)

do $$
begin
    perform set_config('search_path', format('pg_catalog, public, %I', n.nspname), true)
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
end
$$;

-- The p_limit (1 to 200) most relevant active memories of a user, in the scope of a project (its own and the
-- user-wide ones) or user-wide only. relevance = 0.7 * cosine similarity + 0.3 * importance.
-- Error 42501 when a user asks for another's.
--
-- No index can serve that blended order. Up to p_exact_rows memories are all compared, which is exact. In a larger
-- scope the index proposes the 800 nearest, and these are enough when not even an importance of 1 would lift the
-- next one above the last result; else all are compared.
--
-- A zero vector has no direction and its distance is NaN, which would sort above every number: it counts as 1.
create function public.search_memories(
    p_user_id uuid,
    p_query_embedding vector(1536),
    p_project_id uuid default null,
    p_limit integer default 20,
    p_exact_rows integer default 10000)
returns table (
    id uuid, user_id uuid, project_id uuid, content text, tags text[], entities jsonb, importance double precision,
    source_type text, source_ref jsonb, is_active boolean, created_at timestamptz, updated_at timestamptz,
    similarity double precision, relevance double precision)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_limit constant integer := least(greatest(coalesce(p_limit, 20), 1), 200);
    v_exact_rows constant integer := least(greatest(coalesce(p_exact_rows, 10000), 0), 1000000);
    v_take constant integer := 800; -- what hnsw.ef_search below lets the index return
    v_rows integer;
    v_top uuid[]; -- null: compare all
begin
    if public.acts_only_as_self() and p_user_id is distinct from auth.uid() then
        raise exception 'a user can search only his own memories' using errcode = 'insufficient_privilege';
    end if;

    select count(*) into v_rows from (
        select from public.memories m
        where m.user_id = p_user_id and m.is_active and m.embedding is not null
          and (m.project_id is null or m.project_id = p_project_id)
        limit v_exact_rows + 1) s;

    if v_rows > v_exact_rows then
        with near as materialized (
            select m.id, m.importance, coalesce(nullif(m.embedding <=> p_query_embedding, 'NaN'), 1) as distance
            from public.memories m
            where m.user_id = p_user_id and m.is_active and m.embedding is not null
              and (m.project_id is null or m.project_id = p_project_id)
            order by m.embedding <=> p_query_embedding
            limit v_take
        ), top as (
            select n.id, (1 - n.distance) * 0.7 + n.importance * 0.3 as score
            from near n
            order by score desc, n.id
            limit v_limit
        )
        select array(select t.id from top t) into v_top
        where (select count(*) from near) = v_take
          and (select min(t.score) from top t) >= (select greatest(1 - max(n.distance), 0) * 0.7 + 0.3 from near n);
    end if;

    return query
    with candidate as materialized (
        select m.id, 1 - coalesce(nullif(m.embedding <=> p_query_embedding, 'NaN'), 1) as similarity
        from public.memories m
        where m.user_id = p_user_id and m.is_active and m.embedding is not null
          and (m.project_id is null or m.project_id = p_project_id)
          and (v_top is null or m.id = any (v_top))
    )
    select m.id, m.user_id, m.project_id, m.content, m.tags, m.entities, m.importance, m.source_type, m.source_ref,
           m.is_active, m.created_at, m.updated_at, c.similarity, c.similarity * 0.7 + m.importance * 0.3 as relevance
    from candidate c join public.memories m on m.id = c.id
    order by relevance desc, m.id
    limit v_limit;
end
$$;

-- The search path is pinned to where the operator <=> lives. The cast loads the library: before that hnsw.* settings
-- are unknown to the server. Filters must not starve an index scan: 0.8 can go on reading.
do $$
declare
    v_search constant regprocedure := 'public.search_memories(uuid, vector, uuid, integer, integer)';
    v_extension record;
begin
    perform '[1]'::vector;
    select n.nspname as schema, string_to_array(e.extversion, '.')::integer[] >= '{0,8}' as iterates into v_extension
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'vector';
    execute format('alter function %s set search_path = pg_catalog, %I, pg_temp', v_search, v_extension.schema);
    execute format('alter function %s set hnsw.ef_search = 800', v_search);
    if v_extension.iterates then
        execute format('alter function %s set hnsw.iterative_scan = strict_order', v_search);
    end if;
end
$$;
revoke all on function public.search_memories(uuid, vector, uuid, integer, integer) from public, anon;
grant execute on function public.search_memories(uuid, vector, uuid, integer, integer) to authenticated, service_role;
