"""Functions in migrations name pg_temp last in their search_path. A path without it has PostgreSQL look there first for types, so a
caller's domain named text would be checked with the rights of the function's owner."""

import re
from pathlib import Path

import pytest

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
FILES = sorted(path for folder in ("queue", "billing", "email") for path in (MIGRATIONS / folder).glob("*.sql"))


def loose_functions(text):
    found = re.findall(r"create (?:or replace )?function ([\w.]+)(.*?) as \$\$", text, re.DOTALL | re.IGNORECASE)
    return [name for name, head in found if "set search_path = pg_catalog, pg_temp" not in head]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_pg_temp_stands_last(path):
    assert loose_functions(path.read_text(encoding="utf-8")) == []


def test_rule_finds():
    head = "create function errand.f(a text) returns void\nlanguage plpgsql security definer "
    assert loose_functions(head + "set search_path = '' as $$ $$") == ["errand.f"]
    assert loose_functions(head + "as $$ $$") == ["errand.f"]
    assert loose_functions(head + "set search_path = pg_catalog, pg_temp as $$ $$") == []
