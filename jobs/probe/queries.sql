-- What the probe does in a database. The table is a test's own (tests/support/ledger.py makes it); where there is none, a
-- job that asks for an effect fails.

-- name: effect
-- $1 job, $2 attempt, $3 process.
insert into public.probe_effect (job, attempt, pid) values ($1::bigint, $2::integer, $3::integer)

-- name: step_effect
-- What a step of probe.steps does; the table is the test's own, too: $1 job, $2 attempt, $3 step.
insert into public.probe_step (job, attempt, name) values ($1::bigint, $2::integer, $3)

-- name: values
-- What probe.values sends, and what else a row may hold.
select pg_catalog.to_jsonb($1::text[]), pg_catalog.to_jsonb($2::bigint[]), $3::bytea, $4::jsonb, pg_catalog.cardinality($1::text[]),
    (extract(epoch from $5::timestamptz) * 1000000)::bigint, true, false, 0.25::double precision, null

-- name: slow
-- Takes half a second.
select pg_catalog.pg_sleep(0.5)
