"""A server of HTTP whose answers a test writes piece by piece, when it wants."""

import http.server
import threading


class SlowServer:
    """Listens from construction to stop(); usable as a context manager. routes: path to function(exchange), which runs in a
    thread of the exchange's own."""

    def __init__(self, **routes):
        self.routes = routes
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Exchange)
        self.server.daemon_threads = True
        self.server.slow = self
        self.gone = []  # paths of the exchanges that the client has ended
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def url(self, path):
        return f"http://127.0.0.1:{self.server.server_address[1]}/{path}"


class _Exchange(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.close_connection = True
        path = self.path.strip("/")
        try:
            self.server.slow.routes[path](self)
        except OSError:
            self.server.slow.gone.append(path)

    def head(self, *lines, status="200 OK"):
        self.wfile.write("".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *lines, "")).encode())

    def send(self, data):
        self.wfile.write(data)

    def wait_gone(self, timeout=30):
        """Until the client has closed the connection."""
        self.connection.settimeout(timeout)
        assert self.connection.recv(1) == b""
        self.server.slow.gone.append(self.path.strip("/"))

    def log_message(self, *_):
        pass
