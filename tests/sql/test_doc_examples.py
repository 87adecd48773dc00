"""The SQL of docs/enqueue.md does what is written there."""

import re
from pathlib import Path

import pytest

from support.cluster import shared_cluster
from support.wait import QueueDatabase

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "enqueue.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def db():
    with QueueDatabase(shared_cluster(vector=False)) as db:
        db.sql("create table orders (id integer, total numeric); create table images (id integer, width integer);"
               "insert into images values (1, 5000), (2, 100); alter sequence errand.job_id_seq restart 1000")
        for queue in ("events", "mail"):
            db.sql("select errand.queue_create(%s, 8)", queue)
        yield db


@pytest.mark.parametrize("block", BLOCKS, ids=lambda text: text.strip().splitlines()[0][:50])
def test_example_runs(db, block):
    db.sql(block)


def test_what_they_made(db):
    for block in BLOCKS:
        db.sql(block)
    made = dict(db.sql("select kind, count(*) from errand.job group by 1"))
    assert len(BLOCKS) >= 6
    assert made["page.render"] == 2000 and made["image.resize"] == 2
    assert made["search.index"] == made["trial.remind"] == made["digest.send"] == 1 and made["account.apply"] == 2
    assert db.sql("select waiting_for, held from errand.job where kind = 'book.bind'") == [(1000, False)] * 2


def test_every_argument_is_told():
    """The table has what the function has."""
    migration = (Path(__file__).resolve().parents[2] / "migrations" / "queue" / "002_enqueue.sql").read_text(encoding="utf-8")
    head = re.search(r"create function errand\.enqueue\((.*?)\) returns", migration, re.DOTALL)[1]
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", TEXT, re.MULTILINE))))
    assert {line.split()[0] for line in head.strip().splitlines()} <= told
