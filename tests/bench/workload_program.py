"""Workloads of jobs that run in processes: programs and plug-ins, a process for every job, and workers, which stay up.
errand alone."""

import shutil

from bench.tools import bench_dir, plugin
from bench.workload_drain import ERRAND_ONLY, drain
from support.worker import worker

SCRIPT = "#!/bin/sh\nexit 0\n"


def make_jobs():
    """A script for the shell, a program and a plug-in in C, none of which does anything; workers of which one process is given up to 100 jobs at once."""
    directory = bench_dir() / "jobs"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o755)
    (directory / "exec.script").write_text(SCRIPT)
    shutil.copy("/bin/true", directory / "exec.true")
    plugin("isolated", directory)
    for claim in ("lazy", "first"):
        (directory / f"python.{claim}.worker").write_text(
            worker('    return {"outcome": "done"}', f"jobs_at_once = 100\nclaim = {claim}"))
    for file in directory.iterdir():
        file.chmod(0o755)
    return directory


def run_kinds(bench, workload, kinds, count):
    if not bench.has(ERRAND_ONLY):
        return
    peer = bench.peer(ERRAND_ONLY)
    peer.jobs = make_jobs()
    try:
        for _ in range(bench.reps):
            for peer.kind in kinds:
                bench.add(workload, peer.name, peer.kind, **bench.calmly(drain, peer, count))
    finally:
        peer.jobs = peer.kind = None


def run_program(bench):
    run_kinds(bench, "program", ("exec.script", "exec.true", "isolated.none"), bench.size(10000, 2000))


def run_worker(bench):
    run_kinds(bench, "worker", ("python.lazy", "python.first"), bench.size(100000, 30000))
