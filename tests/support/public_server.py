"""A server of HTTPS at an address of the public internet, in namespaces of its own: there 1.1.1.1 and 1.1.1.2 are here, and the one
certificate that is trusted is the server's, for 1.1.1.1 and localhost. Run as a program it is the server itself."""

import http.server
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

PORT = 8443
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
SET_UP = """ip link set lo up && ip addr add 1.1.1.1/32 dev lo && ip addr add 1.1.1.2/32 dev lo &&
mount --bind "$1/cert.pem" {trusted} && exec /usr/bin/python3 -B "$0" "$1" """


class NotHere(Exception):
    """This machine cannot have such a network; the text says why."""


class PublicServer:
    """Usable as a context manager. run_in: a program that runs errand there, with the arguments that it is given."""

    def __enter__(self):
        for tool in ("unshare", "nsenter", "ip", "openssl"):
            if not shutil.which(tool):
                raise NotHere(f"there is no {tool}")
        if not Path(TRUSTED).exists():
            raise NotHere(f"there is no {TRUSTED}")
        self.dir = Path(tempfile.mkdtemp(prefix="errand-public-"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=errand test",
                        "-addext", "subjectAltName=IP:1.1.1.1,DNS:localhost", "-keyout", self.dir / "key.pem",
                        "-out", self.dir / "cert.pem"], check=True, capture_output=True)
        self.process = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", SET_UP.format(trusted=TRUSTED), __file__, self.dir],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.process.wait()
            shutil.rmtree(self.dir)
            raise NotHere(self.process.stderr.read().strip())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()
        shutil.rmtree(self.dir)

    def run_in(self, binary):
        program = self.dir / "errand"
        program.write_text(f'#!/bin/sh\nexec nsenter -t {self.process.pid} -n -m {binary} "$@"\n')
        program.chmod(0o755)
        return program

    def requests(self):
        """(number of the connection, path) each."""
        return [(int(number), path) for number, path in (line.split() for line in (self.dir / "log").read_text().splitlines())]


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connections, lock = 0, threading.Lock()

    def setup(self):
        super().setup()
        with self.lock:
            Answer.connections += 1
            self.number = Answer.connections

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        with self.lock, open(Path(sys.argv[1]) / "log", "a", encoding="ascii") as log:
            log.write(f"{self.number} {self.path}\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(directory):
    server = http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    (directory / "log").touch()
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
