"""What is tested of handlers holds for those that run in a process of their own, too: the same tests once more, with an
errand that has no plug-in linked in and the probe as a file."""

import os
import subprocess
import sys
from pathlib import Path

from support.errand import ROOT, binary

HERE = Path(__file__).parent


def again(tests):
    """tests: which of each file (an expression of pytest's -k; "": all). They share one server."""
    bare = binary().parent / "errand_bare"
    env = {**os.environ, "ERRAND_BIN": str(bare), "ERRAND_TEST_JOBS": str(bare.parent / "isolated")}
    wanted = " or ".join(f"({file} and ({names}))" if names else file for file, names in tests.items())
    files = [HERE / f"{file}.py" for file in tests]
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *files, "-k", wanted],
                          cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
