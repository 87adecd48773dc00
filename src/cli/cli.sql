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
-- Times as what PostgreSQL reads, or as seconds from now; NULL leaves a default to the function.
select errand.enqueue(
    kind => $1, args => $2::jsonb, queue => $3,
    run_at => coalesce(
        $4::timestamptz, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $5::double precision)),
    priority => $6::integer, key => $7, on_conflict => coalesce($8, 'keep'), max_attempts => $9::integer,
    timeout => pg_catalog.make_interval(secs => $10::double precision), trace => $11,
    unique_for => pg_catalog.make_interval(secs => $12::double precision),
    expires_at => coalesce(
        $13::timestamptz, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $14::double precision)),
    after => $15::bigint[], on_parent => coalesce($16, 'cancel'), tags => $17::text[])

-- name: moment
-- A time, or seconds from now, as one that stays.
select coalesce(pg_catalog.to_char(m.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), m.at::text) -- infinity has no such form
from (select coalesce($1::timestamptz, pg_catalog.now() + pg_catalog.make_interval(secs => $2::double precision))) m(at)

-- name: jobs_find
-- Jobs, the highest ids first. Owed jobs and dead letters are read lane by lane, the history by its index of ids, each no
-- further than the limit, before they are merged: nothing is sorted or counted but what is shown. What is dead stands in
-- the dead letters, so a job that was redriven is not met twice. Each filter may be null:
--   $1 state, $2 queue, $3 kind, $4 key, $5 tags, $6 paths into the args (each an array, as text), $7 values there, $8 which of these are JSON,
--   $9 text in the last error, $10 since, $11 until, $12 below this id, $13 limit, $14 in this lane,
--   $15 $16 $17 whether to look at owed jobs, dead letters, the history, $18 whether whole rows are wanted, as JSON
select f.id, f.queue, f.kind, f.state, f.attempt || coalesce('/' || m.max_attempts, ''),
    pg_catalog.to_char(f.run_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), f.key, f.last_error,
    case when $18::boolean then pg_catalog.json_build_object(
        'id', f.id, 'lane', f.lane, 'queue', f.queue, 'kind', f.kind, 'state', f.state, 'priority', f.priority,
        'run_at', f.run_at, 'attempt', f.attempt, 'max_attempts', m.max_attempts, 'key', f.key, 'tags', f.tags,
        'args', f.args, 'progress', f.progress, 'result', f.result, 'runner', coalesce(f.runner, d.runner),
        'started_at', coalesce(f.started_at, d.started_at), 'finished_at', f.finished_at, 'expires_at', f.expires_at,
        'waiting_for', coalesce(f.waiting_for, 0), 'trace', f.trace, 'last_error', f.last_error,
        'error_class', coalesce(f.error_class, d.error_class), 'created_at', f.created_at) end
from (
    (
        select l.queue, o.*
        from errand.lane l
        cross join lateral (
            select s.*
            from (
                select j.lane, j.id, true as owed,
                    case when j.claimed_by is not null then 'running' when j.held then 'held'
                        when j.waiting_for > 0 then 'waiting' when j.run_at > pg_catalog.now()
                        then case when j.waits_signal is null then 'scheduled' else 'waiting' end else 'ready' end as state,
                    j.kind, j.key, j.key_shared, j.priority, case when j.waiting_for > 0 then j.wanted_at else j.run_at end as run_at,
                    j.attempt, j.max_attempts, j.args, j.progress, null::jsonb as result, j.claimed_by as runner, j.started_at,
                    null::timestamptz as finished_at, j.expires_at, j.waiting_for, j.last_error, null::text as error_class,
                    j.created_at, j.created_at as told_at, j.trace, j.tags
                from errand.job j
                union all
                select d.lane, d.id, false, 'dead', d.kind, d.key, d.key_shared, d.priority, d.run_at, d.attempt,
                    d.max_attempts, d.args, null, null, null, null, d.died_at, d.expires_at, null, d.error, null,
                    d.created_at, d.died_at, d.trace, d.tags
                from errand.dead_letter d
            ) s
            where s.lane = l.lane
                and case when s.owed then $15::boolean else $16::boolean end
                and ($12::bigint is null or s.id < $12)
                and ($1::text is null or s.state = $1)
                and ($3::text is null or s.kind = $3)
                -- In two arms, as the indexes of keys are.
                and ($4::text is null or (s.key = $4 and not s.key_shared) or (s.key = $4 and s.key_shared))
                and ($5::text[] is null or s.tags @> $5)
                and ($9::text is null or pg_catalog.strpos(s.last_error, $9) > 0)
                and ($10::timestamptz is null or s.told_at >= $10)
                and ($11::timestamptz is null or s.told_at < $11)
                and ($6::text[] is null or not exists (
                    select from rows from (pg_catalog.unnest($6), pg_catalog.unnest($7::text[]), pg_catalog.unnest($8::boolean[]))
                        a(path, value, is_json)
                    where case when a.is_json then s.args #> a.path::text[] = a.value::jsonb
                        else s.args #>> a.path::text[] = a.value end is not true))
            order by s.id desc
            limit $13::bigint
        ) o
        where ($2::text is null or l.queue = $2) and ($14::integer is null or l.lane = $14)
        order by o.id desc
        limit $13
    )
    union all
    (
        select l.queue, h.lane, h.id, false, h.outcome, h.kind, h.key, false, h.priority, h.run_at, h.attempt, null, h.args,
            null, h.result, h.runner, h.started_at, h.finished_at, null, null, h.error, h.error_class, h.created_at, h.finished_at,
            h.trace, h.tags
        from errand.history h join errand.lane l on l.lane = h.lane
        where $17::boolean and h.outcome <> 'dead'
            and ($12::bigint is null or h.id < $12)
            and ($1::text is null or h.outcome = $1)
            and ($2::text is null or l.queue = $2)
            and ($3::text is null or h.kind = $3)
            and ($4::text is null or h.key = $4)
            and ($5::text[] is null or h.tags @> $5)
            and ($9::text is null or pg_catalog.strpos(h.error, $9) > 0)
            and ($10::timestamptz is null or h.finished_at >= $10)
            and ($11::timestamptz is null or h.finished_at < $11)
            and ($6::text[] is null or not exists (
                select from rows from (pg_catalog.unnest($6), pg_catalog.unnest($7::text[]), pg_catalog.unnest($8::boolean[]))
                    a(path, value, is_json)
                where case when a.is_json then h.args #> a.path::text[] = a.value::jsonb
                    else h.args #>> a.path::text[] = a.value end is not true))
        order by h.id desc
        limit $13
    )
) f
left join errand.kind k on k.name = f.kind
cross join lateral (select coalesce(f.max_attempts, case when f.owed then coalesce(k.max_attempts, 20) end)) m(max_attempts)
-- Of a dead letter's last attempt its history tells more.
left join lateral (
    select h.runner, h.started_at, h.error_class from errand.history h
    where $18::boolean and f.state = 'dead' and h.id = f.id and h.outcome = 'dead' and h.finished_at = f.finished_at
    limit 1
) d on true
order by f.id desc
limit $13

-- name: jobs_lanes
-- The lanes that a filter by queue reaches.
select l.lane from errand.lane l where ($1::text is null or l.queue = $1) order by l.lane

-- name: jobs_show
-- One job: owed, else as it ended last, else a dead letter whose history is over. Fields for people, then all as JSON.
select j.id, j.state, errand.why(j.id), j.kind, j.queue || ' (lane ' || j.lane || ')', j.priority,
    j.attempt || coalesce('/' || j.max_attempts, ''), j.key, pg_catalog.array_to_string(j.tags, ', '),
    t.created_at, t.run_at, t.expires_at, t.started_at, t.finished_at,
    pg_catalog.date_trunc('milliseconds', t.waited), pg_catalog.date_trunc('milliseconds', t.ran),
    pg_catalog.trim_scale(j.timeout_ms / 1000.0) || 's', coalesce(r.name || ' (' || r.id || ')', j.runner::text), j.trace, j.progress, j.result,
    j.last_error, j.args,
    pg_catalog.json_build_object(
        'id', j.id, 'lane', j.lane, 'queue', j.queue, 'kind', j.kind, 'state', j.state, 'why', errand.why(j.id),
        'priority', j.priority, 'run_at', j.run_at, 'attempt', j.attempt, 'max_attempts', j.max_attempts, 'key', j.key,
        'tags', j.tags, 'args', j.args, 'progress', j.progress, 'result', j.result, 'runner', j.runner,
        'runner_name', r.name, 'started_at', j.started_at, 'finished_at', j.finished_at, 'expires_at', j.expires_at,
        'waited_ms', pg_catalog.round(1000 * extract(epoch from t.waited), 3),
        'ran_ms', pg_catalog.round(1000 * extract(epoch from t.ran), 3), 'timeout_ms', j.timeout_ms,
        'cancel_requested', j.cancel_requested, 'waiting_for', coalesce(j.waiting_for, 0), 'trace', j.trace,
        'last_error', j.last_error, 'error_class', j.error_class, 'created_at', j.created_at,
        'attempts', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('attempt', a.attempt, 'started_at', a.started_at,
                'finished_at', a.finished_at, 'runner', a.runner, 'error_class', a.error_class, 'error', a.error)
                order by a.finished_at, a.attempt), '[]')
            from errand.attempt a where a.id = j.id),
        'steps', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', s.name, 'attempt', s.attempt,
                'finished_at', s.finished_at, 'bytes', s.bytes) order by s.finished_at, s.name), '[]')
            from errand.steps s where s.lane = j.lane and s.id = j.id),
        'signals', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', s.name, 'waited_at', s.waited_at, 'until', s.until,
                'sent_at', s.sent_at, 'payload', s.payload) order by coalesce(s.waited_at, s.sent_at), s.name), '[]')
            from errand.signals s where s.lane = j.lane and s.id = j.id),
        'log', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('attempt', g.attempt, 'logged_at', g.logged_at,
                'level', g.level, 'message', g.message) order by g.logged_at, g.line), '[]')
            from (select x.* from errand.job_logs x where x.id = j.id order by x.logged_at desc, x.line desc limit 200) g),
        'waits_for', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('id', d.parent_id, 'on_parent', d.on_parent,
                'outcome', d.outcome, 'held', d.held) order by d.parent_id), '[]')
            from errand.dependency d where d.child_id = j.id),
        'waited_for_by', (
            select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('id', d.child_id, 'on_parent', d.on_parent,
                'held', d.held) order by d.child_id), '[]')
            from errand.dependency d where d.lane = j.lane and d.parent_id = j.id))
from (
    select 1 as place, l.queue, o.*
    from errand.lane l
    cross join lateral (
        select s.lane, s.id, case when s.claimed_by is not null then 'running' when s.held then 'held'
                when s.waiting_for > 0 then 'waiting' when s.run_at > pg_catalog.now()
                then case when s.waits_signal is null then 'scheduled' else 'waiting' end else 'ready' end as state,
            s.kind, s.key, s.priority, case when s.waiting_for > 0 then s.wanted_at else s.run_at end as run_at, s.attempt,
            coalesce(s.max_attempts, (select x.max_attempts from errand.kind x where x.name = s.kind), 20) as max_attempts,
            s.args, s.progress, null::jsonb as result, s.claimed_by as runner, s.started_at,
            null::timestamptz as finished_at, s.expires_at,
            coalesce(s.timeout_ms, (select x.timeout_ms from errand.kind x where x.name = s.kind)) as timeout_ms,
            s.cancel_requested, s.waiting_for, s.last_error, null::text as error_class, s.created_at, s.trace, s.tags
        from errand.job s where s.lane = l.lane and s.id = $1::bigint
    ) o
    union all
    (
        select 2, l.queue, h.lane, h.id, h.outcome, h.kind, h.key, h.priority, h.run_at, h.attempt, null, h.args, null,
            h.result, h.runner, h.started_at, h.finished_at, null, null, false, null, h.error, h.error_class, h.created_at,
            h.trace, h.tags
        from errand.history h join errand.lane l on l.lane = h.lane
        where h.id = $1 and (h.outcome <> 'dead' or exists (
            select from errand.dead_letter d where d.lane = h.lane and d.id = h.id and d.died_at = h.finished_at))
        order by h.finished_at desc
        limit 1
    )
    union all
    select 3, l.queue, o.*
    from errand.lane l
    cross join lateral (
        select d.lane, d.id, 'dead', d.kind, d.key, d.priority, d.run_at, d.attempt, d.max_attempts, d.args, null::jsonb,
            null::jsonb, null::bigint, null::timestamptz, d.died_at, d.expires_at, d.timeout_ms, false, null::integer,
            d.error, null::text, d.created_at, d.trace, d.tags
        from errand.dead_letter d where d.lane = l.lane and d.id = $1
    ) o
    order by place
    limit 1
) j
left join errand.runner r on r.id = j.runner
cross join lateral (
    select pg_catalog.to_char(j.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
        pg_catalog.to_char(j.run_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as run_at,
        pg_catalog.to_char(j.expires_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as expires_at,
        pg_catalog.to_char(j.started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as started_at,
        pg_catalog.to_char(j.finished_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as finished_at,
        case when j.started_at is not null then greatest(j.started_at - j.run_at, interval '0')
            when j.state = 'ready' then pg_catalog.now() - j.run_at end as waited,
        coalesce(j.finished_at, case when j.state = 'running' then pg_catalog.now() end) - j.started_at as ran
) t

-- name: jobs_attempts
-- The attempts of a job that did not end it.
select a.attempt, pg_catalog.to_char(a.finished_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.date_trunc('milliseconds', a.finished_at - a.started_at), a.error_class, a.error
from errand.attempt a
where a.id = $1::bigint
order by a.finished_at, a.attempt

-- name: jobs_steps
-- What its handler has done of it.
select s.name, s.attempt, pg_catalog.to_char(s.finished_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), s.bytes
from errand.steps s
where s.id = $1::bigint
order by s.finished_at, s.name

-- name: jobs_signals
-- What it waits for, and what it was sent.
select s.name, pg_catalog.to_char(s.waited_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.to_char(s.until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.to_char(s.sent_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), s.payload
from errand.signals s
where s.id = $1::bigint
order by coalesce(s.waited_at, s.sent_at), s.name

-- name: jobs_log
-- Lines of its handler behind a time ($2) and a number ($3), both null: from the first on; the last $4 of them, in their order.
select pg_catalog.to_char(g.logged_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), g.attempt, g.level, g.message, g.line,
    pg_catalog.json_build_object('id', g.id, 'attempt', g.attempt, 'logged_at', g.logged_at, 'level', g.level, 'message', g.message)
from (
    select x.*
    from errand.job_logs x
    where x.id = $1::bigint and ($2::timestamptz is null or (x.logged_at, x.line) > ($2, $3::integer))
    order by x.logged_at desc, x.line desc
    limit $4::bigint
) g
order by g.logged_at, g.line

-- name: jobs_log_last
-- Some of them for jobs show.
select pg_catalog.to_char(g.logged_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), g.attempt, g.level, g.message
from (select x.* from errand.job_logs x where x.id = $1::bigint order by x.logged_at desc, x.line desc limit 20) g
order by g.logged_at, g.line

-- name: jobs_parents
select d.parent_id, coalesce(d.outcome, 'owed'), d.on_parent, case when d.held then 'held' end
from errand.dependency d
where d.child_id = $1::bigint
order by d.parent_id

-- name: jobs_children
select d.child_id, d.on_parent
from errand.lane l join errand.dependency d on d.lane = l.lane and d.parent_id = $1::bigint
order by d.child_id

-- name: jobs_outcomes
-- Of each job: how it ended (null: it has not), its state, the error.
select i.id, case when j.state is null then coalesce(h.outcome, d.outcome) end,
    coalesce(j.state, h.outcome, d.outcome), case when j.state is null then coalesce(h.error, d.error) end
from pg_catalog.unnest($1::bigint[]) with ordinality i(id, n)
left join lateral (
    select case when o.claimed_by is not null then 'running' when o.held then 'held' when o.waiting_for > 0 then 'waiting'
        when o.run_at > pg_catalog.now() then case when o.waits_signal is null then 'scheduled' else 'waiting' end else 'ready' end as state
    from errand.lane l join errand.job o on o.lane = l.lane and o.id = i.id
) j on true
left join lateral (
    select x.outcome, x.error from errand.history x where x.id = i.id order by x.finished_at desc limit 1
) h on true
left join lateral (
    select 'dead' as outcome, x.error from errand.lane l join errand.dead_letter x on x.lane = l.lane and x.id = i.id
) d on true
order by i.n

-- name: jobs_cancel
-- By id, as completions do: two that take the same jobs in another order end in a deadlock.
select i.id, errand.cancel(i.id, $2::text) from (select u.id from pg_catalog.unnest($1::bigint[]) u(id) order by u.id) i

-- name: jobs_retry
select i.id, errand.retry(i.id) from (select u.id from pg_catalog.unnest($1::bigint[]) u(id) order by u.id) i

-- name: jobs_redrive
select i.id, errand.redrive(i.id) from (select u.id from pg_catalog.unnest($1::bigint[]) u(id) order by u.id) i

-- name: jobs_reprioritize
select i.id, errand.reprioritize(i.id, $2::integer) from (select u.id from pg_catalog.unnest($1::bigint[]) u(id) order by u.id) i

-- name: jobs_signal
select errand.signal($1::bigint, $2, $3::jsonb)

-- name: jobs_delete
select i.id, errand.delete(i.id) from (select u.id from pg_catalog.unnest($1::bigint[]) u(id) order by u.id) i

-- name: queue_list
-- $1: one queue, or null for all.
select q.name, q.lanes, q.ready || case when q.more then '+' else '' end, q.scheduled, q.waiting + q.held, q.running,
    q.history_days, case when q.paused then 'paused' else 'open' end,
    pg_catalog.concat_ws('; ',
        case when q.paused then pg_catalog.concat_ws(': ', 'paused'
            || case when q.paused_until <> 'infinity'
                then pg_catalog.to_char(q.paused_until at time zone 'UTC', '" until "YYYY-MM-DD"T"HH24:MI:SS"Z"') else '' end,
            q.pause_reason) end,
        nullif(pg_catalog.concat_ws(', ', q.concurrency || ' at once', q.rate || '/s' || coalesce(' burst ' || q.burst, ''),
            q.key_concurrency || ' at once a key', q.key_rate || '/s' || coalesce(' burst ' || q.key_burst, '') || ' a key',
            case when q.key_ordered then 'keys in order' end), ''),
        'jobs wait for ' || q.waits),
    pg_catalog.row_to_json(q)
from errand.queues q
where $1::text is null or q.name = $1
order by q.name

-- name: queue_create
select errand.queue_create($1, $2::integer)

-- name: queue_pause
select errand.queue_pause($1, $2, coalesce($3::timestamptz,
    pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4::double precision), 'infinity'))

-- name: queue_resume
select errand.queue_resume($1)

-- name: queue_limit
select errand.queue_limit($1, concurrency => $2::integer, rate => $3::double precision, burst => $4::double precision,
    key_concurrency => $5::integer, key_rate => $6::double precision, key_burst => $7::double precision,
    key_ordered => $8::boolean)

-- name: queue_retention
select errand.queue_retention($1, $2::integer)

-- name: kind_list
-- What runners have served and what operators have set; $1: one kind, or null for all.
select k.name, k.queue, k.runners, k.max_attempts, pg_catalog.trim_scale(extract(epoch from k.timeout)) || 's', k.concurrency,
    k.keep, case when k.paused then 'paused' else 'open' end,
    pg_catalog.concat_ws('; ',
        case when k.paused then pg_catalog.concat_ws(': ', 'paused'
            || case when k.paused_until <> 'infinity'
                then pg_catalog.to_char(k.paused_until at time zone 'UTC', '" until "YYYY-MM-DD"T"HH24:MI:SS"Z"') else '' end,
            k.pause_reason) end,
        r.text),
    pg_catalog.row_to_json(k)
from errand.kinds k
left join lateral (
    select pg_catalog.string_agg('retry ' || pg_catalog.concat_ws(' ', nullif(t.error_class, '') || ':', t.policy, d.text,
            'to ' || t.max_attempts || ' attempts'), '; ' order by t.error_class) as text
    from errand.kind_retry t
    cross join lateral (
        select pg_catalog.string_agg(case when x.ms % 3600000 = 0 and x.ms > 0 then x.ms / 3600000 || 'h'
            when x.ms % 60000 = 0 and x.ms > 0 then x.ms / 60000 || 'm' when x.ms % 1000 = 0 then x.ms / 1000 || 's'
            else x.ms || 'ms' end, ',' order by x.n) as text
        from pg_catalog.unnest(t.delays_ms) with ordinality x(ms, n)
    ) d
    where t.kind = k.name
) r on true
where $1::text is null or k.name = $1
order by k.name

-- name: kind_pause
select errand.kind_pause($1, $2, coalesce($3::timestamptz,
    pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4::double precision), 'infinity'))

-- name: kind_resume
select errand.kind_resume($1)

-- name: kind_limit
select errand.kind_limit($1, $2::integer)

-- name: kind_keep
select errand.kind_keep($1, $2)

-- name: kind_retry_set
select errand.kind_retry_set($1, $2, error_class => coalesce($3, ''),
    delays => array(
        select pg_catalog.make_interval(secs => d.secs)
        from pg_catalog.unnest($4::double precision[]) with ordinality d(secs, n) order by d.n),
    max_attempts => $5::integer)

-- name: kind_retry_reset
select errand.kind_retry_reset($1, error_class => $2)

-- name: runner_list
select r.id, r.name, r.version, case when not r.alive then 'gone' when r.stopping then 'stopping' else 'alive' end, r.lanes,
    r.running || '/' || r.concurrency, pg_catalog.array_to_string(r.queues, ','),
    pg_catalog.to_char(r.lease_until at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), pg_catalog.row_to_json(r)
from errand.runners r
order by r.id

-- name: why
select i.id, errand.why(i.id), pg_catalog.json_build_object('id', i.id, 'why', errand.why(i.id))
from pg_catalog.unnest($1::bigint[]) with ordinality i(id, n)
order by i.n

-- name: stats
-- Per kind, since $1: how many ended how, and its two histograms, added up over minutes, queues and runners. Rows of a day
-- are kept for 35 days, which tells the partitions to look into.
select t.kind, t.done, t.retry, t.dead, t.cancelled, t.unknown, h.waits, h.runs
from (
    select s.kind, coalesce(pg_catalog.sum(s.jobs) filter (where s.outcome = 'done'), 0) as done,
        coalesce(pg_catalog.sum(s.jobs) filter (where s.outcome = 'retry'), 0) as retry,
        coalesce(pg_catalog.sum(s.jobs) filter (where s.outcome = 'dead'), 0) as dead,
        coalesce(pg_catalog.sum(s.jobs) filter (where s.outcome = 'cancelled'), 0) as cancelled,
        coalesce(pg_catalog.sum(s.jobs) filter (where s.outcome = 'unknown'), 0) as unknown
    from errand.statistic s
    where s.minute >= $1::timestamptz and s.keep_until >= ($1 at time zone 'UTC')::date + 35 and ($2::text is null or s.queue = $2) and ($3::text is null or s.kind = $3)
    group by s.kind
) t
left join (
    select b.kind, pg_catalog.array_agg(b.waits order by b.n) as waits, pg_catalog.array_agg(b.runs order by b.n) as runs
    from (
        select s.kind, u.n, pg_catalog.sum(u.waits) as waits, pg_catalog.sum(u.runs) as runs
        from errand.statistic s
        cross join lateral rows from (pg_catalog.unnest(s.waits), pg_catalog.unnest(s.runs)) with ordinality u(waits, runs, n)
        where s.minute >= $1 and s.keep_until >= ($1 at time zone 'UTC')::date + 35 and ($2::text is null or s.queue = $2) and ($3::text is null or s.kind = $3)
        group by s.kind, u.n
    ) b
    group by b.kind
) h on h.kind = t.kind
order by t.kind

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
from errand.lane l
cross join (values (0::smallint), (1::smallint), (2::smallint), (3::smallint)) p(priority)
cross join lateral (
    select x.id, x.kind, x.run_at from errand.job x
    where x.lane = l.lane and x.priority = p.priority and x.claimed_by is null and x.run_at < 'infinity'
    order by x.run_at, x.id
    limit 1
) j
order by j.run_at, j.id
limit 1

-- name: status_json
select pg_catalog.json_build_object(
    'queues', (select coalesce(pg_catalog.json_agg(q order by q.name), '[]') from errand.queues q),
    'runners', (select coalesce(pg_catalog.json_agg(r order by r.id), '[]') from errand.runners r),
    'next_due', (
        select pg_catalog.row_to_json(n)
        from (
            select j.id, j.kind, l.queue, j.run_at
            from errand.lane l
            cross join (values (0::smallint), (1::smallint), (2::smallint), (3::smallint)) p(priority)
            cross join lateral (
                select x.id, x.kind, x.run_at from errand.job x
                where x.lane = l.lane and x.priority = p.priority and x.claimed_by is null and x.run_at < 'infinity'
                order by x.run_at, x.id
                limit 1
            ) j
            order by j.run_at, j.id
            limit 1
        ) n
    )
)

-- name: schedule_list
-- $1: one schedule, or null for all.
select s.name, s.cron, s.timezone, s.kind, case when s.enabled then 'on' else 'off' end,
    pg_catalog.to_char(s.next_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.to_char(s.last_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), s.last_state, s.problem, pg_catalog.row_to_json(s)
from errand.schedules s
where $1::text is null or s.name = $1
order by s.name

-- name: schedule_show
-- One, with all there is to it: fields for people, and all as JSON.
select s.name, s.cron, s.timezone, s.kind, s.args, s.queue, s.priority, s.max_attempts, s.timeout, pg_catalog.array_to_string(s.tags, ', '),
    s.missed || ', up to ' || s.missed_max, s.overlap, case when s.jitter > interval '0' then s.jitter end,
    case when s.enabled then 'yes' else 'no' end, s.starts_at, s.ends_at, s.next_at, s.last_at,
    s.last_job || coalesce(' (' || s.last_state || ')', ''), s.problem, pg_catalog.row_to_json(s)
from errand.schedules s
where s.name = $1

-- name: schedule_times
-- What its fire times follow from: starts_at and ends_at, last_at in us.
select s.cron, s.timezone, (extract(epoch from s.starts_at) * 1000000)::bigint, (extract(epoch from s.ends_at) * 1000000)::bigint,
    (extract(epoch from s.last_at) * 1000000)::bigint, (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint
from errand.schedule s
where s.name = $1

-- name: schedule_history
-- The last $2 fire times of $1, the newest first.
select pg_catalog.to_char(f.fire_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), f.outcome, f.job_id, h.state,
    case when f.outcome in ('made', 'skipped') then pg_catalog.round(extract(epoch from f.decided_at - f.fire_at), 3) || 's' end,
    pg_catalog.to_char(f.until_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    pg_catalog.json_build_object('fire_at', f.fire_at, 'outcome', f.outcome, 'job', f.job_id, 'state', h.state, 'decided_at', f.decided_at,
        'until_at', f.until_at)
from (
    select x.* from errand.schedule_fire x where x.schedule = $1 order by x.fire_at desc, x.decided_at desc limit $2::integer
) f
left join lateral (select errand_job.state from errand.jobs errand_job where errand_job.id = f.job_id) h on true
order by f.fire_at desc, f.decided_at desc

-- name: schedule_exists
select from errand.schedule s where s.name = $1

-- name: schedule_run_now
select errand.schedule_run_now($1)

-- name: schedule_enable
select errand.schedule_enable($1)

-- name: schedule_disable
select errand.schedule_disable($1)

-- name: schedule_remove
select errand.schedule_remove($1)

-- name: schedule_set
-- Arrays of the same length, an element a schedule; null: the default.
select errand.schedule_set(n.name, n.cron, n.kind, coalesce(n.args, '{}')::jsonb, coalesce(n.timezone, 'UTC'), n.queue,
    coalesce(n.missed, 'once'), coalesce(n.missed_max, '1 day')::interval, coalesce(n.overlap, 'allow'), coalesce(n.jitter, '0')::interval,
    coalesce(n.enabled, 'true')::boolean, n.starts_at::timestamptz, n.ends_at::timestamptz, coalesce(n.priority, '2')::integer,
    n.max_attempts::integer, n.timeout::interval, coalesce(n.tags, '{}')::text[])
from (
    select x.* from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
        $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[])
        x(name, cron, kind, args, timezone, queue, missed, missed_max, overlap, jitter, enabled, starts_at, ends_at, priority, max_attempts,
            timeout, tags)
    order by x.name
) n

-- name: schedule_before
-- The schedules $1, and if $2 all others, too: as one JSON object.
select coalesce(pg_catalog.jsonb_object_agg(s.name, pg_catalog.to_jsonb(s)), '{}') from errand.schedule s where s.name = any ($1::text[]) or $2::boolean

-- name: schedule_prune
-- All but $1.
select errand.schedule_remove(s.name) from errand.schedule s where s.name <> all ($1::text[])

-- name: schedule_changes
-- What became of the schedules $1 and of those of $2, as schedule_before told them.
select case when b.value is null then 'create' when n.name is null then 'remove' else 'change' end, coalesce(n.name, b.key),
    case when b.value is null then n.cron || ' ' || n.timezone || ' ' || n.kind when n.name is null then b.value ->> 'cron' else d.text end,
    pg_catalog.json_build_object('action', case when b.value is null then 'create' when n.name is null then 'remove' else 'change' end,
        'name', coalesce(n.name, b.key), 'changes', d.changes)
from (select s.* from errand.schedule s where s.name = any ($1::text[])) n
full join pg_catalog.jsonb_each($2::jsonb) b on b.key = n.name
left join lateral (
    select pg_catalog.string_agg(x.key || ': ' || coalesce(x.value #>> '{}', '-') || ' -> ' || coalesce(y.value #>> '{}', '-'), ', '
            order by x.key) as text,
        pg_catalog.json_object_agg(x.key, pg_catalog.json_build_array(x.value, y.value)) as changes
    from pg_catalog.jsonb_each(b.value) x join pg_catalog.jsonb_each(pg_catalog.to_jsonb(n)) y on y.key = x.key
    where x.value <> y.value and x.key not in ('revision', 'next_at', 'problem')
) d on n.name is not null and b.value is not null
where b.value is null or n.name is null or n.revision <> (b.value ->> 'revision')::bigint
order by 2

-- name: webhook_list
-- The newest first. $1: source, $2: status, $3: type; $4, $5: source and id of the event below which to go on; $6: how many at most; $7: received
-- no earlier.
select w.source || ':' || w.event_id, w.type, pg_catalog.to_char(w.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), w.status, w.job_id,
    w.effect, pg_catalog.row_to_json(w)
from errand.webhooks w
where ($1::text is null or w.source = $1)
    and ($2::text is null or w.status = $2)
    and ($3::text is null or w.type = $3)
    and ($4::text is null or (w.received_at, w.source, w.event_id) < (
        select b.received_at, b.source, b.event_id from errand.webhooks b where b.source = $4 and b.event_id = $5::text))
    and ($7::timestamptz is null or w.received_at >= $7)
order by w.received_at desc, w.source desc, w.event_id desc
limit $6::bigint

-- name: webhook_show
-- $1, $2: source and id. Fields for people, and all as JSON. What is stored was found rightly signed.
select w.source, w.event_id, w.type, pg_catalog.to_char(w.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'right when it was received', w.status, w.effect, w.job_id, w.kind, errand.why(w.job_id), w.headers,
    pg_catalog.to_jsonb(w) || pg_catalog.jsonb_build_object('signature', 'right', 'why', errand.why(w.job_id))
from errand.webhooks w
where w.source = $1 and w.event_id = $2

-- name: webhook_replay
-- $1: events as source:id. What became of each.
select u.event, errand.webhook_replay(pg_catalog.split_part(u.event, ':', 1),
    pg_catalog.substr(u.event, pg_catalog.strpos(u.event, ':') + 1))
from pg_catalog.unnest($1::text[]) with ordinality u(event, n) order by u.n

-- name: webhook_reconcile
-- $1 workspace, or null: all. One that has not ended yet for the same is that one.
select errand.enqueue('billing.reconcile',
    pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('workspace_id', $1::uuid)), queue => 'billing.reconcile',
    key => 'billing.reconcile' || coalesce(':' || $1::uuid, ''))

-- name: webhook_body
-- $1, $2: source and id.
select pg_catalog.encode(e.body, 'hex') from errand.webhook_event e where e.source = $1 and e.event_id = $2

-- name: webhook_endpoints
-- The sources $1 and those that others store events of: the last event, how many came in the last 24 hours, and how many are open, by status.
-- Sources are found by leaps through the primary key.
with recursive found(name) as (
    (select w.source from errand.webhooks w order by w.source limit 1)
    union all
    select (select w.source from errand.webhooks w where w.source > f.name order by w.source limit 1) from found f where f.name is not null
), lately as materialized (
    select w.source, pg_catalog.count(*) as events from errand.webhooks w
    where w.received_at >= pg_catalog.now() - interval '24 hours' group by 1
), open as materialized (
    select w.source, pg_catalog.count(*) filter (where w.status = 'stored') as stored,
        pg_catalog.count(*) filter (where w.status = 'unassigned') as unassigned, pg_catalog.count(*) filter (where w.status = 'failed') as failed
    from errand.webhooks w where w.status in ('stored', 'unassigned', 'failed') group by 1
)
select n.name, pg_catalog.to_char(e.received_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), coalesce(l.events, 0),
    coalesce(o.stored, 0), coalesce(o.unassigned, 0), coalesce(o.failed, 0), e.kind
from (
    select pg_catalog.unnest($1::text[]) as name
    union
    select f.name from found f where f.name is not null
) n
left join lateral (
    select w.received_at, w.kind from errand.webhooks w where w.source = n.name order by w.received_at desc limit 1
) e on true
left join lately l on l.source = n.name
left join open o on o.source = n.name
order by n.name

-- name: scratch_create
-- The rest of the name comes behind it.
create database errand_test

-- name: scratch_drop
drop database errand_test

-- name: test_begin
-- The args as the runner reads them, and the time in us.
select $1::jsonb::text, (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::bigint

-- name: suppression_list
-- The newest first. $1: only this address; $2: how many at most.
select s.recipient, pg_catalog.to_char(s.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), s.source || ':' || s.event_id, s.reason,
    pg_catalog.json_build_object('recipient', s.recipient, 'since', s.created_at, 'source', s.source, 'event_id', s.event_id, 'reason', s.reason)
from errand.suppression s
where $1::text is null or s.recipient = errand.email_address($1)
order by s.created_at desc, s.recipient
limit $2::bigint

-- name: suppression_add
-- $1: address, $2: why.
select errand.suppress($1, $2)

-- name: suppression_remove
select errand.unsuppress($1)
