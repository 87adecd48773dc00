-- Chunks belong to whom their document belongs, with or without a project.

create policy chunks_own on public.chunks to authenticated
    using (exists (
        select from public.documents d
        where d.id = chunks.document_id and d.user_id = (select auth.uid())))
    with check (exists (
        select from public.documents d
        where d.id = chunks.document_id and d.user_id = (select auth.uid())));

-- Where service_role could not be made with BYPASSRLS (see the auth shim), policies give it every row.
do $$
declare
    v_table text;
begin
    if (select r.rolbypassrls from pg_roles r where r.rolname = 'service_role') then
        return;
    end if;
    foreach v_table in array array[
        'workspaces', 'projects', 'work_tickets', 'work_outputs', 'scheduled_messages', 'email_delivery_log',
        'memories', 'chat_sessions', 'session_messages', 'documents', 'chunks', 'subscription_events']
    loop
        execute format('create policy %I on public.%I to service_role using (true) with check (true)',
                       v_table || '_service', v_table);
    end loop;
end
$$;
