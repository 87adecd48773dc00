"""Plug-ins in a process of their own: how attempts end."""

from isolation_support import again


def test_ends():
    again({
        "test_queue_result": "past_its_limit or too_deep or seen_while or retried",
        "test_queue_run": "retry or cancel or snooze",
        "test_queue_retry": "class_of or list",
        "test_unwind": "timeout or may_end_itself",
    })
