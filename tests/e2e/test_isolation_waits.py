"""Plug-ins in a process of their own: signals and steps, over several attempts."""

from isolation_support import again


def test_signals_and_steps():
    again({
        "test_queue_signals": "approval or kept or time_is_up or look or name_that or tells_another",
        "test_queue_steps": "refused or dead_then",
    })
