-- Signals: what somebody tells a job under a name, and the job's wait for it.

-- A row per name: a signal that was sent, a wait for one, or both. The first that is sent stands, and is there for every later attempt.
-- A wait ends with the signal or at `until`, whichever is first by the database's clock under the lock of the job's row; so an attempt
-- that asks again gets the answer that the one before got.
create table errand.signal (
    lane integer not null,
    job_id bigint not null,
    waited_at timestamptz, -- since when the job waits, or waited; null: it was sent before
    until timestamptz,     -- the end of the wait; null: none
    sent_at timestamptz,
    name text not null check (octet_length(name) between 1 and 200),
    payload jsonb,         -- null: not sent
    primary key (lane, job_id, name)
);
create index signal_job on errand.signal (job_id);

-- A row per signal that was sent to a job that is owed or dead, or that it waits for.
create view errand.signals with (security_invoker = true) as
select s.job_id as id, s.lane, l.queue, s.name, s.waited_at, s.until, s.sent_at, s.payload
from errand.signal s join errand.lane l on l.lane = s.lane;

create function errand.signal_check(name text, payload jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if signal_check.name is null or pg_catalog.octet_length(signal_check.name) not between 1 and 200 then
        raise exception 'the name of a signal is not 1 to 200 bytes long' using errcode = '22023',
            hint = 'It is the one that the handler waits for, like approved.';
    end if;
    if signal_check.payload is null then
        raise exception 'payload is null' using errcode = '22004', hint = 'Leave it out, or give ''null''::jsonb.';
    end if;
    if pg_catalog.octet_length(signal_check.payload::text) > 1048576 then
        raise exception 'payload has % bytes, more than 1048576', pg_catalog.octet_length(signal_check.payload::text)
            using errcode = '22023', hint = 'Store it in a table of your own, and send where it is.';
    end if;
end
$$;

-- To one job; null: it is not owed. The lock comes first: what waits is written down under it, after a look for the signal (job_wait in the
-- runner), so one of the two sees the other.
create function errand.signal_send(lane integer, job_id bigint, name text, payload jsonb) returns text
language plpgsql set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    j record;
    s record;
    now_at timestamptz;
begin
    select x.claimed_by, x.waits_signal, x.run_at into j
    from errand.job x where x.lane = signal_send.lane and x.id = signal_send.job_id for no key update;
    if not found then
        return null;
    end if;
    now_at := pg_catalog.clock_timestamp();
    select x.sent_at, x.until into s from errand.signal x
    where x.lane = signal_send.lane and x.job_id = signal_send.job_id and x.name = signal_send.name;
    if s.sent_at is not null then
        return 'known';
    elsif s.until <= now_at then
        return 'late';
    elsif (select pg_catalog.count(*) from errand.signal x where x.lane = signal_send.lane and x.job_id = signal_send.job_id) >= 1000 then
        raise exception 'job % has 1000 signals, which is the most', signal_send.job_id using errcode = '54000',
            hint = 'Each stands until the job has ended: use fewer names, or let one payload say more.';
    end if;
    insert into errand.signal (lane, job_id, sent_at, name, payload)
    values (signal_send.lane, signal_send.job_id, now_at, signal_send.name, signal_send.payload)
    on conflict (lane, job_id, name) do update set sent_at = excluded.sent_at, payload = excluded.payload;
    if j.claimed_by is not null or j.waits_signal is distinct from signal_send.name or j.run_at <= now_at then
        return 'stored';
    end if;
    update errand.job x set run_at = now_at, waits_signal = null where x.lane = signal_send.lane and x.id = signal_send.job_id;
    -- One that waits for ever is in no runner's memory.
    perform errand.job_tell(signal_send.lane, signal_send.job_id, 'changed') where j.run_at < 'infinity';
    perform errand.lanes_wake(array[signal_send.lane], array[now_at]);
    return 'delivered';
end
$$;

-- Sends a job a signal, in the caller's transaction: its handler gets the payload from errand_wait, however often it runs. Returns
-- 'delivered' (it waited for it, and is due now), 'stored' (it has not come to that wait), 'known' (one of that name was sent before,
-- which stands: nothing is changed), 'late' (it has waited as long as it would), 'ended', or 'not found'.
--   name      1 to 200 bytes; what the handler waits for
--   payload   any JSON, at most 1 MiB
create function errand.signal(job_id bigint, name text, payload jsonb default 'null') returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    became text;
begin
    perform errand.signal_check(signal.name, signal.payload);
    became := errand.signal_send(errand.job_lane(signal.job_id), signal.job_id, signal.name, signal.payload);
    if became is not null then
        return became;
    end if;
    return case when errand.dead_letter_lane(signal.job_id) is not null
            or exists (select from errand.history h where h.id = signal.job_id)
        then 'ended' else 'not found' end;
end
$$;

-- The same to all jobs of a queue that bear a key and have not ended. Returns to how many; those that knew it or for which it came too
-- late are not counted.
create function errand.signal_key(queue text, key text, name text, payload jsonb default 'null') returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    lanes constant integer := errand.queue_lanes(signal_key.queue);
    at_lane integer;
    job_id bigint;
    told integer := 0;
begin
    perform errand.signal_check(signal_key.name, signal_key.payload);
    if signal_key.key is null then
        raise exception 'key is null' using errcode = '22004', hint = 'Give the key of the jobs that are meant, or send to one by errand.signal.';
    end if;
    select l.lane into at_lane from errand.lane l
    where l.queue = signal_key.queue and l.shard = (pg_catalog.hashtextextended(signal_key.key, 0) & 1073741823)::integer % lanes;
    for job_id in
        select x.id from (
            select j.id from errand.job j where j.lane = at_lane and j.key = signal_key.key and not j.key_shared
            union all
            select j.id from errand.job j where j.lane = at_lane and j.key = signal_key.key and j.key_shared
        ) x order by x.id
    loop
        if errand.signal_send(at_lane, job_id, signal_key.name, signal_key.payload) in ('delivered', 'stored') then
            told := told + 1;
        end if;
    end loop;
    return told;
end
$$;

-- What a job waits for, in words.
create function errand.why_signal(lane integer, job_id bigint, name text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
    s record;
begin
    select x.waited_at, x.until into s from errand.signal x
    where x.lane = why_signal.lane and x.job_id = why_signal.job_id and x.name = why_signal.name;
    return pg_catalog.format('It waits for the signal %s since %s%s.', why_signal.name, errand.why_time(s.waited_at),
        coalesce(', until ' || errand.why_time(s.until), ''));
end
$$;

-- Forgets the signals of jobs that have ended without a look at them. The runner calls it.
create function errand.signals_forget() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    at_lane integer;
begin
    for at_lane in select l.lane from errand.lane l order by l.lane loop
        delete from errand.signal s
        where s.lane = at_lane
            and not exists (select from errand.job j where j.lane = s.lane and j.id = s.job_id offset 0)
            and not exists (select from errand.dead_letter d where d.lane = s.lane and d.id = s.job_id offset 0);
    end loop;
end
$$;

revoke all on function errand.signal_check, errand.signal_send, errand.signal, errand.signal_key, errand.why_signal, errand.signals_forget
    from public;
grant execute on function errand.signal, errand.signal_key to errand_enqueue, errand_operator, errand_runner;
grant execute on function errand.signals_forget to errand_runner;
grant select on errand.signal, errand.signals to errand_viewer, errand_operator, errand_runner;
grant insert, delete on errand.signal to errand_runner;
