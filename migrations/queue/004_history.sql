-- What has been: history, failed attempts, statistics, in daily partitions.

-- What happened to the jobs that are no longer owed; append-only. A row says until which day it is kept (its queue may
-- keep shorter or longer than others), and the partitions are those days: dropped, and never deleted from. The last partition catches rows should
-- the days ahead ever be missing, so that no completion fails for it.
create table errand.history (
    lane integer not null,
    attempt smallint not null,
    priority smallint not null,
    id bigint not null,
    run_at timestamptz not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz not null,
    keep_until date not null,
    runner bigint,
    outcome text not null check (outcome in ('done', 'cancelled', 'dead', 'unknown')),
    kind text not null,
    key text,
    args jsonb not null,
    error text,
    trace text,
    tags text[],
    result jsonb,
    error_class text -- of a failed attempt that was the last
) partition by range (keep_until);
create index history_id on errand.history (id);
create index history_finished on errand.history using brin (finished_at);
create table errand.history_rest partition of errand.history default;

-- Attempts that did not end the job: what each said. Append-only, by day.
create table errand.attempt (
    lane integer not null,
    attempt smallint not null,
    id bigint not null,
    started_at timestamptz,
    finished_at timestamptz not null,
    keep_until date not null,
    runner bigint,
    error_class text not null default '',
    error text not null
) partition by range (keep_until);
create index attempt_id on errand.attempt (id);
create table errand.attempt_rest partition of errand.attempt default;

-- Per minute, counted as the completions are committed: how many ended how (or failed and are tried again: 'retry'), how long they had waited since
-- run_at, how long they ran. waits and runs are histograms of 32: bucket n counts what took less than 2^n * 64 us (n from 1; the last one: all
-- that took longer). Each runner writes rows of its own, and so does each session that cancels jobs
-- which had not started (runner: negative; they neither waited for their turn nor ran).
create table errand.statistic (
    minute timestamptz not null,
    queue text not null,
    kind text not null,
    outcome text not null,
    runner bigint not null,
    keep_until date not null,
    jobs bigint not null,
    wait_us bigint not null,
    run_us bigint not null,
    waits integer[] not null,
    runs integer[] not null,
    primary key (keep_until, minute, queue, kind, outcome, runner)
) partition by range (keep_until);
create table errand.statistic_rest partition of errand.statistic default;

-- The day until which what ends now in a queue is kept.
create function errand.keep_until(queue text) returns date
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return pg_catalog.timezone('UTC', pg_catalog.now())::date
        + (select q.history_days from errand.queue q where q.name = keep_until.queue);
end
$$;

-- One day's partition of history, attempt, statistic, schedule_fire or job_log. Rows of that day that fell into the rest, because nobody made it in time, move over.
create function errand.history_make_day(parent text, day date) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    name constant text := parent || pg_catalog.to_char(day, '_YYYYMMDD');
begin
    execute pg_catalog.format('lock table errand.%I in access exclusive mode', parent || '_rest');
    execute pg_catalog.format('create table errand.%I (like errand.%I including defaults including constraints)', name, parent);
    execute pg_catalog.format('with moved as (delete from errand.%I where keep_until = %L returning *)
        insert into errand.%I select * from moved', parent || '_rest', day, name);
    execute pg_catalog.format('alter table errand.%I attach partition errand.%I for values from (%L) to (%L)',
        parent, name, day, day + 1);
end
$$;

-- Makes the partitions that the next days' rows go to, for every retention that there is, drops those whose day is over, and forgets the
-- keys whose unique_for is over. The runner calls it; it may be called at any time. Statistics and the fires of schedules are kept for 35 days.
create function errand.history_maintain(wait boolean default false) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    today constant date := pg_catalog.timezone('UTC', pg_catalog.now())::date;
    parent text;
    day date;
    old record;
    at_lane integer;
begin
    -- One at a time; what another one is making will stand.
    if history_maintain.wait then
        perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('errand.history_maintain', 0));
    elsif not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('errand.history_maintain', 0)) then
        return;
    end if;
    foreach parent in array array['history', 'attempt', 'statistic', 'schedule_fire', 'job_log'] loop
        continue when pg_catalog.to_regclass('errand.' || parent) is null; -- a later migration makes it
        for day in
            select distinct today + d.days + a.ahead
            from (select q.history_days from errand.queue q where parent in ('history', 'attempt', 'job_log')
                union select 35 where parent in ('statistic', 'schedule_fire')) d(days),
                pg_catalog.generate_series(0, 3) a(ahead)
        loop
            if pg_catalog.to_regclass(pg_catalog.format('errand.%I', parent || pg_catalog.to_char(day, '_YYYYMMDD'))) is null then
                perform errand.history_make_day(parent, day);
            end if;
        end loop;
        for old in
            select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
            where i.inhparent = ('errand.' || parent)::regclass and c.relname ~ '_[0-9]{8}$'
                and pg_catalog.to_date(pg_catalog.right(c.relname, 8), 'YYYYMMDD') < today
        loop
            execute pg_catalog.format('drop table errand.%I', old.relname);
        end loop;
        execute pg_catalog.format('delete from errand.%I where keep_until < %L', parent || '_rest', today);
    end loop;
    for at_lane in select l.lane from errand.lane l order by l.lane loop
        delete from errand.recent_key r where r.lane = at_lane and r.until < pg_catalog.now();
    end loop;
end
$$;

-- For how many days (1 to 3650) a queue's ended jobs and failed attempts stand in the history. Holds for what ends from now on.
create function errand.queue_retention(name text, days integer) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform errand.number_check('days', queue_retention.days, 1, 3650, 'For so many days a job stands in the history after its end.');
    update errand.queue q set history_days = queue_retention.days where q.name = queue_retention.name;
    if not found then
        raise exception 'queue "%" does not exist', queue_retention.name using errcode = '42704',
            hint = 'errand.queues lists the queues.';
    end if;
    perform errand.history_maintain(wait => true);
    perform errand.queue_changed(queue_retention.name);
end
$$;
