-- What is done to a job that stands, and what becomes of those that wait for it.

-- The lane of a job that is owed, or null. Every lane is asked by its key, whatever the planner thinks of their number (offset 0).
create function errand.job_lane(id bigint) returns integer
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
    found_lane integer;
begin
    select l.lane into found_lane
    from errand.lane l
    cross join lateral (select from errand.job j where j.lane = l.lane and j.id = job_lane.id offset 0) j;
    return found_lane;
end
$$;

-- The same of a dead letter.
create function errand.dead_letter_lane(id bigint) returns integer
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_lane integer;
begin
    select l.lane into found_lane
    from errand.lane l
    cross join lateral (select from errand.dead_letter d where d.lane = l.lane and d.id = dead_letter_lane.id offset 0) d;
    return found_lane;
end
$$;

-- Of the jobs that bear a key, the one that goes directly before another in the order in which they were enqueued; null: none.
create function errand.job_before(lane integer, key text, created_at timestamptz, id bigint) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    found_id bigint;
begin
    select p.id into found_id from (
        (select s.created_at, s.id from errand.job s
        where s.lane = job_before.lane and s.key = job_before.key and s.key_shared
            and (s.created_at, s.id) < (job_before.created_at, job_before.id)
        order by s.created_at desc, s.id desc limit 1)
        union all
        (select u.created_at, u.id from errand.job u
        where u.lane = job_before.lane and u.key = job_before.key and not u.key_shared
            and (u.created_at, u.id) < (job_before.created_at, job_before.id))
    ) p
    order by p.created_at desc, p.id desc limit 1;
    return found_id;
end
$$;

-- What stands in lanes that are idle, for a runner that looks at all of its idle ones in one statement: of each lane and class the first jobs between
-- two times, at most so many. Each lane is read by a statement of its own, here too, so that each goes to one place.
create function errand.lanes_look(lanes integer[], since timestamptz, until timestamptz, most integer)
returns table (lane integer, priority smallint, run_at timestamptz, id bigint, revision integer, claimed_by bigint, cancel_requested boolean, kind text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    at_lane integer;
begin
    foreach at_lane in array lanes_look.lanes loop
        return query
        select j.lane, j.priority, j.run_at, j.id, j.revision, j.claimed_by, j.cancel_requested, j.kind
        from pg_catalog.unnest(array[0, 1, 2, 3]::smallint[]) c(class)
        cross join lateral (
            select x.* from errand.job x
            where x.lane = at_lane and x.priority = c.class and x.run_at >= lanes_look.since and x.run_at <= lanes_look.until
            order by x.run_at, x.id limit lanes_look.most
        ) j;
    end loop;
end
$$;

-- Tells the owner of a lane what was done to a job of it: 'cancel' or 'changed'; and the runner that runs it, which may have handed the
-- lane over meanwhile.
create function errand.job_tell(lane integer, id bigint, what text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_catalog.pg_notify('errand.' || r.id, job_tell.what || ' ' || job_tell.lane || ' ' || job_tell.id)
    from (
        select l.owner as id from errand.lane l where l.lane = job_tell.lane
        union select j.claimed_by from errand.job j where j.lane = job_tell.lane and j.id = job_tell.id
    ) r
    where r.id is not null;
end
$$;

-- Ends a job that has not started: it goes to the history as cancelled, for that reason, and jobs that wait for it are told. One
-- that runs is asked to end. Returns 'cancelled', 'requested', or 'not found' (also when it has ended already).
create function errand.cancel(id bigint, reason text default null) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := errand.job_lane(cancel.id);
    ended record;
begin
    if at_lane is null then
        return 'not found';
    end if;
    select c.cancelled, c.parents into ended
    from errand.jobs_cancel(at_lane, array[cancel.id], coalesce(cancel.reason, 'cancelled by errand.cancel')) c;
    if ended.cancelled > 0 then
        perform errand.dependents_tell(at_lane, array[cancel.id], array['cancelled']) where ended.parents <> '{}';
        return 'cancelled';
    end if;
    update errand.job j set cancel_requested = true, cancel_reason = coalesce(cancel.reason, j.cancel_reason)
    where j.lane = at_lane and j.id = cancel.id;
    if not found then
        return 'not found';
    end if;
    perform errand.job_tell(at_lane, cancel.id, 'cancel');
    return 'requested';
end
$$;

-- Starts a job as soon as may be: one that waits for its time, for another attempt, for other jobs or for a signal ('due'), or that is dead
-- ('redriven', or 'key taken' when another job bears its key). Else it is 'running', has 'ended', or is 'not found'.
create function errand.retry(id bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := errand.job_lane(retry.id);
    run_at timestamptz;
    redriven text;
begin
    update errand.job j set
        run_at = case when j.run_at > t.now then t.now else j.run_at end, held = false,
        waiting_for = case when j.waiting_for is not null then 0 end
    from (select pg_catalog.clock_timestamp() as now) t
    where j.lane = at_lane and j.id = retry.id and j.claimed_by is null
    returning j.run_at into run_at;
    if found then
        perform errand.dependencies_drop(array[retry.id]);
        perform errand.job_tell(at_lane, retry.id, 'changed');
        perform errand.lanes_wake(array[at_lane], array[run_at]);
        return 'due';
    end if;
    if exists (select from errand.job j where j.lane = at_lane and j.id = retry.id) then
        return 'running';
    end if;
    redriven := errand.redrive(retry.id);
    if redriven = 'not found' and exists (select from errand.history h where h.id = retry.id) then
        return 'ended';
    end if;
    return redriven;
end
$$;

-- Makes a job of a dead letter again: the same id, no attempt yet, due now. Jobs that are held because it died wait for it again. Returns
-- 'redriven', 'key taken' (another job bears its key; nothing is changed) or 'not found'.
create function errand.redrive(id bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := errand.dead_letter_lane(redrive.id);
    now_at constant timestamptz := pg_catalog.clock_timestamp();
begin
    perform from errand.dead_letter d where d.lane = at_lane and d.id = redrive.id for update;
    if not found then
        return 'not found';
    end if;
    insert into errand.job (lane, id, priority, run_at, created_at, timeout_ms, max_attempts, key_shared, dependents, expires_at, kind,
        key, args, last_error, trace, tags)
    select d.lane, d.id, d.priority, now_at, d.created_at, d.timeout_ms, d.max_attempts, d.key_shared,
        exists (select from errand.dependency x where x.lane = at_lane and x.parent_id = redrive.id),
        case when d.expires_at > now_at then d.expires_at end, d.kind, d.key, d.args, d.error, d.trace, d.tags
    from errand.dead_letter d where d.lane = at_lane and d.id = redrive.id
    on conflict (lane, key) where key is not null and not key_shared do nothing;
    if not found then
        return 'key taken';
    end if;
    delete from errand.dead_letter d where d.lane = at_lane and d.id = redrive.id;
    perform errand.dependents_unhold(at_lane, redrive.id);
    perform errand.lanes_wake(array[at_lane], array[now_at]);
    return 'redriven';
end
$$;

-- Another priority (0 first to 3 last) for a job that has not started: 'changed', 'running' or 'not found'.
create function errand.reprioritize(id bigint, priority integer) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane constant integer := errand.job_lane(reprioritize.id);
    run_at timestamptz;
begin
    perform errand.number_check('priority', reprioritize.priority, 0, 3, '0 goes first, 3 last.');
    update errand.job j set priority = reprioritize.priority
    where j.lane = at_lane and j.id = reprioritize.id and j.claimed_by is null
    returning j.run_at into run_at;
    if not found then
        return case when exists (select from errand.job j where j.lane = at_lane and j.id = reprioritize.id)
            then 'running' else 'not found' end;
    end if;
    perform errand.job_tell(at_lane, reprioritize.id, 'changed');
    -- Its owner may have read past that time among those of the new priority.
    if run_at < 'infinity' then
        perform pg_catalog.pg_notify('errand.' || l.owner, 'lane ' || at_lane || ' '
            || pg_catalog.floor(pg_catalog.date_part('epoch', run_at) * 1000000)::bigint)
        from errand.lane l where l.lane = at_lane and l.owner is not null;
    end if;
    return 'changed';
end
$$;

-- Removes a job that has not started, or a dead letter, and leaves nothing of it; jobs that wait for it are told that it did not end as
-- done. Returns 'deleted', 'running' or 'not found'.
create function errand.delete(id bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    at_lane integer := errand.job_lane(delete.id);
    dependents boolean;
begin
    if at_lane is null then
        at_lane := errand.dead_letter_lane(delete.id);
        delete from errand.dead_letter d where d.lane = at_lane and d.id = delete.id;
        if not found then
            return 'not found';
        end if;
        delete from errand.step s where s.lane = at_lane and s.job_id = delete.id;
        delete from errand.job_log g where g.lane = at_lane and g.job_id = delete.id;
        delete from errand.signal s where s.lane = at_lane and s.job_id = delete.id;
        return 'deleted';
    end if;
    delete from errand.job j where j.lane = at_lane and j.id = delete.id and j.claimed_by is null
    returning j.dependents into dependents;
    if not found then
        return case when exists (select from errand.job j where j.lane = at_lane and j.id = delete.id)
            then 'running' else 'not found' end;
    end if;
    delete from errand.step s where s.lane = at_lane and s.job_id = delete.id;
    delete from errand.job_log g where g.lane = at_lane and g.job_id = delete.id;
    delete from errand.signal s where s.lane = at_lane and s.job_id = delete.id;
    perform errand.dependencies_drop(array[delete.id]);
    perform errand.job_tell(at_lane, delete.id, 'cancel');
    if dependents then
        perform errand.dependents_tell(at_lane, array[delete.id], array['deleted']);
    end if;
    return 'deleted';
end
$$;

-- Those of a lane's jobs that have not started go to the history. How many they were, and which of them others wait for: the caller
-- tells those.
create function errand.jobs_cancel(lane integer, ids bigint[], reason text, out cancelled integer, out parents bigint[])
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    bound bigint[];
    seen bigint[];
begin
    with gone as (
        delete from errand.job j where j.lane = jobs_cancel.lane and j.id = any (jobs_cancel.ids) and j.claimed_by is null
        returning j.*
    ), told as (
        insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, key,
            args, error, trace, tags)
        select g.lane, g.attempt, g.priority, g.id, case when g.waiting_for > 0 or g.waits_signal is not null then g.wanted_at else g.run_at end,
            g.created_at, n.at,
            n.until, 'cancelled', g.kind, g.key, g.args, jobs_cancel.reason, g.trace, g.tags
        from gone g, (select pg_catalog.clock_timestamp(),
            errand.keep_until((select l.queue from errand.lane l where l.lane = jobs_cancel.lane))) n(at, until)
        where not exists (select from errand.kind_setting s where s.name = g.kind and s.keep = 'none')
    ), counted as (
        -- In rows of this session's own, so that nobody waits for its transaction; many, so that none of them has very many versions when one
        -- transaction cancels very many jobs.
        insert into errand.statistic as s (minute, queue, kind, outcome, runner, keep_until, jobs, wait_us, run_us, waits, runs)
        select n.minute, l.queue, g.kind, 'cancelled', -(pg_catalog.pg_backend_pid()::bigint * 1000 + jobs_cancel.ids[1] % 1000),
            pg_catalog.timezone('UTC', n.minute)::date + 35, pg_catalog.count(*), 0, 0, pg_catalog.array_fill(0, array[32]), pg_catalog.array_fill(0, array[32])
        from gone g join errand.lane l on l.lane = g.lane, (select pg_catalog.date_trunc('minute', pg_catalog.now())) n(minute)
        group by n.minute, l.queue, g.kind
        on conflict (keep_until, minute, queue, kind, outcome, runner) do update set jobs = s.jobs + excluded.jobs
    )
    select pg_catalog.count(*), coalesce(pg_catalog.array_agg(g.id order by g.id) filter (where g.dependents), '{}'),
        pg_catalog.array_agg(g.id order by g.id) filter (where g.waiting_for > 0),
        pg_catalog.array_agg(g.id order by g.id) filter (where g.run_at < 'infinity')
    into cancelled, parents, bound, seen from gone g;
    delete from errand.step s
    where s.lane = jobs_cancel.lane and s.job_id = any (jobs_cancel.ids)
        and not exists (select from errand.job j where j.lane = jobs_cancel.lane and j.id = s.job_id offset 0);
    delete from errand.signal s
    where s.lane = jobs_cancel.lane and s.job_id = any (jobs_cancel.ids)
        and not exists (select from errand.job j where j.lane = jobs_cancel.lane and j.id = s.job_id offset 0);
    perform errand.dependencies_drop(bound) where bound is not null;
    -- What waits for others is in no runner's memory.
    perform errand.job_tell(jobs_cancel.lane, s.id, 'cancel') from pg_catalog.unnest(seen) s(id);
end
$$;

-- ---- Jobs after jobs. Whoever changes both locks a job before the dependencies that it is the child of. ----
-- There may be very many of them at once, and statistics that know of none: so rows are named by `= any (ids)` and not by a join with a
-- set, which may become a loop in a loop; and where there are many, the planner is to see how many.

-- The jobs wait for nothing any more.
create function errand.dependencies_drop(child_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    at_lane integer;
begin
    for at_lane in
        select distinct d.lane from errand.dependency d where d.child_id = any (dependencies_drop.child_ids) order by d.lane
    loop
        delete from errand.dependency d where d.lane = at_lane and d.child_id = any (dependencies_drop.child_ids);
    end loop;
end
$$;

-- Why a job was cancelled that waited for that one.
create function errand.dependency_reason(id bigint, outcome text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
    return pg_catalog.format('job %s, which it waited for, %s', dependency_reason.id,
        case dependency_reason.outcome when 'deleted' then 'was deleted' else 'ended ' || dependency_reason.outcome end);
end
$$;

-- Tells the jobs that waited for those of a lane that have ended. The runner calls it after its completions, and when it acquires a lane.
-- Returns how many were told; those that are cancelled for it are parents, too, and so on.
create function errand.dependents_release(lane integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ids bigint[];
    outcomes text[];
begin
    with ended as (
        delete from errand.parent_ended p where p.lane = dependents_release.lane returning p.id, p.outcome
    )
    select pg_catalog.array_agg(e.id order by e.id), pg_catalog.array_agg(e.outcome order by e.id) into ids, outcomes from ended e;
    if ids is null then
        return 0;
    end if;
    return errand.dependents_tell(dependents_release.lane, ids, outcomes);
end
$$;

-- Those jobs of a lane have ended so. Works through all that follows, a lane of parents, an outcome and a lane of children at a time.
create function errand.dependents_tell(lane integer, ids bigint[], outcomes text[]) returns integer
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    told integer := 0;
    lanes integer[] := pg_catalog.array_fill(dependents_tell.lane, array[pg_catalog.cardinality(dependents_tell.ids)]);
    at_lane integer;
    at_outcome text;
    parents bigint[];
    part record;
    step record;
begin
    -- All in one order first: others may tell the same ones at this moment.
    for part in
        select d.child_lane as lane, pg_catalog.array_agg(distinct d.child_id order by d.child_id) as ids
        from errand.dependency d where d.lane = dependents_tell.lane and d.parent_id = any (dependents_tell.ids)
        group by d.child_lane order by d.child_lane
    loop
        perform from errand.job j where j.lane = part.lane and j.id = any (part.ids) order by j.id for update;
    end loop;
    while lanes <> '{}' loop
        at_lane := lanes[1];
        at_outcome := outcomes[1];
        select pg_catalog.array_agg(w.id) filter (where w.now), coalesce(pg_catalog.array_agg(w.lane) filter (where not w.now), '{}'),
            pg_catalog.array_agg(w.id) filter (where not w.now), pg_catalog.array_agg(w.outcome) filter (where not w.now)
        into parents, lanes, ids, outcomes
        from (select x.lane, x.id, x.outcome, x.lane = at_lane and x.outcome = at_outcome as now
            from rows from (pg_catalog.unnest(lanes), pg_catalog.unnest(ids), pg_catalog.unnest(outcomes)) x(lane, id, outcome)) w;
        for part in
            select d.child_lane as lane, pg_catalog.array_agg(distinct d.child_id order by d.child_id) as ids
            from errand.dependency d where d.lane = at_lane and d.parent_id = any (parents)
            group by d.child_lane order by d.child_lane
        loop
            if pg_catalog.cardinality(part.ids) < 500 then
                select t.told, t.cancelled into step
                from errand.dependents_tell_lane(at_lane, parents, at_outcome, part.lane, part.ids) t;
            else
                select t.told, t.cancelled into step
                from errand.dependents_tell_many(at_lane, parents, at_outcome, part.lane, part.ids) t;
            end if;
            told := told + step.told;
            lanes := lanes || pg_catalog.array_fill(part.lane, array[pg_catalog.cardinality(step.cancelled)]);
            ids := ids || step.cancelled;
            outcomes := outcomes || pg_catalog.array_fill('cancelled'::text, array[pg_catalog.cardinality(step.cancelled)]);
        end loop;
    end loop;
    return told;
end
$$;

-- Of one lane's parents to one lane's children. How many were told, and which of these were cancelled and have dependents themselves.
create function errand.dependents_tell_lane(
    lane integer, parents bigint[], outcome text, child_lane integer, child_ids bigint[], out told integer, out cancelled bigint[]
) language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    bad constant boolean := dependents_tell_lane.outcome <> 'done';
    now_at constant timestamptz := pg_catalog.clock_timestamp();
    held_ids bigint[];
    part record;
    due timestamptz[];
    more bigint[];
begin
    perform from errand.job j where j.lane = dependents_tell_lane.child_lane and j.id = any (dependents_tell_lane.child_ids)
    order by j.id for update;
    told := 0;
    cancelled := '{}';
    if bad then
        with kept as (
            update errand.dependency d set outcome = dependents_tell_lane.outcome, held = true
            where d.lane = dependents_tell_lane.lane and d.parent_id = any (dependents_tell_lane.parents)
                and d.child_lane = dependents_tell_lane.child_lane and d.on_parent = 'hold' and not d.held
            returning d.child_id
        )
        select pg_catalog.array_agg(distinct k.child_id) into held_ids from kept k;
        if held_ids is not null then
            update errand.job j set held = true where j.lane = dependents_tell_lane.child_lane and j.id = any (held_ids);
            told := pg_catalog.cardinality(held_ids);
        end if;
    end if;
    -- Children by what becomes of them: cancelled because of that parent (bad_id), or so many (n) fewer to wait for.
    for part in
        with gone as (
            delete from errand.dependency d
            where d.lane = dependents_tell_lane.lane and d.parent_id = any (dependents_tell_lane.parents)
                and d.child_lane = dependents_tell_lane.child_lane and not d.held
            returning d.child_id, case when bad and d.on_parent = 'cancel' then d.parent_id end as bad_id
        ), child as (
            select g.child_id, pg_catalog.min(g.bad_id) as bad_id,
                case when pg_catalog.count(g.bad_id) = 0 then pg_catalog.count(*) end::integer as n
            from gone g group by g.child_id
        )
        select c.bad_id, c.n, pg_catalog.array_agg(c.child_id order by c.child_id) as ids from child c group by c.bad_id, c.n
    loop
        told := told + pg_catalog.cardinality(part.ids);
        if part.bad_id is not null then
            select c.parents into more from errand.jobs_cancel(dependents_tell_lane.child_lane, part.ids,
                errand.dependency_reason(part.bad_id, dependents_tell_lane.outcome)) c;
            cancelled := cancelled || more;
        else
            with free as (
                update errand.job j set waiting_for = j.waiting_for - part.n,
                    run_at = case when j.waiting_for > part.n then j.run_at when j.wanted_at > now_at then j.wanted_at else now_at end
                where j.lane = dependents_tell_lane.child_lane and j.id = any (part.ids)
                returning j.waiting_for, j.run_at
            )
            select pg_catalog.array_agg(f.run_at) into due from free f where f.waiting_for = 0;
            perform errand.lanes_wake(array[dependents_tell_lane.child_lane], due) where due is not null;
        end if;
    end loop;
end
$$;

-- The same for very many.
create function errand.dependents_tell_many(
    lane integer, parents bigint[], outcome text, child_lane integer, child_ids bigint[], out told integer, out cancelled bigint[]
) language plpgsql set search_path = pg_catalog, pg_temp set plan_cache_mode = 'force_custom_plan' as $$
begin
    select t.told, t.cancelled into told, cancelled
    from errand.dependents_tell_lane(dependents_tell_many.lane, dependents_tell_many.parents, dependents_tell_many.outcome,
        dependents_tell_many.child_lane, dependents_tell_many.child_ids) t;
end
$$;

-- The job is owed again: those that are held for it wait for it as before.
create function errand.dependents_unhold(lane integer, parent_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    part record;
    still bigint[];
begin
    for part in
        select d.child_lane as lane, pg_catalog.array_agg(d.child_id order by d.child_id) as ids
        from errand.dependency d
        where d.lane = dependents_unhold.lane and d.parent_id = dependents_unhold.parent_id and d.held
        group by d.child_lane order by d.child_lane
    loop
        perform from errand.job j where j.lane = part.lane and j.id = any (part.ids) order by j.id for update;
        update errand.dependency d set outcome = null, held = false
        where d.lane = dependents_unhold.lane and d.parent_id = dependents_unhold.parent_id and d.child_lane = part.lane and d.held;
        still := array(select d.child_id from errand.dependency d where d.child_id = any (part.ids) and d.held);
        update errand.job j set held = false where j.lane = part.lane and j.id = any (part.ids) and j.id <> all (still);
    end loop;
end
$$;
