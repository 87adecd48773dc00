"""The borders between the folders of the code, and the rules of shape that a compiler does not know.

Arrows point down the table FOLDERS only. Each rule has samples below that it must find, so that it can fail.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What a folder of src/ may include of the others. `errand` is include/errand, the public ABI.
FOLDERS = {
    "base": set(),
    "loop": {"base"},
    "config": {"base", "errand"},
    "db": {"base", "loop", "config", "errand"},
    "http": {"base", "loop", "config", "errand"},
    "httpd": {"base", "loop", "config"},
    "cron": {"base"},
    "module": {"base", "loop", "config", "db", "http", "errand"},
    "signature": {"base"},
    "kind": {"base", "loop", "config", "db", "http", "module", "signature", "errand"},
    "wire": {"base"},
    "isolate": {"base", "loop", "config", "module", "wire", "errand"},
    "host": {"base", "wire", "http/sse.h", "module/json_text.h", "module/param_text.h", "module/plugin.h", "errand"},
    "queue": {"base", "loop", "config", "db", "cron", "module", "kind/watch.h", "errand"},
    "web": {"base", "loop", "config", "db", "httpd", "signature", "errand", "kind/callback.h", "queue/counts.h", "queue/runner.h"},
    "trial": {"base", "loop", "config", "db", "http", "module", "errand"},
    "include": set(),
    "cli": {"base", "loop", "config", "db", "http", "httpd", "cron", "module", "kind", "queue", "web", "signature", "trial", "isolate", "errand"},
    "": {"cli", "module/linked.h"},  # src/main.c
}

# Headers of the C library that anything may use: text, numbers, memory, and time as a type.
LIBC = set("""assert ctype errno inttypes limits math stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib string
    strings time endian uthash utlist""".split())

# What else a folder, or one file, may use. base does no I/O.
SYSTEM = {
    "include/errand": {"jansson"},
    "src/base/log.c": {"unistd"},
    "src/base/mem.c": {"malloc"},
    "src/base/failpoint.c": {"signal"},
    "src/base/random.c": {"sys/random"},
    "src/loop/stray.c": {"dirent"},
    "src/loop": {"ev", "fcntl", "poll", "pthread", "sanitizer/common_interface_defs", "setjmp", "signal", "spawn", "sys/*",
                 "ucontext", "unistd"},
    "src/config": {"unistd"},
    "src/db": {"arpa/inet", "libpq-fe", "netdb", "netinet/*", "sys/*", "unistd"},
    "src/http": {"arpa/inet", "curl/*", "netinet/in", "sys/socket"},
    "src/httpd": {"arpa/inet", "fcntl", "microhttpd", "netinet/*", "sys/*", "unistd"},
    "src/module": {"dlfcn", "jansson", "libpq-fe", "unistd"},
    "src/module/watchdog.c": {"pthread", "signal"},
    "src/module/watchdog.h": {"pthread"},
    "src/module/loader.c": {"dirent"},
    "src/module/trust.c": {"sys/stat"},
    "src/module/trust.h": {"sys/stat"},
    "src/kind": {"dirent", "ev", "fcntl", "jansson", "libpq-fe", "strings", "sys/*", "unistd"},
    "src/isolate": {"ev", "jansson", "fcntl", "sys/socket", "sys/stat", "unistd"},
    "src/host": {"dirent", "fcntl", "jansson", "sched", "signal", "sys/*", "unistd"},
    "src/wire": {"sys/types"},
    "src/queue": {"libpq-fe", "signal", "unistd"},
    "src/signature": {"openssl/*"},
    "src/web": {"jansson", "libpq-fe"},
    "src/trial": {"curl/*", "jansson", "libpq-fe", "microhttpd", "netinet/in", "pthread", "signal"},
    "src/web/segment.c": {"dirent", "fcntl", "openssl/sha", "sys/file", "sys/stat", "unistd"},
    "src/web/process.c": {"dirent", "sys/resource", "unistd"},
    "src/web/spool.c": {"unistd"},
    "src/cli": {"jansson", "signal", "sys/ioctl", "unistd"},
    "src/cli/session.c": {"libpq-fe", "poll", "pthread"},
    "src/cli/cmd_webhook_rotate.c": {"fcntl"},
    "src/cli/checksum.c": {"openssl/evp"},
    "jobs": {"jansson", "dirent"},
    "jobs/probe": {"fcntl", "signal", "unistd"},
}

# Only these speak to a server; whoever else has libpq-fe.h reads results that were handed to it.
LIBPQ_SPEAKERS = ("src/db/", "src/cli/session.c")
LIBPQ_READERS = set("""PQgetvalue PQgetlength PQgetisnull PQntuples PQnfields PQfname PQcmdTuples PQresultStatus
    PQresultErrorField PQresultErrorMessage PQcmdStatus PQclear PQftype PQunescapeBytea PQfreemem""".split())

# Folders that ask nothing of the system themselves, but for these files: cron/zone.c reads tzdata.
PURE = ("src/base/", "src/cron/")
PURE_BUT = {"src/base/failpoint.c", "src/base/log.c", "src/base/mem.c", "src/cron/zone.c"}
IO = re.compile(r"\b(f?open(at)?|fdopen|freopen|opendir|popen|fread|fgets|getline|fwrite|f?puts|f?printf|getenv|system|tzset"
                r"|localtime(_r)?|mktime)\s*\(")

FILE_LINES = 600
FUNCTION_LINES = 60
LONG_FUNCTIONS = set()  # "path:function": flat switches whose cases call functions

TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
STRINGS = re.compile(r'"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*')
SQL = re.compile(r"""\bselect\b.+?\bfrom\b | ^\s*select\s+[\w.]+\s*\( | \binsert\s+into\s+\w | \bupdate\s+[\w."%]+\s+set\b
    | \bdelete\s+from\s+\w | \b(create|alter|drop)\s+(table|index|view|function|schema|role|extension|trigger|type)\s+\w
    | ^\s*(begin|commit|rollback)\s*; | ^\s*set\s+local\s+\w | ^\s*listen\s+[\w"%]+\s*;?\s*$
    | ^\s*with\s+\w+\s+as\s*\(""", re.X | re.S)


def strip_comments(text):
    """The same text with comments blanked, lines kept, strings as they are."""
    def blank(match):
        token = match.group()
        return token if token[0] in "\"'" else re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(blank, text)


def strip_strings(text):
    return TOKEN.sub(lambda match: '""' if match.group()[0] == '"' else match.group(), text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def folder_of(path):
    parts = path.split("/")
    if parts[0] == "src":
        return parts[1] if len(parts) > 2 else ""
    return parts[0]


# ---- Includes ----

def system_allowed(path, header):
    name = header.removesuffix(".h")
    if name in LIBC:
        return True
    parts = path.split("/")
    places = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    allowed = set().union(*(SYSTEM.get(place, set()) for place in places))
    return name in allowed or f"{name.rsplit('/', 1)[0]}/*" in allowed


def project_allowed(path, header):
    folder = folder_of(path)
    if path.startswith("jobs/"):
        job = path.split("/")[1]
        return "/" not in header and (not header.endswith("_sql.h") or header == f"{job}_sql.h")
    if header.endswith("_sql.h"):
        return header == f"{folder}_sql.h"
    if "/" not in header or ".." in header:
        return False
    target = header.split("/")[0]
    return target == folder or target in FOLDERS[folder] or header in FOLDERS[folder]


def errand_allowed(path):
    if path.startswith(("include/", "jobs/")):
        return True
    return "errand" in FOLDERS[folder_of(path)]


def check_includes(path, text):
    for match in INCLUDE.finditer(strip_comments(text)):
        quote, header = match.groups()
        where = f"{path}:{line_of(text, match.start(2))}"
        if header.startswith("errand/"):
            if not errand_allowed(path) or quote != "<":
                yield f"{where}: {path} may not include {header}"
        elif quote == "<" and not system_allowed(path, header):
            yield f"{where}: {folder_of(path) or path} may not use <{header}>"
        elif quote == '"' and not project_allowed(path, header):
            yield f"{where}: {folder_of(path) or path} may not include \"{header}\""


def check_own_header_first(path, text, exists=lambda path: (ROOT / path).exists()):
    """A .c with a header of its name includes it before any other."""
    if not path.endswith(".c") or not exists(path[:-1] + "h"):
        return
    own = path[:-1] + "h"
    own = own.removeprefix("src/") if path.startswith("src/") else own.rsplit("/", 1)[1]
    first = INCLUDE.search(strip_comments(text))
    if not first or first.group(2) != own:
        yield f"{path}:1: its own header \"{own}\" comes first"


def check_libpq(path, text):
    if path.startswith(LIBPQ_SPEAKERS):
        return
    text = strip_strings(strip_comments(text))
    for match in re.finditer(r"\bPQ\w+", text):
        if match.group() not in LIBPQ_READERS:
            yield f"{path}:{line_of(text, match.start())}: only src/db speaks to the server: {match.group()}"


def check_pure(path, text):
    if not path.startswith(PURE) or path in PURE_BUT:
        return
    text = strip_strings(strip_comments(text))
    for match in IO.finditer(text):
        yield f"{path}:{line_of(text, match.start())}: {path.rsplit('/', 1)[0]} is pure: {match.group(1)}"


# ---- Shape ----

def check_sql(path, text):
    text = strip_comments(text)
    for match in STRINGS.finditer(text):
        literal = "".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', match.group())).replace("\\n", "\n").replace('\\"', '"')
        line = text.split("\n")[line_of(text, match.start()) - 1]
        is_verb = literal.strip() in ("BEGIN", "COMMIT", "ROLLBACK") and "PQcmdStatus(" not in line
        if is_verb or SQL.search(literal.lower()):
            yield f"{path}:{line_of(text, match.start())}: SQL in a C string: {literal[:60]!r}"


def check_words(path, text):
    text = strip_strings(strip_comments(text))
    for match in re.finditer(r"\btypedef\s+(?:const\s+)?(struct|enum|union)\b", text):
        yield f"{path}:{line_of(text, match.start())}: no typedef of a {match.group(1)}"
    for match in re.finditer(r"\btime\s*\(\s*(NULL|0|&)", text):
        yield f"{path}:{line_of(text, match.start())}: time() is not for errand: base/clock.h"


def check_length(path, text):
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines, at most {FILE_LINES}"


def functions(text):
    """(name, first line, lines) of each function; its braces stand in the first column."""
    lines = strip_strings(strip_comments(text)).split("\n")
    opened = None
    for number, line in enumerate(lines):
        if line == "{":
            opened = number
        elif line == "}" and opened is not None:
            first = opened
            while first > 0 and lines[first - 1].strip() and not lines[first - 1].startswith(("}", "#")):
                first -= 1
            name = re.search(r"(\w+)\s*\(", " ".join(lines[first:opened]))
            yield (name.group(1) if name else "?"), first + 1, number - first + 1
            opened = None


def check_functions(path, text):
    for name, line, length in functions(text):
        if length > FUNCTION_LINES and f"{path}:{name}" not in LONG_FUNCTIONS:
            yield f"{path}:{line}: {name} has {length} lines, at most {FUNCTION_LINES}"


CHECKS = [check_includes, check_own_header_first, check_libpq, check_pure, check_sql, check_words, check_length, check_functions]


def sources():
    for top in ("src", "jobs", "include"):
        for path in sorted((ROOT / top).rglob("*.[ch]")):
            relative = path.relative_to(ROOT).as_posix()
            if not (top == "jobs" and "/tests/" in relative):
                yield relative, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_tree(check):
    found = [violation for path, text in sources() for violation in check(path, text)]
    assert not found, "\n" + "\n".join(found)


def test_tree_is_there():
    assert len(list(sources())) > 20
    for path, _ in sources():
        assert path.startswith(("jobs/", "include/")) or folder_of(path) in FOLDERS, f"{path} is in no folder of the table"


def test_table_points_down():
    """No folder may use one that may use it, by whatever way round."""
    def reach(folder, seen):
        for target in FOLDERS.get(folder, ()):
            target = target.split("/")[0]
            if target not in seen:
                seen.add(target)
                reach(target, seen)
        return seen
    for folder in FOLDERS:
        assert folder not in reach(folder, set())


# ---- The rules themselves: each must find these, and must let those pass ----

BAD = [
    (check_includes, "src/base/heap.c", '#include "loop/loop.h"'),
    (check_includes, "src/base/heap.c", "#include <unistd.h>"),
    (check_includes, "src/base/log.c", "#include <sys/socket.h>"),
    (check_includes, "src/base/heap.c", "#include <errand/errand.h>"),
    (check_includes, "src/db/conn.c", '#include "http/http.h"'),
    (check_includes, "src/db/conn.c", '#include "queue/lane.h"'),
    (check_includes, "src/http/http.c", "#include <libpq-fe.h>"),
    (check_includes, "src/queue/lane.c", "#include <curl/curl.h>"),
    (check_includes, "src/queue/lane.c", '#include "cli/session.h"'),
    (check_includes, "src/queue/lane.c", '#include "lane.h"'),
    (check_includes, "src/queue/lane.c", '#include "db_sql.h"'),
    (check_includes, "src/cli/table.c", "#include <libpq-fe.h>"),
    (check_includes, "src/web/web.c", '#include "queue/lane.h"'),
    (check_includes, "src/main.c", '#include "queue/runner.h"'),
    (check_includes, "jobs/email/send.c", '#include "base/buf.h"'),
    (check_includes, "jobs/email/send.c", '#include "../other/other.h"'),
    (check_includes, "jobs/email/send.c", '#include "billing_sql.h"'),
    (check_includes, "jobs/email/send.c", "#include <curl/curl.h>"),
    (check_includes, "include/errand/errand.h", '#include "base/buf.h"'),
    (check_own_header_first, "src/base/heap.c", '#include <stdio.h>\n#include "base/heap.h"'),
    (check_own_header_first, "src/base/heap.c", "int x;"),
    (check_libpq, "src/queue/lane.c", "void f(void) { PQexec(conn, text); }"),
    (check_pure, "src/cron/cron.c", 'file = fopen(path, "re");'),
    (check_pure, "src/cron/cron.c", "localtime_r(&at, &tm);"),
    (check_pure, "src/base/buf.c", 'value = getenv("TZ");'),
    (check_sql, "src/db/conn.c", '"select 1 from errand.job"'),
    (check_sql, "src/db/conn.c", 'run("SELECT id, "\n    "kind FROM errand.job");'),
    (check_sql, "src/db/conn.c", '"select errand.enqueue($1)"'),
    (check_sql, "src/db/conn.c", '"insert into job values (1)"'),
    (check_sql, "src/db/conn.c", '"UPDATE errand.job SET attempt = 1"'),
    (check_sql, "src/db/conn.c", '"delete from errand.job"'),
    (check_sql, "src/db/conn.c", '"create table x (id int)"'),
    (check_sql, "src/db/conn.c", '"BEGIN"'),
    (check_sql, "src/db/conn.c", '"commit;"'),
    (check_sql, "src/db/conn.c", '"listen \\"errand\\""'),
    (check_sql, "src/db/conn.c", '"set local lock_timeout = 1"'),
    (check_sql, "src/db/conn.c", '"with x as (values (1)) table x"'),
    (check_words, "src/db/conn.c", "typedef struct conn conn_t;"),
    (check_words, "src/db/conn.c", "typedef enum { A } a;"),
    (check_words, "src/db/conn.c", "x = time(NULL);"),
    (check_words, "src/db/conn.c", "time( &now );"),
    (check_length, "src/db/conn.c", "\n" * 601),
    (check_length, "include/errand/errand.h", "\n" * 601),
    (check_functions, "src/db/conn.c", "static int f(int a,\n    int b)\n{\n" + "    x();\n" * 58 + "}\n"),
]

GOOD = [
    (check_includes, "src/base/log.c", "#include <unistd.h>\n#include <stdio.h>\n#include <uthash.h>"),
    (check_includes, "src/queue/lane.c", '#include "queue/lane.h"\n#include "db/unit.h"\n#include "queue_sql.h"'),
    (check_includes, "src/queue/lane.c", '/* #include "cli/cli.h" */\n// #include <curl/curl.h>'),
    (check_includes, "src/cli/session.c", "#include <libpq-fe.h>"),
    (check_includes, "src/web/web.c", '#include "queue/runner.h"'),
    (check_includes, "src/main.c", '#include "cli/cli.h"\n#include "module/linked.h"'),
    (check_includes, "jobs/email/send.c", '#include "answer.h"\n#include <errand/errand.h>\n#include "email_sql.h"'),
    (check_own_header_first, "src/base/heap.c", '/* heap */\n#include "base/heap.h"\n#include <stdio.h>'),
    (check_libpq, "src/queue/lane.c", 'PQgetvalue(result, 0, 0); say("PQexec");'),
    (check_libpq, "src/db/conn.c", "PQexec(conn, text);"),
    (check_pure, "src/cron/zone.c", 'file = fopen(path, "re");'),
    (check_pure, "src/cron/cron.c", 'buf_printf(buf, "x"); snprintf(text, 8, "fopen()"); /* fopen(x) */'),
    (check_pure, "src/db/conn.c", "getenv(name);"),
    (check_sql, "src/db/conn.c", '/* "select a from b" */ "cannot update the row", "begin", "commit", "selected from them"'),
    (check_sql, "src/db/conn.c", 'strcmp(PQcmdStatus(result), "ROLLBACK") == 0'),
    (check_sql, "src/db/conn.c", '"listen", "deleted", "created", "no update set", "drop the table"'),
    (check_words, "src/db/conn.c", "typedef void conn_done(void *context); /* typedef struct x y; */ clock_time(NULL);"),
    (check_length, "src/db/conn.c", "\n" * 600),
    (check_length, "include/errand/errand.h", "\n" * 600),
    (check_functions, "src/db/conn.c", "static int f(int a,\n    int b)\n{\n" + "    x();\n" * 56 + "}\n"),
]


def ids(case):
    return f"{case[0].__name__}-{case[2][:40]!r}"


@pytest.mark.parametrize("case", BAD, ids=ids)
def test_rule_finds(case):
    check, path, text = case
    assert list(check(path, text)), f"{check.__name__} lets this pass in {path}: {text[:200]}"


@pytest.mark.parametrize("case", GOOD, ids=ids)
def test_rule_lets_pass(case):
    check, path, text = case
    assert not list(check(path, text))
