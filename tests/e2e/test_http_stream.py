"""Answers that a handler reads as they come: pieces of a body and server-sent events, from a server that takes its time."""

import threading

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.slow import SlowServer
from support.wait import QueueDatabase, until

EVENTS = ("content-type: text/event-stream",)
MB = 1 << 20


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture(scope="module")
def runner(db):
    with Errand(db.dsn) as errand:
        runner = errand.start()
        runner.wait_ready()
        yield runner
        assert runner.terminate() == 0


def run(db, **args):
    id = db.enqueue("probe.stream", args=args)
    db.wait("select exists (select from errand.history where id = %s)", id)
    return db.one("select result from errand.history where id = %s and outcome = 'done'", id)


def memory_kb(runner):
    with open(f"/proc/{runner.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_events_come_while_the_answer_goes_on(db, runner):
    """The second event is sent when the handler has told of the first."""
    def serve(exchange):
        exchange.head(*EVENTS)
        exchange.send(b": hello\r\n\r\nevent: delta\r\nid: 1\r\ndata: one-")
        exchange.send(b"event\r\n\r\n")
        until(lambda: "event: one-event" in runner.log(), runner.log)
        exchange.send(b"data: {\"a\":\ndata: 1}\nretry: 500\n\ndata: [DO")
        exchange.send(b"NE]\n\ndata: cut o")

    with SlowServer(events=serve) as server:
        assert run(db, url=server.url("events"), **{"as": "events"}) == {
            "status": 200, "type": "text/event-stream", "end": "ok", "error": "",
            "events": [["delta", "one-event", "1", -1], ["message", '{"a":\n1}', "1", 500], ["message", "[DONE]", "1", -1]]}


def test_status_and_head_come_first(db, runner):
    def serve(exchange):
        exchange.head("content-type: text/plain", "retry-after: 3", status="529 Overloaded")
        exchange.send(b"later")

    with SlowServer(busy=serve) as server:
        assert run(db, url=server.url("busy")) == {
            "status": 529, "type": "text/plain", "bytes": 5, "sum": sum(b"later"), "end": "ok", "error": ""}


def test_no_head(db, runner):
    with SlowServer(close=lambda exchange: None) as server:
        lost = run(db, url=server.url("close"))
        refused = server.url("x")
    assert (lost["status"], lost["end"]) == (0, "lost")
    assert run(db, url=refused)["end"] == "not sent"


def test_cut_off(db, runner):
    """What came is read; the end says that it was not all."""
    def serve(exchange):
        exchange.head("content-length: 100")
        exchange.send(b"half")

    with SlowServer(half=serve) as server:
        result = run(db, url=server.url("half"))
    assert (result["bytes"], result["end"]) == (4, "lost") and result["error"]


def test_chunks_and_trailers(db, runner):
    def serve(exchange):
        exchange.head("transfer-encoding: chunked", "trailer: x-sum")
        exchange.send(b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")

    with SlowServer(chunks=serve) as server:
        assert run(db, url=server.url("chunks"))["end"] == "ok"
        # Read whole, it is whole, too.
        id = db.enqueue("probe.http", args={"url": server.url("chunks")})
        db.wait("select outcome = 'done' from errand.history where id = %s union all select false limit 1", id)


@pytest.mark.parametrize("limits, error", [({"idle_ms": 300}, "nothing came for 300 ms"), ({"timeout_ms": 400}, "")])
def test_too_slow(db, runner, limits, error):
    """It goes silent behind its first event, and the exchange is ended."""
    def serve(exchange):
        exchange.head(*EVENTS)
        exchange.send(b"data: a\n\n")
        exchange.wait_gone()

    with SlowServer(silent=serve) as server:
        result = run(db, url=server.url("silent"), **{"as": "events"}, **limits)
        until(lambda: server.gone == ["silent"], "the connection stays")
    assert (result["end"], len(result["events"])) == ("timeout", 1)
    assert error in result["error"]


def test_no_head_in_time(db, runner):
    with SlowServer(silent=lambda exchange: exchange.wait_gone()) as server:
        result = run(db, url=server.url("silent"), idle_ms=300)
    assert (result["end"], result["error"]) == ("timeout", "nothing came for 300 ms")


def test_comments_keep_it_alive(db, runner):
    """One that says something now and then may take longer than the longest silence."""
    def serve(exchange):
        exchange.head(*EVENTS)
        for _ in range(8):
            exchange.send(b": ping\n\n")
            threading.Event().wait(0.1)
        exchange.send(b"data: a\n\n")

    with SlowServer(slow=serve) as server:
        result = run(db, url=server.url("slow"), idle_ms=600, **{"as": "events"})
    assert (result["end"], len(result["events"])) == ("ok", 1)


def test_too_large(db, runner):
    def serve(exchange):
        exchange.head(*EVENTS)
        exchange.send(b"data: a\n\ndata: " + b"x" * MB + b"\n\n")

    with SlowServer(large=serve) as server:
        result = run(db, url=server.url("large"), **{"as": "events"})
        assert (result["end"], len(result["events"])) == ("too large", 1)
        result = run(db, url=server.url("large"), max_bytes=100000)
        assert result["end"] == "too large" and result["bytes"] <= 100000


def test_handler_that_does_not_read_holds_the_server_back(db, runner):
    """The server gets rid of no more than buffers hold while the handler naps, and of everything in the end."""
    total, sent, nap_over = 64 * MB, 0, threading.Event()

    def serve(exchange):
        nonlocal sent
        exchange.head(f"content-length: {total}")
        while sent < total:
            exchange.send(b"x" * MB)
            sent += MB

    with SlowServer(body=serve) as server:
        id = db.enqueue("probe.stream", args={"url": server.url("body"), "nap_ms": 1500})
        until(lambda: "first piece" in runner.log(), runner.log)
        nap_over.wait(1)
        held = sent
        db.wait("select exists (select from errand.history where id = %s)", id, timeout=60)
        result = db.one("select result from errand.history where id = %s", id)
    assert held < total / 2, "nothing held the server back"
    assert (result["end"], result["bytes"], result["sum"]) == ("ok", total, total * ord("x"))


def test_memory_stays_bounded():
    """1 GB goes through (a tenth of it under the sanitizer)."""
    blocks = 100 if b"__asan_init" in binary().read_bytes() else 1000

    def serve(exchange):
        exchange.head(f"content-length: {blocks * MB}")
        for _ in range(blocks):
            exchange.send(bytes(MB))

    with SlowServer(body=serve) as server, QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn) as errand:
        runner = errand.start()
        runner.wait_ready()
        before = memory_kb(runner)
        id = db.enqueue("probe.stream", args={"url": server.url("body")})
        db.wait("select exists (select from errand.history where id = %s)", id, timeout=60)
        grown = memory_kb(runner) - before
        assert db.one("select result->>'bytes' from errand.history where id = %s", id) == str(blocks * MB)
        assert grown < 20 * 1024, f"{grown} kB"


def test_several_at_once(db, runner):
    """Another one is open meanwhile, and closed in the middle; both bring something at the same time."""
    def endless(exchange):
        exchange.head()
        while True:
            exchange.send(b"x" * 1000)

    def some(exchange):
        exchange.head("content-length: 3000")
        for _ in range(3):
            exchange.send(b"y" * 1000)

    with SlowServer(endless=endless, some=some) as server:
        for _ in range(10):
            assert run(db, url=server.url("some"), beside=server.url("endless"))["end"] == "ok"
        until(lambda: server.gone == ["endless"] * 10, lambda: server.gone)


def test_cancel_ends_it(db, runner):
    def serve(exchange):
        exchange.head(*EVENTS)
        exchange.send(b"data: to be cancelled\n\n")
        exchange.wait_gone()

    with SlowServer(silent=serve) as server:
        id = db.enqueue("probe.stream", args={"url": server.url("silent"), "as": "events"})
        until(lambda: "event: to be cancelled" in runner.log(), runner.log)
        db.sql("select errand.cancel(%s)", id)
        until(lambda: server.gone == ["silent"], "the connection stays")
        db.wait("select exists (select from errand.history where id = %s)", id)
