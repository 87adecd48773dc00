"""Billing: Lemon Squeezy's events, in any order and as often as they like to come, end in one state of the workspaces."""

import contextlib
import datetime
import hashlib
import itertools
import json
import random
import threading
import uuid

import psycopg2
import psycopg2.extras
import pytest
from support.checkout import DAY, START, UTC, checkout, event, invoice, order, subscription
from support.cluster import shared_cluster
from support.errand import Errand
from support.template import template
from support.wait import ask, connect, until

POLICY = {"paused": False, "test_mode": False, "grace_ms": 86400000, "past_due_ms": 30 * 86400000, "keep_days": 35}
GRANTS = {"on_trial", "active", "past_due", "cancelled"}
OWNER = uuid.uuid4()

psycopg2.extras.register_uuid()


def make_template():
    return template("billing", ("insert into auth.users (id, email) values (%s, 'owner@example.com')", OWNER))


class Books:
    """Workspaces and the events that tell of them."""

    def __init__(self, dsn=None):
        self.dsn = dsn or shared_cluster().create_database("billing", template=make_template())
        self.owned = dsn is None
        self.connection = connect(self.dsn)
        self.at = START + DAY
        self.policy = dict(POLICY)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()
        if self.owned:
            shared_cluster().drop_database(self.dsn)

    def sql(self, text, *params):
        return ask(self.connection, text, *params)

    def one(self, text, *params):
        [[value]] = self.sql(text, *params)
        return value

    def workspace(self):
        return self.one("insert into public.workspaces (name, owner_id) values ('W', %s) returning id", OWNER)

    def apply(self, *bodies, source="lemonsqueezy"):
        """Stores those that are not and applies all, in that order; returns (status, effect) of the last."""
        ids = [hashlib.sha256(body).hexdigest() for body in bodies]
        self.sql("""insert into errand.webhook_event (source, event_id, headers, body)
            select %s, i, '{}', b from unnest(%s::text[], %s::bytea[]) u(i, b) on conflict do nothing""",
                 source, ids, [psycopg2.Binary(body) for body in bodies])
        found = self.sql("""select a.status, a.effect from unnest(%s::text[]) with ordinality u(i, n)
            cross join lateral errand.billing_apply(%s, u.i, %s::jsonb, %s) a order by u.n""",
                         ids, source, json.dumps(self.policy), self.at)
        return tuple(found[-1])

    def sweep(self, at):
        return self.one("select errand.billing_sweep(%s::jsonb, %s)", json.dumps(self.policy), at)

    def state(self, workspace):
        """status, expires, customer, subscription."""
        return tuple(self.sql("""select subscription_status, subscription_expires_at, lemonsqueezy_customer_id,
            lemonsqueezy_subscription_id from public.workspaces where id = %s""", workspace)[0])

    def everything(self):
        """All that must not depend on the order or the number of deliveries."""
        return (self.sql("""select id, subscription_status, subscription_expires_at, lemonsqueezy_customer_id, lemonsqueezy_subscription_id
                from public.workspaces order by id"""),
                self.sql("select id, workspace_id, event_type, ls_subscription_id, ls_customer_id from public.subscription_events order by id"),
                self.sql("select source, event_id, status from errand.webhook_event order by 1, 2"),
                self.sql("select * from errand.billing_subscription order by 1"), self.sql("select * from errand.billing_customer order by 1"))

    def clear(self):
        self.sql("""truncate errand.webhook_event, errand.billing_event, errand.billing_subscription, errand.billing_customer,
            public.subscription_events""")
        self.sql("""update public.workspaces set subscription_status = 'free', subscription_expires_at = null,
            lemonsqueezy_customer_id = null, lemonsqueezy_subscription_id = null""")


@pytest.fixture
def books():
    with Books() as books:
        yield books


def test_a_checkout_in_every_order(books):
    """24 orders of four events, each delivered one to three times."""
    workspace = books.workspace()
    events = checkout(workspace)
    dice = random.Random(1)
    wanted = None
    for order in itertools.permutations(events):
        books.clear()
        deliveries = list(order)
        for body in order:  # the repeats come anywhere behind the first one
            for _ in range(dice.randrange(3)):
                deliveries.insert(dice.randint(deliveries.index(body) + 1, len(deliveries)), body)
        books.apply(*deliveries)
        assert books.state(workspace) == ("pro", START + 30 * DAY, "77", "500")
        assert books.one("select count(*) from public.subscription_events where workspace_id = %s", workspace) == 4
        wanted = wanted or books.everything()
        assert books.everything() == wanted


def test_a_checkout_from_several_sessions(books):
    """Each session delivers all events of ten checkouts in an order of its own."""
    workspaces = [books.workspace() for _ in range(10)]
    events = [body for n, workspace in enumerate(workspaces) for body in
              [order("created", START, id=n, custom=workspace, customer_id=n),
               subscription("created", START, "on_trial", id=100 + n, custom=workspace, customer_id=n),
               invoice("success", START, id=n, subscription_id=100 + n, customer_id=n),
               subscription("updated", START + DAY, id=100 + n, customer_id=n)]]
    books.apply(*events)
    wanted = books.everything()
    assert [books.state(w)[0::3] for w in workspaces] == [("pro", str(100 + n)) for n in range(10)]
    for round in range(3):
        books.clear()
        errors = []

        def deliver(seed):
            try:
                with Books(books.dsn) as own:
                    for body in random.Random(seed).sample(events, len(events)):
                        own.apply(body)
            except Exception as error:  # noqa: BLE001
                errors.append(error)
        threads = [threading.Thread(target=deliver, args=(round * 10 + n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == [] and books.everything() == wanted


# ---- Months ----

def history(dice, workspaces, count=50):
    """(events in order, what is known of each subscription at the end): months in the lives of a few subscriptions of two customers."""
    names = {"active": ["updated", "resumed", "unpaused", "plan_changed"], "on_trial": ["created"], "past_due": ["updated"], "unpaid": ["updated"],
             "paused": ["paused"], "cancelled": ["cancelled", "updated"], "expired": ["expired"]}
    lives = [{"id": 600 + n, "customer_id": 70 + n % 2, "workspace": dice.choice(workspaces)} for n in range(dice.randint(1, 3))]
    at, events, last = START, [], {}
    for number in range(count):
        at += datetime.timedelta(seconds=dice.randint(1, 5 * 86400), microseconds=dice.randrange(10**6))
        life = dice.choice(lives)
        said = {"customer_id": life["customer_id"], "custom": life["workspace"] if dice.random() < 0.5 else None}
        if dice.random() < 0.3:
            events.append(dice.choice([lambda: invoice(dice.choice(["success", "failed", "recovered", "refunded"]), at, id=number,
                                                       subscription_id=life["id"], **said),
                                       lambda: order(dice.choice(["created", "refunded"]), at, id=number, **said),
                                       lambda: event("license_key_created", "license-keys", number, at)])())
            continue
        status = dice.choice(list(names))
        renews, ends = at + dice.randint(1, 60) * DAY, at + dice.randint(0, 30) * DAY
        events.append(subscription(dice.choice(names[status]), at, status, id=life["id"], renews=renews,
                                   ends=ends if status in ("cancelled", "expired") else None, **said))
        last[life["id"]] = (status, at, {"cancelled": ends, "expired": ends, "paused": None}.get(status, renews))
    return at, events, last


def grants(status, expires, at):
    return status in GRANTS and at < expires + (30 * DAY if status == "past_due" else DAY)


def test_histories_shuffled_and_repeated():
    """50 events over months: the same state as in order; and that is the state that the last word on each subscription gives."""
    seen = set()
    with Books() as books:
        workspaces = [books.workspace() for _ in range(2)]
        for seed in range(200):
            dice = random.Random(seed)
            books.at, events, last = history(dice, workspaces)
            books.connection.autocommit = False
            books.apply(*events)
            wanted = books.everything()
            bound = dict(books.sql("select subscription_id::integer, workspace_id from errand.billing_subscription"))
            for workspace in workspaces:
                pro = any(grants(status, expires, books.at) for id, (status, _, expires) in last.items() if bound[id] == workspace)
                assert books.state(workspace)[0] == ("pro" if pro else "free"), seed
                seen.add(books.state(workspace)[0])
            books.connection.rollback()
            mixed = events + dice.choices(events, k=40)
            dice.shuffle(mixed)
            books.apply(*mixed)
            assert books.everything() == wanted, seed
            assert len(wanted[1]) == len(set(events))
            books.connection.rollback()
            books.connection.autocommit = True
    assert seen == {"pro", "free"}


def test_same_moment_different_words(books):
    """Of two events with one updated_at the one that takes more away wins, whichever comes first."""
    workspace = books.workspace()
    two = [subscription("updated", START, "active", custom=workspace), subscription("expired", START, "expired", ends=START, custom=workspace)]
    for order in (two, two[::-1]):
        books.clear()
        books.apply(*order)
        assert books.state(workspace)[0] == "free"


# ---- What each status means ----

@pytest.mark.parametrize("status, days, state", [
    ("on_trial", 0, "pro"), ("active", 0, "pro"), ("past_due", 0, "pro"), ("unpaid", 0, "free"), ("expired", 0, "free"), ("paused", 0, "free"),
    ("cancelled", 0, "pro"), ("cancelled", 10.9, "pro"), ("cancelled", 11, "free"), ("active", 30.9, "pro"), ("active", 31, "free"),
    ("past_due", 59, "pro"), ("past_due", 60, "free")])
def test_status(books, status, days, state):
    """A day of grace; what is past due has 30; the sweep says the same as the event."""
    workspace = books.workspace()
    body = subscription("updated", START, status, ends=START + 10 * DAY if status in ("cancelled", "expired") else None, custom=workspace)
    books.at = START
    books.apply(body)
    books.sweep(START + days * DAY)
    assert books.state(workspace)[0] == state
    swept = books.everything()
    books.at = START + days * DAY
    books.apply(body)
    assert books.everything() == swept


def test_paused_by_setting(books):
    workspace = books.workspace()
    books.policy["paused"] = True
    books.apply(subscription("paused", START, "paused", custom=workspace))
    assert books.state(workspace)[:2] == ("pro", None)
    books.apply(subscription("unpaused", START + DAY))
    assert books.state(workspace)[:2] == ("pro", START + 31 * DAY)


def test_sweep_leaves_what_has_no_end_and_ends_what_was_given_by_hand(books):
    given, forever = books.workspace(), books.workspace()
    books.sql("update public.workspaces set subscription_status = 'pro', subscription_expires_at = case when id = %s then %s::timestamptz end", given, START)
    assert [books.sweep(START + 0.9 * DAY), books.sweep(START + DAY), books.sweep(START + DAY)] == [0, 1, 0]
    assert [books.state(w)[0] for w in (given, forever)] == ["free", "pro"]


def test_a_refund_does_not_cancel(books):
    workspace = books.workspace()
    books.apply(*checkout(workspace))
    before = books.state(workspace)
    books.apply(order("refunded", START + DAY, custom=workspace), invoice("refunded", START + DAY), invoice("failed", START + DAY, id=9001))
    assert books.state(workspace) == before


def test_an_invoice_is_no_subscription(books):
    """Its id may be that of another workspace's subscription."""
    first, second = books.workspace(), books.workspace()
    books.apply(subscription("created", START, id=1, custom=first, customer_id=1),
                subscription("created", START, id=2, custom=second, customer_id=2))
    books.apply(invoice("failed", START + DAY, id=2, subscription_id=1, customer_id=1))
    assert books.state(second) == ("pro", START + 30 * DAY, "2", "2")
    assert books.one("select workspace_id from public.subscription_events where event_type like '%%failed'") == first
    books.clear()
    books.apply(invoice("success", START, id=1234, subscription_id=1, custom=first))
    assert books.state(first) == ("free", None, "77", None), "an invoice alone makes nobody pro"


def test_two_subscriptions_of_a_workspace(books):
    workspace = books.workspace()
    books.apply(subscription("created", START, id=1, custom=workspace), subscription("created", START + DAY, id=2, custom=workspace),
                subscription("expired", START + 2 * DAY, "expired", id=2, ends=START + 2 * DAY))
    assert books.state(workspace) == ("pro", START + 30 * DAY, "77", "1")


# ---- Whose it is ----

def test_unassigned_until_a_later_event_names_the_workspace(books):
    workspace, other = books.workspace(), books.workspace()
    nameless = [subscription("created", START), invoice("success", START)]
    assert books.apply(*nameless) == ("unassigned", "no workspace is known for customer 77")
    assert books.sql("select status, count(*) from errand.webhook_event group by 1") == [("unassigned", 2)]
    assert books.one("select count(*) from public.subscription_events where workspace_id is null") == 2
    status, effect = books.apply(order("created", START - DAY, custom=workspace))
    assert (status, effect) == ("applied", f"workspace {workspace}: pro until 2026-01-31T00:00:00Z")
    assert books.state(workspace) == ("pro", START + 30 * DAY, "77", "500")
    assert books.sql("select status, count(*) from errand.webhook_event group by 1") == [("applied", 3)]
    assert books.one("select count(*) from public.subscription_events where workspace_id = %s", workspace) == 3
    assert books.one("select count(*) from errand.webhook_event where effect = %s", f"workspace {workspace}, named by a later event") == 2
    assert books.state(other) == ("free", None, None, None)


def test_by_the_customer_that_the_workspace_has(books):
    workspace = books.workspace()
    books.sql("update public.workspaces set lemonsqueezy_customer_id = '77' where id = %s", workspace)
    assert books.apply(subscription("updated", START))[0] == "applied"
    assert books.state(workspace)[0] == "pro"


@pytest.mark.parametrize("custom", ["not-a-uuid", uuid.uuid4()])
def test_a_name_that_is_no_workspaces(books, custom):
    assert books.apply(subscription("created", START, custom=custom))[0] == "unassigned"


def test_test_mode(books):
    workspace = books.workspace()
    books.apply(*checkout(workspace))
    live = books.state(workspace)
    gone = subscription("expired", START + DAY, "expired", ends=START + DAY, custom=workspace, test=True)
    assert books.apply(gone) == ("ignored", "recorded: test mode")
    assert books.apply(*checkout(workspace, customer_id=5, test=True))[0] == "ignored"
    assert books.state(workspace) == live
    assert books.one("select count(*) from public.subscription_events where workspace_id is null") == 5
    books.policy["test_mode"] = True
    assert books.apply(gone)[0] == "applied"
    assert books.state(workspace)[0] == "free"


def test_unknown_names_are_recorded(books):
    workspace = books.workspace()
    assert books.apply(event("affiliate_activated", "affiliates", 1, START, custom=workspace)) == ("ignored", "recorded: affiliate_activated changes nothing")
    assert books.one("select event_type from public.subscription_events") == "affiliate_activated"


def test_every_event_of_the_list_is_known(books):
    """All that Lemon Squeezy's documents name: errand sends a sample of each, and it is applied."""
    workspace = books.workspace()
    names = ["order_created", "order_refunded", *("subscription_" + word for word in (
        "created", "updated", "cancelled", "resumed", "expired", "paused", "unpaused", "plan_changed", "payment_success", "payment_failed",
        "payment_recovered", "payment_refunded")), "license_key_created", "license_key_updated"]
    with Errand(books.dsn, LEMONSQUEEZY_WEBHOOK_SECRET="secret") as errand:
        listed = json.loads(errand.run("webhook", "trigger", "--json").stdout)
        assert sorted(names) == sorted(row["type"] for row in listed if row["source"] == "lemonsqueezy")
        for name in names:
            request = errand.run("webhook", "trigger", name, "--with", f"meta.custom_data.workspace_id={workspace}", "--print").stdout
            status, effect = books.apply(request.partition("\n\n")[2].strip().encode())
            assert status == ("ignored" if name.startswith("license") else "applied"), (name, effect)
        sample = errand.run("webhook", "trigger", "subscription_updated", "--with", "data.attributes.status=unpaid", "--print").stdout
    books.at = datetime.datetime.now(UTC)
    assert books.apply(sample.partition("\n\n")[2].strip().encode())[0] == "applied" and books.state(workspace)[0] == "free"


def test_events_are_forgotten_and_what_they_said_is_not(books):
    """Settled ones after 35 days, unassigned ones after 180; a repeat that comes later changes nothing."""
    workspace = books.workspace()
    events = checkout(workspace)
    books.apply(*events, subscription("created", START, id=9, customer_id=9))
    known = books.everything()
    for days, left in ((34, 5), (36, 1), (179, 1), (181, 0)):
        books.sql("update errand.billing_event set noted_at = now() - make_interval(days => %s)", days)
        books.sweep(START + DAY)
        assert books.one("select count(*) from errand.billing_event") == left
    books.sql("delete from errand.webhook_event")
    books.apply(*events[::-1], subscription("created", START, id=9, customer_id=9))
    assert books.everything() == known


def test_the_portals_address_is_not_kept(books):
    books.apply(subscription("created", START))
    assert books.one("select payload::text not like '%%secret%%' and payload #>> '{data,id}' = '500' from public.subscription_events")


@pytest.mark.parametrize("body, why", [
    (b"no json", "invalid input syntax for type json"), (b"\xff", "invalid byte sequence"), (b"{}", "no meta.event_name"), (b"[]", "no meta.event_name"),
    (b'{"meta": {"event_name": "a\\u0000"}}', "unsupported Unicode"),
    (order("created", START).replace(b"orders", b"subscriptions"), 'data.type "subscriptions", not "orders"'),
    (order("created", START).replace(b"customer_id", b"x"), "order_created has no attributes.customer_id"),
    (invoice("success", START).replace(b"subscription_id", b"x"), "has no attributes.subscription_id"),
    (subscription("updated", START).replace(b"updated_at", b"x"), "has no attributes.updated_at"),
    (subscription("updated", START, id="5" * 65), "an id of more than 64 bytes"),
    (order("created", START, customer_id="7" * 65), "an id of more than 64 bytes"),
    pytest.param(b'{"meta": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "stack depth limit exceeded", id="deep"),
    (subscription("updated", START, "great"), 'attributes.status "great", which is not known'),
    (subscription("updated", START, "cancelled"), "cancelled without attributes.ends_at"),
    (subscription("updated", START).replace(b"2026-01-31", b"2026-02-31"), "out of range")])
def test_bodies_that_cannot_be_used(books, body, why):
    status, effect = books.apply(body)
    assert status == "failed" and why in effect
    assert books.sql("select status, effect from errand.webhook_event") == [("failed", effect)]
    assert books.one("select count(*) from public.subscription_events") == 0


# ---- Workspaces that go ----

@pytest.mark.parametrize("known", [False, True], ids=["first event", "later event"])
@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "not deleted after all"])
def test_a_workspace_that_is_being_deleted(books, known, kept):
    """The event waits for what becomes of it, and belongs to nobody if it is gone, or to the customer's other workspace."""
    workspace, other = books.workspace(), books.workspace()
    books.sql("update public.workspaces set lemonsqueezy_customer_id = '78' where id = %s", other)
    if known:
        books.apply(subscription("created", START, custom=workspace), subscription("created", START, id=501, customer_id=78, custom=workspace))
    with contextlib.closing(psycopg2.connect(books.dsn)) as deleting, Books(books.dsn) as late:
        deleting.cursor().execute("delete from public.workspaces where id = %s", (workspace,))
        events = [subscription("updated", START + DAY, custom=workspace),
                  subscription("updated", START + DAY, id=501, customer_id=78, custom=workspace)]
        told = []
        thread = threading.Thread(target=lambda: told.extend(late.apply(one)[0] for one in events))
        thread.start()
        until(lambda: books.one("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"), "it does not wait")
        deleting.rollback() if kept else deleting.commit()
        thread.join()
    assert told == (["applied"] * 2 if kept else ["unassigned", "applied"])
    assert books.state(other)[0] == ("free" if kept else "pro")


# ---- The binary ----

def test_through_the_binary(books):
    """A checkout that is delivered while the runner is killed; a bad body; and an end that the sweep brings."""
    workspace, ending = books.workspace(), books.workspace()
    now = datetime.datetime.now(UTC).replace(microsecond=0)
    bodies = checkout(workspace, now)[::-1] + [b"no json"]

    def accept(body):
        return books.one("select errand.webhook_accept('lemonsqueezy', %s, null, '{}', %s, 'billing.event')",
                         hashlib.sha256(body).hexdigest(), psycopg2.Binary(body))
    ids = [accept(body) for body in bodies]
    assert [accept(body) for body in bodies] == [None] * 5
    books.sql("update public.workspaces set subscription_status = 'pro', subscription_expires_at = now() where id = %s", ending)
    with Errand(books.dsn, ERRAND_BILLING_GRACE_MS="0") as errand:
        assert errand.start(env={"ERRAND_FAILPOINT": "billing.after_apply"}).wait() < 0
        errand.start().wait_ready()
        until(lambda: books.one("select count(*) from errand.history where id = any (%s)", ids) == 5, "the jobs end", timeout=30)
        until(lambda: books.state(ending)[0] == "free", "the sweep comes")
    assert books.state(workspace) == ("pro", now + 30 * DAY, "77", "500")
    assert books.one("select count(*) from public.subscription_events where workspace_id = %s", workspace) == 4
    assert sorted(books.sql("select status, count(*) from errand.webhook_event group by 1")) == [("applied", 4), ("failed", 1)]
    assert "invalid input syntax for type json" in books.one("select error from errand.dead_letter where id = %s", ids[-1])
    assert books.one("select result ->> 'status' from errand.history where id = %s", ids[0]) == "applied"
