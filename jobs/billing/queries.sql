-- What billing asks of the database.

-- name: apply
-- $1 source, $2 id of the event, $3 policy.
select a.status, a.effect from errand.billing_apply($1, $2, $3::jsonb) a

-- name: sweep
-- $1 policy.
select errand.billing_sweep($1::jsonb)

-- name: reconcile_begin
-- $1 job, $2 workspace or null.
select r.page, r.listed, r.checked, r.repaired from errand.billing_reconcile_begin($1::bigint, $2::uuid) r

-- name: reconcile_next
-- $1 job, $2 at most so many.
select n.what, n.id from errand.billing_reconcile_next($1::bigint, $2::integer) n

-- name: reconcile
-- $1 job, $2 source, $3 progress, $4 what was found, $5 policy.
select r.id, r.outcome, r.effect from errand.billing_reconcile($1::bigint, $2, $3::jsonb, $4::jsonb, $5::jsonb) r

-- name: reconcile_end
-- $1 job.
select errand.billing_reconcile_end($1::bigint)
