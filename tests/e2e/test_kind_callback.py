"""Endpoints that say 202 and answer later, by a callback: their jobs wait without a slot, and end as the callback says."""

import json
import time

import pytest

from kind_support import JobsDirectory, runner_with
from support.cluster import free_port
from support.endpoint import Endpoint
from support.hooks import KEY, SECRET, Sender, signing_packages, standard
from support.npm import Missing
from support.wait import until

SHIP = "orders.ship"


class Ship:
    """The kind, its endpoint, a database and a runner, all started."""

    def __init__(self, answer=lambda request: (202, {}, b""), **settings):
        self.answer, self.settings, self.port = answer, {"callback_timeout_ms": 60000, **settings}, free_port()
        self.sender = Sender(self.port)

    def __enter__(self):
        self.jobs, self.endpoint = JobsDirectory(), Endpoint(self.answer)
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        self.jobs.put("orders.ship.http", "\n".join(["[kind]", f"url = {self.endpoint.url}", "allow_private = true",
                                                     f"secret = {SECRET}", *lines]) + "\n")
        self.context = runner_with(self.jobs, ERRAND_HTTP_LISTEN=f"127.0.0.1:{self.port}",
                                   ERRAND_HTTP_PUBLIC_URL=f"http://127.0.0.1:{self.port}", ERRAND_CONCURRENCY="1")
        self.errand, self.db, self.runner = self.context.__enter__()
        self.db.wait("select exists (select from errand.kind where name = %s)", SHIP)
        self.db.sql(f"select errand.kind_retry_set('{SHIP}', 'fixed', delays => '{{10 milliseconds}}')")
        return self

    def __exit__(self, *problem):
        self.context.__exit__(*problem)
        self.endpoint.__exit__()
        self.jobs.close()

    @property
    def requests(self):
        return self.endpoint.requests

    def wait_sent(self, id, count=1):
        """Waits until the job waits for its callback to that request; returns the callback's path."""
        until(lambda: len(self.sent(id)) == count, lambda: self.requests)
        self.db.wait("select exists (select from errand.signals where id = %s and name = %s)", id, f"callback.{count}")
        self.db.wait("select claimed_by is null from errand.job where id = %s", id)
        return self.sent(id)[-1].headers["errand-callback-url"].removeprefix(f"http://127.0.0.1:{self.port}")

    def sent(self, id):
        return [request for request in self.requests if request.headers["webhook-id"] == f"job_{id}"]

    def call(self, path, body, key=KEY, **named):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.sender.request(path, body, standard(body, "done_1", key=key, prefix="webhook", **named))


def test_what_a_callback_says():
    """Three jobs wait at once in a runner that has one slot."""
    with Ship() as ship:
        ids = [ship.db.enqueue(SHIP, {"order": n}) for n in range(3)]
        done, failed, retry = [ship.wait_sent(id) for id in ids]
        assert "callback.1" in ship.db.one("select errand.why(%s)", ids[0])
        assert done.startswith(f"/callbacks/{SHIP}/{ids[0]}.1.")
        assert ship.call(done, {"status": "done", "result": {"parcel": [1]}}).status == 200
        assert ship.call(failed, {"status": "failed", "error": "no such order"}).status == 200
        assert ship.call(retry, {"status": "retry"}).status == 200
        job = ship.db.wait_ended(ids[0])
        assert (job.state, job.attempt, job.result) == ("done", 1, {"parcel": [1]})
        job = ship.db.wait_ended(ids[1])
        assert (job.state, job.last_error) == ("dead", "callback: no such order")
        again = ship.wait_sent(ids[2], 2)
        assert again != retry and ship.call(again, {"status": "done"}).status == 200
        job = ship.db.wait_ended(ids[2])
        assert (job.state, job.attempt) == ("done", 2)
        assert [len(ship.sent(id)) for id in ids] == [1, 1, 2]


def test_package_signs_it():
    try:
        ask = signing_packages()
    except Missing as missing:
        pytest.skip(str(missing))
    with Ship() as ship:
        id, body, now = ship.db.enqueue(SHIP), '{"status": "done", "result": "ä"}', int(time.time())
        path = ship.wait_sent(id)
        [signature] = ask({"do": "sign", "package": "standardwebhooks", "secret": SECRET, "id": "parcel_12", "at": now, "body": body})
        headers = {"webhook-id": "parcel_12", "webhook-timestamp": str(now), "webhook-signature": signature}
        assert ship.sender.request(path, body.encode(), headers).status == 200
        assert ship.db.wait_ended(id).result == "ä"


def test_other_answers_end_it_at_once():
    answers = [(500, {}, b""), (200, {"content-type": "application/json"}, b"[1]")]
    with Ship(lambda request: answers.pop(0)) as ship:
        job = ship.db.wait_ended(ship.db.enqueue(SHIP))
        assert (job.state, job.attempt, job.result) == ("done", 2, [1])


def test_no_callback():
    """Its time is up: the job is sent again, and the callback to the first request comes too late."""
    with Ship(callback_timeout_ms=1000) as ship:
        id = ship.db.enqueue(SHIP)
        first = ship.wait_sent(id)
        until(lambda: len(ship.sent(id)) == 2, "it was not sent again", timeout=10)
        assert ship.db.one("select error from errand.attempt where id = %s and attempt = 1", id) == "no callback within 1000 ms"
        second = ship.sent(id)[1].headers["errand-callback-url"].removeprefix(f"http://127.0.0.1:{ship.port}")
        late = ship.call(first, {"status": "done"})
        assert (late.status, late.text) == (410, "the job no longer waits for this\n")
        assert ship.call(second, {"status": "done"}).status == 200
        assert ship.db.wait_ended(id).state == "done"
        assert ship.call(second, {"status": "done"}).status == 410


def test_a_callback_that_comes_twice_or_early():
    """Before the answer to the request itself, and once more."""
    with Ship() as ship:
        told = []

        def answer(request):
            path = request.headers["errand-callback-url"].removeprefix(f"http://127.0.0.1:{ship.port}")
            told.extend(ship.call(path, {"status": "done", "result": n}).status for n in (1, 2))
            return (202, {}, b"")

        ship.endpoint.answer = answer
        job = ship.db.wait_ended(ship.db.enqueue(SHIP))
        assert (job.state, job.result, told, len(ship.requests)) == ("done", 1, [200, 200], 1)


def test_refused():
    with Ship() as ship:
        id, other = ship.db.enqueue(SHIP), ship.db.enqueue(SHIP)
        path, others = ship.wait_sent(id), ship.wait_sent(other)
        head, mac = path.rsplit(".", 1)
        good = {"status": "done"}
        nobody = [path + "x", path[:-1], f"{head}.{others.rsplit('.', 1)[1]}", f"/callbacks/{SHIP}/{id}.2.{mac}",
                  f"/callbacks/{SHIP}/0{id}.1.{mac}", f"/callbacks/probe.run/{id}.1.{mac}", "/callbacks/", f"/callbacks/{SHIP}/"]
        assert [ship.call(each, good).status for each in nobody] == [404] * len(nobody)
        assert ship.call(path, good, key=bytes(24)).status == 401
        assert ship.call(path, good, at=1).status == 401
        assert ship.sender.request(path, b'{"status": "done"}').status == 401
        for body in (b"", b"{", b"[]", b"{}", b'{"status": "ok"}', b'{"status": "done", "error": 1}', b'{"status": "done"}\0'):
            assert ship.call(path, body).status == 400, body
        assert ship.sender.request(path, method="GET").status == 405
        assert ship.db.sql("select id from errand.history") == []
        assert ship.call(path, good).status == ship.call(others, good).status == 200
        ship.db.wait_empty()


@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_runner_ends_meanwhile(end):
    """Another one takes the callback: the job's state is all in the database. Nothing is sent twice."""
    with Ship() as ship:
        id = ship.db.enqueue(SHIP)
        path = ship.wait_sent(id)
        getattr(ship.runner, end)()
        ship.errand.start(env={"ERRAND_HTTP_LISTEN": f"127.0.0.1:{ship.port}"}).wait_ready()
        until(lambda: ship.call(path, {"status": "done"}).status == 200, "the callback is not taken")
        assert ship.db.wait_ended(id, timeout=30).state == "done"
        assert len(ship.requests) == 1


def test_no_public_url():
    with Ship(max_attempts=1) as ship:
        assert ship.runner.terminate() == 0
        ship.errand.env.pop("ERRAND_HTTP_PUBLIC_URL")
        ship.errand.start().wait_ready()
        job = ship.db.wait_ended(ship.db.enqueue(SHIP))
        assert (job.state, job.last_error) == ("dead", "callback_timeout_ms is set, but errand's http_public_url is not")
        assert ship.requests == []
