-- Statements of kinds that are SQL.

-- name: own_begin
-- Within a transaction of its own: $1 how long a statement may take, in ms, $2 under which name it can be found. What the queue's sessions forbid the
-- planner is not for SQL of others.
select pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('application_name', $2, true),
    pg_catalog.set_config('enable_seqscan', 'on', true), pg_catalog.set_config('lock_timeout', '0', true)

-- name: own_cancel
-- Ends what runs under the name $1.
select pg_catalog.pg_cancel_backend(a.pid) from pg_catalog.pg_stat_activity a
where a.datname = pg_catalog.current_database() and a.application_name = $1 and a.state = 'active' and a.pid <> pg_catalog.pg_backend_pid()

-- name: kind_gone
-- The endpoint of kind $1 has answered that it is gone.
select errand.kind_pause($1, 'the endpoint answered 410 Gone')
