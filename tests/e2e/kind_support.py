"""A directory of jobs, a database and a runner for tests of kinds that are files."""

import os
import shutil
from contextlib import contextmanager

from support.cluster import shared_cluster
from support.errand import Errand
from support.tempdir import make_tempdir
from support.wait import QueueDatabase


class JobsDirectory:
    """Files come whole: written beside and moved into place."""

    def __init__(self):
        self.path = make_tempdir("jobs")
        self.path.chmod(0o755)
        self.beside = make_tempdir("beside")

    def put(self, name, text, mode=None):
        fresh = self.beside / "fresh"
        fresh.write_text(text)
        fresh.chmod(mode if mode is not None else 0o755 if text.startswith("#!") else 0o644)
        os.rename(fresh, self.path / name)
        return self.path / name

    def script(self, name, text):
        return self.put(name, "#!/bin/sh\n" + text)

    def remove(self, name):
        (self.path / name).unlink()

    def close(self):
        shutil.rmtree(self.path)
        shutil.rmtree(self.beside)


@contextmanager
def runner_with(jobs, **env):
    """(errand, database, runner), all started."""
    with QueueDatabase(shared_cluster(vector=False)) as db, \
            Errand(db.dsn, ERRAND_JOBS=str(jobs.path), **env) as errand:
        yield errand, db, errand.start().wait_ready()
