"""The HTTP server of `errand run`, spoken to byte by byte: health, limits, what must not be let pass, and its end."""

import contextlib
import os
import random
import signal
import socket
import threading
import time

import pytest

from support.cluster import Cluster, free_port
from support.errand import LIBC, PR_SET_PDEATHSIG, Errand, binary
from support.hooks import KEY, SECRET, standard
from support.wait import QueueDatabase, until

MIB = 1024 * 1024
GET = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(vector=False, fsync=False) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def db(cluster):
    with QueueDatabase(cluster) as db:
        yield db


class Server:
    def __init__(self, runner, address):
        self.runner, self.address = runner, address

    def connect(self):
        peer = socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET)
        peer.settimeout(20)
        peer.connect(self.address)
        return contextlib.closing(peer)

    def talk(self, *parts, pause=0.05):
        """Everything that the server says to these bytes, until it closes."""
        with self.connect() as peer:
            for n, part in enumerate(parts):
                if n:
                    time.sleep(pause)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    peer.sendall(part if isinstance(part, bytes) else part.encode("latin-1"))
            return read_all(peer)

    def status(self, *parts, **options):
        return status_of(self.talk(*parts, **options))

    def get(self, path):
        return self.talk(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")


def read_all(peer):
    got = b""
    while True:
        piece = peer.recv(65536)
        if not piece:
            return got.decode()
        got += piece


def status_of(answer):
    assert answer.startswith("HTTP/1.1 ") or not answer, answer
    return int(answer.split()[1]) if answer else None


@contextlib.contextmanager
def serving(dsn, unix=False, **env):
    with Errand(dsn, **env) as errand:
        address = f"{errand.dir}/http" if unix else ("127.0.0.1", free_port())
        place = address if unix else f"{address[0]}:{address[1]}"
        yield Server(errand.start("--http-listen", place).wait_ready(), address)


@pytest.fixture(scope="module")
def server(db):
    with serving(db.dsn) as server:
        yield server


def test_health_and_routes(server):
    for path in ("/livez", "/readyz", "/livez?x=1"):
        answer = server.get(path)
        assert status_of(answer) == 200 and answer.endswith("\r\n\r\nok\n") and "Connection: close" in answer
    assert status_of(server.get("/")) == 404
    assert status_of(server.get("/livez/")) == 404
    answer = server.talk("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
    assert status_of(answer) == 405 and "\r\nAllow: GET, HEAD\r\n" in answer
    answer = server.talk("HEAD /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status_of(answer) == 200 and answer.endswith("\r\n\r\n")
    assert server.status("GET /livez HTTP/1.0\r\n\r\n") == 200


def test_a_head_in_pieces(server):
    assert server.status(*GET, pause=0.002) == 200


def test_nothing_is_read_behind_a_request(server):
    assert server.talk(GET + GET).count("HTTP/1.1 ") == 1


def test_who_says_no_more_is_answered(server):
    """Many at once, and each has said all that it will before it is answered."""
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(20)]
        for peer in peers:
            peer.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
            peer.shutdown(socket.SHUT_WR)
        assert [status_of(read_all(peer)) for peer in peers] == [200] * 20


POST = "POST /x HTTP/1.1\r\nHost: a\r\n"
REFUSED = {
    "length and encoding": POST + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "encoding and length": POST + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": POST + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "twice the same length": POST + "Content-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "a list of lengths": POST + "Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": POST + "Content-Length: +3\r\n\r\nabc",
    "a hexadecimal length": POST + "Content-Length: 0x3\r\n\r\nabc",
    "no length": POST + "Content-Length:\r\n\r\n",
    "a length out of range": POST + "Content-Length: 18446744073709551619\r\n\r\nabc",
    "an unknown encoding": POST + "Transfer-Encoding: gzip\r\n\r\n",
    "two encodings": POST + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an encoding with a tail": POST + "Transfer-Encoding: chunked;x\r\n\r\n0\r\n\r\n",
    "an encoding with a vertical tab": POST + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
    "an encoding in HTTP/1.0": "POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": "GET /livez HTTP/1.1\nHost: a\n\n",
    "bare LF in one line": "GET /livez HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "bare LF at the end": "GET /livez HTTP/1.1\r\nHost: a\r\n\n",
    "bare CR": "GET /livez HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "a blank before the colon": POST + "Content-Length : 3\r\n\r\nabc",
    "a folded line": POST + "X: y\r\n Content-Length: 3\r\n\r\nabc",
    "a line that begins with a blank": "GET /livez HTTP/1.1\r\n Host: a\r\n\r\n",
    "a field without a colon": POST + "Content-Length\r\n\r\n",
    "a NUL": "GET /livez HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
    "a NUL in the path": "GET /livez%00x HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": "GET /livez HTTP/1.1\r\n\r\n",
    "two hosts": "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "an empty line first": "\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": "GET /livez\r\n\r\n",
    "a tab in the request line": "GET\t/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "two blanks": "GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "a whole address": "GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_smuggle_a_request_is_refused(server, name):
    assert server.status(REFUSED[name]) == 400


def test_versions(server):
    """Others than those of HTTP/1."""
    assert server.status("GET /livez HTTP/2.0\r\nHost: a\r\n\r\n") == 505
    assert server.status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 505


def chunked(*sizes):
    yield POST + "Transfer-Encoding: chunked\r\n\r\n"
    for size in sizes:
        yield f"{size:x}\r\n" + "x" * size + "\r\n"
    yield "0\r\n\r\n"


def test_sizes(server):
    assert server.status(POST + f"Content-Length: {MIB}\r\n\r\n" + "x" * MIB) == 404
    assert server.status(POST + f"Content-Length: {MIB + 1}\r\n\r\n" + "x" * (MIB + 1)) == 413
    assert server.status(*chunked(MIB // 2, MIB // 2), pause=0) == 404
    assert server.status(*chunked(MIB // 2, MIB // 2, 1), pause=0) == 413
    room = 16384 - len("GET /livez HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n")
    assert server.status(f"GET /livez HTTP/1.1\r\nHost: a\r\nX: {'x' * room}\r\n\r\n") == 200
    assert server.status(f"GET /livez HTTP/1.1\r\nHost: a\r\nX: {'x' * (room + 1)}\r\n\r\n") == 431
    assert server.status(f"GET /{'x' * 20000} HTTP/1.1\r\nHost: a\r\n\r\n") == 431
    assert server.status("GET /livez HTTP/1.1\r\nHost: a\r\n" + "a: b\r\n" * 101 + "\r\n") == 431


def test_a_head_as_large_as_it_may_be(server):
    """With as many fields, and a body behind it."""
    head = POST + f"Content-Length: {MIB}\r\n" + "".join(f"x{n:02}: \r\n" for n in range(97))
    room = 16384 - len(head) - len("X: \r\n\r\n")
    assert server.status(head + f"X: {'x' * room}\r\n\r\n" + "y" * MIB) == 404
    assert server.status(head + f"X: {'x' * (room + 1)}\r\n\r\n" + "y" * MIB) == 431


def test_a_body_in_many_pieces_over_a_unix_socket(db):
    """There each piece takes as much room as a large one, until it is read."""
    with serving(db.dsn, unix=True, ERRAND_HTTP_DEADLINE_MS="5000") as server:
        assert server.status(POST + "Content-Length: 2000\r\n\r\n", *"x" * 2000, pause=0) == 404


CHUNKED = POST + "Transfer-Encoding: chunked\r\n\r\n"
BAD_CHUNKS = {
    "bare LF behind the size": "3\nabc\r\n0\r\n\r\n",
    "bare LF behind the data": "3\r\nabc\n0\r\n\r\n",
    "bare LF behind the last chunk": "3\r\nabc\r\n0\n\r\n",
    "bare LF at the end": "3\r\nabc\r\n0\r\n\n",
    "bare LF in a trailer": "3\r\nabc\r\n0\r\nX: y\n\r\n",
    "bare LF in an extension": "3;a\nb\r\nabc\r\n0\r\n\r\n",
    "bare CR": "3\rabc\r0\r\r\n",
    "no end of the data": "3\r\nabcd\r\n0\r\n\r\n",
    "no size": "\r\nabc\r\n0\r\n\r\n",
    "a prefix": "0x3\r\nabc\r\n0\r\n\r\n",
    "a sign": "+3\r\nabc\r\n0\r\n\r\n",
    "a blank": "3 \r\nabc\r\n0\r\n\r\n",
    "a size out of range": "100000003\r\nabc\r\n0\r\n\r\n",
    "a trailer without a colon": "3\r\nabc\r\n0\r\nX\r\n\r\n",
    "an endless extension": "3;" + "a" * 5000,
    "behind much": "6000\r\n" + "x" * 0x6000 + "\r\n3\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_chunks_that_could_be_understood_otherwise(server, name):
    assert server.status(CHUNKED + BAD_CHUNKS[name]) == 400
    assert server.status(CHUNKED, *BAD_CHUNKS[name].partition("\n"), pause=0.02) == 400


@pytest.mark.parametrize("body", ["3\r\nabc\r\n0\r\n\r\n", "3;a=b\r\na\nc\r\n1\r\n\n\r\n000\r\n\r\n", "03\r\n\r\n\r\r\n0\r\nX: y\r\nZ:\r\n\r\n",
                                  "0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n"])
def test_chunks_in_pieces(server, body):
    assert server.status(CHUNKED + body) == 404
    assert server.status(CHUNKED, *body, pause=0.002) == 404


def test_expect_continue(server):
    with server.connect() as peer:
        peer.sendall((POST + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n").encode())
        assert peer.recv(100).startswith(b"HTTP/1.1 100 ")
        peer.sendall(b"hi")
        assert status_of(read_all(peer)) == 404


def drip(peer, data, stop):
    with contextlib.suppress(OSError):
        for byte in data:
            if stop.wait(0.1):
                return
            peer.sendall(bytes([byte]))


@pytest.mark.parametrize("head, rest, status", [
    ("", "GET /livez HTTP/1.1\r\nX: " + "x" * 500, 408),
    (POST + "Content-Length: 500\r\n\r\n", "x" * 500, 408),
    (POST + "Content-Length: 50000\r\n\r\n", "x" * 500, None),
], ids=["head", "small body", "large body"])
def test_slow_clients_are_cut_off(db, head, rest, status):
    with serving(db.dsn, ERRAND_HTTP_DEADLINE_MS="1000") as server, server.connect() as peer:
        began, stop = time.monotonic(), threading.Event()
        peer.sendall(head.encode())
        thread = threading.Thread(target=drip, args=(peer, rest.encode(), stop))
        thread.start()
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := peer.recv(1000):
                got += piece
        took = time.monotonic() - began
        stop.set()
        thread.join()
        assert status_of(got.decode()) == status
        assert 0.9 < took < 3
        assert status_of(server.get("/livez")) == 200


def test_connections_of_one_address(db):
    with serving(db.dsn, ERRAND_HTTP_CONNECTIONS_PER_ADDRESS="200") as server, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(server.connect()) for _ in range(200)]
        assert server.status("") == 503
        for peer in peers:
            peer.sendall(GET.encode())
        assert [status_of(read_all(peer)) for peer in peers] == [200] * 200
        until(lambda: status_of(server.get("/livez")) == 200, "the connections are not given back")


def forwarded(server, client, peers=None):
    head = f"GET /livez HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\n"
    if peers is None:
        return server.status(head + "\r\n")
    peer = peers.enter_context(server.connect())
    peer.sendall((POST + f"X-Forwarded-For: {client}\r\nContent-Length: 1\r\n\r\n").encode())
    return peer


def test_connections_of_a_client_behind_a_proxy(db):
    """Those of the client count, not those of the proxy; and what others say of themselves does not."""
    with serving(db.dsn, ERRAND_HTTP_CONNECTIONS_PER_ADDRESS="3", ERRAND_HTTP_TRUSTED_PROXIES="127.0.0.1/32") as server:
        with contextlib.ExitStack() as stack:
            for n in range(3):
                forwarded(server, "1.1.1.1, 192.0.2.1", peers=stack)
            until(lambda: forwarded(server, "192.0.2.1") == 503, "its connections do not count")
            assert forwarded(server, "192.0.2.1, 192.0.2.2") == 200
            for n in range(10):
                forwarded(server, f"192.0.3.{n}", peers=stack)
            assert forwarded(server, "1.1.1.1") == 200
        until(lambda: forwarded(server, "192.0.2.1") == 200, "the connections are not given back")
    with serving(db.dsn, ERRAND_HTTP_CONNECTIONS_PER_ADDRESS="3") as server, contextlib.ExitStack() as stack:
        for n in range(3):
            forwarded(server, f"192.0.2.{n}", peers=stack)
        with server.connect() as peer:
            assert peer.recv(100).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("name, value", [("ERRAND_HTTP_TRUSTED_PROXIES", "10.0.0.0/33"), ("ERRAND_HTTP_PROXY_HEADER", "X-Real-IP")])
def test_proxies_that_cannot_be(db, name, value):
    with Errand(db.dsn, **{name: value}) as errand:
        done = errand.run("run", "--http-listen", f"127.0.0.1:{free_port()}", check=False)
        assert done.returncode == 1 and name.replace("ERRAND_", "errand.").lower() in done.stderr and value in done.stderr


def test_who_sends_no_head_makes_room(db):
    """When all connections are taken, the one that has waited longest without a head or a small body goes; one whose large body is
    under way stays."""
    with serving(db.dsn, ERRAND_HTTP_CONNECTIONS="20") as server, contextlib.ExitStack() as stack:
        busy, late = [stack.enter_context(server.connect()) for _ in range(2)]
        busy.sendall((POST + "Content-Length: 50000\r\n\r\na").encode())
        late.sendall((POST + "Content-Length: 2\r\n\r\na").encode())
        until(lambda: status_of(server.get("/livez")) == 200, "no answer")
        silent = [stack.enter_context(server.connect()) for _ in range(18)]
        assert status_of(server.get("/livez")) == 200
        with pytest.raises(ConnectionResetError):
            late.recv(100)
        assert status_of(server.get("/readyz")) == 200
        assert status_of(server.get("/readyz")) == 200
        silent[0].settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent[0].recv(100)
        busy.sendall(b"b" * 49999)
        assert status_of(read_all(busy)) == 404


# ---- What is refused at sight ----

HOOK = "POST /webhooks/resend HTTP/1.1\r\nHost: a\r\n"
GATE = 2 * 16384


@pytest.fixture(scope="module")
def hooks(db):
    db.sql("select errand.queue_create('unserved', 1)")
    with serving(db.dsn, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_QUEUES="unserved") as server:
        yield server


def hook(body="{}", key=b"wrong", head=HOOK, **signed):
    fields = "".join(f"{name}: {value}\r\n" for name, value in standard(body.encode(), key=key, **signed).items())
    return f"{head}{fields}Content-Length: {len(body)}\r\n\r\n{body}"


def answers(text):
    """The statuses of all answers, and whether the last one closes."""
    statuses, closes = [], False
    while text:
        head, _, rest = text.partition("\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        statuses.append(status_of(head))
        closes = fields.get("Connection") == "close"
        text = rest[int(fields["Content-Length"]):]
    return statuses, closes


def heard(peer, count):
    """What is said up to the end of that many answers."""
    got = b""
    while True:
        with contextlib.suppress(KeyError, AssertionError):
            if len(answers(got.decode())[0]) == count and got.endswith(b"\n"):
                return answers(got.decode())
        piece = peer.recv(65536)
        assert piece, got
        got += piece


def refused(peer):
    peer.sendall(hook().encode())
    assert heard(peer, 1) == ([401], False)


def test_who_is_refused_may_go_on(hooks, db):
    with hooks.connect() as peer:
        for _ in range(3):
            refused(peer)
        for byte in hook().encode():
            peer.sendall(bytes([byte]))
        assert heard(peer, 1) == ([401], False)
        peer.sendall(hook(key=KEY, id="after").encode())
        assert answers(read_all(peer)) == ([200], True)
    assert db.one("select count(*) from errand.webhook_event where event_id = 'after'") == 1


@pytest.mark.parametrize("behind", ["x", "\r\n", GET, hook(), hook(key=KEY, id="behind")], ids=["byte", "line", "GET", "refused", "right"])
def test_nothing_is_read_behind_what_was_refused(hooks, db, behind):
    assert answers(hooks.talk(hook() + behind)) == ([401], True)
    assert db.one("select count(*) from errand.webhook_event where event_id = 'behind'") == 0


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_smuggled_after_what_was_refused(hooks, name):
    with hooks.connect() as peer:
        refused(peer)
        peer.sendall(REFUSED[name] if isinstance(REFUSED[name], bytes) else REFUSED[name].encode("latin-1"))
        assert answers(read_all(peer)) == ([400], True)


CLOSES = {
    "Connection: close": hook(head=HOOK + "Connection: close\r\n"),
    "HTTP/1.0": hook(head=HOOK.replace("1.1", "1.0")),
    "a body that is not small": hook("x" * GATE),
    "chunked": hook(head=HOOK + "Transfer-Encoding: chunked\r\n").replace("Content-Length: 2\r\n\r\n{}", "\r\n2\r\n{}\r\n0\r\n\r\n"),
    "a path in other letters": hook(head=HOOK.replace("resend", "%72esend")),
}


@pytest.mark.parametrize("name", CLOSES)
def test_what_closes(hooks, name):
    assert answers(hooks.talk(CLOSES[name] + GET)) == ([401], True)


def test_the_largest_at_sight(hooks):
    for body in range(GATE - 300, GATE):
        text = hook("x" * body)
        if len(text) >= GATE:
            break
    assert len(text) == GATE
    with hooks.connect() as peer:
        peer.sendall(text.encode())
        assert heard(peer, 1) == ([401], False)
        peer.sendall(text[:-1].encode())
        time.sleep(0.05)
        peer.sendall(text[-1].encode())
        assert heard(peer, 1) == ([401], False)
        peer.sendall(hook("x" * (body + 1)).encode())
        assert answers(read_all(peer)) == ([401], True)


def test_a_sender_that_says_no_more(hooks):
    """But waits for the answer to what it has said."""
    for pause in (0, 0.05):
        with hooks.connect() as peer:
            peer.sendall(hook().encode())
            time.sleep(pause)
            peer.shutdown(socket.SHUT_WR)
            assert answers(read_all(peer))[0] == [401]


def test_behind_a_proxy_each_has_its_connection(db):
    with serving(db.dsn, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_HTTP_TRUSTED_PROXIES="127.0.0.1") as server:
        assert answers(server.talk(hook(head=HOOK + "X-Forwarded-For: 192.0.2.1\r\n") + GET)) == ([401], True)
        server.runner.wait_log(r"webhook refused.* client=192\.0\.2\.1 ")


def test_who_was_refused_has_its_time_anew(db):
    with serving(db.dsn, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_HTTP_DEADLINE_MS="2000") as server, server.connect() as peer:
        for _ in range(3):
            time.sleep(0.8)
            refused(peer)
        began = time.monotonic()
        assert read_all(peer) == "" and 1.9 < time.monotonic() - began < 6
        with server.connect() as peer:
            refused(peer)
            peer.sendall(b"POST")
            assert answers(read_all(peer)) == ([408], True)


def test_who_was_refused_holds_nobody_up(db):
    """It makes room for others, and a stop does not wait for it."""
    with serving(db.dsn, RESEND_WEBHOOK_SECRET=SECRET, ERRAND_HTTP_CONNECTIONS="2") as server:
        with server.connect() as older, server.connect() as newer:
            for peer in (older, newer, older):
                refused(peer)
            assert server.status(GET) == 200
            assert newer.recv(100) == b""
            server.runner.process.send_signal(signal.SIGTERM)
            server.runner.wait_log("stopping")
            assert older.recv(100) == b""
            assert server.runner.process.wait(20) == 0


def test_any_mixture_in_any_pieces(hooks):
    """Every request is answered as it would be alone, up to the first one that closes."""
    random.seed(11)
    kinds = [(lambda: hook("x" * random.randrange(300)), 401, False), (lambda: hook(key=KEY, id=f"m{random.random()}".replace(".", "")), 200, True),
             (lambda: GET, 200, True), (lambda: random.choice(list(CLOSES.values())), 401, True), (lambda: REFUSED["two lengths"], 400, True)]
    for _ in range(60):
        with hooks.connect() as peer:
            closes = False
            while not closes:
                [(make, status, closes)] = random.choices(kinds, weights=[6, 1, 1, 1, 1])
                data = make().encode()
                cuts = sorted(random.sample(range(len(data)), random.randrange(6)))
                for a, b in zip([0, *cuts], [*cuts, len(data)]):
                    peer.sendall(data[a:b])
                    time.sleep(random.choice([0, 0.002]))
                assert (answers(read_all(peer)) if closes else heard(peer, 1)) == ([status], closes)


def test_says_when_files_are_too_few(db):
    with Errand(db.dsn) as errand:
        limited = errand.dir / "limited"
        limited.write_text(f"#!/bin/sh\nulimit -n 300\nexec {binary()} \"$@\"\n")
        limited.chmod(0o755)
        runner = errand.start("--http-listen", f"127.0.0.1:{free_port()}", program=limited).wait_ready()
        assert "limit=300 http_connections=10000 needed=10256" in runner.log()
        assert runner.terminate() == 0


def test_unix_socket(db):
    with serving(db.dsn, unix=True) as server:
        assert status_of(server.get("/livez")) == 200
        assert server.status(REFUSED["bare LF"]) == 400
        assert server.status(*GET, pause=0.002) == 200
        assert server.status(POST + f"Content-Length: {MIB + 1}\r\n\r\n" + "x" * MIB) == 413
        server.runner.process.kill()
        server.runner.process.wait()
        assert os.path.exists(server.address)
        with Errand(db.dsn) as errand:
            again = errand.start("--http-listen", server.address).wait_ready()
            assert status_of(server.get("/livez")) == 200
            again.process.send_signal(signal.SIGTERM)
            assert again.process.wait(20) == 0
            assert not os.path.exists(server.address)


def test_place_that_is_taken(db, server):
    with Errand(db.dsn) as errand:
        done = errand.run("run", "--http-listen", "127.0.0.1:%d" % server.address[1], check=False)
        assert done.returncode == 1 and "cannot listen at 127.0.0.1" in done.stderr
        done = errand.run("run", "--http-listen", "nowhere", check=False)
        assert done.returncode == 1 and "nowhere is no place to listen" in done.stderr


def test_socket_activation(db):
    with Errand(db.dsn) as errand, contextlib.closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        log = errand.dir / "activated.log"
        pid = os.fork()
        if pid == 0:
            try:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
                out = os.open(log, os.O_WRONLY | os.O_CREAT)
                os.dup2(out, 1)
                os.dup2(out, 2)
                os.dup2(listening.fileno(), 3)
                os.execve(binary(), ["errand", "run"], {**errand.env, "LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
            finally:
                os._exit(127)
        try:
            server = Server(None, listening.getsockname())
            assert status_of(server.get("/livez")) == 200
            until(lambda: status_of(server.get("/readyz")) == 200, "never ready")
            os.kill(pid, signal.SIGTERM)
            assert os.waitpid(pid, 0)[1] == 0, log.read_text()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise


def test_stop_answers_what_is_under_way(db):
    with serving(db.dsn) as server, server.connect() as peer, server.connect() as silent:
        peer.sendall((POST + "Content-Length: 4\r\n\r\nab").encode())
        until(lambda: status_of(server.get("/livez")) == 200, "no answer")
        server.runner.process.send_signal(signal.SIGTERM)
        server.runner.wait_log("stopping")
        with pytest.raises(OSError):
            with server.connect():
                pass
        peer.sendall(b"cd")
        assert status_of(read_all(peer)) == 404
        assert status_of(read_all(silent)) == 408
        assert server.runner.process.wait(20) == 0


def test_readyz_while_the_database_is_away(cluster, db):
    with serving(db.dsn) as server:
        assert status_of(server.get("/readyz")) == 200
        cluster.stop()
        try:
            until(lambda: status_of(server.get("/readyz")) == 503, "readyz does not tell")
            assert server.get("/readyz").endswith("the database is away\n")
            assert status_of(server.get("/livez")) == 200
        finally:
            cluster.start()
        until(lambda: status_of(server.get("/readyz")) == 200, "readyz does not come back")
