-- Statements of the mail jobs. Times go in and out as microseconds since 1970.

-- name: mail_load
-- The messages of a batch, in its order: $1 ids, $2 bytes of content to bring (the first message's comes in any
-- case), $3 bytes that no content may have. A live membership (of a request whose outcome is not written down
-- yet) comes with its outcome, if there is one.
with wanted as materialized (
    select w.n, s.id, s.status, s.message_type, s.subject, s.recipient_email, s.xmin::text as version,
        (extract(epoch from case when s.scheduled_for < '9999-01-01' then greatest(s.scheduled_for, '1970-01-01')
            else '9999-01-01' end) * 1000000)::bigint as due_us,
        s.scheduled_for is not null as is_scheduled,
        m.request_id, m.position, m.outcome, m.provider_message_id, m.error, r.state,
        (extract(epoch from coalesce(r.settled_at, r.first_sent_at)) * 1000000)::bigint as settled_us,
        case when s.status = 'pending' and m.request_id is null then s.content::text end as content
    from pg_catalog.unnest($1::uuid[]) with ordinality w(id, n)
    left join public.scheduled_messages s on s.id = w.id
    left join errand.email_request_message m on m.message_id = w.id and m.done_at is null
    left join errand.email_request r on r.id = m.request_id
), measured as (
    select w.*, pg_catalog.octet_length(w.content) as content_bytes,
        pg_catalog.sum(pg_catalog.octet_length(w.content)) over (order by w.n) as total_bytes
    from wanted w
)
select m.status, m.is_scheduled, m.due_us, m.message_type, m.subject, m.recipient_email, m.version, m.content_bytes,
    case when m.content_bytes <= $3::bigint and (m.total_bytes <= $2::bigint or m.total_bytes = m.content_bytes)
        then m.content end,
    m.request_id, m.position, m.state, m.outcome, m.provider_message_id, m.error, m.settled_us
from measured m order by m.n

-- name: request_store
-- $1 path, $2 body, $3 messages as [{id, version, recipient, subject, copied}].
select s.request_id, (extract(epoch from s.first_sent_at) * 1000000)::bigint, s.position, s.verdict, s.reason,
    s.addresses
from errand.email_request_store($1, $2, $3::jsonb) s

-- name: request_read
-- A row for each message of request $1; the body stands in the first.
select r.state, r.path, (extract(epoch from r.first_sent_at) * 1000000)::bigint,
    case when m.position = 0 then pg_catalog.convert_from(r.body, 'UTF8') end
from errand.email_request r join errand.email_request_message m on m.request_id = r.id
where r.id = $1::uuid order by m.position

-- name: request_settle
-- The outcome of request $1 is known: $2 status, $3 the answer's beginning, $4 time, $5 outcomes as
-- [{position, outcome, id, error}].
with settled as (
    update errand.email_request r set state = 'settled', status_code = $2::integer, answer = $3, body = '',
        settled_at = pg_catalog.to_timestamp($4::double precision / 1000000)
    where r.id = $1::uuid and r.state = 'open'
    returning r.id
)
update errand.email_request_message m set outcome = o.outcome, provider_message_id = o.id, error = o.error
from settled s, pg_catalog.jsonb_to_recordset($5::jsonb) o(position integer, outcome text, id text, error text)
where m.request_id = s.id and m.position = o.position and m.done_at is null
    and (m.outcome is distinct from 'sent' or o.outcome <> 'unknown') -- an event has said that it was sent

-- name: request_void
-- Nothing of request $1 was sent: $2 status, $3 answer. Its messages may go into another one.
with void as (
    update errand.email_request r set state = 'void', status_code = $2::integer, answer = $3, body = '',
        settled_at = pg_catalog.now()
    where r.id = $1::uuid and r.state = 'open'
    returning r.id
)
update errand.email_request_message m set outcome = 'void', done_at = pg_catalog.now()
from void v where m.request_id = v.id and m.done_at is null

-- name: mail_finish
-- What became of message $2 of request $1: $3 outcome, $4 the provider's id, $5 error, $6 time.
select errand.email_finish($1::uuid, $2::uuid, $3, $4, $5, pg_catalog.to_timestamp($6::double precision / 1000000))

-- name: mail_refuse
-- Message $1, as it was read (version $2), is not given to the provider at all: $3 status for the log, $4 reason.
with message as (
    update public.scheduled_messages s set status = 'failed', failure_reason = $4
    where s.id = $1::uuid and s.status = 'pending' and s.xmin::text = $2
    returning s.id, s.recipient_email, s.subject
)
insert into public.email_delivery_log
    (scheduled_message_id, recipient, subject, provider, status, status_updated_at)
select m.id, m.recipient_email, m.subject, 'resend', $3, pg_catalog.now() from message m

-- name: mail_follow
-- Message $1 may have been moved while its job ran.
select errand.email_follow($1::uuid)

-- name: sweep
-- $1 messages at most, those that are due within $2 ms; and so many mails that nobody knows.
select errand.email_sweep($1::integer, pg_catalog.now() + pg_catalog.make_interval(secs => $2::double precision / 1000)),
    errand.email_event_forget($1::integer)

-- name: event_apply
-- $1 source, $2 event_id.
select a.status, a.effect from errand.email_event_apply($1, $2) a
