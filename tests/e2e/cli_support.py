"""What the tests of the command line share: a database with the queue, the binary, calls that are refused, a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

import psycopg2
import pytest

from support.cluster import shared_cluster
from support.errand import Errand, binary


@pytest.fixture(scope="module")
def dsn():
    cluster = shared_cluster(vector=False)
    dsn = cluster.create_database("cli")
    with Errand(dsn) as errand:
        errand.run("migrate", "up", "--only", "queue")
    yield dsn
    cluster.drop_database(dsn)


@pytest.fixture
def errand(dsn):
    with Errand(dsn) as errand:
        yield errand
    sql(dsn, "delete from errand.job; delete from errand.history; delete from errand.dead_letter; delete from errand.dependency;"
             " delete from errand.attempt; delete from errand.statistic; delete from errand.recent_key")


@pytest.fixture
def nowhere():
    """Without any database."""
    with Errand("") as errand:
        errand.env["PGHOST"] = str(errand.dir)
        yield errand


def sql(dsn, text):
    connection = psycopg2.connect(dsn)
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None
    finally:
        connection.close()


def refused(errand, *args, status, env=None, input=None, stdout=""):
    """What it says on stderr; stdout None: anything may stand there."""
    done = errand.run(*args, check=False, env=env, input=input)
    assert done.returncode == status, (args, done.stdout, done.stderr)
    assert stdout is None or done.stdout == stdout
    assert len(done.stderr.splitlines()) <= 2, done.stderr
    return done.stderr


def enqueue(errand, *args, **kwargs):
    return int(errand.run("enqueue", *args, **kwargs).stdout)


def on_terminal(errand, *args, columns=100, status=0):
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    call = subprocess.Popen([binary(), *args], env=errand.env, stdout=slave, stdin=subprocess.DEVNULL)
    os.close(slave)
    text = b""
    try:
        while piece := os.read(master, 65536):
            text += piece
    except OSError:  # the terminal is gone with its last user
        pass
    os.close(master)
    assert call.wait(60) == status
    return text.decode().replace("\r\n", "\n")
