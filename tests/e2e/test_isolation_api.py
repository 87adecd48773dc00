"""What is tested of handlers holds for those that run in a process of their own, too: the same tests once more, with an
errand that has no plug-in linked in and the probe as a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.errand import ROOT, binary

HERE = Path(__file__).parent
TESTS = {
    "test_job_enqueue.py": "every_member or wrong_with_it or database_refuses",
    "test_http_stream.py": "not memory",  # a build with sanitizers holds back what is freed
    "test_job_trace.py": "requests or programs",
    "test_job_values.py": "",
    "test_thread.py": "looks_ends",
    "test_queue_signals.py": "approval or kept or time_is_up or look or name_that or tells_another",
    "test_queue_steps.py": "refused or dead_then",
    "test_child.py": "how_it_ended or cancelled or times_out",
    "test_queue_result.py": "past_its_limit or too_deep or seen_while or retried",
    "test_queue_run.py": "retry or cancel or snooze",
    "test_queue_retry.py": "class_of or list",
    "test_unwind.py": "timeout or may_end_itself",
}


@pytest.mark.parametrize("file", TESTS)
def test_again(file):
    bare = binary().parent / "errand_bare"
    env = {**os.environ, "ERRAND_BIN": str(bare), "ERRAND_TEST_JOBS": str(bare.parent / "isolated")}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", HERE / file, "-k", TESTS[file]],
                          cwd=ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-1000:]
