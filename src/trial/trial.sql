-- What a trial answers in the place of the queue's own statements.

-- name: step_known
-- The job is the attempt's own; the step's result, or null.
select true, $1::text

-- name: step_written
select true, true

-- name: job_own
select 1

-- name: signal
-- The payload; whether the time is up; for ever otherwise.
select $1::text, $2::boolean, null::bigint
