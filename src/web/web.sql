-- Statements of the HTTP front.

-- name: webhook_accept
-- Stores events of one source, each with its job: $1 source, $2 ids, $3 types, $4 headers, $5 bodies, $6 kind, $7 queue, $8 when each was
-- received (null: now). How many of them were new.
select errand.webhook_accept_many($1, $2::text[], $3::text[], $4::text[]::jsonb[], $5::bytea[], $6, $7, $8::timestamptz[])

-- name: callback_signal
-- What an endpoint says of job $1, under the name $2.
select errand.signal($1::bigint, $2, $3::jsonb)

-- name: queue_depths
-- For /metrics: what stands in each queue, counted as far as errand.queues counts.
select ready, scheduled, waiting, held,
    greatest((extract(epoch from now() - oldest_due) * 1000000)::bigint, 0) as oldest_due_us, paused, more, name::text
from errand.queues
order by name
limit 200
