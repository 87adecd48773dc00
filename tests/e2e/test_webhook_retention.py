"""Runners remove the events of webhooks whose time is over."""

from support.cluster import shared_cluster
from support.errand import Errand, make_runner_login
from support.wait import QueueDatabase


def test_a_runner_removes_them_in_batches():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        make_runner_login(db.dsn)
        db.sql("""insert into errand.webhook_event (source, event_id, headers, body, status, received_at)
            select 'shop', status || days || n, '{}', '', status, now() - make_interval(days => days)
            from unnest('{applied,failed}'::text[]) status, unnest('{3,30}'::integer[]) days, generate_series(1, 1200) n""")
        with Errand(db.dsn, ERRAND_WEBHOOK_KEEP_DAYS="7") as errand:
            runner = errand.start().wait_ready()
            db.wait("select count(*) = 3600 from errand.webhook_event")
            assert db.sql("""select status, count(*), min(received_at) > now() - interval '7 days' from errand.webhook_event
                group by 1 order by 1""") == [("applied", 1200, True), ("failed", 2400, False)]
            # At the next start, with another setting: those that were not settled go, too.
            runner.terminate()
            errand.start(env={"ERRAND_WEBHOOK_KEEP_OPEN_DAYS": "7"}).wait_ready()
            db.wait("select count(*) = 2400 from errand.webhook_event")
            assert db.one("select min(received_at) > now() - interval '7 days' from errand.webhook_event")
