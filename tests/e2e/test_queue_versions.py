"""Runners of other versions than the schema, and than each other. The statements of an older version against the schema of a newer one are
tested from 0.1.0 on: it is the first."""

import re
import shutil

import pytest

from support.cluster import shared_cluster
from support.errand import Errand, Runner, binary
from support.wait import QueueDatabase

OTHER = "0.0.9"


@pytest.fixture
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        yield db


@pytest.fixture
def errand(db):
    with Errand(db.dsn) as errand:
        yield errand


def add_migration(db):
    """What the next version may do: it only adds."""
    db.sql("alter table errand.job add column later_column text default 'later'")
    db.sql("alter table errand.history add column later_column text")
    db.sql("create table errand.later (id bigint)")
    db.sql("insert into errand.migration (set_name, number, name, checksum) values ('queue', 999, '999_later.sql', 'x')")


def test_newer_schema(db, errand):
    """The older runner starts, says so, and works."""
    add_migration(db)
    runner = errand.start().wait_ready()
    line = runner.wait_log('level=warn event="the schema is newer than this errand".*').group(0)
    assert "migration=999_later.sql" in line and "version=" in line
    ids = db.enqueue_many(100) + [db.enqueue("probe.claim")]
    db.wait_empty()
    db.check_history(ids)
    assert runner.terminate() == 0


def test_schema_that_becomes_newer_under_a_runner(db, errand):
    """Its prepared statements see tables in another form."""
    runner = errand.start().wait_ready()
    first = db.enqueue_many(200) + [db.enqueue("probe.claim")]
    db.wait_empty()
    add_migration(db)
    ids = first + db.enqueue_many(200) + [db.enqueue("probe.claim")]
    db.wait_empty()
    db.check_history(ids)
    assert runner.terminate() == 0
    assert "level=error" not in runner.log()


@pytest.mark.parametrize("number", [1, 7])
def test_older_schema(db, errand, number):
    db.sql("delete from errand.migration where set_name = 'queue' and number >= %s", number)
    done = errand.run("run", check=False)
    assert done.returncode == 5
    assert "errand migrate up" in done.stderr and ("missing" if number == 1 else "older than this errand") in done.stderr
    assert db.sql("select * from errand.runner") == []


def test_newer_set_of_something_else(db, errand):
    """A set that this errand does not know is none of its business."""
    db.sql("insert into errand.migration (set_name, number, name, checksum) values ('webhook', 1, '001_webhook.sql', 'x')")
    runner = errand.start().wait_ready()
    assert "newer" not in runner.log()
    assert runner.terminate() == 0


def other_version(errand):
    """The same binary with another version in it, of the same length."""
    path = errand.dir / "errand_other"
    version = re.search(r"errand (\d+\.\d+\.\d+)", errand.run("version").stdout).group(1)
    data = binary().read_bytes()
    assert len(version) == len(OTHER) and version.encode() in data
    path.write_bytes(data.replace(version.encode() + b"\0", OTHER.encode() + b"\0"))
    shutil.copymode(binary(), path)
    return path


def test_two_versions_beside_each_other(db, errand):
    """Work goes from one to the other and back, as in an update and in its undoing."""
    path = other_version(errand)

    def start_old(name):
        runner = Runner([path, "run"], errand.env, errand.dir / f"{name}.log")
        errand.runners.append(runner)
        return runner.wait_ready()

    def versions():
        return {row[0] for row in db.sql("select version from errand.runners where alive and lanes > 0")}

    old = start_old("old")
    ids = db.enqueue_many(300, {"sleep_ms": 5})
    long = db.enqueue("probe.claim", {"sleep_ms": 4000})
    db.wait_state(long, "running")
    new = errand.start().wait_ready()
    new_version = re.search(r"version=(\S+)", new.log()).group(1)
    db.wait("select count(*) = 2 from errand.runners where lanes > 0")
    assert versions() == {OTHER, new_version}
    assert old.terminate() == 0
    assert db.wait_ended(long).attempt == 1
    db.wait_empty()
    ids += [long, *db.enqueue_many(100)]
    db.wait_empty()
    assert versions() == {new_version}
    again = start_old("again")
    db.wait("select count(*) = 2 from errand.runners where lanes > 0")
    new.kill()
    ids += db.enqueue_many(100)
    db.wait_empty()
    db.check_history(ids)
    assert again.terminate() == 0
