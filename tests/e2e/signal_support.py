"""What the tests of signals share: a database in which probes may take steps and have effects, and what is asked of it."""

import json

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.ledger import EFFECT_TABLE, STEP_TABLE
from support.wait import QueueDatabase


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql(STEP_TABLE)
        db.sql(EFFECT_TABLE)
        db.sql("grant insert on public.probe_step, public.probe_effect to errand_runner")
        db.sql("grant usage on sequence public.probe_step_n_seq to errand_runner")
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn, ERRAND_LEASE_TTL_MS="2000") as errand:
        yield errand


def send(db, id, name, payload=None):
    return db.one("select errand.signal(%s, %s, %s)", id, name, json.dumps(payload))


def result(db, id):
    return db.one("select result from errand.history where id = %s and outcome = 'done'", id)


def taken(db, id):
    return [row[0] for row in db.sql("select name from public.probe_step where job = %s order by n", id)]


def nothing_left(db):
    return db.one("select count(*) from errand.signal") == 0


def wait_waiting(db, id, name):
    job = db.wait_state(id, "waiting")
    assert job.waits_signal == name and job.runner is None and job.started_at is None
    return job
