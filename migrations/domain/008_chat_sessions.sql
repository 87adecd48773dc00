-- Conversations and their turns. A user has one active session a day for each project (or for none, the global chat)
-- and session type; a day is a day in UTC.

create table public.chat_sessions (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    project_id uuid references public.projects (id) on delete cascade,
    session_type text not null default 'thinking_partner',
    status text not null default 'active' check (status in ('active', 'completed', 'archived')),
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    context_metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create trigger set_updated_at before update on public.chat_sessions
    for each row execute function public.set_updated_at();

create unique index chat_sessions_daily_idx on public.chat_sessions
    (user_id, project_id, session_type, ((started_at at time zone 'UTC')::date)) nulls not distinct
    where status = 'active';
create index chat_sessions_user_id_idx on public.chat_sessions (user_id, started_at);
create index chat_sessions_project_id_idx on public.chat_sessions (project_id);
create index chat_sessions_active_idx on public.chat_sessions (started_at) where status = 'active';

create table public.session_messages (
    id uuid primary key default gen_random_uuid(),
    session_id uuid not null references public.chat_sessions (id) on delete cascade,
    role text not null check (role in ('user', 'assistant', 'system')),
    content text not null,
    sequence_number integer not null check (sequence_number > 0),
    metadata jsonb not null default '{}',
    created_at timestamptz not null default now(),
    unique (session_id, sequence_number)
);

alter table public.chat_sessions enable row level security;
alter table public.session_messages enable row level security;
revoke all on public.chat_sessions, public.session_messages from anon, authenticated;
grant select, insert, update, delete on public.chat_sessions, public.session_messages to authenticated, service_role;

create policy chat_sessions_own on public.chat_sessions to authenticated
    using ((select auth.uid()) = user_id)
    with check ((select auth.uid()) = user_id and (project_id is null or exists (
        select from public.projects p join public.workspaces w on w.id = p.workspace_id
        where p.id = chat_sessions.project_id and w.owner_id = (select auth.uid()))));

create policy session_messages_own on public.session_messages to authenticated
    using (exists (
        select from public.chat_sessions s
        where s.id = session_messages.session_id and s.user_id = (select auth.uid())))
    with check (exists (
        select from public.chat_sessions s
        where s.id = session_messages.session_id and s.user_id = (select auth.uid())));

-- Today's active session, made if there is none; the unique index above makes it one however many ask at once.
-- p_scope: 'daily' is the only one. Errors: 42501 for another user, or a project that is not the user's; 22023 for
-- another scope; 40001 to try again.
create function public.get_or_create_chat_session(
    p_user_id uuid,
    p_project_id uuid default null,
    p_session_type text default 'thinking_partner',
    p_scope text default 'daily')
returns public.chat_sessions
language plpgsql set search_path = '' as $$
declare
    v_session public.chat_sessions;
begin
    if public.acts_only_as_self() and p_user_id is distinct from auth.uid() then
        raise exception 'a user can open only his own sessions' using errcode = 'insufficient_privilege';
    end if;
    if p_scope is distinct from 'daily' then
        raise exception 'session scope ''%'' is not ''daily''', p_scope using errcode = 'invalid_parameter_value';
    end if;
    if p_project_id is not null and not exists (
        select from public.projects p join public.workspaces w on w.id = p.workspace_id
        where p.id = p_project_id and w.owner_id = p_user_id)
    then
        raise exception 'project % is not one of the user''s', p_project_id using errcode = 'insufficient_privilege';
    end if;

    for attempt in 1 .. 100 loop
        select s.* into v_session
        from public.chat_sessions s
        where s.user_id = p_user_id
          and s.project_id is not distinct from p_project_id
          and s.session_type = p_session_type
          and (s.started_at at time zone 'UTC')::date = (now() at time zone 'UTC')::date
          and s.status = 'active';
        if found then
            return v_session;
        end if;

        insert into public.chat_sessions (user_id, project_id, session_type)
        values (p_user_id, p_project_id, p_session_type)
        on conflict do nothing
        returning * into v_session;
        if found then
            return v_session;
        end if;
        -- Somebody else made it in between: the next look finds it, unless it was closed again.
    end loop;
    raise exception 'the session of the day is made and closed faster than it can be read'
        using errcode = 'serialization_failure';
end
$$;

-- Adds a message as the session's next one (1, 2, 3, ... without a gap) and returns it. The update makes appenders of
-- one session queue up, and leaves in updated_at when the session was last used. A session that was closed meanwhile
-- still takes its late answer. Error P0002: no such session, or not the user's.
create function public.append_session_message(
    p_session_id uuid,
    p_role text,
    p_content text,
    p_metadata jsonb default '{}')
returns public.session_messages
language plpgsql set search_path = '' as $$
declare
    v_message public.session_messages;
begin
    update public.chat_sessions s set updated_at = now() where s.id = p_session_id;
    if not found then
        raise exception 'there is no session %', p_session_id using errcode = 'no_data_found';
    end if;

    insert into public.session_messages (session_id, role, content, sequence_number, metadata)
    select p_session_id, p_role, p_content, coalesce(max(m.sequence_number), 0) + 1, coalesce(p_metadata, '{}')
    from public.session_messages m
    where m.session_id = p_session_id
    returning * into v_message;
    return v_message;
end
$$;

revoke all on function
    public.get_or_create_chat_session(uuid, uuid, text, text),
    public.append_session_message(uuid, text, text, jsonb)
    from public, anon;
grant execute on function
    public.get_or_create_chat_session(uuid, uuid, text, text),
    public.append_session_message(uuid, text, text, jsonb)
    to authenticated, service_role;
