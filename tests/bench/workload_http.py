"""Workload of jobs that each send an HTTP request: 1 kB of JSON, at most 100 at once, to a server on the same machine that
answers at once, or after 50 ms (c/answer.c)."""

import json
import subprocess

from bench.tools import helper
from bench.workload_drain import drain

PAUSES_MS = (0, 50)


class Answering:
    """The server, while the context lasts."""

    def __enter__(self):
        self.process = subprocess.Popen([helper("answer")], stdout=subprocess.PIPE)
        self.port = json.loads(self.process.stdout.readline())["port"]
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    @property
    def pid(self):
        return self.process.pid

    def url(self, pause_ms):
        return f"http://127.0.0.1:{self.port}/{pause_ms}"


def run_http(bench):
    with Answering() as server:
        for _ in range(bench.reps):
            for pause_ms in PAUSES_MS:
                # As many as take some seconds.
                count = bench.size(20000, 4000) if pause_ms else bench.size(100000, 20000)
                for peer in bench.peers:
                    figures = bench.calmly(drain, peer, count, url=server.url(pause_ms), beside=[server])
                    bench.add("http", peer.name, f"answers after {pause_ms} ms", **figures)
