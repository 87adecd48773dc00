-- name: begin
begin

-- name: commit
commit

-- name: rollback
rollback

-- name: session_probe
-- Which server process answers: behind a transaction pooler it is not the one that the greeting named.
select pg_catalog.pg_backend_pid()

-- name: session_settings
-- The queue's statements are made for index scans; statistics that are old must not talk the planner out of them. Where there is no index the
-- planner then reckons with absurd costs, and must not compile the statement for them.
select pg_catalog.set_config('enable_seqscan', 'off', false), pg_catalog.set_config('jit', 'off', false)
