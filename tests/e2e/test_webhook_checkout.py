"""A checkout as Lemon Squeezy tells of it, through the whole of errand: HTTP, store, job, workspace. And signatures of the npm packages."""

import concurrent.futures
import datetime
import itertools
import json
import random
import time
import uuid

import psycopg2.extras
import pytest

from support.checkout import DAY, UTC, invoice, order, subscription
from support.cluster import free_port, shared_cluster
from support.errand import Errand, make_runner_login
from support.hooks import PACKAGES, PLAIN_SECRET, SECRET, Sender, signing_packages
from support.npm import Missing
from support.wait import ask, connect, until

psycopg2.extras.register_uuid()

START = datetime.datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def dsn():
    cluster = shared_cluster()
    dsn = cluster.create_database("checkout")
    with Errand(dsn) as errand:
        errand.run("migrate", "up")
    make_runner_login(dsn)
    yield dsn
    cluster.drop_database(dsn)


@pytest.fixture
def connection(dsn):
    connection = connect(dsn)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def sender(dsn):
    with Errand(dsn, LEMONSQUEEZY_WEBHOOK_SECRET=PLAIN_SECRET, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_QUEUES="billing") as errand:
        port = free_port()
        errand.start("--http-listen", f"127.0.0.1:{port}").wait_ready()
        yield Sender(port)


def events_of(number, workspace):
    """All of one moment in the life of a workspace, with ids of its own."""
    of = {"customer_id": 1000 + number}
    second = datetime.timedelta(seconds=1)
    return [order("created", START, id=2000 + number, custom=workspace, **of),
            subscription("created", START + second, "on_trial", id=3000 + number, custom=workspace, **of),
            invoice("success", START + 2 * second, id=4000 + number, subscription_id=3000 + number, **of),
            subscription("updated", START + 3 * second, id=3000 + number, renews=START + 30 * DAY, **of)]


def test_a_checkout_in_every_order_and_as_often_as_it_likes(connection, sender):
    """24 workspaces at once: each gets the four events in another order, each one to three times, from several connections."""
    dice, owner = random.Random(5), uuid.uuid4()
    ask(connection, "insert into auth.users (id, email) values (%s, 'owner@example.com')", owner)
    orders = list(itertools.permutations(range(4)))
    workspaces = [ask(connection, "insert into public.workspaces (name, owner_id) values ('W', %s) returning id", owner)[0][0]
                  for _ in orders]
    deliveries = []
    for number, (places, workspace) in enumerate(zip(orders, workspaces)):
        events = events_of(number, workspace)
        mine = [events[place] for place in places]
        for body in list(mine):
            for _ in range(dice.randrange(3)):
                mine.insert(dice.randint(mine.index(body) + 1, len(mine)), body)
        deliveries.append(mine)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        answers = pool.map(lambda mine: [sender.lemonsqueezy(body).status for body in mine], deliveries)
        # Somebody sends everything once more, beside it and in no order at all.
        again = pool.map(lambda body: sender.lemonsqueezy(body).status, dice.sample(sum(deliveries, []), 100))
        assert {status for mine in answers for status in mine} | set(again) == {200}
    until(lambda: ask(connection, "select not exists (select from errand.webhook_event where status = 'stored')")[0][0],
          lambda: ask(connection, "select status, effect, count(*) from errand.webhook_event group by 1, 2"), timeout=40)
    assert ask(connection, "select count(*) as events, count(distinct job_id) as jobs, min(status) as first, max(status) as last from errand.webhook_event")[0] == (
        96, 96, "applied", "applied")
    states = ask(connection, """select w.subscription_status, w.subscription_expires_at, w.lemonsqueezy_customer_id, w.lemonsqueezy_subscription_id,
        (select count(*) from public.subscription_events e where e.workspace_id = w.id) from public.workspaces w
        order by w.lemonsqueezy_customer_id""")
    assert [tuple(state) for state in states] == [("pro", START + 30 * DAY, str(1000 + n), str(3000 + n), 4) for n in range(24)]
    assert ask(connection, "select count(*) from errand.history where kind = 'billing.event' and outcome = 'done'")[0][0] == 96


@pytest.mark.parametrize("package", PACKAGES)
def test_what_the_packages_sign_is_taken(connection, sender, package):
    try:
        packages = signing_packages()
    except Missing as missing:
        pytest.skip(str(missing))
    now, prefix = int(time.time()), "svix" if package == "svix" else "webhook"
    bodies = ["", "{}", json.dumps({"type": "email.sent", "text": "ä€😀\r\n"}, ensure_ascii=False), "x" * 100000]
    signed = packages(*({"do": "sign", "package": package, "secret": SECRET, "id": f"{package}_{n}", "at": now, "body": body}
                        for n, body in enumerate(bodies)))
    for n, (body, signature) in enumerate(zip(bodies, signed)):
        headers = {f"{prefix}-id": f"{package}_{n}", f"{prefix}-timestamp": str(now), f"{prefix}-signature": signature}
        assert sender.post("resend", body.encode(), headers).status == 200
        assert sender.post("resend", body.encode() + b" ", headers).status == 401
    stored = ask(connection, "select body from errand.webhook_event where event_id like %s order by event_id", package + "%")
    assert [bytes(row.body) for row in stored] == [body.encode() for body in bodies]
