"""Jobs that have run for a second are written down as running, while others end and the database takes its time."""

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

# Who writes jobs down as running keeps their rows for a while.
SLOW_CLAIM = """
create function public.take_time() returns trigger language plpgsql as $$
begin
    if exists (select from after n join before w using (id) where n.claimed_by is not null and w.claimed_by is null) then
        perform pg_sleep(0.7);
    end if;
    return null;
end $$;
create trigger take_time after update on errand.job referencing old table as before new table as after
    for each statement execute function public.take_time();
"""


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


def test_claims_that_overlap(db):
    """Jobs that become a second old in turn, so that one round of claims would overlap with the next, and that end
    meanwhile: each runs once."""
    db.sql(SLOW_CLAIM)
    db.sql("select errand.queue_create('one', 1)")
    with Errand(db.dsn) as errand:
        runner = errand.start(env={"ERRAND_CONCURRENCY": "200"})
        runner.wait_ready()
        ids = []
        for n in range(12):
            for m in range(8):
                ids.append(db.enqueue(args={"sleep_ms": 1200 + 130 * m}, queue="one", after=n * 0.1))
        db.wait_empty()
        db.check_history(ids)
        assert db.sql("select id, attempt from errand.history where attempt <> 1 or outcome <> 'done'") == []
        assert db.sql("select id, error from errand.attempt") == []
        assert "jobs were changed while they ran" not in runner.log()


COUNT_CLAIMS = """
create sequence public.claims;
create function public.count_claim() returns trigger language plpgsql security definer as $$
begin perform nextval('public.claims'); return null; end $$;
create trigger count_claim after update on errand.job for each row when (new.claimed_by is not null)
    execute function public.count_claim();
"""


def test_reads_no_more_than_will_start_soon(db):
    """A queue that is fuller than a runner gets done in a second: what it has read waits for so short a time that hardly
    a job has to be claimed before it starts."""
    count = 5000
    db.sql(COUNT_CLAIMS)
    db.sql("select count(*) from errand.enqueue_many('probe.run', array_fill('{\"sleep_ms\": 50}'::jsonb, array[%s]))", count)
    with Errand(db.dsn) as errand:
        errand.start(env={"ERRAND_CONCURRENCY": "100"}).wait_ready()
        db.wait_empty(timeout=60)
        assert db.one("select count(*) from errand.history where outcome = 'done' and attempt = 1") == count
        claims = db.one("select last_value from public.claims")
        assert claims < count / 4
