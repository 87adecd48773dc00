-- What the skeleton asks of the database.

-- name: greet
-- $1 greeting, $2 whom
select format('%s, %s', $1::text, $2::text);
