-- Superseded by 006: the blocks that this step extended have become memories. It keeps its number, because databases
-- exist that have it applied, and leaves nothing behind.
do $$ begin end $$;
