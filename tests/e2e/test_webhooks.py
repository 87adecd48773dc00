"""Webhooks as their senders see them: what `errand run` takes, stores and answers, and what it refuses."""

import contextlib
import hashlib
import json
import threading
import time

import pytest

from support.cluster import Cluster, free_port
from support.errand import Errand
from support.hooks import BODY, OTHER_SECRET, PLAIN_SECRET, SECRET, Sender, hexed, standard
from support.wait import QueueDatabase, ask, connect, until

SECRETS = {"RESEND_WEBHOOK_SECRET": SECRET, "LEMONSQUEEZY_WEBHOOK_SECRET": PLAIN_SECRET}
# Its handlers would act on what is stored: these runners serve no queue that has any.
IDLE = {"ERRAND_QUEUES": "none"}


@pytest.fixture(scope="module")
def cluster():
    with Cluster(vector=False, fsync=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def database(cluster):
    with QueueDatabase(cluster) as db:
        db.sql("select errand.queue_create('none', 1)")
        yield db


@pytest.fixture
def db(database):
    for table in ("webhook_event", "job", "history"):
        database.sql(f"delete from errand.{table}")
    return database


@contextlib.contextmanager
def serving(dsn, *args, **env):
    port = free_port()
    with Errand(dsn, **{**IDLE, **env}) as errand:
        sender = Sender(port)
        sender.errand = errand
        sender.runner = errand.start("--http-listen", f"127.0.0.1:{port}", *args).wait_ready()
        yield sender


@pytest.fixture(scope="module")
def sender(database):
    with serving(database.dsn, **SECRETS, ERRAND_WEBHOOK_RESEND_SECRET_OLD=OTHER_SECRET) as sender:
        yield sender


def counts(db):
    return db.row("select (select count(*) from errand.webhook_event) as events, (select count(*) from errand.job) as jobs")


def test_an_event_is_stored_with_its_job(db, sender):
    headers = {**standard(BODY), "Content-Type": "application/json", "User-Agent": "Svix/1", "Cookie": "secret"}
    answer = sender.post("resend", BODY, headers)
    assert (answer.status, answer.text) == (200, "ok\n")
    event = db.row("select * from errand.webhook_event")
    assert (event.source, event.event_id, event.type, bytes(event.body), event.status) == (
        "resend", "msg_1", "email.delivered", BODY, "stored")
    assert event.headers == {"content-type": "application/json", "user-agent": "Svix/1", "svix-id": "msg_1",
                             "svix-timestamp": headers["svix-timestamp"]}
    job = db.row("select * from errand.jobs where id = %s", event.job_id)
    assert (job.kind, job.key, job.args) == ("email.event", "resend:msg_1", {"source": "resend", "event_id": "msg_1"})


def test_lemon_squeezy(db, sender):
    body = b'{"meta":{"event_name":"order_created"}}'
    assert sender.lemonsqueezy(body).status == 200
    assert sender.post("lemonsqueezy", body, {"X-Signature": hexed(body)["X-Signature"].upper(), "X-Event-Name": "other"}).status == 200
    event = db.row("select * from errand.webhook_event")
    assert (event.source, event.event_id, event.type) == ("lemonsqueezy", hashlib.sha256(body).hexdigest(), "order_created")
    assert db.one("select kind from errand.jobs where id = %s", event.job_id) == "billing.event"


def test_a_repeat_is_answered_200_and_does_nothing(db, sender):
    assert sender.resend(BODY, "msg_1").status == 200
    before = db.row("select *, xmin::text as version from errand.webhook_event")
    answers = [sender.resend(BODY, "msg_1") for _ in range(3)] + [sender.resend(b'{"type":"x"}', "msg_1", prefix="webhook")]
    assert [(answer.status, answer.text) for answer in answers] == [(200, "ok\n")] * 4
    assert db.row("select *, xmin::text as version from errand.webhook_event") == before and counts(db) == (1, 1)


def test_both_secrets_are_taken(db, sender):
    assert sender.resend(BODY, "new").status == 200
    assert sender.resend(BODY, "old", key=bytes(24)).status == 200
    assert sender.resend(BODY, "none", key=b"x" * 24).status == 401
    assert counts(db) == (2, 2)


def twice(headers, name):
    return [*headers.items(), (name, dict(headers)[name])]


def wrong_requests():
    right, now = standard(BODY), int(time.time())
    yield "no headers", {}
    for missing in right:
        yield f"no {missing}", {name: value for name, value in right.items() if name != missing}
    for name in right:
        yield f"{name} twice", twice(right, name)
    yield "another body", standard(BODY + b"\n")
    yield "another secret", standard(BODY, key=b"x" * 24)
    yield "too old", standard(BODY, at=now - 400)
    yield "too new", standard(BODY, at=now + 400)
    yield "no such time", standard(BODY, at="-1")
    yield "an id with a dot", standard(BODY, id="a.b")
    yield "a long id", standard(BODY, id="a" * 257)
    yield "no signature in it", {**right, "svix-signature": "v1,"}
    yield "an empty one", {**right, "svix-signature": ""}
    yield "lower case", {**right, "svix-signature": right["svix-signature"].lower()}
    yield "a blank less", {**right, "svix-signature": right["svix-signature"] + "v1,x"}


@pytest.mark.parametrize("headers", [pytest.param(headers, id=name) for name, headers in wrong_requests()])
def test_what_is_not_rightly_signed_is_refused(db, sender, headers):
    assert sender.post("resend", BODY, headers).status == 401
    assert counts(db) == (0, 0)


CONNECTIONS = ("select count(*) from pg_stat_activity where application_name like '%%webhooks%%' and datname = current_database()")


def test_refusing_asks_no_database(cluster):
    """It does not even open the connections for it."""
    with QueueDatabase(cluster) as db, serving(db.dsn, **SECRETS, ERRAND_QUEUES="*") as sender:
        bad = [standard(BODY, f"msg_{n}", key=b"x" * 24) for n in range(200)]
        began = time.monotonic()
        assert {sender.post("resend", BODY, headers).status for headers in bad} == {401}
        assert db.one(CONNECTIONS) == 0
        assert sender.resend(BODY, "good").status == 200
        assert db.one(CONNECTIONS) == 1
        lines = [line for line in sender.runner.log().splitlines() if "webhook refused" in line]
        assert 1 <= len(lines) <= 2 + (time.monotonic() - began) / 10 and "source=resend" in lines[0]


def test_without_a_secret_all_is_refused(db):
    with serving(db.dsn) as sender:
        for setting in ("webhook.resend_secret", "webhook.lemonsqueezy_secret"):
            sender.runner.wait_log(f"no secret is set.*setting={setting}")
        assert sender.resend(BODY, "msg_1").status == 401
        body = b"{}"
        assert sender.post("lemonsqueezy", body, hexed(body, secret="")).status == 401
        assert counts(db) == (0, 0)


def test_a_secret_of_the_wrong_form_ends_the_start(db):
    with Errand(db.dsn, RESEND_WEBHOOK_SECRET="not base64 at all") as errand:
        done = errand.run("run", "--http-listen", f"127.0.0.1:{free_port()}", check=False)
        assert done.returncode == 1 and "webhook.resend_secret" in done.stderr and "base64 at all" not in done.stderr


def test_paths_and_methods(db, sender):
    assert sender.post("nobody", BODY, standard(BODY)).status == 404
    assert sender.post("resend/x", BODY, standard(BODY)).status == 404
    assert sender.post("", BODY, standard(BODY)).status == 404
    for method in ("GET", "PUT", "DELETE"):
        answer = sender.request("/webhooks/resend", BODY, standard(BODY), method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert sender.request("/webhooks/resend?x=1", BODY, standard(BODY)).status == 200
    assert counts(db) == (1, 1)


# ---- Sources of one's own ----

OWN = {"ERRAND_WEBHOOK_SOURCES": "shop, forge", "ERRAND_WEBHOOK_SHOP_SECRET": SECRET, "ERRAND_WEBHOOK_SHOP_KIND": "shop.order",
       "ERRAND_WEBHOOK_SHOP_TYPE": "event.name"}
FILE = """
[webhook.forge]
scheme = hex
header = X-Hub
secret = forge words
secret_old = %s
kind = forge.push
queue = hooks
""" % PLAIN_SECRET


def test_sources_of_ones_own(db):
    """One from the environment, one from the file."""
    db.sql("select errand.queue_create('hooks', 1) where not exists (select from errand.queue where name = 'hooks')")
    with Errand(db.dsn) as other:
        (other.dir / "conf").write_text(FILE)
        with serving(db.dsn, "--config", str(other.dir / "conf"), **OWN, **SECRETS) as sender:
            body = b'{"event":{"name":"order.made"}}'
            assert sender.post("shop", body, standard(body, prefix="webhook")).status == 200
            assert sender.post("shop", body, standard(body, "msg_2", key=b"x" * 24)).status == 401
            for secret, status in (("forge words", 200), (PLAIN_SECRET, 200), ("other words", 401)):
                body = json.dumps({"type": secret}).encode()
                assert sender.post("forge", body, hexed(body, "x-hub", secret)).status == status
            assert sender.resend(BODY, "msg_1").status == 200
    rows = db.sql("select e.source, e.type, j.kind, j.queue from errand.webhook_event e join errand.jobs j on j.id = e.job_id order by 1, 2")
    assert [tuple(row) for row in rows] == [("forge", "forge words", "forge.push", "hooks"), ("forge", PLAIN_SECRET, "forge.push", "hooks"),
                                            ("resend", "email.delivered", "email.event", "email_event"), ("shop", "order.made", "shop.order", "default")]


HANDLER = """#!/bin/sh
# errand: max_attempts = 1
grep -q %s && exit 0
echo not this one >&2
exit 1
"""


def test_what_becomes_of_their_events(db):
    """Their handlers know nothing of errand's books, so the job's end is what became of the event; and what failed can be replayed."""
    bodies = {word: json.dumps({"type": word}).encode() for word in ("good", "bad")}
    with Errand(db.dsn) as other:
        handler = other.dir / "jobs" / "forge.push"
        handler.parent.mkdir()
        handler.write_text(HANDLER % hashlib.sha256(bodies["good"]).hexdigest())
        handler.chmod(0o755)
        env = {"ERRAND_JOBS": str(handler.parent), "ERRAND_QUEUES": "default", "ERRAND_WEBHOOK_SOURCES": "forge",
               "ERRAND_WEBHOOK_FORGE_SCHEME": "hex",
               "ERRAND_WEBHOOK_FORGE_HEADER": "X-Hub", "ERRAND_WEBHOOK_FORGE_SECRET": PLAIN_SECRET, "ERRAND_WEBHOOK_FORGE_KIND": "forge.push"}
        with serving(db.dsn, **env) as sender:
            for body in bodies.values():
                assert sender.post("forge", body, hexed(body, "X-Hub")).status == 200
            db.wait("select count(*) = 2 from errand.webhook_event e join errand.history h on h.id = e.job_id")
            assert sender.runner.terminate() == 0
        with serving(db.dsn, **env):  # it looks at start and each minute
            db.wait("select count(*) = 0 from errand.webhook_event where status = 'stored'")
        assert {row.type: (row.status, row.effect) for row in db.sql("select * from errand.webhook_event")} == {
            "good": ("applied", "its job is done"), "bad": ("failed", "its job is dead: exit status 1: not this one")}
        assert other.run("webhook", "replay", "--failed", "--source", "forge", "--yes").stdout == "redriven\t1\n"


def test_verify_knows_them(db):
    with Errand(db.dsn, **OWN) as errand:
        (errand.dir / "conf").write_text(FILE)
        (errand.dir / "request").write_bytes(b"POST /webhooks/forge HTTP/1.1\nX-Hub: " + hexed(BODY)["X-Signature"].encode() + b"\n\n" + BODY)
        done = errand.run("webhook", "verify", "--config", str(errand.dir / "conf"), str(errand.dir / "request"))
        assert done.stdout == f"forge:{hashlib.sha256(BODY).hexdigest()}: the signature is right\n"
        done = errand.run("webhook", "verify", "--config", str(errand.dir / "conf"), "--set", "webhook.forge.secret_old=another",
                          str(errand.dir / "request"), check=False)
        assert done.returncode == 1 and "does not match" in done.stderr
        settings = json.loads(errand.run("config", "--config", str(errand.dir / "conf"), "--json").stdout)
        assert [item["value"] for item in settings if (item["section"], item["key"]) == ("webhook.forge", "secret")] == ["***"]


@pytest.mark.parametrize("given, said", [
    ({"SOURCES": "resend"}, "errand knows resend by itself"), ({"SOURCES": "shop,shop"}, "shop stands there twice"),
    ({"SOURCES": "Shop"}, "errand.webhook_sources is 'Shop'"), ({"SOURCES": "shop."}, "errand.webhook_sources is 'shop.'"),
    ({"SHOP_KIND": ""}, "webhook.shop.kind is not set"), ({"SHOP_KIND": "no kind"}, "webhook.shop.kind is 'no kind'"),
    ({"SHOP_QUEUE": "_q"}, "webhook.shop.queue is '_q'"), ({"SHOP_SECRET": ""}, "webhook.shop.secret is not set"),
    ({"SHOP_SECRET": "plain words"}, "webhook.shop.secret"), ({"SHOP_SCHEME": "sha1"}, "webhook.shop.scheme is 'sha1'"),
    ({"SHOP_SCHEME": "hex"}, "webhook.shop.header is not set"), ({"SHOP_HEADER": "x"}, "webhook.shop.header is for the scheme hex"),
    ({"SHOP_SCHEME": "hex", "SHOP_HEADER": "x y"}, "webhook.shop.header is 'x y'")], ids=lambda value: str(value)[:40])
def test_sources_that_cannot_be(db, given, said):
    env = {**OWN, "ERRAND_WEBHOOK_SOURCES": "shop", **{f"ERRAND_WEBHOOK_{name}": value for name, value in given.items()}}
    with Errand(db.dsn, **env) as errand:
        done = errand.run("run", "--http-listen", f"127.0.0.1:{free_port()}", check=False)
        assert done.returncode in (1, 2) and said in done.stderr and "plain words" not in done.stderr, done.stderr


def test_a_section_that_no_setting_names(db):
    with Errand(db.dsn) as errand:
        (errand.dir / "conf").write_text(FILE)
        done = errand.run("config", "--config", str(errand.dir / "conf"), check=False)
        assert done.returncode == 2 and "there is no section [webhook.forge]" in done.stderr and "webhook_sources" in done.stderr


def test_a_queue_that_is_missing_loses_no_event(db):
    with serving(db.dsn, **{**OWN, "ERRAND_WEBHOOK_SOURCES": "shop", "ERRAND_WEBHOOK_SHOP_QUEUE": "nowhere"}) as sender:
        assert sender.post("shop", BODY, standard(BODY)).status == 200
    event = db.row("select * from errand.webhooks")
    assert (event.status, event.effect, event.job_id) == ("failed", 'no job was made: queue "nowhere" does not exist', None)


ODD = {"empty": b"", "no JSON": b"\0\xff not JSON", "a list": b"[1]", "a number": b"7", "no type": b'{"data":{}}', "type is null": b'{"type":null}',
       "a long type": b'{"type":"%s"}' % (b"t" * 257), "a NUL in it": b'{"type":"a\\u0000b"}', "a NUL elsewhere": b'{"type":"t","x":"\\u0000"}',
       "no UTF-8": b'{"type":"\xff"}', "a lone surrogate": b'{"type":"\\ud800"}', "deep": b"[" * 100000, "1 MiB": b"x" * (1 << 20),
       "a huge number": b'{"type":"t","x":1e999,"y":' + b"9" * 400 + b"}"}


@pytest.mark.parametrize("name", ODD)
def test_what_is_rightly_signed_is_kept_whatever_it_is(db, sender, name):
    body = ODD[name]
    headers = {**standard(body), "User-Agent": "a\xff\t\"\\ \u00e9" + "u" * 2000}
    assert sender.post("resend", body, headers).status == 200
    event = db.row("select * from errand.webhook_event")
    assert bytes(event.body) == body and event.type in (None, "t") and event.job_id and len(event.headers["user-agent"]) <= 512


def test_a_database_that_has_no_such_characters(cluster):
    """Then the event is stored without its type; others beside it keep theirs."""
    dsn = cluster.create_database("latin", template="template0", encoding="LATIN1")
    with Errand(dsn) as errand:
        errand.run("migrate", "up", "--only", "queue")
    connection = connect(dsn)
    ask(connection, "select errand.queue_create('none', 1)")
    bodies = {"good": b'{"type":"plain"}', "odd": '{"type":"€"}'.encode(), "umlaut": '{"type":"ä"}'.encode()}
    with serving(dsn, **SECRETS) as sender:
        threads = [threading.Thread(target=sender.resend, args=(body, id)) for id, body in bodies.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    stored = ask(connection, "select event_id, type, headers <> '{}' as headers, body from errand.webhook_event order by 1")
    connection.close()
    cluster.drop_database(dsn)
    assert [(row.event_id, row.type, row.headers) for row in stored] == [("good", "plain", True), ("odd", None, False), ("umlaut", "ä", True)]
    assert {row.event_id: bytes(row.body) for row in stored} == bodies


def test_events_at_once(db, sender):
    """As many senders as may be, some with the same event."""
    answers = []

    def send(part):
        for n in range(40):
            body = json.dumps({"type": f"t{part}", "n": n}).encode()
            answers.append(sender.resend(body, f"m{n}" if part % 2 else f"m{part}-{n}").status)

    threads = [threading.Thread(target=send, args=(part,)) for part in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 640
    assert counts(db) == (8 * 40 + 40, 8 * 40 + 40)
    assert db.one("select count(distinct job_id) from errand.webhook_event e join errand.job j on j.id = e.job_id"
                  " and j.args ->> 'event_id' = e.event_id") == 360


def test_events_that_reach_two_runners(db, sender):
    """Each is stored once, and both answer 200."""
    answers = []
    with serving(db.dsn, **SECRETS) as other:
        threads = [threading.Thread(target=lambda to=to, n=n: answers.extend(to.resend(BODY, f"m{i}").status for i in range(n, 100, 4)))
                   for to in (sender, other) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 200 and counts(db) == (100, 100)


def test_an_event_that_somebody_holds_is_not_in_the_way(db, sender):
    """It is stored nowhere yet, so its sender must try again; the rest is answered meanwhile."""
    statuses = {}
    db.sql("begin")
    db.sql("select errand.webhook_accept('resend', 'held', null, '{}', '', 'email.event')")
    try:
        threads = [threading.Thread(target=lambda id=id: statuses.update({id: sender.resend(BODY, id).status}))
                   for id in ("held", "a", "b", "c")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        db.sql("rollback")
    assert statuses == {"held": 503, "a": 200, "b": 200, "c": 200}
    assert sender.resend(BODY, "held").status == 200
    assert counts(db) == (4, 4)


def test_the_database_is_away(cluster, db):
    with serving(db.dsn, **SECRETS, ERRAND_HTTP_DEADLINE_MS="30000") as sender:
        cluster.stop()
        try:
            answer = sender.resend(BODY, "msg_1")
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
            assert sender.resend(BODY, "msg_1", key=b"x" * 24).status == 401
        finally:
            cluster.start()
            db.reconnect()
        until(lambda: sender.resend(BODY, "msg_1").status == 200, "never stored")
        assert counts(db) == (1, 1)
