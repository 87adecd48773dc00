"""Temporary directories that do not pile up: each bears its process's id, and those of dead processes are removed."""

import os
import re
import shutil
import tempfile
from pathlib import Path


def make_tempdir(what):
    """A new directory errand-WHAT-PID-...; the caller removes it."""
    for old in Path(tempfile.gettempdir()).glob(f"errand-{what}-*"):
        owner = re.match(rf"errand-{what}-(\d+)-", old.name)
        if owner and not Path("/proc", owner.group(1)).exists():
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"errand-{what}-{os.getpid()}-")).resolve()
