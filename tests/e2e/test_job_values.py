"""Parameters and fields that are no plain texts: a handler sends them to the database and gets them back."""

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.wait import QueueDatabase

TEXTS = ["", "a", None, "NULL", "null", 'say "x"', "back\\slash", "{a,b}", " , ", "ä\n\t'", "€" * 1000]
INTS = [0, -1, 9223372036854775807, -9223372036854775808]
JSON = {"a": [1, 2.5, None, True], "ä": {"quote\"": "back\\slash"}}


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        errand.start().wait_ready()
        yield errand


def there_and_back(db, **args):
    job = db.wait_ended(db.enqueue("probe.values", args))
    assert job.state == "done", job.last_error
    return job.result


def check(got, texts, ints, bytes, json):
    assert got["texts"] == texts and got["count"] == len(texts)
    assert got["ints"] == ints and got["bytes"] == bytes and got["json"] == json
    assert got["at"] == 1234567890123456
    assert (got["yes"], got["no"], got["quarter"]) == (True, False, 0.25)
    assert (got["no_bytes"], got["no_json"], got["no_int"], got["no_bool"]) == (None, None, 0, False)


def test_there_and_back(db, errand):
    bytes = list(range(256)) + [0, 0, 92, 39]
    check(there_and_back(db, texts=TEXTS, ints=INTS, bytes=bytes, json=JSON), TEXTS, INTS, bytes, JSON)


def test_nothing(db, errand):
    check(there_and_back(db, texts=[], ints=[], bytes=[], json="x"), [], [], [], "x")


def test_a_role_that_writes_bytes_the_old_way(db):
    with Errand(db.dsn) as errand:
        db.sql(f"alter database {db.one('select current_database()')} set bytea_output = escape")
        errand.start().wait_ready()
        bytes = list(range(256)) * 20
        check(there_and_back(db, texts=[], ints=[], bytes=bytes, json=[]), [], [], bytes, [])
