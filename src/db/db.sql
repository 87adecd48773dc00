-- name: begin
begin

-- name: begin_pooled
-- Where a session's own settings cannot be.
begin isolation level read committed, read write

-- name: commit
commit

-- name: rollback
rollback

-- name: session_probe
-- Which server process answers: behind a transaction pooler it is not the one that the greeting named.
select pg_catalog.pg_backend_pid()

-- name: session_settings
-- What a role or a database may have set otherwise, for this session or ($2) this transaction: $1 is how long a statement may take, in ms, $3 how long it
-- waits for a lock. It ends
-- after the client has given it up, so that what waits for a lock does not pile up on the server.
-- The queue's statements are made for index scans; statistics that are old must not talk the planner out of them. Where there is no index the
-- planner then reckons with absurd costs, and must not compile the statement for them.
-- A search_path that names pg_catalog behind other schemas lets their functions, types and operators stand before PostgreSQL's own; left out,
-- it comes first.
select pg_catalog.set_config('enable_seqscan', 'off', $2::boolean), pg_catalog.set_config('jit', 'off', $2::boolean),
    pg_catalog.set_config('statement_timeout', $1, $2::boolean), pg_catalog.set_config('lock_timeout', $3, $2::boolean),
    pg_catalog.set_config('idle_in_transaction_session_timeout', '60000', $2::boolean),
    pg_catalog.set_config('idle_session_timeout', '0', $2::boolean),
    case when pg_catalog.current_setting('transaction_timeout', true) is not null -- since 17
        then pg_catalog.set_config('transaction_timeout', '0', $2::boolean) end,
    pg_catalog.set_config('default_transaction_read_only', 'off', $2::boolean),
    pg_catalog.set_config('default_transaction_isolation', 'read committed', $2::boolean),
    pg_catalog.set_config('row_security', 'on', $2::boolean),
    case when 'pg_catalog' operator(pg_catalog.=) any (pg_catalog.current_schemas(false))
        then pg_catalog.set_config('search_path', coalesce((
            select pg_catalog.string_agg(pg_catalog.quote_ident(s.name), ', ' order by s.n)
            from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality s(name, n)
            where s.name operator(pg_catalog.<>) 'pg_catalog'), ''), $2::boolean) end
