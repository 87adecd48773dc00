-- What the probe does in a database. The table is a test's own (tests/support/ledger.py makes it); where there is none, a
-- job that asks for an effect fails.

-- name: effect
-- $1 job, $2 attempt, $3 process.
insert into public.probe_effect (job, attempt, pid) values ($1::bigint, $2::integer, $3::integer)

-- name: step_effect
-- What a step of probe.steps does; the table is the test's own, too: $1 job, $2 attempt, $3 step.
insert into public.probe_step (job, attempt, name) values ($1::bigint, $2::integer, $3)
