"""Plug-ins in a process of their own: what a handler asks of errand while it runs."""

from isolation_support import again


def test_jobs_and_values():
    again({
        "test_job_enqueue": "every_member or wrong_with_it or database_refuses",
        "test_job_trace": "requests or programs",
        "test_job_values": "",
        "test_thread": "looks_ends",
    })


def test_streams_and_programs():
    again({
        "test_http_stream": "not memory",  # a build with sanitizers holds back what is freed
        "test_child": "how_it_ended or cancelled or times_out",
    })
