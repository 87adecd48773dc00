-- What is done to a job that stands.

-- The lane of a job that is owed, or null.
create function errand.job_lane(id bigint) returns integer
language plpgsql stable security definer set search_path = '' as $$
declare
    found_lane integer;
begin
    select j.lane into found_lane
    from errand.lane l join errand.job j on j.lane = l.lane and j.id = job_lane.id;
    return found_lane;
end
$$;

-- Of the jobs that bear a key, the one that goes directly before another in the order in which they were enqueued; null: none.
create function errand.job_before(lane integer, key text, created_at timestamptz, id bigint) returns bigint
language plpgsql stable set search_path = '' as $$
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

-- Ends a job that has not started: it goes to the history as cancelled. One that runs is asked to end. Returns
-- 'cancelled', 'requested', or 'not found' (also when it has ended already).
create function errand.cancel(id bigint) returns text
language plpgsql security definer set search_path = '' as $$
declare
    at_lane constant integer := errand.job_lane(cancel.id);
    asked integer;
begin
    if at_lane is null then
        return 'not found';
    end if;
    with gone as (
        delete from errand.job j where j.lane = at_lane and j.id = cancel.id and j.claimed_by is null
        returning j.*
    ), told as (
        insert into errand.history (lane, attempt, priority, id, run_at, created_at, finished_at, keep_until, outcome, kind, key,
            args, error, trace, tags)
        select g.lane, g.attempt, g.priority, g.id, g.run_at, g.created_at, n.at, n.until, 'cancelled', g.kind, g.key, g.args,
            'cancelled by errand.cancel', g.trace, g.tags
        from gone g, (select pg_catalog.clock_timestamp(),
            errand.keep_until((select l.queue from errand.lane l where l.lane = at_lane))) n(at, until)
        returning history.id
    )
    select 1 into asked from told;
    if asked is null then
        update errand.job j set cancel_requested = true where j.lane = at_lane and j.id = cancel.id;
        if not found then
            return 'not found';
        end if;
    end if;
    perform pg_catalog.pg_notify('errand.' || l.owner, 'cancel ' || at_lane || ' ' || cancel.id)
    from errand.lane l where l.lane = at_lane and l.owner is not null;
    return case when asked is null then 'requested' else 'cancelled' end;
end
$$;
