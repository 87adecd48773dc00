"""An endpoint that jobs are sent to, with answers of the test's making."""

import http.server
import threading
from types import SimpleNamespace


class Endpoint:
    """Answers on loopback from construction to stop(); usable as a context manager. answer(request) returns (status, headers,
    body), or None to end the connection without one. requests: all that came."""

    def __init__(self, answer=lambda request: (204, {}, b"")):
        self.answer, self.requests, self.lock = answer, [], threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.daemon_threads, self.server.endpoint = True, self
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/orders"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        request = SimpleNamespace(headers=self.headers, body=self.rfile.read(int(self.headers["content-length"])))
        endpoint = self.server.endpoint
        with endpoint.lock:
            endpoint.requests.append(request)
        answer = endpoint.answer(request)
        if answer is None:
            self.close_connection = True
            return
        status, headers, body = answer
        lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        self.wfile.write("\r\n".join(lines).encode() + body)

    def log_message(self, *_):
        pass
