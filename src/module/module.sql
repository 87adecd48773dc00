-- Statements of the job API.

-- name: enqueue
-- A handler's new job; what is null is left to the function's defaults. Lengths of time in ms: $1 kind, $2 args, $3 queue, $4 run_at, $5 or from
-- now, $6 priority, $7 key, $8 on_conflict, $9 max_attempts, $10 timeout, $11 trace, $12 unique_for, $13 expires_at, $14 after, $15 on_parent, $16 tags.
select errand.enqueue(
    kind => $1, args => coalesce($2::jsonb, '{}'), queue => $3,
    run_at => coalesce($4::timestamptz, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $5::double precision / 1000)),
    priority => $6::integer, key => $7, on_conflict => coalesce($8, 'keep'), max_attempts => $9::integer,
    timeout => pg_catalog.make_interval(secs => $10::double precision / 1000), trace => $11,
    unique_for => pg_catalog.make_interval(secs => $12::double precision / 1000), expires_at => $13::timestamptz, after => $14::bigint[],
    on_parent => coalesce($15, 'cancel'), tags => $16::text[])

-- name: signal
-- A handler's signal to another job: $1 its id, $2 name, $3 payload.
select errand.signal($1::bigint, $2, $3::jsonb)
