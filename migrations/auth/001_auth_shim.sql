-- What the domain migrations expect of Supabase, for a database without it: the roles anon, authenticated and
-- service_role, schema auth with auth.users, and auth.uid(), auth.role(), auth.jwt(). Applied only where auth.users
-- is missing. It keeps no passwords and no tokens: whoever speaks for a user sets request.jwt.claims.

-- Roles belong to the whole server, so another database may have made them, even at this very moment. A role that
-- exists is left as it is. Only some users may create a role with BYPASSRLS; without it service_role is made plain
-- and 011 gives it a policy on every table instead, which comes to the same.
do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('anon', 'nologin'),
            ('authenticated', 'nologin'),
            ('service_role', 'nologin bypassrls')) as r (name, options)
    loop
        continue when exists (select from pg_catalog.pg_roles r where r.rolname = wanted.name);
        begin
            execute pg_catalog.format('create role %I %s', wanted.name, wanted.options);
        exception
            when duplicate_object or unique_violation then
                null;
            when insufficient_privilege then
                if wanted.name <> 'service_role' or not (
                    select r.rolcreaterole from pg_catalog.pg_roles r where r.rolname = current_user)
                then
                    raise exception 'role % is missing and % may not create it', wanted.name, current_user
                        using errcode = 'insufficient_privilege',
                              hint = pg_catalog.format('As an administrator: create role %I %s;',
                                                       wanted.name, wanted.options);
                end if;
                create role service_role nologin;
        end;
    end loop;
end
$$;

create schema if not exists auth;
grant usage on schema auth to anon, authenticated, service_role;

create table if not exists auth.users (
    id uuid primary key default gen_random_uuid(),
    email text,
    email_confirmed_at timestamptz,
    last_sign_in_at timestamptz,
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb, -- the user can write it: never decide on it who may do what
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index if not exists users_email_idx on auth.users (lower(email));
alter table auth.users enable row level security;

-- The claims of the request, as a gateway such as PostgREST sets them: one jsonb, or one setting a claim.
create or replace function auth.uid() returns uuid language sql stable
return coalesce(
    nullif(current_setting('request.jwt.claim.sub', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
)::uuid;

create or replace function auth.role() returns text language sql stable
return coalesce(
    nullif(current_setting('request.jwt.claim.role', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
);

create or replace function auth.jwt() returns jsonb language sql stable
return coalesce(
    nullif(current_setting('request.jwt.claim', true), ''),
    nullif(current_setting('request.jwt.claims', true), '')
)::jsonb;

-- Supabase's defaults for tables in public, less what row security does not cover (truncate, references, trigger).
-- The domain migrations state their own privileges and do not lean on these.
grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public
    grant select, insert, update, delete on tables to anon, authenticated, service_role;
alter default privileges in schema public
    grant usage, select on sequences to anon, authenticated, service_role;
