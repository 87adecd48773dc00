"""HTTP/1.1 for development providers: keep-alive, arrival times, and answers that misbehave as scripted.

Knows no provider. An application has: pick_fault(request), which may return None; refused(request), told of a
request that is cut off before it is read; and `async answer(request)`, which returns status, body and headers.
The faults and their fields are described in the head of resend.py.
"""

import asyncio
import json
import os
import random
import signal
import time
from urllib.parse import parse_qsl, urlsplit

BODY_MAX = 40 << 20
HEADERS_MAX = 64 << 10

ANSWERS = {"ok", "error", "close", "close_early", "never", "garbage", "shape", "ids", "cut", "huge", "drip"}


class Request:
    """One request as it came in; body is complete when it is answered.

    no is its number among the public ones; at_us the wall clock when its first byte was here.
    """

    def __init__(self, no, at_us, method, target, version, headers):
        self.no, self.at_us, self.method, self.version, self.headers = no, at_us, method, version, headers
        parts = urlsplit(target)
        self.path = parts.path
        self.query = dict(parse_qsl(parts.query))
        self.private = self.is_private(target)
        self.body = b""
        self.fault = {}

    @staticmethod
    def is_private(target):
        """Whether it looks at the provider itself: the page, /_ledger, /_control."""
        return target == "/" or target.startswith("/_")

    @property
    def key(self):
        return self.headers.get("idempotency-key")


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
           405: "Method Not Allowed", 409: "Conflict", 411: "Length Required", 413: "Payload Too Large",
           422: "Unprocessable Entity", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable"}


def encode(status, body, headers, keep):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in {"content-type": "application/json", **headers}.items()]
    lines += [f"content-length: {len(data)}", f"connection: {'keep-alive' if keep else 'close'}", "", ""]
    return "\r\n".join(lines).encode() + data


class Faults:
    """The scripted faults still to come. Public paths only; those beginning with /_ never meet one."""

    def __init__(self):
        self.list = []
        self.random = random.Random(1)

    def set(self, faults):
        """Replaces them; raises ValueError for one that makes no sense."""
        for fault in faults:
            if not isinstance(fault, dict) or fault.get("answer", "ok") not in ANSWERS:
                raise ValueError(f"not a fault: {fault}")
        self.list = list(faults)

    def pick(self, request):
        """The fault of this request, used up by it, or None."""
        for fault in self.list:
            wanted = request.path == fault["path"] if "path" in fault else request.method == "POST"
            if not wanted:
                continue
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
                continue
            if self.random.random() >= fault.get("probability", 1.0):
                continue
            count = fault.get("count", 1)
            if count == 1:
                self.list.remove(fault)
            elif count:
                fault["count"] = count - 1
            return fault
        return None


class Connection(asyncio.Protocol):
    """One client connection: takes one request at a time off its buffer and answers it."""

    def __init__(self, app):
        self.app = app
        self.buffer = bytearray()
        self.arrived_us = 0
        self.request = None
        self.expected = 0
        self.busy = None
        self.can_write = asyncio.Event()
        self.can_write.set()

    def connection_made(self, transport):
        self.transport = transport

    def pause_writing(self):
        self.can_write.clear()

    def resume_writing(self):
        self.can_write.set()

    def connection_lost(self, _error):
        self.can_write.set()

    def data_received(self, data):
        if not self.buffer and not self.request:
            self.arrived_us = time.time_ns() // 1000
        self.buffer += data
        if not self.busy:
            self.next_request()

    def next_request(self):
        if not self.request and not self.read_headers():
            return
        if len(self.buffer) < self.expected:
            return
        request, self.request = self.request, None
        request.body = bytes(self.buffer[:self.expected])
        del self.buffer[:self.expected]
        # The task goes on when the client goes away, as a provider's would.
        self.busy = asyncio.get_running_loop().create_task(self.serve(request))

    def read_headers(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > HEADERS_MAX:
                self.transport.abort()
            return False
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        del self.buffer[:end + 4]
        try:
            method, target, version = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            self.expected = int(headers.get("content-length", 0))
        except ValueError:
            self.transport.abort()
            return False
        self.app.last_no += 0 if Request.is_private(target) else 1
        self.request = Request(self.app.last_no, self.arrived_us, method, target, version, headers)
        if not self.request.private:
            # Now, so that a fault can refuse to read the body.
            self.request.fault = self.app.pick_fault(self.request)
        if self.request.fault.get("answer") == "close_early":
            self.app.refused(self.request)
            self.transport.abort()
            return False
        if "transfer-encoding" in headers:
            return self.refuse(411)
        if self.expected > BODY_MAX:
            return self.refuse(413)
        if headers.get("expect", "").lower() == "100-continue" and len(self.buffer) < self.expected:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def refuse(self, status):
        self.app.refused(self.request, status)
        message = {"statusCode": status, "message": REASONS[status], "name": "validation_error"}
        self.transport.write(encode(status, message, {}, keep=False))
        self.transport.close()
        return False

    async def serve(self, request):
        try:
            status, body, headers = await self.app.answer(request)
            fault = request.fault
            if fault.get("after_ms"):
                await asyncio.sleep(fault["after_ms"] / 1000)
            keep = request.version == "HTTP/1.1" and request.headers.get("connection", "").lower() != "close"
            await self.write_answer(fault, status, body, headers, keep)
            if not keep:
                self.transport.close()
        except Exception:
            self.transport.abort()
            raise
        self.busy = None
        if self.buffer:
            self.arrived_us = time.time_ns() // 1000
            self.next_request()

    async def write_answer(self, fault, status, body, headers, keep):
        kind = fault.get("answer", "ok")
        if kind in ("close", "close_early"):
            self.transport.abort()
        elif kind == "never":
            while not self.transport.is_closing():
                await asyncio.sleep(0.2)
        elif kind == "garbage":
            self.transport.write(encode(200, b"<html>\xff\xfe it works! {\"id\":", headers, keep))
        elif kind == "shape":
            self.transport.write(encode(200, {"object": ["list"], "id": {"value": 7}, "data": "none"}, headers, keep))
        elif kind == "ids":
            short = {**body, "data": body["data"][:-1]} if "data" in body else {"id": ""}
            self.transport.write(encode(200, short, headers, keep))
        elif kind == "cut":
            whole = encode(status, body, headers, keep)
            self.transport.write(whole[:-max(1, len(json.dumps(body)) // 2)])
            self.transport.close()
        elif kind == "huge":
            await self.write_huge(fault.get("bytes", 1 << 30), fault.get("chunked", True))
        elif kind == "drip":
            for byte in encode(status, body, headers, keep):
                if self.transport.is_closing():
                    return
                self.transport.write(bytes([byte]))
                await asyncio.sleep(fault.get("every_ms", 1000) / 1000)
        else:
            self.transport.write(encode(status, body, headers, keep))

    async def write_huge(self, size, chunked):
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
        self.transport.write(f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{framing}\r\n\r\n".encode())
        block = b'{"id":"' + b"x" * ((64 << 10) - 7)
        while size > 0 and not self.transport.is_closing():
            part = block[:size]
            self.transport.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            size -= len(part)
            block = b"x" * (64 << 10)
            await self.can_write.wait()
            await asyncio.sleep(0)
        if chunked:
            self.transport.write(b"0\r\n\r\n")


async def listen(app, options):
    """Serves until SIGTERM, SIGINT or, with options.watch_stdin, the end of standard input."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.watch_stdin:
        loop.add_reader(0, lambda: os.read(0, 4096) or (loop.remove_reader(0), stop.set()))
    server = await loop.create_server(lambda: Connection(app), options.host, options.port, backlog=512)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on http://{options.host}:{port}", flush=True)
    if options.port_file:
        with open(options.port_file + ".new", "w", encoding="ascii") as f:
            f.write(f"{port}\n")
        os.rename(options.port_file + ".new", options.port_file)
    await stop.wait()
    # Answers still on their way (never, drip) are no reason to stay.
    os._exit(0)
