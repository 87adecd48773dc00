"""Workload of jobs that each start a program: a kind that is a file, run once for every job. errand alone."""

import shutil

from bench.tools import bench_dir
from bench.workload_drain import ERRAND_ONLY, drain

SCRIPT = "#!/bin/sh\nexit 0\n"


def make_jobs():
    """A script for the shell, and a program that does nothing."""
    directory = bench_dir() / "jobs"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o755)
    (directory / "exec.script").write_text(SCRIPT)
    shutil.copy("/bin/true", directory / "exec.true")
    for file in directory.iterdir():
        file.chmod(0o755)
    return directory


def run_program(bench):
    if not bench.has(ERRAND_ONLY):
        return
    peer = bench.peer(ERRAND_ONLY)
    peer.jobs = make_jobs()
    try:
        for _ in range(bench.reps):
            for peer.kind in ("exec.script", "exec.true"):
                figures = bench.calmly(drain, peer, bench.size(10000, 2000))
                bench.add("program", peer.name, peer.kind, **figures)
    finally:
        peer.jobs = peer.kind = None
