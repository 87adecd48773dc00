"""Senders of webhooks: signatures of both schemes, by ourselves and by the packages of npm, and requests to a runner's server."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from support.npm import npm_directory

PACKAGES = {"svix": "2.5.0", "standardwebhooks": "1.1.1"}

KEY = bytes(range(24))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
PLAIN_SECRET = "plain words"
BODY = b'{"type":"email.delivered","data":{"subject":"\xc3\xa4"}}'


def standard(body=BODY, id="msg_1", at=None, key=KEY, prefix="svix"):
    at = str(int(time.time()) if at is None else at)
    mac = hmac.new(key, b".".join([id.encode(), at.encode(), body]), hashlib.sha256).digest()
    return {f"{prefix}-id": id, f"{prefix}-timestamp": at, f"{prefix}-signature": "v1," + base64.b64encode(mac).decode()}


def hexed(body, header="X-Signature", secret=PLAIN_SECRET):
    return {header: hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()


class Sender:
    """Posts to /webhooks/SOURCE of one runner, a connection for each."""

    def __init__(self, port, timeout=20):
        self.port, self.timeout = port, timeout

    def request(self, path, body=b"", headers=(), method="POST"):
        """headers: a dict, or pairs, where a name may stand twice. Raises OSError or http.client.HTTPException when there is no
        answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        with contextlib.closing(connection):
            connection.putrequest(method, path)
            for name, value in dict(headers).items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            return Answer(connection.getresponse())

    def post(self, source, body, headers):
        return self.request(f"/webhooks/{source}", body, headers)

    def resend(self, body, id, **named):
        return self.post("resend", body, standard(body, id, **named))

    def lemonsqueezy(self, body):
        return self.post("lemonsqueezy", body, hexed(body))


def signing_packages():
    """A function that hands questions to the packages svix and standardwebhooks, as webhook_sign.mjs takes them. Raises Missing."""
    script = Path(__file__).resolve().parent / "webhook_sign.mjs"
    directory = npm_directory("webhook", PACKAGES)
    shutil.copy(script, directory)

    def call(*asked):
        done = subprocess.run(["node", directory / script.name], input=json.dumps(asked), capture_output=True, text=True,
                              env=dict(os.environ, TZ="UTC"), check=True)
        return json.loads(done.stdout)
    return call
