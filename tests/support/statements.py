"""The named statements of the .sql files, read by the rules of cmake/sql_embed.awk; and the runner's own, run from a test."""

import re
from pathlib import Path

from support.wait import ask

QUEUE_SQL = Path(__file__).resolve().parents[2] / "src" / "queue" / "queue.sql"
KEEP_DAYS = 14


def read_statements(text):
    """{name: statement}."""
    found, name = {}, None
    for line in text.splitlines():
        match = re.match(r"-- name: (\S*)", line)
        if match:
            name = match.group(1)
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in found:
                raise ValueError(f"bad or repeated name {name!r}")
            found[name] = []
        elif not re.match(r"[ \t]*(--|$)", line):
            if name is None:
                raise ValueError("SQL before the first name")
            found[name].append(line)
    found = {name: re.sub(r"[ \n;]+$", "", "\n".join(lines)) for name, lines in found.items()}
    empty = [name for name, statement in found.items() if not statement]
    if empty:
        raise ValueError(f"{empty} are empty")
    return found


def run_statement(connection, name, *params):
    """One of the runner's, with its params from $1 on; returns its rows."""
    text = read_statements(QUEUE_SQL.read_text(encoding="utf-8"))[name]
    named = {f"p{n}": value for n, value in enumerate(params, 1)}
    with connection.cursor() as cursor:
        cursor.execute(re.sub(r"\$(\d+)", r"%(p\1)s", text.replace("%", "%%")), named)
        return cursor.fetchall() if cursor.description else None


def end_jobs(connection, runner, ids, outcome="done", error=None, expected=-1):
    """Completes jobs that the runner owns the lanes of, in one transaction if the connection is in one: a statement a lane, as it does.
    Returns the lanes in which dependents are to be told."""
    found = ask(connection, "select j.lane, l.epoch, array_agg(j.id order by j.id) as ids, array_agg(j.attempt order by j.id) as attempts,"
                " array_agg(j.revision order by j.id) as revisions from errand.job j join errand.lane l on l.lane = j.lane"
                " where j.id = any (%s) group by 1, 2 order by 1", ids)
    told = []
    for row in found:
        n = len(row.ids)
        params = [row.lane, row.epoch, expected, row.ids, row.attempts, row.revisions, [1] * n, runner, KEEP_DAYS]
        if outcome == "done":
            answer = run_statement(connection, "job_done", *params)
        else:
            answer = run_statement(connection, "job_end", *params, [outcome] * n, [error or outcome] * n, [""] * n, [True] * n, [None] * n)
        if answer[0][1]:
            told.append(row.lane)
    return told


def release(connection, lanes):
    return sum(ask(connection, "select errand.dependents_release(%s)", lane)[0][0] for lane in lanes)
