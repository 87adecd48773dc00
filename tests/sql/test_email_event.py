"""What the provider tells of mails: in any order and as often as it likes, before and after the mail's id is known, one end state."""

import contextlib
import datetime
import itertools
import json
import random
import threading
import uuid

import psycopg2
import psycopg2.extras
import pytest
from support.cluster import shared_cluster
from support.errand import Errand
from support.template import template
from support.wait import ask, connect, until

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 1, 1, tzinfo=UTC)
SECOND = datetime.timedelta(seconds=1)
HOUR = datetime.timedelta(hours=1)
OWNER, WORKSPACE = uuid.uuid4(), uuid.uuid4()
WORDS = ["scheduled", "sent", "delivery_delayed", "delivered", "opened", "clicked", "failed", "suppressed", "bounced", "complained"]
HARD = {"type": "Permanent", "subType": "General", "message": "No such user"}

psycopg2.extras.register_uuid()


def event(word, at=START, mail="m1", to="ann@example.com", tag=None, made=None, **data):
    """The raw body of email.WORD."""
    data = {"email_id": mail, "to": to if isinstance(to, list) else [to], "created_at": (made or at).isoformat(), **data}
    if tag:
        data["tags"] = {"message_id": str(tag)}
    return json.dumps({"type": "email." + word, "created_at": at.isoformat(), "data": data}).encode()


def make_template():
    return template("mailevent", ("insert into auth.users (id, email) values (%s, 'owner@example.com')", OWNER),
                    ("insert into public.workspaces (id, name, owner_id) values (%s, 'W', %s)", WORKSPACE, OWNER))


class Post:
    """Mails, and what is told of them."""

    def __init__(self, dsn=None):
        self.dsn = dsn or shared_cluster().create_database("mailevent", template=make_template())
        self.owned = dsn is None
        self.connection = connect(self.dsn)

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

    def store(self, id, body):
        self.sql("""insert into errand.webhook_event (source, event_id, headers, body) values ('resend', %s, '{}', %s)
            on conflict do nothing""", id, psycopg2.Binary(body))

    def tell(self, *bodies):
        """Stores those that are not and applies all, in that order; returns (status, effect) of the last. An event's id follows from its body."""
        for body in bodies:
            id = str(uuid.uuid5(WORKSPACE, body.decode("latin-1")))
            self.store(id, body)
            found = self.sql("select * from errand.email_event_apply('resend', %s)", id)[0]
        return tuple(found)

    def leave(self, to="ann@example.com", message=None):
        """A message whose request is stored, and nobody knows what became of it; returns (request, message)."""
        if message is None:
            message = self.one("""insert into public.scheduled_messages (workspace_id, scheduled_for, message_type, subject, recipient_email)
                values (%s, now(), 'test', 'Hello', %s) returning id""", WORKSPACE, to)
        version = self.one("select xmin::text from public.scheduled_messages where id = %s", message)
        [row] = self.sql("select * from errand.email_request_store('/emails', '{}', %s::jsonb)", json.dumps(
            [{"id": str(message), "version": version, "recipient": to, "subject": "Hello", "copied": []}]))
        return row.request_id, message, row.verdict

    def finish(self, request, message, outcome="sent", mail="m1", error=None):
        self.sql("select errand.email_finish(%s, %s, %s, %s, %s, %s)", request, message, outcome, mail if outcome == "sent" else None, error, START)

    def send(self, to="ann@example.com", mail="m1"):
        request, message, _ = self.leave(to)
        self.finish(request, message, mail=mail)
        return message

    def give_up(self, to="ann@example.com", message=None, at=None):
        request, message, _ = self.leave(to, message)
        self.finish(request, message, "unknown", error="unknown: the provider may or may not have sent this mail; ...")
        if at:
            self.sql("update public.email_delivery_log set created_at = %s where scheduled_message_id = %s and status = 'unknown'", at, message)
        return message

    def log(self, message):
        """[(status, time, provider's id)]"""
        return [tuple(row) for row in self.sql("""select status, status_updated_at, provider_message_id from public.email_delivery_log
            where scheduled_message_id = %s order by created_at""", message)]

    def status(self, message):
        [row] = self.log(message)
        return row[0]

    def timeline(self, message):
        return [row[0] for row in self.sql("select status from errand.email_events where message_id = %s order by at", message)]

    def everything(self):
        """All that must not depend on the order or the number of deliveries."""
        return (self.sql("select scheduled_message_id, status, status_updated_at, provider_message_id from public.email_delivery_log order by 1, 4"),
                self.sql("select * from errand.email_events order by event_id"), self.sql("select * from errand.suppression order by 1"),
                self.sql("select event_id, status from errand.webhook_event order by 1"),
                self.sql("select id, status, failure_reason from public.scheduled_messages order by 1"))

    def clear(self):
        """As before any event, the mails sent."""
        self.sql("truncate errand.webhook_event, errand.email_event, errand.suppression")
        self.sql("update public.email_delivery_log set status = 'sent', status_updated_at = %s", START)


@pytest.fixture(scope="module")
def office():
    with Post() as post:
        yield post


@pytest.fixture
def post(office):
    office.sql("""truncate public.scheduled_messages, errand.email_request, errand.suppression, errand.suppression_lift, errand.webhook_event,
        errand.job, errand.history, errand.dead_letter cascade""")
    return office


def repeated(dice, events):
    """Each once to three times; the repeats come anywhere behind the first one."""
    deliveries = list(events)
    for body in events:
        for _ in range(dice.randrange(3)):
            deliveries.insert(dice.randint(deliveries.index(body) + 1, len(deliveries)), body)
    return deliveries


# ---- Any order, any number of times ----

@pytest.mark.parametrize("words, wanted", [
    (["sent", "delivered", "opened", "clicked"], "clicked"), (["sent", "delivery_delayed", "delivered", "bounced"], "bounced"),
    (["sent", "delivered", "opened", "complained"], "complained"), (["scheduled", "sent", "delivery_delayed", "failed"], "failed")])
def test_every_order(post, words, wanted):
    """24 orders of four events, each delivered one to three times."""
    message = post.send()
    events = [event(word, START + n * HOUR, bounce=HARD) for n, word in enumerate(words)]
    dice, first = random.Random(1), None
    for order in itertools.permutations(events):
        post.clear()
        post.tell(*repeated(dice, order))
        assert post.log(message) == [(wanted, START + (words.index(wanted)) * HOUR, "m1")]
        assert post.timeline(message) == words
        first = first or post.everything()
        assert post.everything() == first


def test_every_order_around_the_id(post):
    """The mail's id becomes known before, between or behind the events."""
    words = ["sent", "delivered", "bounced"]
    first = None
    for n, steps in enumerate(itertools.permutations(["id"] + words)):
        to, mail = "ann@example.com", f"m{n}"
        request, message, _ = post.leave(to)
        for step in steps:
            if step == "id":
                post.finish(request, message, mail=mail)
            else:
                post.tell(event(step, START + words.index(step) * HOUR, mail=mail, to=to, bounce=HARD))
        assert post.log(message) == [("bounced", START + 2 * HOUR, mail)]
        assert post.timeline(message) == words
        assert post.sql("select distinct status from errand.webhook_event") == [("applied",)]
        assert post.sql("select reason, source, created_at from errand.suppression") == [
            ("hard bounce: Permanent/General: No such user", "resend", START + 2 * HOUR)]
        post.sql("truncate errand.suppression")
        post.sql("truncate errand.webhook_event")


def test_histories_shuffled_and_repeated(post):
    """All ten words, some of them often, of three mails to two people: the same state as in order."""
    people = ["ann@example.com", "ben@example.com"]
    mails = {mail: (post.send(people[n % 2], mail), people[n % 2]) for n, mail in enumerate(["m1", "m2", "m3"])}
    for seed in range(40):
        dice, events = random.Random(seed), []
        for number in range(30):
            mail = dice.choice(list(mails))
            events.append(event(dice.choice(WORDS), START + number * HOUR, mail=mail, to=mails[mail][1],
                                bounce=dice.choice([HARD, {"type": "Transient"}])))
        post.clear()
        post.tell(*events)
        wanted = post.everything()
        for mail, (message, _) in mails.items():
            said = [json.loads(body)["type"][6:] for body in events if json.loads(body)["data"]["email_id"] == mail]
            assert post.status(message) == max(said + ["sent"], key=WORDS.index)
        mixed = events + dice.choices(events, k=20)
        dice.shuffle(mixed)
        post.clear()
        post.tell(*mixed)
        assert post.everything() == wanted, seed


def test_from_several_sessions(post):
    """Five sessions tell all events of eight mails, each in an order of its own, while two others write down the mails' ids; nothing is lost."""
    for round in range(4):
        post.sql("truncate errand.suppression")
        left = [(*post.leave(f"user{n % 3}@example.com")[:2], f"r{round}m{n}") for n in range(8)]
        events = [event(word, START + n * HOUR, mail=mail, to=f"user{number % 3}@example.com", bounce=HARD,
                        tag=message if number % 2 else None, made=datetime.datetime.now(UTC))
                  for number, (_, message, mail) in enumerate(left) for n, word in enumerate(["sent", "delivered", "opened", "bounced"])]
        errors = []

        def deliver(seed, finishing):
            try:
                with Post(post.dsn) as own:
                    dice = random.Random(seed)
                    if finishing is None:
                        for body in dice.sample(events, len(events)):
                            own.tell(body)
                    else:
                        ask(own.connection, "begin")
                        for request, message, mail in left[finishing::2]:
                            own.finish(request, message, mail=mail)
                        ask(own.connection, "commit")
            except Exception as error:  # noqa: BLE001
                errors.append(error)
        threads = [threading.Thread(target=deliver, args=(round * 10 + n, n - 5 if n >= 5 else None)) for n in range(7)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        for _, message, mail in left:
            assert post.log(message) == [("bounced", START + 3 * HOUR, mail)]
            assert post.timeline(message) == ["sent", "delivered", "opened", "bounced"]
        assert post.sql("select distinct status from errand.webhook_event") == [("applied",)]
        assert post.one("select count(*) from errand.suppression") == 3


def test_the_id_is_written_while_an_event_is_under_way(post):
    """Either comes second and waits for the first: the event is never left behind."""
    for event_first in (True, False):
        mail = f"m{event_first}"
        request, message, _ = post.leave()
        with Post(post.dsn) as first, Post(post.dsn) as second:
            acts = [lambda own: own.tell(event("delivered", mail=mail)), lambda own: own.finish(request, message, mail=mail)]
            if not event_first:
                acts.reverse()
            ask(first.connection, "begin")
            acts[0](first)
            thread = threading.Thread(target=acts[1], args=(second,))
            thread.start()
            until(lambda: post.one("select exists (select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s)",
                                   second.connection.info.backend_pid), "the second waits")
            ask(first.connection, "commit")
            thread.join(20)
        assert post.log(message) == [("delivered", START, mail)]
        assert post.sql("select distinct status from errand.webhook_event") == [("applied",)]


def test_rank(post):
    """Each word against each: the greater stays, whichever comes first; time does not matter."""
    message = post.send()
    for low, high in itertools.combinations(WORDS, 2):
        for order in ([low, high], [high, low]):
            post.clear()
            post.tell(*[event(word, START + n * HOUR) for n, word in enumerate(order)])
            assert post.status(message) == high


def test_what_errand_knows_itself_counts(post):
    """It is in the log as sent: that it was scheduled is no news, though no event says more."""
    message = post.send()
    assert post.tell(event("scheduled")) == ("applied", f"message {message}: scheduled noted, it stays sent")
    assert post.log(message) == [("sent", START, "m1")]


def test_a_word_of_somebody_else_in_the_log_gives_way(post):
    message = post.send()
    post.sql("update public.email_delivery_log set status = 'on its way'")
    post.tell(event("sent"))
    assert post.status(message) == "sent"


# ---- Effects ----

def test_what_is_said_of_the_effect(post):
    message = post.send()
    assert post.tell(event("bounced", bounce=HARD)) == ("applied", f"message {message}: bounced; ann@example.com is suppressed")
    assert post.tell(event("sent")) == ("applied", f"message {message}: sent noted, it stays bounced")
    assert post.sql("select status, reason from errand.email_events where reason is not null") == [("bounced", "Permanent/General: No such user")]
    post.sql("delete from public.scheduled_messages")
    assert post.tell(event("opened"))[1] == "message that is gone: opened noted, it stays bounced"


def test_a_mail_that_nobody_knows(post):
    assert post.tell(event("delivered", mail="x")) == ("unassigned", "no mail with the id x is known yet")
    assert post.tell(event("bounced", mail="x", bounce=HARD))[0] == "unassigned"
    assert post.one("select count(*) from errand.suppression") == 1, "the address bounced whoever sent the mail"
    message = post.send("ben@example.com", "x")
    assert post.status(message) == "bounced"
    assert post.sql("select distinct status from errand.webhook_event") == [("applied",)]
    assert post.one("select effect from errand.webhook_event where effect like '%%delivered%%'") == (
        f"message {message}: delivered, told before its id was known")


def test_one_that_was_logged_by_somebody_else(post):
    post.sql("""insert into public.email_delivery_log (recipient, provider_message_id, status) values ('ann@example.com', 'm1', 'queued')""")
    assert post.tell(event("delivered"))[0] == "applied"
    assert post.one("select status from public.email_delivery_log") == "delivered"


def test_an_entry_of_the_log_that_is_being_deleted(post):
    """The event waits for what becomes of it, and then belongs to no mail."""
    post.sql("insert into public.email_delivery_log (recipient, provider_message_id, status) values ('ann@example.com', 'm1', 'sent')")
    told = []
    with contextlib.closing(psycopg2.connect(post.dsn)) as deleting, Post(post.dsn) as second:
        deleting.cursor().execute("delete from public.email_delivery_log where provider_message_id = 'm1'")
        thread = threading.Thread(target=lambda: told.append(second.tell(event("delivered"))))
        thread.start()
        until(lambda: post.one("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"), "it does not wait")
        deleting.commit()
        thread.join()
    assert told == [("unassigned", "no mail with the id m1 is known yet")]


def test_what_nobody_knows_is_forgotten(post):
    message = post.send("ben@example.com", "known")
    post.tell(event("delivered", mail="known"), event("delivered", mail="old"), event("delivered", mail="new"))
    post.sql("update errand.email_mail set noted_at = now() - interval '31 days' where provider_message_id <> 'new'")
    post.sql("select errand.email_event_forget(100)")
    assert sorted(post.sql("select provider_message_id from errand.email_mail")) == [("known",), ("new",)]
    post.sql("delete from public.email_delivery_log where scheduled_message_id = %s", message)
    assert post.sql("select provider_message_id from errand.email_event") == [("new",)], "a log that is deleted takes its timeline along"


@pytest.mark.parametrize("type", ["contact.created", "domain.updated", "email.received", "email.new_word", "email.unknown", "email.", "x"])
def test_types_that_say_nothing_of_a_mail(post, type):
    assert post.tell(json.dumps({"type": type, "data": {"id": 1}}).encode()) == ("ignored", f"{type} changes nothing")
    assert post.one("select status from errand.webhook_event") == "ignored"


@pytest.mark.parametrize("body, why", [
    (b"no json", "invalid input syntax for type json"), (b"\xff", "invalid byte sequence"), (b"{}", "the body has no type"), (b"[]", "no type"),
    (b"7", "no type"), (b'{"type": "email.sent\\u0000"}', "unsupported Unicode"), (b'{"type": "email.sent"}', "email.sent has no created_at"),
    (b'{"type": "email.sent", "created_at": "2026-02-31T00:00:00Z"}', "out of range"),
    (b'{"type": "email.sent", "created_at": "2026-01-01T00:00:00Z", "data": {"email_id": ""}}', "email.sent has no data.email_id"),
    pytest.param(b'{"type": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "stack depth limit exceeded", id="deep"), (event("sent", mail="m" * 257), "more than 256 bytes")])
def test_bodies_that_cannot_be_used(post, body, why):
    status, effect = post.tell(body)
    assert status == "failed" and why in effect
    assert post.sql("select status, effect from errand.webhook_event") == [("failed", effect)]
    assert post.one("select count(*) from errand.email_mail") == 0


# ---- Suppression ----

@pytest.mark.parametrize("body, reason", [
    (event("bounced", bounce=HARD), "hard bounce: Permanent/General: No such user"), (event("bounced", bounce={"type": "permanent"}), "hard bounce: permanent"),
    (event("complained"), "complaint"), (event("complained", to="Ann <Ann@Example.com>"), "complaint"),
    (event("bounced", bounce={"type": "Transient"}), None), (event("bounced", bounce={"type": "Undetermined"}), None), (event("bounced"), None),
    (event("suppressed", suppressed={"type": "OnAccountSuppressionList"}), None), (event("delivery_delayed"), None), (event("failed"), None),
    (event("complained", to=["ann@example.com", "ben@example.com"]), None), (event("complained", to=[]), None), (event("complained", to="nobody"), None)])
def test_who_is_suppressed(post, body, reason):
    status, effect = post.tell(body)
    assert status == "unassigned"
    assert post.sql("select recipient, reason, source, created_at from errand.suppression") == (
        [("ann@example.com", reason, "resend", START)] if reason else [])
    assert ("ann@example.com is suppressed" in effect) == bool(reason)


def test_no_mail_goes_to_a_suppressed_address(post):
    post.send()
    post.tell(event("complained"))
    assert post.leave("Ann@example.com")[2] == "suppressed"
    assert post.one("select errand.unsuppress('ann@example.com')") is True
    assert post.leave()[2] is None


def test_the_earliest_event_stands_on_the_list(post):
    two = [event("complained", START + HOUR), event("bounced", START, bounce=HARD)]
    for order in (two, two[::-1]):
        post.sql("truncate errand.suppression, errand.email_event")
        post.tell(*order)
        assert post.one("select reason from errand.suppression").startswith("hard bounce")


def test_by_hand_goes_before_events(post):
    post.sql("select errand.suppress('ann@example.com', 'asked by phone')")
    post.tell(event("complained"))
    assert post.sql("select reason, source, event_id from errand.suppression") == [("asked by phone", "manual", None)]
    post.tell(event("complained", to="ben@example.com"))
    post.sql("select errand.suppress('ben@example.com', 'asked by phone')")
    assert post.sql("select reason, source, event_id from errand.suppression where recipient like 'ben%%'") == [("asked by phone", "manual", None)]


def test_what_was_lifted_stays_lifted(post):
    """The same event again, and one from before that comes late, do not bring it back; a later one does."""
    first = event("bounced", bounce=HARD)
    post.tell(first)
    assert post.one("select errand.unsuppress('ann@example.com')") is True
    assert post.one("select errand.unsuppress('ann@example.com')") is False
    post.tell(first)
    assert post.tell(event("complained", START + SECOND))[1].endswith("; ann@example.com is not suppressed: it was taken off the list after this")
    assert post.one("select count(*) from errand.suppression") == 0
    later = event("complained", datetime.datetime.now(UTC) + HOUR)
    post.tell(later)
    assert post.one("select reason from errand.suppression") == "complaint"
    post.sql("select errand.unsuppress('ann@example.com')")
    post.tell(later)
    assert post.one("select count(*) from errand.suppression") == 0, "though the provider's clock is ahead"


# ---- Settled by the tag ----

def test_the_tag_settles_what_was_given_up(post):
    message = post.give_up()
    now = datetime.datetime.now(UTC)
    assert post.log(message)[0][0] == "unknown"
    assert post.tell(event("opened", now, made=now - HOUR, tag=message)) == ("applied", f"message {message}: opened")
    assert post.log(message) == [("opened", now, "m1")]
    assert post.sql("select status, sent_at, failure_reason from public.scheduled_messages") == [("sent", now - HOUR, None)]
    assert post.tell(event("bounced", now, bounce=HARD))[0] == "applied", "its id is known now"
    assert post.status(message) == "bounced"


def test_events_without_the_tag_follow_when_one_has_it(post):
    message = post.give_up()
    assert post.tell(event("delivered"))[0] == "unassigned"
    post.tell(event("sent", tag=message))
    assert post.status(message) == "delivered" and post.timeline(message) == ["delivered", "sent"]
    assert post.sql("select distinct status from errand.webhook_event") == [("applied",)]


def test_the_tag_settles_what_is_open(post):
    """Its job learns that the mail was sent; when it gives up all the same, the log says sent."""
    now = datetime.datetime.now(UTC)
    request, message, _ = post.leave()
    post.sql("update errand.job set run_at = now() + interval '1 hour' where key = 'message:' || %s", str(message))
    assert post.tell(event("delivered", now, tag=message)) == ("unassigned", f"message {message} was sent; its job has yet to write that down")
    assert post.sql("select outcome, provider_message_id, done_at from errand.email_request_message") == [("sent", "m1", None)]
    assert post.one("select run_at <= clock_timestamp() from errand.job where key = 'message:' || %s", str(message)), "its job is due"
    post.finish(request, message, "unknown", error="unknown: ...")
    assert post.log(message) == [("delivered", now, "m1")]
    assert post.sql("select status, failure_reason from public.scheduled_messages") == [("sent", None)]
    assert post.one("select status from errand.webhook_event") == "applied"


def test_which_send_the_tag_means(post):
    """Given up, opened again by hand and sent again: the time at which the provider took the mail tells the two apart, in any order."""
    for swap in (False, True):
        first_id, second_id = f"{swap}1", f"{swap}2"
        message = post.give_up(at=datetime.datetime.now(UTC) - 2 * HOUR)
        post.sql("update public.scheduled_messages set status = 'pending', failure_reason = null where id = %s", message)
        request, _, _ = post.leave(message=message)
        now = datetime.datetime.now(UTC)
        events = [event("delivered", now, mail=first_id, tag=message, made=now - 3 * HOUR), event("opened", now, mail=second_id, tag=message)]
        post.tell(*(events[::-1] if swap else events))
        post.finish(request, message, mail=second_id)
        assert [row[0::2] for row in post.log(message)] == [("delivered", first_id), ("opened", second_id)]
        assert post.one("select status from public.scheduled_messages where id = %s", message) == "sent"


def test_two_that_were_given_up(post):
    now = datetime.datetime.now(UTC)
    message = post.give_up(at=now - 10 * HOUR)
    post.sql("update public.scheduled_messages set status = 'pending', failure_reason = null")
    post.give_up(message=message)
    post.tell(event("delivered", now, mail="second", tag=message, made=now - HOUR), event("opened", now, mail="first", tag=message, made=now - 11 * HOUR))
    assert [row[0::2] for row in post.log(message)] == [("opened", "first"), ("delivered", "second")]


def test_two_that_were_given_up_are_told_of_at_once(post):
    now = datetime.datetime.now(UTC)
    message = post.give_up(at=now - HOUR)
    post.sql("update public.scheduled_messages set status = 'pending', failure_reason = null")
    post.give_up(message=message)
    with Post(post.dsn) as first, Post(post.dsn) as second:
        ask(first.connection, "begin")
        assert first.tell(event("delivered", now, mail="one", tag=message))[0] == "applied"
        thread = threading.Thread(target=second.tell, args=(event("opened", now, mail="two", tag=message),))
        thread.start()
        until(lambda: post.one("select exists (select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s)",
                               second.connection.info.backend_pid), "the second waits")
        ask(first.connection, "commit")
        thread.join(20)
    assert sorted(row[2] for row in post.log(message)) == ["one", "two"]


def test_an_event_does_not_cross_who_deletes_its_message(post):
    """Both come to the message first, and then to its log."""
    now = datetime.datetime.now(UTC)
    message, told = post.give_up(), []
    with Post(post.dsn) as first, Post(post.dsn) as second:
        ask(first.connection, "begin")
        ask(first.connection, "select from public.scheduled_messages where id = %s for update", message)
        thread = threading.Thread(target=lambda: told.append(second.tell(event("delivered", now, tag=message))))
        thread.start()
        until(lambda: post.one("select exists (select from pg_stat_activity where wait_event_type = 'Lock' and pid = %s)",
                               second.connection.info.backend_pid), "the second waits")
        ask(first.connection, "delete from public.scheduled_messages where id = %s", message)
        ask(first.connection, "commit")
        thread.join(20)
    assert [status for status, _ in told] == ["unassigned"], "there is no such message any more"


@pytest.mark.parametrize("tags", [{"message_id": "no uuid"}, {"message_id": str(uuid.uuid4())}, {}, [], "x", None, 7])
def test_tags_that_name_no_message(post, tags):
    post.give_up()
    body = json.loads(event("sent"))
    body["data"]["tags"] = tags
    assert post.tell(json.dumps(body).encode())[0] == "unassigned"


def test_tags_as_a_list(post):
    message = post.give_up()
    body = json.loads(event("sent"))
    body["data"]["tags"] = [{"name": "kind", "value": "x"}, {"name": "message_id", "value": str(message)}]
    assert post.tell(json.dumps(body).encode())[0] == "applied"


def test_a_message_whose_id_is_known_is_not_taken_by_the_tag(post):
    message = post.send(mail="m1")
    assert post.tell(event("bounced", mail="other", tag=message, bounce=HARD))[0] == "unassigned"
    assert post.status(message) == "sent"


# ---- The binary ----

def test_through_the_binary(post):
    """Events come while the runner is killed; a bad body; what was paused is not these."""
    message = post.send()
    post.sql("select errand.queue_pause('email')")
    bodies = [event("bounced", START + HOUR, bounce=HARD), event("sent"), b"no json", b'{"type": "contact.created"}']
    ids = [post.one("select errand.webhook_accept('resend', %s, null, '{}', %s, 'email.event')", f"e{n}", psycopg2.Binary(body))
           for n, body in enumerate(bodies)]
    with Errand(post.dsn) as errand:
        assert errand.start(env={"ERRAND_FAILPOINT": "email.after_event"}).wait() < 0
        errand.start().wait_ready()
        until(lambda: post.one("select count(*) from errand.history where id = any (%s)", ids) == 4, "the jobs end", timeout=30)
    assert post.log(message) == [("bounced", START + HOUR, "m1")] and post.timeline(message) == ["sent", "bounced"]
    assert [row[0] for row in post.sql("select status from errand.webhook_event order by event_id")] == ["applied", "applied", "failed", "ignored"]
    assert "invalid input syntax for type json" in post.one("select error from errand.dead_letter where id = %s", ids[2])
    assert post.one("select result ->> 'effect' from errand.history where id = %s", ids[0]) == (
        f"message {message}: bounced; ann@example.com is suppressed")
