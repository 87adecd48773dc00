"""The development providers (contrib/providers) as children of the test, on a free port."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from support.tempdir import make_tempdir

PROVIDERS = Path(__file__).resolve().parents[2] / "contrib" / "providers"


class Provider:
    """Runs from construction to stop(); usable as a context manager. args are the script's own."""

    SCRIPT, API_KEY = None, None

    def __init__(self, *args, port=0):
        self._dir = make_tempdir("provider")
        self.args = list(args)
        self.port = port
        self.process = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self._dir, ignore_errors=True)

    def start(self, timeout=10):
        """Also after kill() or stop(): the same port, and the ledger goes on."""
        port_file = self._dir / "port"
        port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", PROVIDERS / self.SCRIPT, "--watch-stdin", "--port", str(self.port), "--port-file", port_file,
             "--api-key", self.API_KEY, *self.args],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + timeout
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the provider does not start (exit status {self.process.poll()})")
            time.sleep(0.01)
        self.port = int(port_file.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        self.process.stdin.close()

    def kill(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def request(self, method, path, body=None, headers=None, timeout=30):
        """Any request, as a well-behaved client; body is bytes or made into JSON. Returns status, answer, headers."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.API_KEY}", "User-Agent": "tests", "Content-Type": "application/json"}
        sent.update(headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), error.headers

    def _get(self, path):
        return self.request("GET", path)[1]


class ResendProvider(Provider):
    SCRIPT, API_KEY = "resend.py", "re_test_key"

    def __init__(self, *args, port=0):
        self.ledger_file = make_tempdir("ledger") / "ledger.jsonl"
        super().__init__("--ledger", self.ledger_file, *args, port=port)

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.ledger_file.parent, ignore_errors=True)

    def ledger(self, **filters):
        """Accepted mails, oldest first; filters: to="a@b.c", tag_message_id="..."."""
        return self._get("/_ledger?" + urlencode(filters))["deliveries"]

    def requests(self):
        """Every request that was answered: no, at_us, path, key, status, bytes."""
        return self._get("/_ledger")["requests"]

    def summary(self):
        return self._get("/_ledger/summary")

    def events(self):
        """The webhooks that were sent: id, type, email_id, attempts, status of the last answer (None: none yet)."""
        return self._get("/_webhooks")["events"]

    def control(self, *faults, **settings):
        """Sets the faults to come (none: clears them) and rate, keys, key_ttl; the script's head describes them."""
        if faults or not settings:
            settings["faults"] = list(faults)
        status, answer, _ = self.request("POST", "/_control", settings)
        if status != 200:
            raise ValueError(answer["message"])
        return answer


class LemonSqueezyProvider(Provider):
    SCRIPT, API_KEY = "lemonsqueezy.py", "ls_test_key"

    def requests(self):
        """Every request that was answered: no, at_us, path, status."""
        return self._get("/_requests")["requests"]

    def control(self, **settings):
        """Sets subscriptions, unlisted, page_size, faults; the script's head describes them."""
        status, answer, _ = self.request("POST", "/_control", settings)
        if status != 200:
            raise ValueError(answer["message"])
