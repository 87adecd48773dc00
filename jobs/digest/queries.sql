-- What the digest asks of the database.

-- name: make
-- $1 source, $2 time (null: now), $3 at most so many.
select m.made, m.skipped from errand.messages_make($1, $2::timestamptz, $3::integer) m
