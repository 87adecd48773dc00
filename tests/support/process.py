"""What the kernel knows of processes: a runner's children, its descriptors, its memory; and programs to be ended."""

import uuid
from pathlib import Path

from support.wait import until


class Family:
    """A shell that ignores SIGTERM, with a child of its own that does, too; all known by a word of their command lines."""

    def __init__(self, script=None):
        self.mark = uuid.uuid4().hex
        self.argv = ["sh", "-c", script or "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & wait; sleep 60",
                     self.mark]

    def pids(self):
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.mark.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    def wait_runs(self, count=2):
        until(lambda: len(self.pids()) >= count, lambda: f"of the family run {self.pids()}")

    def wait_gone(self, timeout=5):
        until(lambda: not self.pids(), lambda: f"of the family still run {self.pids()}", timeout)


def command_of(pid):
    """Its program and arguments; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def children_of(pid):
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def open_files(pid):
    """What each of its descriptors is: a path, or a kind and number."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except OSError:
            continue
    return found


def resident_kib(pid, field="VmHWM"):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0
