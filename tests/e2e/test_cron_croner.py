"""Next fire times equal those of the npm package croner, but for what docs/schedules.md names: 500 random expressions, each
in five time zones, 20 fires. tests/soak/cron_croner is the long version."""

import pytest

from support.croner import Comparison
from support.npm import Missing


def comparison(*args, **options):
    try:
        return Comparison(*args, **options)
    except Missing as missing:
        pytest.skip(str(missing))


def test_same_as_croner():
    run = comparison(500, seed=6)
    list(run.run())
    assert not run.faults, f"{len(run.faults)} of {run.compared}:\n" + "\n".join(run.faults[:20])
    assert run.compared == 2500 and run.fires > 45000
    # Where the two have other time zone data, nothing is compared: that must not be everywhere.
    assert sum(year >= 2026 for _, year in run.agreed()) >= 4, run.agreed()


def test_a_difference_is_found():
    run = comparison(300, seed=6, broken=True)
    list(run.run())
    assert run.faults
