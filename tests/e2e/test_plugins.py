"""Plug-ins that are files: built out of the tree with what errand installs, loaded, and refused with a reason."""

import json
import os
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from support.cluster import shared_cluster
from support.errand import ROOT, Errand, binary
from support.tempdir import make_tempdir
from support.wait import QueueDatabase

SOURCE = """#include <errand/errand.h>
static void run(struct errand_job *job) { errand_done(job); }
static const struct errand_kind kinds[] = {{.size = %(kind_size)s, .name = "%(kind)s", .run = run}};
extern const struct errand_module %(name)s_module;
ERRAND_EXPORT const struct errand_module %(symbol)s_module = {
    .abi = %(abi)s, .size = %(size)s, .name = "%(named)s", .version = "3", .kinds = kinds, .kind_count = 1};
"""


def compile_plugin(directory, name, source=None, **changes):
    values = {"kind_size": "sizeof(struct errand_kind)", "size": "sizeof(struct errand_module)", "abi": "ERRAND_ABI",
              "kind": f"{name}.run", "symbol": name, "named": name, "name": name, **changes}
    source = source or SOURCE % values
    subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", f"-I{ROOT}/include", "-x", "c", "-", "-o",
                    directory / f"{name}.so"], input=source, text=True, check=True)
    (directory / f"{name}.so").chmod(0o755)


@pytest.fixture(scope="module")
def prefix():
    """errand, installed."""
    directory = make_tempdir("prefix")
    subprocess.run(["cmake", "--install", binary().parent, "--prefix", directory], check=True, stdout=subprocess.DEVNULL)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def plugins():
    directory = make_tempdir("plugins")
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def queue_database():
    with QueueDatabase(shared_cluster(vector=False)) as database:
        yield database.dsn


@contextmanager
def errand_with(directory, dsn="postgresql:///x?host=/nowhere", **env):
    with Errand(dsn, ERRAND_JOBS=str(directory), **env) as errand:
        yield errand


def listed(errand, *args, state=None):
    found = json.loads(errand.run("plugins", "--json", *args).stdout)
    return {one["name"]: one for one in found if state in (None, one["state"])}


def commands():
    """The five that the manual begins with."""
    page = (ROOT / "docs" / "writing-jobs.md").read_text()
    lines = re.search(r"```sh\n(.*?)```", page, re.S).group(1).strip().split("\n")
    assert len(lines) == 5
    return lines


@pytest.mark.parametrize("isolation", ["process", "none"])
def test_skeleton_out_of_tree(prefix, queue_database, isolation):
    """Copied, built, tested and run as the manual says, with a setting of its own in the file."""
    place = make_tempdir("skeleton")
    place.chmod(0o755)
    env = {"PATH": f"{prefix}/bin:{os.environ['PATH']}", "HOME": str(place), "CMAKE_PREFIX_PATH": str(prefix)}
    try:
        for line in commands()[:4]:
            done = subprocess.run(["sh", "-euc", "umask 0; " + line.replace("/usr/local", str(prefix))], cwd=place, env=env,
                                  capture_output=True, text=True)
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        conf = place / "errand.conf"
        conf.write_text(f"[skeleton]\ngreeting = Good morning\nisolation = {isolation}\n")
        last = commands()[4].split()
        assert last[:2] == ["errand", "run"]
        with Errand(queue_database, ERRAND_CONFIG=str(conf)) as errand:
            arguments = [str(place / word) if "/" in word else word for word in last[2:]]
            runner = errand.start(*arguments, program=prefix / "bin" / "errand")
            runner.wait_log("plug-in loaded")
            job = errand.run("enqueue", "skeleton.greet", '{"name": "Ada"}', *arguments).stdout.strip()
            errand.run("jobs", "wait", job, "--timeout", "20s", *arguments)
            done = errand.run("test", "skeleton.greet", '{"name": "Bea"}', "--database", queue_database, *arguments)
            assert done.stdout.splitlines()[0] == 'sql      greet ("Good morning", "Bea"): 1 row'
            assert done.stdout.splitlines()[-2:] == ["outcome  done", 'result   {"said":"Good morning, Bea"}']
            shown = json.loads(errand.run("jobs", "show", job, "--json", *arguments).stdout)
            assert "Good morning, Ada" in json.dumps(shown)
            config = json.loads(errand.run("config", "--json", *arguments, "--set", "skeleton.greeting=Hi").stdout)
            assert {one["key"]: one["value"] for one in config if one["section"] == "skeleton"}["greeting"] == "Hi"
    finally:
        shutil.rmtree(place)


def test_pkg_config(prefix, plugins):
    """The skeleton without CMake, as the manual says."""
    page = (ROOT / "docs" / "writing-jobs.md").read_text()
    [lines] = re.findall(r"```sh\n(embed=.*?)```", page, re.S)
    for name in ("skeleton.c", "queries.sql"):
        shutil.copy(prefix / "share" / "errand" / "skeleton" / name, plugins)
    done = subprocess.run(["sh", "-euc", "umask 022; " + lines], capture_output=True, text=True, cwd=plugins,
                          env={**os.environ, "PKG_CONFIG_PATH": f"{prefix}/share/pkgconfig"})
    assert done.returncode == 0, done.stderr
    with errand_with(plugins) as errand:
        assert listed(errand)["skeleton"]["kinds"] == ["skeleton.greet"]
        assert "/* Generated from queries.sql. */" in (plugins / "skeleton_sql.h").read_text()


def test_linked_are_listed(plugins):
    with errand_with(plugins) as errand:
        found = listed(errand)
        assert found["email"]["state"] == "linked" and "email.send" in found["email"]["kinds"]
        assert "skeleton" not in found
        assert "email.send" in errand.run("plugins").stdout


def test_loaded_is_listed(plugins):
    compile_plugin(plugins, "good")
    with errand_with(plugins) as errand:
        assert listed(errand)["good"] == {"name": "good", "state": "loaded", "version": "3", "abi": 1, "reason": None,
                                          "file": f"{plugins}/good.so", "kinds": ["good.run"]}


def test_older_struct_loads(plugins):
    """Built when struct errand_kind and struct errand_module ended earlier."""
    source = SOURCE.replace("static const struct errand_kind kinds[] = {{", "static const union { struct errand_kind kind; } kinds_ = {{")
    source = source.replace(".kinds = kinds,", ".kinds = &kinds_.kind,")
    values = {"kind_size": "offsetof(struct errand_kind, retries)", "size": "offsetof(struct errand_module, start)",
              "abi": "ERRAND_ABI", "kind": "old.run", "symbol": "old", "named": "old", "name": "old"}
    compile_plugin(plugins, "old", source % values)
    with errand_with(plugins) as errand:
        assert listed(errand)["old"]["state"] == "loaded"


REFUSED = {
    "abi": ({"abi": "ERRAND_ABI + 1"}, "it was built for ABI 2, this errand has 1"),
    "larger": ({"size": "sizeof(struct errand_module) + 8"}, "it was built for a newer errand"),
    "largerkind": ({"kind_size": "sizeof(struct errand_kind) + 8"}, "a kind has size"),
    "symbol": ({"symbol": "another"}, "it exports no symbol symbol_module"),
    "taken": ({"kind": "probe.run"}, "kind probe.run is taken by module probe"),
    "named": ({"named": "other"}, "its module calls itself 'other', the file is named.so"),
    "probe": ({"kind": "mine.run"}, "there is a module probe in errand already"),
}


def break_mode(path):
    path.chmod(0o775)


def break_world(path):
    path.chmod(0o757)


def break_owner(path):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(path, 12345, 0)


def break_link(path):
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def break_folder(path):
    path.unlink()
    path.mkdir()


def break_text(path):
    path.write_text("no ELF")


BROKEN = [(break_mode, "the file is writable by its group (mode 0775): chmod go-w"),
          (break_world, "the file is writable by everybody (mode 0757): chmod go-w"),
          (break_owner, "the file belongs to user 12345"),
          (break_link, "it is a symbolic link, not a regular file"),
          (break_folder, "it is not a regular file"),
          (break_text, "it cannot be opened: ")]


def check_refused(plugins, dsn, name, reason):
    """In the list and in the log; the others load, the runner runs, and the section of the file may stay."""
    compile_plugin(plugins, "good")
    conf = plugins / "errand.conf"
    conf.write_text(f"[{name}]\nanything = 1\n" if name != "probe" else "")
    with errand_with(plugins, dsn, ERRAND_CONFIG=str(conf)) as errand:
        refused = listed(errand, state="refused")[name]
        assert reason in refused["reason"] and refused["abi"] is None and refused["kinds"] == []
        assert listed(errand)["good"]["state"] == "loaded"
        assert reason in errand.run("plugins").stdout
        runner = errand.start()
        runner.wait_log("level=error .*plug-in refused.*" + name + ".so.*" + re.escape(reason))
        job = errand.run("enqueue", "good.run").stdout.strip()
        errand.run("jobs", "wait", job, "--timeout", "20s")


@pytest.mark.parametrize("name", REFUSED)
def test_refused_for_what_it_says(plugins, queue_database, name):
    changes, reason = REFUSED[name]
    compile_plugin(plugins, name, **changes)
    check_refused(plugins, queue_database, name, reason)


@pytest.mark.parametrize("how,reason", BROKEN, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_for_what_it_is(plugins, queue_database, how, reason):
    compile_plugin(plugins, "broken")
    how(plugins / "broken.so")
    check_refused(plugins, queue_database, "broken", reason)


SETTINGS = {
    "default": ('{"n", ERRAND_SETTING_INTEGER, "9", NULL, 1, 5, "x"}',
                "module default: the default of a setting: default.n is '9'; allowed: a whole number from 1 to 5"),
    "double": ('{"n", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "x"}, {"n", ERRAND_SETTING_TEXT, NULL, NULL, 0, 0, "y"}',
               "module double: there are two settings n"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_refused_for_its_settings(plugins, name):
    settings, reason = SETTINGS[name]
    source = SOURCE.replace("extern const", f"static const struct errand_setting settings[] = {{{settings}}};\nextern const")
    source = source.replace(".kind_count = 1", ".kind_count = 1, .settings = settings, .setting_count = sizeof settings / sizeof *settings")
    values = {"kind_size": "sizeof(struct errand_kind)", "size": "sizeof(struct errand_module)", "abi": "ERRAND_ABI",
              "kind": f"{name}.run", "symbol": name, "named": name, "name": name}
    compile_plugin(plugins, name, source % values)
    with errand_with(plugins) as errand:
        assert listed(errand, state="refused")[name]["reason"] == reason


def test_unknown_function(plugins, queue_database):
    """Of a newer header: it says which."""
    source = SOURCE.replace("errand_done(job);", "extern void errand_newer(void); errand_newer();")
    values = {"kind_size": "sizeof(struct errand_kind)", "size": "sizeof(struct errand_module)", "abi": "ERRAND_ABI",
              "kind": "newer.run", "symbol": "newer", "named": "newer", "name": "newer"}
    compile_plugin(plugins, "newer", source % values)
    check_refused(plugins, queue_database, "newer", "undefined symbol: errand_newer")


def test_directory_that_others_may_write(plugins):
    compile_plugin(plugins, "good")
    plugins.chmod(0o777)
    with errand_with(plugins) as errand:
        found = json.loads(errand.run("plugins", "--json").stdout)
        refused = [one for one in found if one["state"] != "linked"]
        assert [one["reason"] for one in refused] == ["the directory is writable by everybody (mode 0777): chmod go-w"]


def test_no_directory(plugins):
    with errand_with(plugins / "none") as errand:
        assert "the directory cannot be looked at: No such file" in errand.run("plugins").stdout


def test_unknown_section_is_still_a_fault(plugins):
    with errand_with(plugins) as errand:
        done = errand.run("plugins", "--set", "nothing.key=1", check=False)
        assert done.returncode == 2 and "there is no section [nothing]" in done.stderr


HEADERS = sorted(path.name for path in (ROOT / "include" / "errand").iterdir())


def declared(header):
    """The functions of the ABI that a header declares itself."""
    text = (ROOT / "include" / "errand" / header).read_text()
    text = re.sub(r"(?m)^#.*$", "", re.sub(r"(?s)/\*.*?\*/", "", text))
    return set(re.findall(r"\b(errand_\w+)\(", text))


def test_all_of_the_headers_is_exported():
    symbols = subprocess.run(["nm", "-D", "--defined-only", binary()], capture_output=True, text=True, check=True).stdout
    exported = set(re.findall(r" T (errand_\w+)$", symbols, re.M))
    assert len(exported) > 40 and exported == set().union(*map(declared, HEADERS))


@pytest.mark.parametrize("header", HEADERS)
def test_each_header_stands_alone(plugins, header):
    """Whichever is included first, or alone, a plug-in finds errand's functions."""
    name = "of_" + header.removesuffix(".h")
    used = "".join(f"    (void (*)(void)){function},\n" for function in sorted(declared(header) | {"errand_http", "errand_done"}))
    values = {"kind_size": "sizeof(struct errand_kind)", "size": "sizeof(struct errand_module)", "abi": "ERRAND_ABI",
              "kind": f"{name}.run", "symbol": name, "named": name, "name": name}
    source = SOURCE.replace("errand/errand.h", f"errand/{header}") % values
    compile_plugin(plugins, name, f"{source}extern void (*const used[])(void);\nvoid (*const used[])(void) = {{\n{used}}};\n")
    with errand_with(plugins) as errand:
        assert listed(errand)[name]["state"] == "loaded"
