-- What billing asks of the database.

-- name: apply
-- $1 source, $2 id of the event, $3 policy.
select a.status, a.effect from errand.billing_apply($1, $2, $3::jsonb) a

-- name: sweep
-- $1 policy.
select errand.billing_sweep($1::jsonb)
