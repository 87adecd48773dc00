-- Superseded by 006: the user context layer has become memories without a project. It keeps its number, because
-- databases exist that have it applied, and leaves nothing behind.
do $$ begin end $$;
