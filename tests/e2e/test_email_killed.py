"""A short turn of tests/soak/mail_once: errand is killed while it sends, and every mail arrives once."""

import re
import subprocess
from pathlib import Path

SOAK = Path(__file__).resolve().parents[1] / "soak" / "mail_once"


def soak(*args):
    done = subprocess.run([SOAK, "--seed", "1", *args], capture_output=True, text=True, timeout=300)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_every_mail_once():
    status, out = soak("--runs", "14")
    assert status == 0, out
    assert re.search(r"14 runs, .* 0 delivered twice, 0 lost, 0 pending: ok$", out.strip()), out


def test_without_keys_the_check_fails():
    status, out = soak("--runs", "7", "--no-keys")
    assert status == 1, out
    assert re.search(r" [1-9]\d* delivered twice, 0 lost, 0 pending: FAILED$", out.strip()), out
