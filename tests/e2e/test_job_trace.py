"""Trace context: what a job is enqueued with comes with its requests, its programs and the jobs that it makes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        errand.start().wait_ready()
        yield errand


@pytest.fixture
def server():
    """Keeps the traceparent headers that came; fails the first request of each path that says so."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            first = self.path not in seen
            seen.setdefault(self.path, []).append(self.headers.get_all("traceparent"))
            self.send_response(500 if first and "again" in self.path else 200)
            self.send_header("Content-Length", "0")
            self.send_header("Retry-After", "0")
            self.end_headers()

        def log_message(self, *_):
            pass
    seen = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.url = seen, f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def is_child(span, parent=TRACE):
    return span[:36] == parent[:36] and span[52:] == parent[52:] and span[36:52] != parent[36:52] and len(span) == 55


def test_requests_carry_a_span_of_each_attempt(db, errand, server):
    id = db.enqueue("probe.http", {"url": server.url + "/again"}, trace=TRACE)
    assert db.wait_ended(id).attempt == 2
    [[first], [second]] = server.seen["/again"]
    assert is_child(first) and is_child(second) and first != second


@pytest.mark.parametrize("kind", ["probe.http", "probe.stream"])
def test_requests_of_every_sort_carry_it(db, errand, server, kind):
    assert db.wait_ended(db.enqueue(kind, {"url": server.url + "/" + kind}, trace=TRACE)).state == "done"
    [[sent]] = server.seen["/" + kind]
    assert is_child(sent)


def test_programs_and_jobs_of_a_job(db, errand):
    argv = ["sh", "-c", 'printf %s "$TRACEPARENT"']
    child = db.wait_ended(db.enqueue("probe.child", {"argv": argv}, trace=TRACE))
    assert is_child(child.result["out"]) and child.trace == TRACE
    made = db.wait_ended(db.enqueue("probe.enqueue", {"new": {"kind": "probe.child", "args": {"argv": argv}}}, trace=TRACE))
    assert made.result["trace"] == TRACE and is_child(made.result["span"])
    grandchild = db.wait_ended(made.result["id"])
    assert grandchild.trace == made.result["span"]
    assert is_child(grandchild.result["out"], parent=made.result["span"])


def test_a_job_without_a_trace_has_none(db, errand, server):
    assert db.wait_ended(db.enqueue("probe.http", {"url": server.url + "/plain"})).state == "done"
    assert server.seen["/plain"] == [None]
    child = db.wait_ended(db.enqueue("probe.child", {"argv": ["sh", "-c", 'printf "<%s>" "$TRACEPARENT"']}))
    assert child.result["out"] == "<>"
    made = db.wait_ended(db.enqueue("probe.enqueue", {"new": {"kind": "not.served"}}))
    assert (made.result["trace"], made.result["span"]) == (None, None)
    assert db.one("select trace from errand.job where id = %s", made.result["id"]) is None


def test_log_lines_name_it(db):
    with Errand(db.dsn) as errand:
        runner = errand.start().wait_ready()
        db.wait_ended(db.enqueue("probe.run", {"log": ["traced"]}, trace=TRACE))
        assert is_child(runner.wait_log(r"event=traced .*trace=(\S+)")[1])
        db.wait_ended(db.enqueue("probe.run", {"log": ["plain"]}))
        assert "trace=" not in runner.wait_log(r"event=plain .*$")[0]


def test_it_is_shown(db, errand):
    id = db.enqueue("probe.run", trace=TRACE)
    db.wait_ended(id)
    assert TRACE in errand.run("jobs", "show", str(id)).stdout
    refused = errand.run("enqueue", "probe.run", "--trace", "no trace", check=False)
    assert refused.returncode != 0 and 'trace "no trace" is not a traceparent' in refused.stderr
