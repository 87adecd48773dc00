"""The development provider is what the mail tests are judged by, so it is judged itself: keys, limits, faults, ledger."""

import http.client
import http.server
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from email.utils import parsedate_to_datetime

import pytest

from support.hooks import SECRET, standard
from support.provider import ResendProvider
from support.wait import until


@pytest.fixture(scope="module")
def provider():
    with ResendProvider() as p:
        yield p


@pytest.fixture(autouse=True)
def quiet(provider):
    provider.control(faults=[], rate=0, keys=True, key_ttl=86400)


numbers = iter(range(1, 10000))


def fresh(name="user"):
    return f"{name}{next(numbers)}@example.com"


def mail(to=None, **fields):
    return {"from": "Errand <errand@example.com>", "to": to or fresh(), "subject": "Hello", "text": "Hi", **fields}


def send(provider, body, key=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return provider.request("POST", "/emails", body, {"Idempotency-Key": key, **headers})


def send_batch(provider, mails, key=None, mode=None):
    return provider.request("POST", "/emails/batch", mails, {"Idempotency-Key": key, "x-batch-validation": mode})


def name_of(answer):
    status, body, _ = answer
    assert body["statusCode"] == status
    return status, body["name"]


def test_accepted_mail_is_in_the_ledger(provider):
    to = fresh()
    before = time.time()
    status, body, _ = send(provider, mail(f"Someone <{to}>", html="<b>ä</b>", headers={"X-A": "1"},
                                          tags=[{"name": "message_id", "value": to[:-12]}]), key="ledger-1")
    assert status == 200
    [row] = provider.ledger(to=to)
    assert row["id"] == body["id"] and row["to"] == [to] and row["index"] == 0
    assert row["tags"] == {"message_id": to[:-12]} and row["headers"] == {"X-A": "1"}
    assert row["html_bytes"] == len("<b>ä</b>".encode()) and row["html"] == "<b>ä</b>"
    assert before <= row["received_at_us"] / 1e6 <= time.time()
    assert provider.ledger(tag_message_id=to[:-12]) == [row]
    [request] = [r for r in provider.requests() if r["no"] == row["request_no"]]
    assert request["status"] == 200 and request["key"] == "ledger-1" and request["path"] == "/emails"
    status, shown, _ = provider.request("GET", f"/emails/{body['id']}")
    assert status == 200 and shown["last_event"] == "delivered" and shown["created_at"].endswith("+00")
    assert to in urllib.request.urlopen(provider.url).read().decode()


def test_key_replays_the_first_answer(provider):
    body = mail()
    first = send(provider, body, key="replay")
    again = send(provider, body, key="replay")
    assert first[:2] == again[:2]
    assert len(provider.ledger(to=body["to"])) == 1
    assert name_of(send(provider, mail(), key="replay")) == (409, "invalid_idempotent_request")
    assert name_of(send(provider, body, key="x" * 257)) == (400, "invalid_idempotency_key")


def test_key_is_forgotten_in_the_end(provider):
    body = mail()
    send(provider, body, key="ttl")
    provider.control(key_ttl=0)
    send(provider, body, key="ttl")
    assert len(provider.ledger(to=body["to"])) == 2


def test_keys_ignored_gives_duplicates(provider):
    body = mail(tags=[{"name": "message_id", "value": "twice"}])
    provider.control(keys=False)
    for _ in range(2):
        assert send(provider, body, key="ignored")[0] == 200
    assert provider.summary()["duplicates"] == {"twice": 2}


def test_same_key_at_the_same_time(provider):
    body = mail()
    provider.control({"answer": "ok", "before_ms": 500})
    answers = []
    first = threading.Thread(target=lambda: answers.append(send(provider, body, key="both")))
    first.start()
    time.sleep(0.15)
    assert name_of(send(provider, body, key="both")) == (409, "concurrent_idempotent_requests")
    first.join()
    assert answers[0][0] == 200
    assert send(provider, body, key="both")[1] == answers[0][1]
    assert len(provider.ledger(to=body["to"])) == 1


def test_an_error_is_not_kept_under_the_key(provider):
    body = mail()
    provider.control({"answer": "error", "name": "service_unavailable"})
    assert name_of(send(provider, body, key="later")) == (503, "service_unavailable")
    assert send(provider, body, key="later")[0] == 200


def test_rate_limit(provider):
    provider.control(rate=3)
    answers = [send(provider, mail()) for _ in range(4)]
    assert [status for status, _, _ in answers] == [200, 200, 200, 429]
    assert [headers["ratelimit-remaining"] for _, _, headers in answers] == ["2", "1", "0", "0"]
    refused = answers[3]
    assert name_of(refused) == (429, "rate_limit_exceeded")
    assert refused[2]["ratelimit-limit"] == "3" and refused[2]["retry-after"] == "1"
    time.sleep(1.01)
    assert send(provider, mail())[0] == 200


def test_caller(provider):
    body = mail()
    assert name_of(send(provider, body, Authorization=None)) == (401, "missing_api_key")
    assert name_of(send(provider, body, Authorization="Bearer wrong")) == (403, "invalid_api_key")
    assert send(provider, body, User_Agent="")[0] == 403
    assert name_of(provider.request("GET", "/emails/none")) == (404, "not_found")
    assert name_of(provider.request("GET", "/emails")) == (405, "method_not_allowed")
    assert provider.ledger(to=body["to"]) == []


@pytest.mark.parametrize("fields, status, name", [
    ({"subject": None}, 422, "missing_required_field"),
    ({"to": []}, 422, "missing_required_field"),
    ({"text": None}, 422, "missing_required_field"),
    ({"from": "nobody"}, 422, "invalid_from_address"),
    ({"to": "a@b"}, 422, "invalid_parameter"),
    ({"to": "a b@example.com"}, 422, "invalid_parameter"),
    ({"to": ["a@example.com"] * 51}, 422, "invalid_parameter"),
    ({"reply_to": "x"}, 422, "invalid_parameter"),
    ({"subject": "a\nb"}, 422, "invalid_parameter"),
    ({"tags": [{"name": "a b", "value": "c"}]}, 422, "invalid_parameter"),
    ({"tags": [{"name": "a", "value": "x" * 257}]}, 422, "invalid_parameter"),
    ({"attachments": [{"filename": "x"}]}, 422, "invalid_attachment"),
    ({"to": "reject.me@example.com"}, 422, "invalid_parameter"),
])
def test_what_is_refused(provider, fields, status, name):
    assert name_of(send(provider, {**mail(), **fields})) == (status, name)


def test_body_that_is_not_json(provider):
    for body in (b"{", b"\xff\xfe", b"[" * 100000):
        assert name_of(send(provider, body)) == (400, "validation_error")


def test_body_over_the_limit(provider):
    connection = http.client.HTTPConnection("127.0.0.1", provider.port)
    connection.putrequest("POST", "/emails")
    connection.putheader("Content-Length", str((40 << 20) + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_expect_continue(provider):
    with socket.create_connection(("127.0.0.1", provider.port), timeout=5) as s:
        s.sendall(b"POST /emails HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 100 ")
        s.sendall(b"{}")
        assert s.recv(100).startswith(b"HTTP/1.1 403 ")


def test_connection_is_kept(provider):
    connection = http.client.HTTPConnection("127.0.0.1", provider.port)
    connection.connect()
    ours = connection.sock
    for _ in range(3):
        connection.request("GET", "/_ledger/summary")
        assert connection.getresponse().read()
        assert connection.sock is ours


def test_batch_strict_is_all_or_nothing(provider):
    good = [mail() for _ in range(3)]
    status, body, _ = send_batch(provider, good, key="batch-strict")
    assert status == 200 and len(body["data"]) == 3 and "errors" not in body
    assert [provider.ledger(to=m["to"])[0]["id"] for m in good] == [row["id"] for row in body["data"]]
    others = [mail(), mail("reject@example.com")]
    assert name_of(send_batch(provider, others)) == (422, "invalid_parameter")
    assert provider.ledger(to=others[0]["to"]) == []


def test_batch_permissive_leaves_failures_out(provider):
    mails = [mail("no address"), mail(), mail(fresh("reject")), mail(), mail(attachments=[{"content": "eA=="}])]
    status, body, _ = send_batch(provider, mails, key="batch-permissive", mode="permissive")
    assert status == 200
    assert [error["index"] for error in body["errors"]] == [0, 2, 4]
    assert all(error["message"] for error in body["errors"])
    rows = [provider.ledger(to=mails[i]["to"])[0] for i in (1, 3)]
    assert [row["id"] for row in rows] == [row["id"] for row in body["data"]]
    assert [row["index"] for row in rows] == [1, 3]
    assert send_batch(provider, mails, key="batch-permissive", mode="permissive")[1] == body
    assert len(provider.ledger(to=mails[1]["to"])) == 1


def test_batch_limits(provider):
    assert name_of(send_batch(provider, [mail()] * 101)) == (422, "invalid_parameter")
    assert name_of(send_batch(provider, {})) == (400, "validation_error")
    assert name_of(send_batch(provider, [])) == (400, "validation_error")


def test_fates_of_recipients(provider):
    flaky = mail(fresh("flaky"))
    assert name_of(send(provider, flaky, key="flaky")) == (500, "internal_server_error")
    assert send(provider, flaky, key="flaky")[0] == 200
    lost = mail(fresh("lost"))
    with pytest.raises((urllib.error.URLError, ConnectionError, http.client.HTTPException)):
        send(provider, lost, key="lost")
    assert send(provider, lost, key="lost")[0] == 200
    assert len(provider.ledger(to=flaky["to"])) == len(provider.ledger(to=lost["to"])) == 1


def test_fault_by_count_skip_and_path(provider):
    provider.control({"answer": "error", "name": "daily_quota_exceeded", "skip": 1, "count": 2},
                     {"answer": "error", "name": "resource_locked", "path": "/emails/batch"})
    assert [send(provider, mail())[0] for _ in range(4)] == [200, 429, 429, 200]
    assert name_of(send_batch(provider, [mail()])) == (409, "resource_locked")
    assert provider.control(rate=0)["faults"] == []


def test_fault_by_probability(provider):
    provider.control({"answer": "error", "count": 0, "probability": 0.5}, seed=7)
    failed = sum(send(provider, mail())[0] == 500 for _ in range(200))
    assert 60 < failed < 140


def test_unknown_fault_is_refused(provider):
    with pytest.raises(ValueError):
        provider.control({"answer": "explode"})
    with pytest.raises(ValueError):
        provider.control(speed=1)


def test_retry_after_in_both_forms(provider):
    error = {"answer": "error", "name": "rate_limit_exceeded", "retry_after": 7}
    provider.control(error, {**error, "retry_date": True})
    assert send(provider, mail())[2]["retry-after"] == "7"
    date = parsedate_to_datetime(send(provider, mail())[2]["retry-after"])
    assert 5 <= date.timestamp() - time.time() <= 8


def test_accepted_but_answered_with_an_error(provider):
    body = mail()
    provider.control({"answer": "error", "accept": True})
    assert name_of(send(provider, body, key="accept-500")) == (500, "internal_server_error")
    assert len(provider.ledger(to=body["to"])) == 1
    assert send(provider, body, key="accept-500")[1]["id"] == provider.ledger(to=body["to"])[0]["id"]


@pytest.mark.parametrize("answer, accepted", [("close", 1), ("close_early", 0)])
def test_connection_closed_without_an_answer(provider, answer, accepted):
    body = mail()
    provider.control({"answer": answer})
    with pytest.raises((urllib.error.URLError, ConnectionError, http.client.HTTPException)):
        send(provider, body)
    assert len(provider.ledger(to=body["to"])) == accepted
    assert send(provider, mail())[0] == 200


def test_waits(provider):
    provider.control({"answer": "ok", "before_ms": 100, "after_ms": 100})
    start = time.monotonic()
    assert send(provider, mail())[0] == 200
    assert time.monotonic() - start >= 0.2


def test_answers_that_are_wrong(provider):
    provider.control(*({"answer": kind} for kind in ("garbage", "shape", "ids", "cut")))
    with pytest.raises(ValueError):
        send(provider, mail())
    assert send(provider, mail())[1]["data"] == "none"
    assert len(send_batch(provider, [mail(), mail()])[1]["data"]) == 1
    with pytest.raises(http.client.IncompleteRead):
        send(provider, mail())


@pytest.mark.parametrize("chunked", [True, False])
def test_huge_answer(provider, chunked):
    size = (8 << 20) + 13
    provider.control({"answer": "huge", "bytes": size, "chunked": chunked})
    connection = http.client.HTTPConnection("127.0.0.1", provider.port)
    connection.request("POST", "/emails", b"{}", {"User-Agent": "x"})
    assert len(connection.getresponse().read()) == size


def test_slow_and_missing_answers(provider):
    provider.control({"answer": "drip", "every_ms": 50}, {"answer": "never"})
    connection = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=2)
    connection.connect()
    ours = connection.sock
    connection.request("POST", "/emails", b"{}", {"User-Agent": "x"})
    time.sleep(0.3)
    assert 1 <= len(ours.recv(1000)) < 20
    body = mail()
    with pytest.raises(TimeoutError):
        provider.request("POST", "/emails", body, timeout=0.3)
    assert len(provider.ledger(to=body["to"])) == 1
    connection.close()


def test_killed_provider_remembers():
    with ResendProvider() as p:
        body = mail(tags=[{"name": "message_id", "value": "m1"}])
        first = send(p, body, key="k")
        p.kill()
        with open(p.ledger_file, "ab") as f:
            f.write(b'{"what": "delive')
        p.start()
        assert send(p, body, key="k")[1] == first[1]
        send(p, mail(), key="k2")
        assert p.summary() == {"deliveries": 2, "unique": 1, "untagged": 1, "duplicates": {}, "requests": 3}
        assert [r["no"] for r in p.requests()] == [1, 2, 3]


def test_many_clients_at_once(provider):
    def client(number):
        connection = http.client.HTTPConnection("127.0.0.1", provider.port)
        headers = {"User-Agent": "x", "Authorization": f"Bearer {provider.API_KEY}"}
        for i in range(200):
            connection.request("POST", "/emails", b'{"from":"a@b.co","to":"many@b.co","subject":"s","text":"t"}',
                               {**headers, "Idempotency-Key": f"many-{number}-{i}"})
            connection.getresponse().read()
    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.ledger(to="many@b.co")) == 800


def test_events_of_a_mail_are_signed_and_sent_until_they_are_taken():
    """The first request is answered 500; the same event comes again, with another time at most."""
    seen = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, {name: self.headers[name] for name in ("svix-id", "svix-timestamp", "svix-signature")}, body))
            self.send_response(500 if len(seen) == 1 else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with ResendProvider("--webhook", f"http://127.0.0.1:{server.server_port}/hook?a", "--webhook-secret", SECRET) as own:
            to = fresh("bounced")
            _, answer, _ = send(own, mail(to=to, tags=[{"name": "message_id", "value": "7"}]))
            until(lambda: [event["status"] for event in own.events()] == [204, 204], "both are taken")
            assert sorted(event["attempts"] for event in own.events()) == [1, 2]
            assert {event["type"] for event in own.events()} == {"email.sent", "email.bounced"}
        server.shutdown()
        thread.join()
    assert len(seen) == 3 and len({headers["svix-id"] for _, headers, _ in seen}) == 2
    for path, headers, body in seen:
        assert path == "/hook" and headers == standard(body, headers["svix-id"], headers["svix-timestamp"])
        data = json.loads(body)["data"]
        assert (data["email_id"], data["to"], data["tags"]) == (answer["id"], [to], {"message_id": "7"})
