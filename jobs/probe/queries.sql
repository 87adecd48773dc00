-- What the probe does in a database. The table is a test's own (tests/support/ledger.py makes it); where there is none, a
-- job that asks for an effect fails.

-- name: effect
-- $1 job, $2 attempt, $3 process.
insert into public.probe_effect (job, attempt, pid) values ($1::bigint, $2::integer, $3::integer)
