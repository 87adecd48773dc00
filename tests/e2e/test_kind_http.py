"""Kinds that are endpoints: what is sent and how it is signed, what answers mean, and where nothing is sent to."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from kind_support import JobsDirectory, runner_with
from support.cluster import free_port
from support.endpoint import Endpoint
from support.hooks import KEY, OTHER_SECRET, SECRET, signing_packages
from support.npm import Missing
from support.wait import until

OTHER_KEY = bytes(24)
SHIP = "orders.ship"
FAST = f"select errand.kind_retry_set('{SHIP}', 'fixed', delays => '{{10 milliseconds}}')"


def shipping(endpoint, *lines, secret=f"secret = {SECRET}"):
    """The kind's file."""
    return "\n".join(["[kind]", f"url = {endpoint.url}", "allow_private = true", secret, *lines]) + "\n"


def mac(request, key):
    signed = b".".join([request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


def wait_kind(db, name=SHIP):
    db.wait("select exists (select from errand.kind where name = %s)", name)


def test_what_is_sent(jobs):
    secrets = jobs.beside / "secrets"
    secrets.write_text(f"{SECRET}\n{OTHER_SECRET}\n")
    args = {"order": 7, "text": "ä \"x\"\n", "many": [1, None]}
    with Endpoint(lambda request: (200, {"content-type": "application/json"}, b'{"shipped": [1]}')) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint, "queue = ships", "header = X-Team: b: c", "header = user-agent: shop",
                                                   secret=f"secret_file = {secrets}"))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            job = db.wait_ended(id := db.enqueue(SHIP, args))
            text = db.one("select args::text from errand.history where id = %s", id)
    [request] = endpoint.requests
    headers = request.headers
    assert (job.state, job.queue, job.result) == ("done", "ships", {"shipped": [1]})
    assert request.body.decode() == text and json.loads(request.body) == args
    assert (headers["content-type"], headers["x-team"], headers["user-agent"]) == ("application/json", "b: c", "shop")
    assert (headers["webhook-id"], headers["errand-kind"], headers["errand-attempt"]) == (f"job_{id}", SHIP, "1")
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 30
    assert headers["webhook-signature"].split(" ") == [mac(request, KEY), mac(request, OTHER_KEY)]


def test_content_type_of_its_own(jobs):
    """In place of errand's: a request with two has none that counts."""
    with Endpoint() as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint, "header = Content-Type: application/cloudevents+json"))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            db.wait_ended(db.enqueue(SHIP))
    [request] = endpoint.requests
    assert request.headers.get_all("content-type") == ["application/cloudevents+json"]


def test_package_takes_it(jobs):
    try:
        ask = signing_packages()
    except Missing as missing:
        pytest.skip(str(missing))
    with Endpoint() as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            db.wait_ended(db.enqueue(SHIP, {"text": "ä"}))
    [request] = endpoint.requests
    verify = {"do": "verify", "package": "standardwebhooks", "body": request.body.decode(), "headers": dict(request.headers)}
    assert ask({**verify, "secret": SECRET}, {**verify, "secret": OTHER_SECRET}) == [True, False]


# answer, state, attempts that were taken of 2, last error, class of the errors, result
JSON = {"content-type": "application/json; charset=utf-8"}
ANSWERS = {
    "ok_text": ((200, {"content-type": "text/plain"}, b"fine"), "done", 1, None, None, None),
    "ok_json": ((201, JSON, b"[1]"), "done", 1, None, None, [1]),
    "ok_no_json": ((200, JSON, b"{"), "done", 1, None, None, None),
    "ok_large": ((200, JSON, b" " * 2000 + b"1"), "done", 1, None, None, None),
    "nothing": ((204, {}, b""), "done", 1, None, None, None),
    "moved": ((302, {"location": "/other"}, b""), "dead", 2, "answer 302", "http.302", None),
    "not_found": ((404, {}, b"\n  no such order\nat all"), "dead", 2, "answer 404: no such order", "http.404", None),
    "error": ((500, {}, b"\xff\x00oops"), "dead", 2, "answer 500: \ufffd", "http.500", None),
    "large": ((500, {}, b"x" * 2000), "dead", 2, "the answer is larger than allowed", "http.too_large", None),
    "lost": (None, "dead", 2, None, "http.lost", None),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer(jobs, name):
    answer, state, attempts, error, error_class, result = ANSWERS[name]
    with Endpoint(lambda request: answer) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint, "max_response_bytes = 1000", "max_attempts = 2"))
        with runner_with(jobs) as (_, db, runner):
            wait_kind(db)
            db.sql(FAST)
            job = db.wait_ended(db.enqueue(SHIP))
            classes = db.sql("select distinct error_class from errand.attempt")
            assert state == "dead" or "level=error" not in runner.log()
    assert (job.state, job.attempt, job.result, len(endpoint.requests)) == (state, attempts, result, attempts)
    assert error is None or job.last_error == error
    assert [row[0] for row in classes] == ([error_class] if error_class else [])


def test_each_attempt_is_signed_anew(jobs):
    with Endpoint(lambda request: (500 if len(endpoint.requests) < 2 else 200, {}, b"")) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            db.sql(FAST.replace("10 milliseconds", "1100 milliseconds"))
            db.wait_ended(db.enqueue(SHIP))
    first, second = endpoint.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    assert [second.headers["errand-attempt"], second.headers["webhook-signature"]] == ["2", mac(second, KEY)]


def test_schedule_and_retry_after(jobs):
    """5 s, then 5 min, with a tenth of jitter; what the endpoint asks for counts more."""
    answers = [(500, {}, b""), (503, {"retry-after": "90"}, b"")]
    with Endpoint(lambda request: answers[len(endpoint.requests) - 1] if len(endpoint.requests) < 3 else answers[0]) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            waits = []
            id = db.enqueue(SHIP)
            for attempt in (1, 2, 3):
                db.wait("select attempt = %s and claimed_by is null from errand.job where id = %s", attempt, id)
                waits.append(float(db.one("select extract(epoch from run_at - clock_timestamp()) from errand.job where id = %s", id)))
                db.sql("update errand.job set run_at = clock_timestamp(), revision = revision + 1 where id = %s", id)
    assert 4 < waits[0] < 5.6 and 88 < waits[1] < 91 and 1795 < waits[2] < 1981, waits


def test_slow_down(jobs):
    """One answer of 429 holds up the whole queue."""
    at = []

    def answer(request):
        at.append(time.monotonic())
        return (429, {"retry-after": "2"}, b"") if len(at) == 1 else (200, {}, b"")

    with Endpoint(answer) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint, "queue = ships"))
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            db.enqueue(SHIP)
            until(lambda: at, "nothing was sent")
            db.wait("select exists (select from errand.attempt)")
            db.wait_ended(db.enqueue(SHIP))
            db.wait_empty()
    assert at[1] - at[0] > 1.8 and len(at) == 3


def test_gone(jobs):
    """410: the kind is paused, with a reason; the rest of its jobs wait until somebody resumes it."""
    gone = True
    with Endpoint(lambda request: (410, {}, b"closed") if gone else (200, {}, b"")) as endpoint:
        jobs.put("orders.ship.http", shipping(endpoint))
        with runner_with(jobs) as (errand, db, _runner):
            wait_kind(db)
            job = db.wait_ended(db.enqueue(SHIP))
            assert (job.state, job.attempt, job.last_error) == ("dead", 1, "answer 410: closed")
            later = db.enqueue(SHIP)
            db.wait("select errand.why(%s) like '%%410 Gone%%'", later)
            gone = False
            errand.run("kind", "resume", SHIP)
            assert db.wait_ended(later).state == "done"
    assert len(endpoint.requests) == 2


def test_only_public_addresses(jobs):
    with Endpoint() as endpoint:
        jobs.put("orders.ship.http", f"[kind]\nurl = https://127.0.0.1:{endpoint.port}/\nsecret = {SECRET}\nmax_attempts = 1\n")
        with runner_with(jobs) as (_, db, _runner):
            wait_kind(db)
            job = db.wait_ended(db.enqueue(SHIP))
    assert job.state == "dead" and "127.0.0.1 is loopback" in job.last_error
    assert endpoint.requests == []


HEAD = f"[kind]\nurl = https://example.com/\nsecret = {SECRET}\n"
REFUSED = {
    "no_url": (f"[kind]\nsecret = {SECRET}\n", "there is no url"),
    "plain": (HEAD + "url = http://example.com/\n", "the url is not https://"),
    "other": (HEAD + "allow_private = true\nurl = file:///etc/passwd\n", "the url is not https://"),
    "no_secret": ("[kind]\nurl = https://example.com/\n", "there is no secret to sign with"),
    "bad_secret": ("[kind]\nurl = https://example.com/\nsecret = hunter2\n", "secret, or secret_old: "),
    "both": (HEAD + "secret_file = /nowhere\n", "say one of the two"),
    "no_file": ("[kind]\nurl = https://example.com/\nsecret_file = /nowhere\n", "secret_file /nowhere cannot be read"),
    "header": (HEAD + "header = no colon\n", "header is 'no colon', not Name: value"),
    "our_header": (HEAD + "header = Webhook-Id: 1\n", "header Webhook-Id is errand's own to set"),
    "callback_header": (HEAD + "header = errand-callback-url: https://example.com/\n", "is errand's own to set"),
    "section": (HEAD + "[other]\n", None),
    "setting": (HEAD + "color = red\n", "'color' is no setting"),
    "number": (HEAD + "max_response_bytes = 0\n", "max_response_bytes"),
}


def test_refused(jobs):
    for name, (text, _) in REFUSED.items():
        jobs.put(f"case.{name}.http", text)
    with runner_with(jobs) as (errand, _, _runner):
        told = {one["name"]: one for one in json.loads(errand.run("plugins", "--json").stdout)}
    for name, (_, reason) in REFUSED.items():
        one = told[f"case.{name}.http"]
        assert (reason or "") in (one.get("reason") or "") and bool(one.get("reason")) == bool(reason), one
        assert "hunter2" not in str(one)


def test_errand_is_its_own_receiver(jobs):
    """What one errand sends another takes: Standard Webhooks on both sides."""
    port = free_port()
    with runner_with(jobs, ERRAND_HTTP_LISTEN=f"127.0.0.1:{port}", RESEND_WEBHOOK_SECRET=SECRET) as (_, db, _runner):
        jobs.put("mail.event.http", f"[kind]\nurl = http://127.0.0.1:{port}/webhooks/resend\nallow_private = true\n"
                                    f"secret = {SECRET}\nmax_attempts = 1\n")
        wait_kind(db, "mail.event")
        args = {"type": "email.sent", "data": {"email_id": "ä"}}
        assert (job := db.wait_ended(id := db.enqueue("mail.event", args))).state == "done", job
        event = db.row("select source, event_id, convert_from(body, 'UTF8')::jsonb from errand.webhook_event")
    assert tuple(event) == ("resend", f"job_{id}", args)
