-- What the command line asks of the database. Every statement is unnamed and stands alone, so that it works through
-- a transaction pooler; params are texts.

-- name: session_settings
-- What a role or a database may have set otherwise; not through a transaction pooler ($1 is the server process that the greeting named),
-- where it would be left to others. A search_path that names pg_catalog behind other schemas lets theirs stand before PostgreSQL's own; left
-- out, it comes first. $2: how long a statement may take, in ms.
select pg_catalog.set_config('statement_timeout', $2, false), pg_catalog.set_config('lock_timeout', '0', false),
    pg_catalog.set_config('default_transaction_read_only', 'off', false), pg_catalog.set_config('row_security', 'on', false),
    case when 'pg_catalog' operator(pg_catalog.=) any (pg_catalog.current_schemas(false))
        then pg_catalog.set_config('search_path', coalesce((
            select pg_catalog.string_agg(pg_catalog.quote_ident(s.name), ', ' order by s.n)
            from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality s(name, n)
            where s.name operator(pg_catalog.<>) 'pg_catalog'), ''), false) end
where pg_catalog.pg_backend_pid() operator(pg_catalog.=) $1::integer

-- name: transaction_begin
begin isolation level read committed, read write

-- name: transaction_commit
commit

-- name: migration_facts
-- What stands in the database, before the records are read: so a migration that another `errand migrate up` commits
-- in between is seen as recorded, and never as a table that somebody made by hand.
select pg_catalog.to_regclass('errand.migration') is not null as has_records,
    -- Not by to_regclass: a runner's role has no business in the schema auth, and that asks for it.
    exists (
        select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'auth' and c.relname = 'users'
    ) as has_auth,
    exists (select from pg_catalog.pg_available_extensions where name = 'vector') as has_vector,
    exists (
        select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'supabase_migrations' and c.relname = 'schema_migrations'
    ) as has_supabase,
    (
        select pg_catalog.count(*)
        from pg_catalog.pg_class c
        where c.relnamespace = pg_catalog.to_regnamespace('public')
            and c.relkind in ('r', 'p')
            and c.relname in (
                'memories', 'chat_sessions', 'session_messages', 'documents', 'chunks', 'workspaces', 'projects',
                'work_tickets', 'work_outputs', 'subscription_events', 'scheduled_messages', 'email_delivery_log'
            )
    ) as domain_tables,
    -- Which installation of errand mails for the domain tables: the schema of its trigger's function.
    (
        select f.nspname
        from pg_catalog.pg_trigger t
        join pg_catalog.pg_class c on c.oid = t.tgrelid
        join pg_catalog.pg_proc p on p.oid = t.tgfoid
        join pg_catalog.pg_namespace f on f.oid = p.pronamespace
        where c.relnamespace = pg_catalog.to_regnamespace('public') and c.relname = 'scheduled_messages'
            and t.tgname = 'errand_email_insert'
    ) as email_schema

-- name: migration_records
select set_name, number, name, checksum, adopted,
    pg_catalog.to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), applied_by, duration_ms
from errand.migration
order by set_name, number

-- name: migration_domain_missing
-- What the twelve domain tables lack of what errand relies on: `table`, or `table.column`.
select case when c.oid is null then w.table_name else w.table_name || '.' || k.column_name end as missing
from (
    values
        ('memories', array['id', 'user_id', 'project_id', 'content', 'embedding', 'tags', 'entities', 'importance',
            'source_type', 'source_ref', 'is_active', 'created_at', 'updated_at']),
        ('chat_sessions', array['id', 'user_id', 'project_id', 'session_type', 'status', 'started_at', 'ended_at',
            'context_metadata', 'created_at', 'updated_at']),
        ('session_messages', array['id', 'session_id', 'role', 'content', 'sequence_number', 'metadata', 'created_at']),
        ('documents', array['id', 'user_id', 'project_id', 'filename', 'file_url', 'storage_path', 'file_type',
            'file_size', 'processing_status', 'processed_at', 'error_message', 'page_count', 'word_count', 'created_at']),
        ('chunks', array['id', 'document_id', 'content', 'embedding', 'chunk_index', 'page_number', 'metadata',
            'token_count', 'created_at']),
        ('workspaces', array['id', 'name', 'owner_id', 'owner_email', 'subscription_status',
            'subscription_expires_at', 'lemonsqueezy_customer_id', 'lemonsqueezy_subscription_id', 'created_at',
            'updated_at']),
        ('projects', array['id', 'name', 'description', 'workspace_id', 'created_at', 'updated_at']),
        ('work_tickets', array['id', 'task', 'agent_type', 'status', 'parameters', 'error_message', 'project_id',
            'created_at', 'started_at', 'completed_at']),
        ('work_outputs', array['id', 'title', 'output_type', 'content', 'file_url', 'file_format', 'ticket_id',
            'created_at']),
        ('subscription_events', array['id', 'workspace_id', 'event_type', 'event_source', 'ls_subscription_id',
            'ls_customer_id', 'payload', 'created_at']),
        ('scheduled_messages', array['id', 'workspace_id', 'scheduled_for', 'message_type', 'subject', 'content',
            'recipient_email', 'status', 'sent_at', 'failure_reason', 'created_at']),
        ('email_delivery_log', array['id', 'scheduled_message_id', 'recipient', 'subject', 'provider',
            'provider_message_id', 'status', 'status_updated_at', 'created_at'])
) w(table_name, column_names)
left join pg_catalog.pg_class c
    on c.relname = w.table_name and c.relkind in ('r', 'p') and c.relnamespace = pg_catalog.to_regnamespace('public')
cross join lateral pg_catalog.unnest(w.column_names) with ordinality k(column_name, n)
where (c.oid is null and k.n = 1)
    or (
        c.oid is not null
        and not exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = c.oid and a.attname = k.column_name and a.attnum > 0 and not a.attisdropped
        )
    )
order by w.table_name, k.n

-- name: migration_limits
-- Limits of the role would cut the wait for the lock, and the migration; and a known search_path (extensions is where Supabase keeps
-- pgvector). Before the lock, because a statement's own time runs from its beginning.
select pg_catalog.set_config('statement_timeout', '0', true), pg_catalog.set_config('lock_timeout', '0', true),
    pg_catalog.set_config('idle_in_transaction_session_timeout', '0', true),
    case when pg_catalog.current_setting('transaction_timeout', true) is not null -- since 17
        then pg_catalog.set_config('transaction_timeout', '0', true) end,
    pg_catalog.set_config('standard_conforming_strings', 'on', true),
    pg_catalog.set_config('search_path', 'public, extensions', true)

-- name: migration_lock
-- One migration at a time, whoever runs it and for whatever schema, until the transaction ends.
select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('errand migration', 0))

-- name: migration_prepare
-- A migration that waits for somebody's table lock gives up rather than block everyone behind it.
select pg_catalog.set_config('lock_timeout', '30s', true)

-- name: migration_has_records
-- Not by to_regclass: that answers from the session's cache, which may not know yet what was committed during the wait for the lock.
select exists (
    select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname || '.' || c.relname = 'errand.migration'
)

-- name: migration_schema_create
create schema if not exists errand

-- name: migration_table_create
create table errand.migration (
    set_name text not null,
    number integer not null,
    name text not null,
    checksum text not null, -- SHA-256 of the file, hexadecimal
    applied_at timestamptz not null default pg_catalog.now(),
    applied_by text not null default current_user,
    adopted boolean not null default false, -- the tables stood already, and nothing was changed
    duration_ms bigint not null default 0,
    primary key (set_name, number)
)

-- name: migration_recorded
select checksum from errand.migration where set_name = $1 and number = $2::integer

-- name: migration_record
insert into errand.migration (set_name, number, name, checksum, adopted, duration_ms)
values ($1, $2::integer, $3, $4, $5::boolean, $6::bigint)

-- name: enqueue
-- run_at as a time ($4) or as seconds from now ($8); NULL leaves a default to the function.
select errand.enqueue(
    kind => $1, args => $2::jsonb, queue => $3,
    run_at => coalesce(
        $4::timestamptz, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $8::double precision)),
    priority => $5::integer, key => $6, max_attempts => $7::integer)

-- name: jobs_list
select j.id, j.queue, j.kind, j.state, j.attempt || coalesce('/' || j.max_attempts, ''),
    pg_catalog.to_char(j.run_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), j.key, j.last_error
from errand.jobs j
where ($1::text is null or j.state = $1)
    and ($2::text is null or j.queue = $2)
    and ($3::text is null or j.kind = $3)
    and ($4::text is null or j.key = $4)
order by j.id desc
limit $5::integer

-- name: jobs_list_json
select coalesce(pg_catalog.json_agg(pg_catalog.row_to_json(l)), '[]')
from (
    select j.id, j.lane, j.queue, j.kind, j.state, j.priority, j.run_at, j.attempt, j.max_attempts, j.key, j.args,
        j.progress, j.runner, j.started_at, j.finished_at, j.last_error, j.created_at
    from errand.jobs j
    where ($1::text is null or j.state = $1)
        and ($2::text is null or j.queue = $2)
        and ($3::text is null or j.kind = $3)
        and ($4::text is null or j.key = $4)
    order by j.id desc
    limit $5::integer
) l

-- name: jobs_show
select j.id, j.kind, j.queue, j.lane, j.state, j.priority, j.run_at, j.attempt, j.max_attempts, j.key, j.runner,
    j.created_at, j.started_at, j.finished_at, j.progress, j.last_error, j.args
from errand.jobs j
where j.id = $1::bigint

-- name: jobs_show_json
select pg_catalog.row_to_json(l)
from (
    select j.id, j.lane, j.queue, j.kind, j.state, j.priority, j.run_at, j.attempt, j.max_attempts, j.key, j.args,
        j.progress, j.runner, j.started_at, j.finished_at, j.last_error, j.created_at
    from errand.jobs j
    where j.id = $1::bigint
) l

-- name: why
select errand.why($1::bigint)

-- name: why_json
select pg_catalog.json_build_object('id', $1::bigint, 'why', errand.why($1::bigint))

-- name: status_queues
select q.name, q.lanes, q.ready, q.scheduled, q.running,
    coalesce(pg_catalog.to_char(q.oldest_due at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '-'),
    case when q.paused then 'paused: ' || coalesce(q.pause_reason, 'no reason given') else 'open' end
from errand.queues q
order by q.name

-- name: status_runners
select r.id, r.version, case when r.alive then 'alive' else 'gone' end, r.lanes, r.running || '/' || r.concurrency,
    pg_catalog.to_char(r.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.array_to_string(r.queues, ','), r.name
from errand.runners r
order by r.id

-- name: status_next_due
select pg_catalog.to_char(j.run_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), j.kind, j.id
from errand.jobs j
where j.state in ('ready', 'scheduled')
order by j.run_at, j.id
limit 1

-- name: status_json
select pg_catalog.json_build_object(
    'queues', (select coalesce(pg_catalog.json_agg(q order by q.name), '[]') from errand.queues q),
    'runners', (select coalesce(pg_catalog.json_agg(r order by r.id), '[]') from errand.runners r),
    'next_due', (
        select pg_catalog.row_to_json(n)
        from (
            select j.id, j.kind, j.queue, j.run_at from errand.jobs j
            where j.state in ('ready', 'scheduled') order by j.run_at, j.id limit 1
        ) n
    )
)
