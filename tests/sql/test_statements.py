"""Every named statement of the C code is prepared against a migrated database, as the runner prepares it; and the rules
that keep the queue's SQL fit for a distributed database (docs/architecture.md) are looked for in its text."""

import ctypes
import re
import subprocess
from pathlib import Path

import pytest

from support.cluster import shared_cluster
from support.errand import Errand
from support.statements import QUEUE_SQL, read_statements
from support.ledger import EFFECT_TABLE, STEP_TABLE
from support.wait import ask, connect

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*ROOT.glob("src/*/*.sql"), *ROOT.glob("jobs/*/queries.sql")])
QUEUE_MIGRATIONS = sorted((ROOT / "migrations" / "queue").glob("[0-9]*.sql"))


def all_statements():
    return [pytest.param(file, name, statement, id=f"{file.relative_to(ROOT)}:{name}")
            for file in FILES for name, statement in read_statements(file.read_text(encoding="utf-8")).items()]


# ---- Preparing ----

class Preparer:
    """libpq itself, because only its protocol prepares every kind of statement, BEGIN and COMMIT included."""

    def __init__(self, dsn):
        self.libpq = ctypes.CDLL("libpq.so.5")
        for name in ("PQconnectdb", "PQprepare"):
            getattr(self.libpq, name).restype = ctypes.c_void_p
        for name in ("PQresultErrorMessage", "PQerrorMessage"):
            getattr(self.libpq, name).restype = ctypes.c_char_p
        self.connection = ctypes.c_void_p(self.libpq.PQconnectdb(dsn.encode()))
        assert self.libpq.PQstatus(self.connection) == 0, self.libpq.PQerrorMessage(self.connection)

    def error(self, statement):
        """"" when the server takes it."""
        result = ctypes.c_void_p(self.libpq.PQprepare(self.connection, b"", statement.encode(), 0, None))
        message = self.libpq.PQresultErrorMessage(result).decode()
        self.libpq.PQclear(result)
        return message

    def close(self):
        self.libpq.PQfinish(self.connection)


@pytest.fixture(scope="module")
def dsn():
    """Everything that errand has: the queue, the product's tables, and what the jobs brought."""
    cluster = shared_cluster()
    dsn = cluster.create_database("statements")
    with Errand(dsn) as errand:
        errand.run("migrate", "up")
    connection = connect(dsn)
    ask(connection, EFFECT_TABLE)
    ask(connection, STEP_TABLE)
    connection.close()
    yield dsn
    cluster.drop_database(dsn)


@pytest.fixture(scope="module")
def preparer(dsn):
    preparer = Preparer(dsn)
    yield preparer
    preparer.close()


@pytest.mark.parametrize("file, name, statement", all_statements())
def test_statement_is_prepared(preparer, file, name, statement):
    assert preparer.error(statement) == ""


def test_preparing_finds_what_is_wrong(preparer):
    for statement, part in (("select nosuch from errand.job", 'column "nosuch" does not exist'),
                            ("select errand.nosuch(1)", "function errand.nosuch(integer) does not exist"),
                            ("selct 1", "syntax error"),
                            ("select 1; select 2", "multiple commands")):
        assert part in preparer.error(statement)


def test_every_file_is_found():
    names = {str(file.relative_to(ROOT)) for file in FILES}
    assert {"src/queue/queue.sql", "src/db/db.sql", "src/cli/cli.sql", "jobs/email/queries.sql", "jobs/probe/queries.sql"} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_read_as_the_build_reads_it(file):
    """The names and texts of the generated table are those that are tested here."""
    made = subprocess.run(["awk", "-v", "mode=source", "-v", "prefix=x", "-v", "source=s", "-f",
                           ROOT / "cmake" / "sql_embed.awk", file], capture_output=True, text=True, check=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout
    found = {}
    for name, body in re.findall(r'^    \{"([a-z0-9_]+)",((?:\n     ".*")+)\},$', made, re.MULTILINE):
        text = "".join(re.findall(r'^     "(.*)"$', body, re.MULTILINE))
        found[name] = re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)
    assert found == read_statements(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", ["select 1", "-- name: A\nselect 1", "-- name: a\nselect 1\n-- name: a\nselect 2",
                                  "-- name: a\n-- nothing\n", "-- name:  a\nselect 1\n-- name: \nselect 2"])
def test_bad_files_are_refused(text):
    with pytest.raises(ValueError):
        read_statements(text)


# ---- The rules ----

LANE_TABLES = "job|lane|dead_letter|history|attempt|dependency|parent_ended|recent_key|step|signal"
PINNED = re.compile(r"\blane = (\$\d+|[a-z_]+\.(child_)?lane\b|at_lane\b)")
TARGET = re.compile(rf"\b(update|delete from)\s+errand\.({LANE_TABLES})\b")
LOCK = re.compile(r"\bfor (no key )?(update|share|key share)\b")
# What is not immutable, as far as anybody might want it here.
UNSTEADY = re.compile(r"\b(now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|gen_random_uuid|nextval"
                      r"|currval|lastval|timezone|date_trunc|to_timestamp|make_interval|set_config|current_setting|txid_current"
                      r"|pg_backend_pid|version)\s*\(|\bcurrent_(timestamp|date|time)\b|\blocaltime(stamp)?\b"
                      r"|\binterval\s*'|\bat time zone\b")


def bare(text):
    """Without comments; what stands in quotes is emptied."""
    text = re.sub(r"--[^\n]*", "", text)
    return re.sub(r"'(?:[^']|'')*'", "''", text).lower()


def clauses(text, begin):
    """What stands behind each `begin` word, up to the clause that follows on the same level of brackets."""
    found = []
    for match in re.finditer(rf"\b{begin}\b", text):
        depth, at = 0, match.end()
        while at < len(text):
            depth += (text[at] == "(") - (text[at] == ")")
            if depth < 0 or text[at] == ";" or (depth == 0 and re.match(r"\b(from|where|returning|on conflict)\b", text[at:])):
                break
            at += 1
        found.append(text[match.end():at])
    return found


def lint_lane(name, text):
    """Writes and locks go to one lane: `lane = $1` (a variable, in a function) stands for every target and in every
    reading of jobs; `lane = any` and joins on lane reach several places."""
    text = bare(text)
    faults = []
    pinned = len(re.findall(PINNED, text))
    if len(TARGET.findall(text)) > pinned:
        faults.append(f"{name}: a write without lane = $1")
    if LOCK.search(text) and re.search(rf"\berrand\.({LANE_TABLES})\b", text) and not pinned:
        faults.append(f"{name}: a lock without lane = $1")
    if re.search(r"\blane = any\b", text) and re.search(r"\b(update|delete|for share)\b", text):
        faults.append(f"{name}: lane = any beside a write or lock")
    return faults


def lint_statement(name, text):
    """Of the runner: as lint_lane, and the lane is $1."""
    plain = bare(text)
    faults = lint_lane(name, text)
    written = TARGET.findall(plain)
    jobs = len(re.findall(r"\b(?:from|update|join)\s+errand\.job\b", plain))
    if (written or jobs) and len(re.findall(r"\blane = \$1\b", plain)) < max(len(written), jobs):
        faults.append(f"{name}: jobs or lanes without lane = $1 each")
    return faults


def lint_set(name, text):
    """UPDATE SET, ON CONFLICT DO UPDATE SET and RETURNING hold immutable expressions, columns and parameters only."""
    text = bare(text)
    faults = []
    for part in clauses(text, "set"):
        if UNSTEADY.search(part) or re.search(r"\b(?!(?:coalesce|nullif)\b)[a-z_.]+\s*\(", part):
            faults.append(f"{name}: set{part.rstrip()}")
    if re.search(rf"\berrand\.({LANE_TABLES})\b", text):
        faults += [f"{name}: returning{part.rstrip()}" for part in clauses(text, "returning") if UNSTEADY.search(part)]
    return faults


FORBIDDEN = [
    (r"\blanguage sql\b", "a function in SQL is inlined or not, as it likes: use PL/pgSQL"),
    (r"\bcreate (constraint |or replace )?trigger\b", "triggers do not run on the shards"),
    (r"\bas restrictive\b", "a restrictive policy becomes permissive on the shards"),
    (r"\breferences\b", "a foreign key to a plain table is refused"),
    (r"force_generic_plan", "forces fan-out"),
    (r"\bcreate rule\b", "no rules"),
]


def lint_migration(name, text):
    """Of what a migration of the queue brings; name of the function or the file."""
    text = bare(text)
    faults = [f"{name}: {why}" for pattern, why in FORBIDDEN if re.search(pattern, text)]
    if re.search(r"advisory_(xact_)?lock", text) and "history_maintain" not in name:
        faults.append(f"{name}: an advisory lock holds on one node only")
    return faults


def functions(text):
    """{name: body} of a migration, and the rest of it under ''."""
    pattern = re.compile(r"create (?:or replace )?function (\S+?)\(.*?\$\$(.*?)\$\$", re.DOTALL | re.IGNORECASE)
    found = {name: body for name, body in pattern.findall(text)}
    found[""] = pattern.sub("", text)
    return found


def queue_statements():
    return read_statements(QUEUE_SQL.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name, statement", queue_statements().items())
def test_rules_in_the_runners_statements(name, statement):
    assert lint_statement(name, statement) + lint_set(name, statement) == []


@pytest.mark.parametrize("file", QUEUE_MIGRATIONS, ids=lambda file: file.name)
def test_rules_in_the_migrations(file):
    text = file.read_text(encoding="utf-8")
    faults = []
    for name, body in functions(text).items():
        faults += lint_lane(name, body) + lint_set(name, body) + lint_migration(name, body)
    assert faults == []
    assert len(functions(text)) == 1 + len(re.findall(r"^create (?:or replace )?function", text, re.MULTILINE))


def test_lane_leads_every_key(dsn):
    """Every primary key and unique index of a table that has lanes begins with lane."""
    connection = connect(dsn)
    keys = ask(connection, """select c.relname as table, i.indexrelid::regclass::text as index, a.attname as first
        from pg_index i join pg_class c on c.oid = i.indrelid
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where c.relnamespace = 'errand'::regnamespace and i.indisunique
            and exists (select from pg_attribute x where x.attrelid = c.oid and x.attname = 'lane')""")
    connection.close()
    assert {key.table for key in keys} >= {"job", "lane", "dead_letter"}
    assert [key for key in keys if key.first != "lane"] == []


def test_functions_of_the_database_are_in_plpgsql(dsn):
    """SQL-language functions without parameters would do; there are none."""
    connection = connect(dsn)
    found = ask(connection, "select p.oid::regprocedure::text from pg_proc p join pg_language l on l.oid = p.prolang"
                " where p.pronamespace = 'errand'::regnamespace and l.lanname = 'sql'")
    connection.close()
    assert found == []


# ---- The rules can fail ----

@pytest.mark.parametrize("statement", [
    "update errand.job set attempt = 1 where id = $1",
    "update errand.job j set attempt = 1 from errand.lane l where j.lane = l.lane and l.owner = $1",
    "delete from errand.job where lane = any ($1)",
    "update errand.lane set armed = true where owner = $1",
    "select id from errand.job where priority = $2 for update skip locked",
    "select id from errand.job where lane = any ($1) for update",
    "select id from errand.job order by run_at limit 1",
    "with gone as (delete from errand.job where lane = $1 returning id) delete from errand.dead_letter where id = $2",
    "update errand.job set attempt = 1 where lane = $2",
])
def test_lane_rule_finds(statement):
    assert lint_statement("x", statement) != []


@pytest.mark.parametrize("statement", [
    "select id from errand.job where lane = $1 for update",
    "update errand.job j set attempt = 1 where j.lane = $1::integer and j.id = any ($2)",
    "select l.lane from errand.lane l where l.queue = any ($1)",
    "-- update errand.job set attempt = 1\nselect 'delete from errand.job'",
])
def test_lane_rule_lets_pass(statement):
    assert lint_statement("x", statement) == []


@pytest.mark.parametrize("statement", [
    "update errand.job set run_at = now() where lane = $1",
    "update errand.job set run_at = run_at + interval '1 second' where lane = $1",
    "update errand.job set started_at = coalesce(started_at, clock_timestamp()) where lane = $1",
    "update errand.lane set acquired_at = current_timestamp where lane = $1",
    "update errand.job j set attempt = f(j.attempt) where j.lane = $1",
    "insert into errand.job (lane) values ($1) on conflict (lane, key) do update set run_at = now()",
    "update errand.job set attempt = 1 where lane = $1 returning id, clock_timestamp()",
    "update errand.job set run_at = (select max(run_at) from errand.job) where lane = $1",
])
def test_set_rule_finds(statement):
    assert lint_set("x", statement) != []


@pytest.mark.parametrize("statement", [
    "update errand.job j set run_at = d.at, attempt = j.attempt + 1::smallint, last_error = coalesce(d.error, j.last_error)"
    " from (select now() as at) d where j.lane = $1 returning j.id, case when j.attempt > 1 then 1 end",
    "insert into errand.runner (name) values ($1) returning clock_timestamp()",
    "select set_config('a', 'b', false)",
])
def test_set_rule_lets_pass(statement):
    assert lint_set("x", statement) == []


@pytest.mark.parametrize("text", [
    "create function errand.f(a integer) returns integer language sql as $$ select 1 $$",
    "create trigger t after insert on errand.job execute function f()",
    "create policy p on errand.job as restrictive using (true)",
    "lane integer references errand.lane (lane)",
    "alter role r set plan_cache_mode = force_generic_plan",
    "perform pg_advisory_xact_lock(1)",
])
def test_migration_rule_finds(text):
    assert lint_migration("x", text) != []


def test_functions_are_told_apart():
    found = functions("create function errand.a(x integer) returns void as $$ update errand.job set x = now() $$;\n"
                      "create or replace function errand.b() returns void as $$ null $$;\nselect 1;")
    assert list(found) == ["errand.a", "errand.b", ""] and "now()" in found["errand.a"] and "select 1" in found[""]
