"""What happens to a fleet while it works: every so often one runner is killed, frozen for a while, or asked to end."""

import time


class Havoc:
    """step() is to be called often, from the thread that made the fleet; end() when all should be left alone."""

    def __init__(self, fleet, random, every_s, lease_s, kinds=("kill", "freeze", "end", "kill")):
        self.fleet, self.random, self.every_s, self.lease_s, self.kinds = fleet, random, every_s, lease_s, kinds
        self.next = time.monotonic() + every_s
        self.number = 0
        self.thaws = []  # (when, member)

    def step(self):
        now = time.monotonic()
        for at, member in list(self.thaws):
            if now >= at:
                self.thaws.remove((at, member))
                member.thaw()
        self.fleet.tend()
        if now < self.next:
            return
        self.next = now + self.every_s
        # In turn, so that a short run has them all; one frozen at a time, so that work goes on.
        kind = self.kinds[self.number % len(self.kinds)]
        self.number += 1
        member = self.fleet.choose(self.random)
        if kind == "end":
            self.fleet.end(member)
        elif kind == "kill" or self.thaws:
            self.fleet.kill(member)
        else:
            # Some wake before their lease has ended, most when their lanes are others'.
            self.thaws.append((now + self.random.uniform(0.3, 2.5) * self.lease_s, member))
            self.fleet.freeze(member)

    def end(self):
        for _, member in self.thaws:
            member.thaw()
        self.thaws = []
