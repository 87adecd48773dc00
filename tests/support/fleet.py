"""A fleet of runners that are killed, stopped and replaced, with the times of their lives on the monotonic clock.

All is done by the thread that calls: runners end with the thread that started them (support/errand.py)."""

import signal
import time
from pathlib import Path


def now_us():
    return time.monotonic_ns() // 1000


class Member:
    """One process of the fleet."""

    def __init__(self, runner, name):
        self.runner, self.name = runner, name
        self.born_us, self.ended_us = now_us(), None
        self.stops = []  # when it was stopped by SIGSTOP
        self.leave_by_us = None  # asked to end in order: how long it may take
        self.frozen = False

    @property
    def running(self):
        return self.runner.running

    def kill(self):
        self.runner.kill()
        self.ended_us = now_us()

    def freeze(self):
        self.frozen = True
        self.runner.process.send_signal(signal.SIGSTOP)
        # It goes on until the signal has reached it, and what it starts meanwhile is stopped, too.
        while Path(f"/proc/{self.runner.pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
            time.sleep(0.001)
        self.stops.append(now_us())

    def thaw(self):
        self.frozen = False
        self.runner.process.send_signal(signal.SIGCONT)

    def ask_to_end(self):
        self.leave_by_us = now_us() + 30_000_000
        self.runner.process.terminate()

    def life(self):
        return self.runner.pid, self.born_us, self.ended_us, self.stops


class Fleet:
    """size runners of an Errand, kept alive."""

    def __init__(self, errand, size, *args, env=None):
        self.errand, self.args, self.env = errand, args, env or {}
        self.members, self.gone = [], []
        self.kills = self.crashes = self.freezes = self.ends = 0
        for _ in range(size):
            self.add()

    def add(self):
        name = f"runner-{len(self.members) + len(self.gone) + 1}"
        member = Member(self.errand.start("--name", name, *self.args, env=self.env), name)
        self.members.append(member)
        return member

    def wait_ready(self, timeout=30):
        for member in self.members:
            member.runner.wait_ready(timeout)

    def _bury(self, member):
        self.members.remove(member)
        self.gone.append(member)
        self.errand.runners.remove(member.runner)

    def kill(self, member, replace=True):
        """SIGKILL; another one is there at once."""
        member.kill()
        self.kills += 1
        self._bury(member)
        return self.add() if replace else None

    def freeze(self, member):
        self.freezes += 1
        member.freeze()

    def end(self, member, replace=True):
        """SIGTERM; it ends when it has done what it runs, beside the one that replaces it. See tend()."""
        self.ends += 1
        member.ask_to_end()
        return self.add() if replace else None

    def tend(self, crashes=False):
        """Buries who has ended and replaces those that should not have; crashes: they may. Raises for one that failed."""
        for member in list(self.members):
            if member.running:
                if member.leave_by_us and now_us() > member.leave_by_us:
                    raise AssertionError(f"{member.name} does not end:\n{member.runner.log()[-4000:]}")
                continue
            status = member.runner.process.returncode
            member.ended_us = now_us()
            crashed = status == -signal.SIGKILL
            if not (crashed and crashes) and not (member.leave_by_us and status == 0):
                raise AssertionError(f"{member.name} ended with status {status}:\n{member.runner.log()[-8000:]}")
            self._bury(member)
            if crashed:
                self.crashes += 1
                self.add()

    def able(self):
        """Those that may be killed next: neither frozen nor about to end."""
        return [m for m in self.members if not m.frozen and not m.leave_by_us and m.running]

    def choose(self, random):
        """One of them, rather an older one: it has lanes."""
        return min((random.choice(self.able()) for _ in range(2)), key=lambda member: member.born_us)

    def close(self):
        for member in self.members:
            if member.running:
                member.kill()

    def lives(self):
        return [member.life() for member in self.gone + self.members]
