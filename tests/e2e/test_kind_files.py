"""Kinds that are files: taken up, changed and removed while the runner works; refused with a reason; their settings."""

import json
import os
import signal

import pytest

from kind_support import JobsDirectory, runner_with
from support.errand import Errand
from support.wait import until


@pytest.fixture
def jobs():
    directory = JobsDirectory()
    yield directory
    directory.close()


def listed(errand):
    return {one["name"]: one for one in json.loads(errand.run("plugins", "--json").stdout)}


# ---- Coming, changing, going ----

def test_file_that_is_there_at_the_start(jobs):
    jobs.script("greet.say", "echo '{\"said\": \"hello\"}'")
    with runner_with(jobs) as (errand, db, _):
        id = db.enqueue("greet.say")
        assert db.wait_ended(id).result == {"said": "hello"}
        assert listed(errand)["greet.say"] == {
            "name": "greet.say", "state": "loaded", "version": None, "abi": None, "kinds": ["greet.say"],
            "file": str(jobs.path / "greet.say"), "reason": None}


def test_file_that_comes_later(jobs):
    """Its job was there before it, and nobody knew the kind."""
    with runner_with(jobs) as (errand, db, runner):
        id = db.enqueue("greet.say")
        assert "No runner here knows kind greet.say." in errand.run("why", str(id)).stdout
        jobs.script("greet.say", "# errand: queue = greetings\n# errand: max_attempts = 3\nexit 0")
        assert db.wait_ended(id).state == "done"
        assert db.row("select queue, max_attempts from errand.kind where name = 'greet.say'") == ("greetings", 3)
        later = db.enqueue("greet.say")
        assert db.wait_ended(later).queue == "greetings"
        runner.wait_log("kind loaded")


def test_change_leaves_what_runs_alone(jobs):
    """A hundred jobs run while their file is changed: they end as they began; those behind them see the new one."""
    jobs.script("slow.go", "while [ ! -e \"${0%/*}/gate\" ]; do sleep 0.05; done; echo '\"old\"'")
    with runner_with(jobs, ERRAND_CONCURRENCY="100") as (_, db, runner):
        ids = db.enqueue_many(150, kind="slow.go")
        db.wait("select sum(running) = 100 from errand.runner")
        jobs.script("slow.go", "echo '\"new\"'")
        runner.wait_log("kind changed")
        (jobs.path / "gate").touch()
        db.wait_empty(60)
        db.check_history(ids)
        assert dict(db.sql("select result #>> '{}', count(*) from errand.history where outcome = 'done' group by 1")) == {
            "old": 100, "new": 50}
        assert db.one("select max(attempt) from errand.history") == 1


def test_removal_leaves_what_runs_alone(jobs):
    jobs.script("slow.go", "while [ ! -e \"${0%/*}/gate\" ]; do sleep 0.05; done")
    with runner_with(jobs, ERRAND_CONCURRENCY="2") as (errand, db, runner):
        ids = db.enqueue_many(3, kind="slow.go")
        db.wait("select sum(running) = 2 from errand.runner")
        jobs.remove("slow.go")
        runner.wait_log("kind removed")
        db.wait("select not 'slow.go' = any (kinds) from errand.runner")
        (jobs.path / "gate").touch()
        db.wait("select count(*) = 2 from errand.history where outcome = 'done'")
        [left] = [id for id in ids if not db.job(id).finished_at]
        assert "No runner here knows kind slow.go." in errand.run("why", str(left)).stdout
        jobs.script("slow.go", "exit 0")
        assert db.wait_ended(left).state == "done"


def test_job_of_a_removed_kind_goes_to_a_runner_that_knows_it(jobs):
    other = JobsDirectory()
    other.script("greet.say", "echo '\"other\"'")
    jobs.script("greet.say", "echo '\"first\"'")
    try:
        with runner_with(jobs) as (errand, db, runner):
            assert db.wait_ended(db.enqueue("greet.say")).result == "first"
            errand.start(env={"ERRAND_JOBS": str(other.path)})
            db.wait("select count(*) = 2 from errand.runner")
            jobs.remove("greet.say")
            db.wait("select count(*) = 1 from errand.runner where 'greet.say' = any (kinds)")
            ids = db.enqueue_many(20, kind="greet.say")
            db.wait_empty()
            assert {db.job(id).result for id in ids} == {"other"}
    finally:
        other.close()


def test_hangup_looks_anew(jobs):
    """The directory itself is another one: that is told by SIGHUP."""
    jobs.script("greet.say", "echo '\"before\"'")
    with runner_with(jobs) as (_, db, runner):
        assert db.wait_ended(db.enqueue("greet.say")).result == "before"
        fresh = JobsDirectory()
        fresh.script("greet.say", "echo '\"after\"'")
        os.rename(jobs.path, jobs.beside / "old")
        os.rename(fresh.path, jobs.path)
        os.kill(runner.pid, signal.SIGHUP)
        runner.wait_log("kind changed")
        assert db.wait_ended(db.enqueue("greet.say")).result == "after"
        jobs.script("greet.say", "echo '\"watched\"'")
        until(lambda: db.wait_ended(db.enqueue("greet.say")).result == "watched", "the new directory is not watched")


def test_hangup_without_a_directory(jobs):
    with Errand("postgresql:///x?host=/nowhere") as errand:
        runner = errand.start()
        runner.wait_log("database away")
        os.kill(runner.pid, signal.SIGHUP)
        runner.wait_log("no directory of jobs")
        assert runner.terminate() == 0


def test_half_written_file_is_left_alone(jobs):
    """While somebody writes, what was there before goes on; another file's coming makes errand look."""
    jobs.script("greet.say", "echo '\"whole\"'")
    with runner_with(jobs) as (_, db, runner):
        with open(jobs.path / "greet.say", "r+") as file:
            file.seek(0, os.SEEK_END)
            file.write("# errand: nonsense\n")
            file.flush()
            jobs.script("other.one", "exit 0")
            runner.wait_log("kind loaded.*other.one")
            assert "kind refused" not in runner.log()
            file.seek(0)
            file.write("#!/bin/sh\n# errand: max_attempts = 7\n")
            file.truncate()
        runner.wait_log("kind changed")
        db.wait("select max_attempts = 7 from errand.kind where name = 'greet.say'")


def test_kind_that_the_database_does_not_take(jobs):
    """All other kinds go on; it is told again until it is taken."""
    with runner_with(jobs, ERRAND_LEASE_TTL_MS="2000") as (_, db, runner):
        db.sql("""create function refuse() returns trigger language plpgsql as $$ begin
                  if new.name = 'greet.say' then raise 'not this one'; end if; return new; end $$""")
        db.sql("create trigger refuse before insert on errand.kind for each row execute function refuse()")
        jobs.script("greet.say", "exit 0")
        runner.wait_log("telling the database of changed kinds failed.*not this one")
        assert db.wait_ended(db.enqueue("probe.run")).state == "done"
        db.sql("drop trigger refuse on errand.kind")
        db.wait("select exists (select from errand.kind where name = 'greet.say')")
        assert db.wait_ended(db.enqueue("greet.say")).state == "done"


# ---- Settings ----

def test_settings_of_header_and_sidecar(jobs):
    """What stands beside the file counts before what it says itself."""
    jobs.put("greet.say.conf", "[kind]\ntimeout_ms = 7000\nclaim = lazy\n")
    jobs.script("greet.say", "# A comment.\n\n# errand: timeout_ms = 5000\n#errand:queue=greetings\nexit 0\n# errand: max_attempts = 9")
    with runner_with(jobs) as (_, db, runner):
        select = "select queue, timeout_ms, max_attempts from errand.kind where name = 'greet.say'"
        assert db.row(select) == ("greetings", 7000, 20)
        jobs.put("greet.say.conf", "[kind]\nmax_attempts = 4\n")
        runner.wait_log("kind changed")
        db.wait("select max_attempts = 4 from errand.kind where name = 'greet.say'")
        assert db.row(select) == ("greetings", 5000, 4)
        jobs.remove("greet.say.conf")
        db.wait("select max_attempts = 20 from errand.kind where name = 'greet.say'")


def test_concurrency_of_a_runner(jobs):
    """What operators set counts before it."""
    jobs.script("narrow.go", "# errand: concurrency = 2\nwhile [ ! -e \"${0%/*}/gate\" ]; do sleep 0.05; done")
    with runner_with(jobs, ERRAND_CONCURRENCY="20") as (errand, db, _):
        db.enqueue_many(10, kind="narrow.go")
        db.wait("select sum(running) = 2 from errand.runner")
        wide = db.enqueue("probe.run")
        assert db.wait_ended(wide).state == "done"
        assert db.one("select count(*) from errand.jobs where kind = 'narrow.go' and state = 'running'") == 2
        db.sql("select errand.kind_limit('narrow.go', 5)")
        db.wait("select sum(running) = 5 from errand.runner")
        (jobs.path / "gate").touch()
        db.wait_empty()


# ---- Refusals ----

REFUSED = {
    "unknown_key": ("a.b", "#!/bin/sh\n#\n# errand: timeout = 5\n", 0o755, "a.b:3: 'timeout' is no setting; there are: queue, "),
    "bad_value": ("a.b", "#!/bin/sh\n# errand: timeout_ms = 5s\n", 0o755,
                  "a.b:2: kind.timeout_ms is '5s'; allowed: a whole number from 1 to 86400000"),
    "no_pair": ("a.b", "#!/bin/sh\n# errand: fast\n", 0o755, "a.b:2: a setting is written errand: key = value"),
    "bad_claim": ("a.b", "#!/bin/sh\n# errand: claim = late\n", 0o755, "claim is 'late'; allowed: lazy or first"),
    "bad_queue": ("a.b", "#!/bin/sh\n# errand: queue = A\n", 0o755, "queue 'A' is not 1 to 63 of"),
    "no_dot": ("greet", "#!/bin/sh\n", 0o755, "'greet' is no name for a kind: 3 to 63 of a-z 0-9 _ . -"),
    "upper_case": ("a.B", "#!/bin/sh\n", 0o755, "'a.B' is no name for a kind"),
    "not_executable": ("a.b", "#!/bin/sh\n", 0o644, "the file may not be executed: chmod +x"),
    "empty": ("a.b", "", 0o755, "the file is empty"),
    "writable": ("a.b", "#!/bin/sh\n", 0o775, "the file is writable by its group (mode 0775): chmod go-w"),
    "taken": ("probe.run", "#!/bin/sh\n", 0o755, "kind probe.run is taken by plug-in probe"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(jobs, name):
    file, text, mode, reason = REFUSED[name]
    jobs.put(file, text, mode)
    with Errand("postgresql:///x?host=/nowhere", ERRAND_JOBS=str(jobs.path)) as errand:
        found = listed(errand)[file]
        assert (found["state"], found["kinds"]) == ("refused", [])
        assert reason in found["reason"]


def test_refused_change_keeps_the_version_before(jobs):
    jobs.script("greet.say", "# errand: max_attempts = 3\nexit 0")
    with runner_with(jobs) as (errand, db, runner):
        jobs.script("greet.say", "# errand: max_attempts = many\nexit 0")
        assert "max_attempts is 'many'" in runner.wait_log("kind refused.*").group()
        assert db.wait_ended(db.enqueue("greet.say")).state == "done"
        assert db.one("select max_attempts from errand.kind where name = 'greet.say'") == 3
        assert "'many'" in errand.run("plugins").stdout
        jobs.script("greet.say", "# errand: max_attempts = 4\nexit 0")
        runner.wait_log("kind changed")
        db.wait("select max_attempts = 4 from errand.kind where name = 'greet.say'")


def test_sidecar_of_another_name_is_named(jobs):
    """Settings that nobody reads: the kind's name in place of the file's."""
    jobs.put("report.nightly.sql", "select 1")
    jobs.put("report.nightly.conf", "[kind]\nmax_attempts = 4\n")
    with runner_with(jobs) as (errand, db, runner):
        runner.wait_log('kind refused.*report.nightly.conf.*nobody reads it: the settings of report.nightly.sql stand in '
                        'report.nightly.sql.conf"')
        found = listed(errand)
        assert (found["report.nightly.conf"]["state"], found["report.nightly.sql"]["state"]) == ("refused", "loaded")
        (jobs.path / "report.nightly.conf").rename(jobs.path / "report.nightly.sql.conf")
        db.wait("select max_attempts = 4 from errand.kind where name = 'report.nightly'")
        assert "report.nightly.conf" not in listed(errand)
        jobs.put("lone.go.conf", "[kind]\nmax_attempts = 4\n")
        jobs.put("lone.go.sql", "select 1")
        runner.wait_log("lone.go.conf.*nobody reads it")
        jobs.script("lone.go", "exit 0")
        assert "lone.go.conf" not in listed(errand)


def test_file_that_others_may_write_now_is_taken_away(jobs):
    jobs.script("greet.say", "exit 0")
    with runner_with(jobs) as (_, db, runner):
        (jobs.path / "greet.say").chmod(0o775)
        runner.wait_log("kind refused.*writable by its group")
        db.wait("select not 'greet.say' = any (kinds) from errand.runner")


def test_what_is_no_kind_is_left_alone(jobs):
    for name in [".hidden.sh", "a.b~", ".a.b.swp", "a.b.conf", "notes.txt", "README"]:
        jobs.put(name, "some text")
    jobs.put("good.so.conf", "#!/bin/sh\n")
    (jobs.path / "folder.d").mkdir()
    with Errand("postgresql:///x?host=/nowhere", ERRAND_JOBS=str(jobs.path)) as errand:
        assert {one["state"] for one in listed(errand).values()} == {"linked"}


def test_a_program_that_has_gone_fails_no_job(jobs):
    """Its jobs start in the moment before that is noticed; they wait until it is there again."""
    jobs.script("program.run", "echo 1")
    with runner_with(jobs) as (_, db, runner):
        db.wait("select exists (select from errand.kind where name = 'program.run')")
        db.wait_ended(db.enqueue("program.run"))
        jobs.remove("program.run")
        ids = db.enqueue_many(20, kind="program.run")
        runner.wait_log("kind removed|kind.*removed")
        jobs.script("program.run", "echo 2")
        for id in ids:
            assert db.wait_ended(id).state == "done"
        assert db.one("select count(*) from errand.attempt") == 0
        assert db.one("select max(attempt) from errand.history") == 1


def test_files_that_change_all_the_time(jobs):
    """While jobs of theirs run, wait, fail and are limited: each ends once."""
    def put(number):
        limit = f"-- errand: concurrency = {1 + number % 3}\n" if number % 2 else ""
        jobs.put("sql.own.sql", f"{limit}-- errand: transaction = own\nselect {number} as number, pg_sleep(0.005)::text")
        jobs.put("sql.effect.sql", f"-- errand: max_attempts = {2 + number % 5}\nselect {number}, 1 / ((:id + :attempt) % 2)")
        if number % 4 == 3:
            jobs.remove("program.run")
        else:
            jobs.script("program.run", f"# errand: queue = programs\n{limit.replace('--', '#')}echo {number}")
    put(0)
    with runner_with(jobs, ERRAND_CONCURRENCY="10") as (_, db, runner):
        for kind in ["sql.own", "sql.effect", "program.run"]:
            db.wait("select exists (select from errand.kind where name = %s)", kind)
            db.sql("select errand.kind_retry_set(%s, 'fixed', delays => '{1 milliseconds}')", kind)
        ids = []
        for number in range(1, 41):
            for kind in ["sql.own", "sql.effect", "program.run"]:
                ids += db.enqueue_many(8, kind=kind)
            put(number)
            seen = runner.log().count("kind changed")
            until(lambda: runner.log().count("kind changed") > seen, "a change is not taken up")
        db.wait_empty(60)
        db.check_history(ids)
        assert db.one("select count(*) from errand.history where outcome <> 'done'") == 0
        assert runner.terminate() == 0
        assert db.one("select sum(jobs) from errand.statistic where outcome = 'done'") == len(ids)
