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
        (extract(epoch from r.settled_at) * 1000000)::bigint as settled_us,
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
-- What became of message $2 of request $1, written down once: $3 outcome, $4 the provider's id, $5 error, $6 time. A
-- message that somebody called off stays so when it was refused; if it was or may have been sent, that is told.
with member as (
    update errand.email_request_message m
    set done_at = pg_catalog.now(), outcome = $3, provider_message_id = $4, error = $5
    where m.request_id = $1::uuid and m.message_id = $2::uuid and m.done_at is null
    returning m.message_id, m.recipient, m.subject, pg_catalog.to_timestamp($6::double precision / 1000000) as at
), message as (
    update public.scheduled_messages s
    set status = case when $3 = 'sent' then 'sent' when $3 = 'failed' and s.status <> 'pending' then s.status
            else 'failed' end,
        sent_at = case when $3 = 'sent' then m.at else s.sent_at end,
        failure_reason = $5
    from member m where s.id = m.message_id
    returning s.id
)
insert into public.email_delivery_log
    (scheduled_message_id, recipient, subject, provider, provider_message_id, status, status_updated_at)
select (select x.id from message x), m.recipient, m.subject, 'resend', $4, $3, m.at from member m

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
-- $1 messages at most, those that are due within $2 ms.
select errand.email_sweep($1::integer, pg_catalog.now() + pg_catalog.make_interval(secs => $2::double precision / 1000))
