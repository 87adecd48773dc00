-- Who sees and writes the base tables. Also the rule that later functions ask: is the caller one who may only act
-- as himself?

-- Privileges are stated in full, because default privileges differ between servers; truncate, which row security
-- does not cover, is among what they may have handed out. anon has no business in these tables.
revoke all on public.workspaces, public.projects, public.work_tickets, public.work_outputs from anon, authenticated;
grant select, insert, update, delete on public.workspaces, public.projects, public.work_tickets to authenticated;
grant select, insert on public.work_outputs to authenticated;
grant select, insert, update, delete on public.workspaces, public.projects, public.work_tickets, public.work_outputs
    to service_role;

create policy workspaces_own on public.workspaces to authenticated
    using ((select auth.uid()) = owner_id)
    with check ((select auth.uid()) = owner_id);

-- "= any (array(...))" is computed once for a statement and can use the index, which "in (select ...)" in a policy
-- cannot; a user has few workspaces and projects.
create policy projects_own on public.projects to authenticated
    using (workspace_id = any (array(
        select w.id from public.workspaces w where w.owner_id = (select auth.uid()))))
    with check (workspace_id = any (array(
        select w.id from public.workspaces w where w.owner_id = (select auth.uid()))));

create policy work_tickets_own on public.work_tickets to authenticated
    using (project_id = any (array(
        select p.id from public.projects p join public.workspaces w on w.id = p.workspace_id
        where w.owner_id = (select auth.uid()))))
    with check (project_id = any (array(
        select p.id from public.projects p join public.workspaces w on w.id = p.workspace_id
        where w.owner_id = (select auth.uid()))));

-- Outputs are viewed and created, not changed. Tickets may be many: one look-up by key for each row.
create policy work_outputs_view on public.work_outputs for select to authenticated
    using (exists (
        select from public.work_tickets t
        join public.projects p on p.id = t.project_id
        join public.workspaces w on w.id = p.workspace_id
        where t.id = work_outputs.ticket_id and w.owner_id = (select auth.uid())));
create policy work_outputs_create on public.work_outputs for insert to authenticated
    with check (exists (
        select from public.work_tickets t
        join public.projects p on p.id = t.project_id
        join public.workspaces w on w.id = p.workspace_id
        where t.id = work_outputs.ticket_id and w.owner_id = (select auth.uid())));

-- True for a caller under the policies "to authenticated": he is auth.uid() and nobody else. False for service_role
-- and the tables' owner, who are above row security, and for roles that have policies of their own.
create function public.acts_only_as_self() returns boolean
language sql stable set search_path = ''
return row_security_active('public.workspaces') and pg_has_role('authenticated', 'member');
revoke all on function public.acts_only_as_self() from public, anon;
grant execute on function public.acts_only_as_self() to authenticated, service_role;
