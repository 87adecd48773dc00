"""A server of HTTP that answers late: it holds every request until so many wait at once, then answers all."""

import asyncio
import resource
import threading


class LateServer:
    """Listens in a thread of its own from construction to stop(); usable as a context manager."""

    ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"

    def __init__(self, count):
        """Answers as soon as count requests wait, and from then on at once."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.count, self.most, self.requests, self.waiting, self.open = count, 0, 0, set(), False
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def answer_all(self):
        """Also before so many wait."""
        self.loop.call_soon_threadsafe(self._answer_all)

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()

    def _serve(self, ready):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(
            self.loop.create_server(lambda: _Exchange(self), "127.0.0.1", 0, backlog=4096))
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        self.loop.run_forever()
        server.close()

    def _came(self, exchange):
        self.requests += 1
        self.waiting.add(exchange)
        self.most = max(self.most, len(self.waiting))
        if self.open or len(self.waiting) >= self.count:
            self._answer_all()

    def _answer_all(self):
        self.open = True
        for exchange in self.waiting:
            exchange.transport.write(self.ANSWER)
            exchange.transport.close()
        self.waiting.clear()


class _Exchange(asyncio.Protocol):
    def __init__(self, server):
        self.server, self.got = server, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.got += data
        if self.got.endswith(b"\r\n\r\n"):
            self.got = b""
            self.server._came(self)

    def connection_lost(self, _):
        self.server.waiting.discard(self)
