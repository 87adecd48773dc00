"""Databases with all of errand's migrations, made once a process and server, from which tests copy their own."""

import contextlib

from support.cluster import shared_cluster
from support.errand import Errand, make_runner_login
from support.wait import ask, connect

templates = {}


def template(name, *rows):
    """The name of one. rows: statements that fill it, each with its parameters; the same for every call with the name."""
    key = shared_cluster(), name
    if key not in templates:
        dsn = shared_cluster().create_database(name + "_template")
        with Errand(dsn) as errand:
            errand.run("migrate", "up")
        make_runner_login(dsn)
        with contextlib.closing(connect(dsn)) as connection:
            for text, *params in rows:
                ask(connection, text, *params)
        templates[key] = dsn.split("///")[1].split("?")[0]
    return templates[key]
