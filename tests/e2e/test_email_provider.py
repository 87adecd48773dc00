"""What errand makes of the provider's answers, of no answer, and of a provider that is not there."""

import json
import re
import time
from datetime import datetime, timezone

import pytest

from email_support import MailBox, fresh, make_database
from support.cluster import shared_cluster
from support.errand import Errand
from support.provider import ResendProvider
from support.wait import until

UNKNOWN = "unknown: the provider may or may not have sent this mail; "


@pytest.fixture
def provider():
    with ResendProvider() as p:
        yield p


@pytest.fixture
def box():
    dsn = make_database()
    with MailBox(dsn) as b:
        b.dsn = dsn
        yield b
    shared_cluster().drop_database(dsn)


@pytest.fixture
def errand(box, provider):
    with Errand(box.dsn, provider, ERRAND_EMAIL_RATE="1000") as e:
        yield e


def received(provider, id):
    return provider.ledger(tag_message_id=str(id))


def sent_once(box, provider, ids):
    for id in ids:
        message = box.message(id)
        assert message.status == "sent" and message.log == ["sent"], message
        [mail] = received(provider, id)
        assert message.provider_id == mail["id"]


def last_errors(box):
    return [row[0] for row in box.sql("select error from errand.attempt order by finished_at")]


# ---- Refused ----

def test_rejected(box, provider, errand):
    errand.start().wait_ready()
    alone = box.send(to=fresh("reject"))
    message = box.wait(alone, "failed")
    assert message.reason == ("provider answered 422 invalid_parameter: Invalid `to` field. The address is refused by this "
                              "provider.") and message.log == ["failed"]
    assert box.outcome_of(alone) == ("dead", message.reason)


def test_rejected_among_others(box, provider, errand):
    ids = box.insert([{"to": fresh("reject" if n % 3 == 1 else "user")} for n in range(10)])
    errand.start().wait_ready()
    box.wait_all()
    sent_once(box, provider, [id for n, id in enumerate(ids) if n % 3 != 1])
    for id in ids[1::3]:
        message = box.message(id)
        assert message.status == "failed" and message.log == ["failed"]
        assert message.reason.startswith("provider refused this mail of a batch: Invalid `to` field")
    assert [r["path"] for r in provider.requests()] == ["/emails/batch"]


def test_a_batch_refused_whole_is_split(box, provider, errand):
    provider.control({"answer": "error", "name": "validation_error", "path": "/emails/batch"})
    ids = box.insert([{"to": fresh("reject" if n == 1 else "user")} for n in range(4)])
    errand.start().wait_ready()
    box.wait_all()
    sent_once(box, provider, [ids[0], ids[2], ids[3]])
    assert box.message(ids[1]).status == "failed"
    assert [r["path"] for r in provider.requests()] == ["/emails/batch"] + ["/emails"] * 4
    assert dict(box.sql("select state, count(*) from errand.email_request group by 1")) == {"void": 1, "settled": 4}


def test_a_sender_of_its_own_that_is_refused(box, provider, errand):
    """An unverified domain of one message's own fails that message; the settings' one pauses the queue."""
    own = {"from": "x@unverified.example", "html": "x"}
    provider.control({"answer": "error", "name": "unverified_domain", "path": "/emails/batch"},
                     {"answer": "error", "name": "unverified_domain", "path": "/emails"})
    ids = box.insert([{"content": own}, {}, {}])
    errand.start().wait_ready()
    box.wait_all()
    message = box.message(ids[0])
    assert message.status == "failed" and "403 validation_error" in message.reason
    sent_once(box, provider, ids[1:])
    provider.control({"answer": "error", "name": "unverified_domain"})
    box.send()
    box.wait_sql("select paused from errand.queues where name = 'email'")


# ---- It may have been sent ----

@pytest.mark.parametrize("fault", [
    {"answer": "error", "name": "internal_server_error"},
    {"answer": "error", "name": "service_unavailable"},
    {"answer": "error", "name": "internal_server_error", "accept": True},
    {"answer": "close", "accept": True}, {"answer": "close_early"}, {"answer": "garbage", "accept": True},
    {"answer": "shape", "accept": True}, {"answer": "ids", "accept": True}, {"answer": "cut", "accept": True},
    {"answer": "huge", "accept": True}, {"answer": "huge", "accept": True, "chunked": False},
    {"answer": "drip", "accept": True}, {"answer": "never", "accept": True},
], ids=lambda fault: "-".join(str(value) for value in fault.values()))
@pytest.mark.parametrize("count", [1, 3])
def test_asked_again_under_the_same_key(box, provider, errand, fault, count):
    provider.control(fault)
    ids = box.insert([{} for _ in range(count)])
    runner = errand.start(env={"ERRAND_EMAIL_TIMEOUT_MS": "700"}).wait_ready()
    box.wait_all()
    sent_once(box, provider, ids)
    requests = provider.requests()
    assert len(requests) == 2 and requests[0]["key"] == requests[1]["key"]
    assert requests[0]["bytes"] == requests[1]["bytes"] or fault["answer"] == "close_early"
    resident_kib = int(re.search(r"VmHWM:\s+(\d+)", open(f"/proc/{runner.pid}/status").read()).group(1))
    assert resident_kib < 400 << 10


def test_still_at_work_on_it(box, provider, errand):
    """The first request is still in the provider's hands when the second one comes."""
    provider.control({"answer": "ok", "before_ms": 2500})
    errand.start(env={"ERRAND_EMAIL_TIMEOUT_MS": "500"}).wait_ready()
    id = box.send()
    box.wait(id, "sent")
    sent_once(box, provider, [id])
    assert 409 in [r["status"] for r in provider.requests()]


def test_another_body_under_the_key(box, provider, errand):
    provider.control({"answer": "error", "name": "invalid_idempotent_request"})
    errand.start().wait_ready()
    id = box.send()
    message = box.wait(id, "failed")
    assert message.reason.startswith(UNKNOWN + "provider answered 409 invalid_idempotent_request")
    assert "an earlier send with it may have succeeded" in message.reason
    assert message.log == ["unknown"] and box.outcome_of(id) == ("unknown", message.reason)


def test_the_key_is_too_old(box, provider, errand):
    provider.control({"answer": "error", "name": "internal_server_error", "count": 0})
    errand.start(env={"ERRAND_EMAIL_KEY_WINDOW_MS": "1500"}).wait_ready()
    ids = box.insert([{}, {}])
    for id in ids:
        message = box.wait(id, "failed")
        assert message.reason.startswith(UNKNOWN) and message.log == ["unknown"]
        assert box.outcome_of(id) == ("unknown", message.reason)
    assert len(provider.requests()) == 2, "in time, and then not again"
    assert box.one("select count(*) from errand.email_request where state = 'open'") == 0


def test_attempts_used_up(box, provider, errand):
    """In doubt: unknown. Certainly not sent: failed."""
    provider.control({"answer": "error", "name": "internal_server_error", "count": 0})
    doubtful = box.send()
    box.sql("update errand.job set max_attempts = 2 where key = 'message:' || %s", str(doubtful))
    errand.start().wait_ready()
    message = box.wait(doubtful, "failed")
    assert message.reason.startswith(UNKNOWN + "provider answered 500") and message.log == ["unknown"]
    provider.stop()
    certain = box.send()
    box.sql("update errand.job set max_attempts = 2 where key = 'message:' || %s", str(certain))
    message = box.wait(certain, "failed")
    assert message.reason.startswith("provider could not be reached") and message.log == ["failed"]
    provider.start()


def test_a_job_that_died_leaves_no_message_pending(box, provider, errand):
    id = box.send()
    box.sql("""with gone as (delete from errand.job where key = 'message:' || %s returning *)
        insert into errand.dead_letter (lane, attempt, priority, id, run_at, created_at, died_at, kind, key, args, error)
        select lane, 25, priority, id, run_at, created_at, now(), kind, key, args, 'the runner ended' from gone""", str(id))
    errand.start().wait_ready()
    message = box.wait(id, "failed")
    assert message.reason == "its job died: the runner ended" and message.log == ["failed"]


def test_an_event_says_what_no_answer_did(box, provider, errand):
    """Every answer is lost; the provider's event tells that the mail was sent, by its tag."""
    provider.control({"answer": "close", "accept": True, "count": 0})
    errand.start().wait_ready()
    id = box.send()
    [mail] = until(lambda: received(provider, id), "the provider has the mail")
    now = datetime.now(timezone.utc).isoformat()
    body = {"type": "email.delivered", "created_at": now, "data": {
        "email_id": mail["id"], "created_at": now, "to": mail["to"], "tags": mail["tags"]}}
    box.sql("select errand.webhook_accept('resend', 'e1', 'email.delivered', '{}', convert_to(%s, 'UTF8'), 'email.event')", json.dumps(body))
    message = box.wait(id, "sent")
    assert message.log == ["delivered"] and message.provider_id == mail["id"]
    assert box.outcome_of(id) == ("done", None)
    assert box.sql("select status, effect from errand.webhooks") == [("applied", f"message {id}: delivered, told before its id was known")]
    assert len(received(provider, id)) == 1


def test_called_off_after_it_may_have_left(box, provider, errand):
    """Too late: the job stays, and tells what became of it."""
    provider.control({"answer": "close", "accept": True})
    errand.start().wait_ready()
    id = box.send()
    box.wait_sql("select attempt = 1 and claimed_by is null from errand.job where kind = 'email.send'")
    box.sql("update public.scheduled_messages set status = 'cancelled' where id = %s", id)
    box.wait_sql("select status = 'sent' from public.scheduled_messages where id = %s", id)
    sent_once(box, provider, [id])


def test_deleted_after_it_may_have_left(box, provider, errand):
    provider.control({"answer": "close", "accept": True})
    errand.start().wait_ready()
    to = fresh()
    id = box.send(to=to)
    box.wait_sql("select attempt = 1 and claimed_by is null from errand.job where kind = 'email.send'")
    box.sql("delete from public.scheduled_messages where id = %s", id)
    box.wait_sql("select count(*) = 1 from public.email_delivery_log where recipient = %s and status = 'sent'", to)
    assert len(received(provider, id)) == 1


# ---- Not now ----

def test_rate_limited(box, provider, errand):
    provider.control({"answer": "error", "name": "rate_limit_exceeded", "retry_after": 1})
    errand.start().wait_ready()
    ids = box.insert([{}, {}])
    box.wait_all()
    sent_once(box, provider, ids)
    first, second = (r["at_us"] for r in provider.requests())
    assert 0.9e6 < second - first < 3e6
    assert last_errors(box) == [], "it was no attempt"


def test_rate_limited_until_a_date(box, provider, errand):
    provider.control({"answer": "error", "name": "rate_limit_exceeded", "retry_after": 2, "retry_date": True})
    errand.start().wait_ready()
    id = box.send()
    box.wait(id, "sent")
    first, second = (r["at_us"] for r in provider.requests())
    assert 0.5e6 < second - first < 4e6


def test_edited_while_it_was_told_to_wait(box, provider, errand):
    """Nothing was sent, so what the message says now is what goes out; one called off does not."""
    provider.control({"answer": "error", "name": "rate_limit_exceeded", "retry_after": 2})
    errand.start().wait_ready()
    id, cancelled = box.insert([{}, {}])
    box.wait_sql("select count(*) = 1 from errand.email_request where state = 'void'")
    box.sql("update public.scheduled_messages set subject = 'New' where id = %s", id)
    box.sql("update public.scheduled_messages set status = 'cancelled' where id = %s", cancelled)
    box.wait(id, "sent")
    assert received(provider, id)[0]["subject"] == "New" and not received(provider, cancelled)


def test_the_providers_rate_is_kept(box, provider, errand):
    """The settings allow more than the provider: after the first answer its own limit holds."""
    provider.control(rate=4)
    errand.start().wait_ready()
    box.insert([{"content": {"html": "x", "attachments": [{"filename": "a", "content": "aGk="}]}} for _ in range(12)])
    box.wait_all()
    statuses = [r["status"] for r in provider.requests()]
    assert statuses.count(200) == 12 and statuses.count(429) <= 3, statuses


@pytest.mark.parametrize("name, words", [
    ("daily_quota_exceeded", "the day's quota is used up"), ("monthly_quota_exceeded", "the month's quota is used up"),
    ("invalid_api_key", "the API key is not accepted"), ("restricted_api_key", "the API key is not accepted"),
    ("suspended_api_key", "the API key is not accepted")])
def test_the_queue_pauses_and_says_why(box, provider, errand, name, words):
    provider.control({"answer": "error", "name": name})
    errand.start().wait_ready()
    ids = box.insert([{}, {}])
    box.wait_sql("select paused from errand.queues where name = 'email'")
    reason = box.one("select pause_reason from errand.queues where name = 'email'")
    assert name in reason and words in reason
    box.wait_sql("select count(*) = 2 from errand.job where kind = 'email.send' and claimed_by is null and last_error is not null")
    time.sleep(0.5)
    assert len(provider.requests()) == 1 and box.message(ids[0]).status == "pending"
    assert last_errors(box) == [], "it was no attempt"
    box.sql("select errand.queue_resume('email')")
    box.wait_all()
    sent_once(box, provider, ids)


def test_without_a_key(box, provider, errand):
    key = errand.env.pop("RESEND_API_KEY")
    runner = errand.start().wait_ready()
    id = box.send()
    box.wait_sql("select paused from errand.queues where name = 'email'")
    assert box.one("select pause_reason from errand.queues where name = 'email'") == "no API key: set RESEND_API_KEY"
    runner.terminate()
    errand.env["RESEND_API_KEY"] = key
    box.sql("select errand.queue_resume('email')")
    errand.start().wait_ready()
    box.wait(id, "sent")


def test_a_provider_that_is_away(box, provider, errand):
    provider.stop()
    errand.start().wait_ready()
    ids = box.insert([{}, {}])
    box.wait_sql("select count(*) = 2 from errand.attempt where error like 'provider could not be reached%%'")
    provider.start()
    box.wait_all()
    sent_once(box, provider, ids)


# ---- A database that is away ----

def test_database_stopped_in_the_middle():
    from support.cluster import Cluster
    from email_support import OWNER, WORKSPACE
    with Cluster(fsync=False) as cluster, ResendProvider() as provider:
        dsn = cluster.create_database("email_away")
        with Errand(dsn, provider, ERRAND_EMAIL_RATE="20") as errand:
            errand.run("migrate", "up")
            with MailBox(dsn) as box:
                box.sql("insert into auth.users (id) values (%s)", OWNER)
                box.sql("insert into public.workspaces (id, name, owner_id) values (%s, 'x', %s)", WORKSPACE, OWNER)
                errand.start().wait_ready()
                ids = box.insert([{"after": n * 0.02} for n in range(200)])
                time.sleep(1.5)
            cluster.stop()
            time.sleep(3)
            cluster.start()
            back = time.monotonic()
            with MailBox(dsn) as box:
                while not box.one("select count(*) from public.scheduled_messages where sent_at > pg_postmaster_start_time()"):
                    assert time.monotonic() - back < 10
                    time.sleep(0.02)
                box.wait_all(timeout=60)
                sent_once(box, provider, ids)
