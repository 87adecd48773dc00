"""Requests to public addresses only: where they go through, over TLS, and which connections they use."""

import pytest

from kind_support import JobsDirectory
from support.cluster import shared_cluster
from support.errand import Errand, binary
from support.hooks import SECRET
from support.public_server import PORT, NotHere, PublicServer
from support.wait import QueueDatabase


@pytest.fixture(scope="module")
def server():
    try:
        with PublicServer() as server:
            yield server
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def db(server):
    jobs = JobsDirectory()
    kinds = {"to.public": "1.1.1.1", "to.other": "1.1.1.2", "to.private": "localhost"}
    for name, host in kinds.items():
        jobs.put(f"{name}.http", f"[kind]\nurl = https://{host}:{PORT}/{name}\nsecret = {SECRET}\nmax_attempts = 1\n")
    with QueueDatabase(shared_cluster(vector=False)) as db, Errand(db.dsn, ERRAND_JOBS=str(jobs.path)) as errand:
        runner = errand.start(program=server.run_in(binary()))
        runner.wait_ready()
        db.wait("select count(*) = 3 from errand.kind where name like 'to.%%'")
        yield db
        assert runner.terminate() == 0
    jobs.close()


def run(db, kind, **args):
    return db.wait_ended(db.enqueue(kind, args))


def test_they_use_each_others_connections_and_nobody_elses(db, server):
    own = f"https://1.1.1.1:{PORT}/probe"
    for _ in range(3):
        assert run(db, "probe.http", url=own, method="POST").state == "done"
        assert run(db, "to.public").state == "done"
    assert server.requests() == [(1, "/probe"), (2, "/to.public")] * 3


def test_private(db, server):
    """The certificate would be right, and somebody else's connection to there stands open."""
    assert run(db, "probe.http", url=f"https://localhost:{PORT}/before", method="POST").state == "done"
    job = run(db, "to.private")
    assert job.state == "dead" and " is loopback: this request may go to public addresses only" in job.last_error
    assert all(path != "/to.private" for _, path in server.requests())


def test_certificate_of_somebody_else(db, server):
    job = run(db, "to.other")
    assert job.state == "dead" and "SSL" in job.last_error
    assert all(path != "/to.other" for _, path in server.requests())
