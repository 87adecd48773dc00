"""Mails and what becomes of them, end to end: the provider takes a mail and tells of it by signed webhooks, errand writes the log."""

import pytest

from email_support import MailBox, fresh, make_database
from support.cluster import free_port, shared_cluster
from support.errand import Errand
from support.hooks import SECRET
from support.provider import ResendProvider
from support.wait import until


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def provider(port):
    with ResendProvider("--webhook", f"http://127.0.0.1:{port}/webhooks/resend", "--webhook-secret", SECRET) as provider:
        yield provider


@pytest.fixture
def box():
    dsn = make_database()
    with MailBox(dsn) as box:
        box.dsn = dsn
        yield box
    shared_cluster().drop_database(dsn)


@pytest.fixture
def errand(box, provider, port):
    provider.control()
    with Errand(box.dsn, provider, ERRAND_EMAIL_RATE="1000", ERRAND_HTTP_LISTEN=f"127.0.0.1:{port}", RESEND_WEBHOOK_SECRET=SECRET) as errand:
        yield errand


def told(box, id, word):
    """Waits until the message's log says so."""
    box.wait_sql("select exists (select from public.email_delivery_log where scheduled_message_id = %s and status = %s)", id, word)


def timeline(box, id):
    return [row[0] for row in box.sql("select status from errand.email_events where message_id = %s order by at", id)]


def test_fates(box, errand):
    wanted = {"user": ["sent", "delivered"], "bounced": ["sent", "bounced"], "softbounced": ["sent", "bounced"],
              "complained": ["sent", "delivered", "complained"], "delayed": ["sent", "delivery_delayed", "delivered"],
              "opened": ["sent", "delivered", "opened"], "suppressed": ["suppressed"], "undeliverable": ["sent", "failed"]}
    to = {name: fresh(name) for name in wanted}
    ids = {name: box.send(to=to[name]) for name in wanted}
    errand.start().wait_ready()
    for name, words in wanted.items():
        told(box, ids[name], words[-1])
        box.wait_sql("select count(*) = %s from errand.email_events where message_id = %s", len(words), ids[name])
        assert timeline(box, ids[name]) == words
        message = box.message(ids[name])
        assert message.status == "sent" and message.log == [words[-1]]
    assert box.sql("select recipient, split_part(reason, ':', 1) from errand.suppression order by 1") == [
        (to["bounced"], "hard bounce"), (to["complained"], "complaint")]
    assert box.sql("select distinct status from errand.webhooks") == [("applied",)]


def test_a_hard_bounce_is_the_last_mail_to_an_address(box, provider, errand):
    to = fresh("bounced")
    errand.start().wait_ready()
    told(box, box.send(to=to), "bounced")
    second = box.send(to=to)
    message = box.wait(second, "failed")
    assert message.log == ["suppressed"]
    assert message.reason == f"suppressed: {to} is on the suppression list: hard bounce: Permanent/General: 550 5.1.1 no such user"
    assert len(provider.ledger(to=to)) == 1
    box.sql("select errand.unsuppress(%s)", to)
    told(box, box.send(to=to), "bounced")


def test_answers_that_never_come(box, provider, errand):
    """The events say that the mails were sent; each went out once."""
    provider.control({"answer": "close", "accept": True, "count": 0})
    ids = box.insert([{} for _ in range(3)])
    errand.start().wait_ready()
    for id in ids:
        box.wait(id, "sent")
        told(box, id, "delivered")
        assert len(provider.ledger(tag_message_id=str(id))) == 1


def test_given_up_and_then_told(box, provider, errand):
    """errand is not there for the events while it gives the mail up as unknown; the provider sends them again."""
    provider.control({"answer": "close", "accept": True, "count": 0})
    id = box.send()
    box.sql("update errand.job set max_attempts = 1 where key = 'message:' || %s", str(id))
    runner = errand.start("--http-listen", "").wait_ready()
    message = box.wait(id, "failed")
    assert message.reason.startswith("unknown: ") and message.log == ["unknown"]
    assert runner.terminate() == 0
    errand.start().wait_ready()
    told(box, id, "delivered")
    message = box.message(id)
    assert (message.status, message.reason, message.log) == ("sent", None, ["delivered"])


def test_many_while_runners_are_killed(box, provider, errand):
    """Every mail ends as delivered, each event once in its timeline, whatever was killed in between."""
    ids = box.insert([{} for _ in range(60)])
    for _ in range(3):
        runner = errand.start().wait_ready()
        before = box.one("select count(*) from errand.email_events")
        until(lambda: box.one("select count(*) from errand.email_events") > before, "an event is applied")
        runner.kill()
        box.sql("update public.scheduled_messages set scheduled_for = now() where status = 'pending'")
        ids += box.insert([{} for _ in range(20)])
    errand.start().wait_ready()
    box.wait_all()
    # Of these alone: the provider may still tell this runner of a mail of the test before.
    box.wait_sql("select count(*) = %s from errand.email_events where message_id is not null", 2 * len(ids), timeout=60)
    assert box.sql("select status, count(*) from public.email_delivery_log group by 1") == [("delivered", len(ids))]
    assert box.one("select count(*) from (select from errand.email_events group by message_id having array_agg(status order by at) = "
                   "array['sent', 'delivered']) x") == len(ids)
    taken = {mail["id"] for mail in provider.ledger()}
    assert {row[0] for row in box.sql("select provider_message_id from public.email_delivery_log")} <= taken
