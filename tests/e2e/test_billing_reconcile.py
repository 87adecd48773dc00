"""Reconciliation: what Lemon Squeezy's API says is compared with what its events told, by the real job, against a provider that speaks its API."""

import datetime
import hashlib
import json
import uuid

import psycopg2
import psycopg2.extras
import pytest

from support.checkout import DAY, UTC, checkout, subscription
from support.cluster import shared_cluster
from support.errand import Errand
from support.provider import LemonSqueezyProvider
from support.template import template
from support.wait import ask, connect, until

OWNER = uuid.uuid4()
NOW = datetime.datetime.now(UTC).replace(microsecond=0)
FAST = {"ERRAND_BILLING_REQUESTS_PER_MINUTE": "299"}

psycopg2.extras.register_uuid()


def make_template():
    return template("billing", ("insert into auth.users (id, email) values (%s, 'owner@example.com')", OWNER))


def resource(body, test_mode=False):
    """What the API says of a subscription, from the body of an event that said the same."""
    data = json.loads(body)["data"]
    return {"id": data["id"], "attributes": {**data["attributes"], "test_mode": test_mode}}


class Shop:
    """A database with workspaces, the provider, and a runner."""

    def __init__(self, provider, **env):
        self.dsn = shared_cluster().create_database("reconcile", template=make_template())
        self.connection = connect(self.dsn)
        self.provider = provider
        self.errand = Errand(self.dsn, **{"LEMONSQUEEZY_API_KEY": provider.API_KEY, "ERRAND_BILLING_API_URL": provider.url, **FAST, **env})

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.errand.__exit__(*error)
        self.connection.close()
        shared_cluster().drop_database(self.dsn)

    def sql(self, text, *params):
        return ask(self.connection, text, *params)

    def workspace(self, **columns):
        columns = {"name": "W", "owner_id": OWNER, **columns}
        return self.sql(f"insert into public.workspaces ({', '.join(columns)}) values (%s{', %s' * (len(columns) - 1)}) returning id",
                        *columns.values())[0][0]

    def tell(self, *bodies):
        """Events, applied without a runner."""
        for body in bodies:
            id = hashlib.sha256(body).hexdigest()
            self.sql("insert into errand.webhook_event (source, event_id, headers, body) values ('lemonsqueezy', %s, '{}', %s)", id, psycopg2.Binary(body))
            self.sql("""select errand.billing_apply('lemonsqueezy', %s, '{"paused": false, "grace_ms": 86400000, "past_due_ms": 0}')""", id)

    def state(self, workspace):
        return tuple(self.sql("select subscription_status, lemonsqueezy_subscription_id from public.workspaces where id = %s", workspace)[0])

    def start(self, **env):
        return self.errand.start(env=env).wait_ready()

    def ask_for(self, *args):
        return int(self.errand.run("webhook", "reconcile", *args).stdout)

    def job(self, id):
        return self.sql("select state, result, last_error, attempt from errand.jobs where id = %s", id)[0]

    def ended(self, id, timeout=30):
        return until(lambda: (job := self.job(id)).state in ("done", "dead", "cancelled") and job, lambda: self.job(id), timeout)

    def repairs(self):
        return self.sql("""select ls_subscription_id, workspace_id from public.subscription_events
            where event_type = 'subscription_reconciled' order by created_at""")

    def everything(self):
        return (self.sql("select * from public.workspaces order by id"), self.sql("select * from public.subscription_events order by id"),
                self.sql("select * from errand.billing_event order by 1, 2"), self.sql("select * from errand.billing_customer order by 1"),
                self.sql("select subscription_id, workspace_id, status, expires_at, updated_at, event_id from errand.billing_subscription order by 1"))


@pytest.fixture(scope="module")
def server():
    with LemonSqueezyProvider() as provider:
        yield provider


@pytest.fixture
def provider(server):
    server.control(subscriptions=[], unlisted=[], page_size=100, faults=[])
    server.first = len(server.requests())
    return server


def test_what_was_missed_is_made_up_for(provider):
    with Shop(provider) as shop:
        told, by_customer, by_hand, other = shop.workspace(), shop.workspace(lemonsqueezy_customer_id="501"), shop.workspace(
            lemonsqueezy_subscription_id="3"), shop.workspace()
        shop.tell(*checkout(told, NOW, id=1, customer_id=500)[1:2], subscription("created", NOW, id=4, customer_id=503, custom=other))
        provider.control(subscriptions=[
            resource(subscription("x", NOW + DAY, "expired", ends=NOW, id=1, customer_id=500)),  # its end was not told
            resource(subscription("x", NOW, id=2, customer_id=501)),  # nothing of it was
            resource(subscription("x", NOW, id=3, customer_id=502)),
            resource(subscription("x", NOW - DAY, "expired", ends=NOW, id=4, customer_id=503)),  # older than what is known
            resource(subscription("x", NOW, id=5, customer_id=504)),  # nobody's
            resource(subscription("x", NOW, "great", id=6, customer_id=505))], unlisted=["3"])
        runner = shop.start()
        job = shop.ended(shop.ask_for("--source", "lemonsqueezy"))
        assert (job.state, job.result) == ("done", {"checked": 6, "repaired": 4, "failed": 1, "missing": 0})
        assert [shop.state(w) for w in (told, by_customer, by_hand, other)] == [("free", "1"), ("pro", "2"), ("pro", "3"), ("pro", "4")]
        assert shop.repairs() == [("1", told), ("2", by_customer), ("5", None), ("3", by_hand)]
        assert shop.sql("select subscription_id from errand.billing_event where status = 'unassigned'") == [("5",)]
        assert "https://secret" not in json.dumps(shop.sql("select payload from public.subscription_events"))
        assert "subscription 6 cannot be used" in runner.log() and "great" in runner.log()
        # Nothing is left to repair, so nothing is written. A workspace that somebody changed is set right.
        before = shop.everything()
        assert shop.ended(shop.ask_for()).result == {"checked": 6, "repaired": 0, "failed": 1, "missing": 0}
        assert shop.everything() == before
        shop.sql("update public.workspaces set subscription_status = 'free' where id = %s", by_customer)
        assert shop.ended(shop.ask_for("--workspace", str(by_customer))).result == {"checked": 2, "repaired": 1, "failed": 0, "missing": 0}
        assert shop.state(by_customer) == ("pro", "2") and shop.repairs()[-1] == ("2", by_customer)


def test_an_event_that_comes_afterwards_changes_nothing(provider):
    with Shop(provider) as shop:
        workspace = shop.workspace(lemonsqueezy_customer_id="77")
        late = subscription("cancelled", NOW, "cancelled", ends=NOW + DAY)
        provider.control(subscriptions=[resource(late)])
        shop.start()
        assert shop.ended(shop.ask_for()).result["repaired"] == 1
        known = shop.everything()[0]
        shop.tell(subscription("updated", NOW - DAY), late)
        assert shop.everything()[0] == known and shop.state(workspace) == ("pro", "500")


def test_test_mode_counts_by_its_setting(provider):
    with Shop(provider) as shop:
        workspace = shop.workspace(lemonsqueezy_customer_id="77")
        provider.control(subscriptions=[resource(subscription("x", NOW), test_mode=True)])
        runner = shop.start()
        before = shop.everything()
        assert shop.ended(shop.ask_for()).result == {"checked": 1, "repaired": 0, "failed": 0, "missing": 0}
        assert shop.everything() == before
        runner.terminate()
        shop.start(ERRAND_BILLING_TEST_MODE="true")
        assert shop.ended(shop.ask_for()).result["repaired"] == 1 and shop.state(workspace) == ("pro", "500")


def test_rate_and_crash(provider):
    """Twelve pages at 240 a minute; the runner is killed behind the fifth. No page that was done is asked for again, and in no second more
    than the rate go out."""
    with Shop(provider, ERRAND_BILLING_REQUESTS_PER_MINUTE="240") as shop:
        provider.control(page_size=2, subscriptions=[resource(subscription("x", NOW, id=100 + n, customer_id=n)) for n in range(24)])
        runner = shop.start()
        id = shop.ask_for()
        until(lambda: shop.sql("select page from errand.billing_reconciliation where page >= 5"), "five pages are done")
        runner.kill()
        asked = len(provider.requests()) - provider.first
        shop.start()
        assert shop.ended(id).result == {"checked": 24, "repaired": 24, "failed": 0, "missing": 0}
        assert shop.sql("select page, ended_at is not null from errand.billing_reconciliation") == [(12, True)]
        times = [request["at_us"] for request in provider.requests()[provider.first:]]
        assert 12 <= len(times) <= 13 and asked <= 7, "at most the page under way is asked for twice"
        for at in times:
            assert len([t for t in times if at <= t < at + 1_000_000]) <= 5
        assert max(times) - min(times) >= 0.25e6 * (len(times) - 3)


def test_one_that_the_provider_does_not_know(provider):
    with Shop(provider) as shop:
        workspace = shop.workspace()
        shop.tell(*checkout(workspace, NOW))
        runner = shop.start()
        assert shop.ended(shop.ask_for()).result == {"checked": 0, "repaired": 0, "failed": 0, "missing": 1}
        assert shop.state(workspace) == ("pro", "500") and "does not know subscription 500" in runner.log()


def test_answers_that_are_none(provider):
    """A 429 and 5xx are waited for, and only the latter count as attempts."""
    path = "/v1/subscriptions"
    with Shop(provider) as shop:
        shop.workspace(lemonsqueezy_customer_id="77")
        provider.control(subscriptions=[resource(subscription("x", NOW))], faults=[
            {"path": path, "answer": "error", "status": 429, "retry_after": 1}, {"path": path, "answer": "error", "status": 503, "retry_after": 0},
            {"path": path, "answer": "garbage"}, {"path": path, "answer": "cut"}])
        shop.sql("select errand.kind_retry_set('billing.reconcile', 'fixed', delays => array['10 ms'::interval])")
        shop.start()
        job = shop.ended(shop.ask_for())
        times = [request["at_us"] for request in provider.requests()[provider.first:]]
        failed = shop.sql("select count(*) from errand.attempt")[0][0]
        assert (job.result["repaired"], failed, len(times)) == (1, 3, 5)
        assert times[1] - times[0] >= 1e6


def test_a_key_that_is_not_taken(provider):
    with Shop(provider, LEMONSQUEEZY_API_KEY="ls_other") as shop:
        shop.workspace(lemonsqueezy_customer_id="77")
        shop.start()
        id = shop.ask_for()
        until(lambda: shop.sql("select pause_reason from errand.queues where name = 'billing.reconcile'") ==
              [("Lemon Squeezy does not take [billing] api_key (401: Unauthenticated.)",)],
              lambda: (shop.job(id), shop.sql("select * from errand.queues where name = 'billing.reconcile'")))
        assert shop.job(id).attempt == 0
    with Shop(provider, LEMONSQUEEZY_API_KEY="") as shop:
        shop.start()
        job = shop.ended(shop.ask_for())
        assert job.state == "cancelled" and "LEMONSQUEEZY_API_KEY" in job.last_error


def test_each_day_and_bad_commands(provider):
    with Shop(provider) as shop:
        assert shop.sql("select cron, timezone, enabled from errand.schedules where name = 'billing.reconcile'") == [("0 4 * * *", "UTC", True)]
        assert "--source" in shop.errand.run("webhook", "reconcile", "--source", "resend", check=False).stderr
        assert "uuid" in shop.errand.run("webhook", "reconcile", "--workspace", "x", check=False).stderr
        assert shop.ask_for() == shop.ask_for(), "one at a time"
        shop.start()
        job = shop.ended(shop.ask_for("--workspace", str(uuid.uuid4())))
        assert job.state == "dead" and "there is no workspace" in job.last_error
