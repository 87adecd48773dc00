"""Enqueues jobs in a thread of its own, at a pace, some of them in transactions that are rolled back."""

import json
import random
import threading
import time

from support.wait import connect


class Feeder(threading.Thread):
    """batches: an iterable of (kind, jobs, named): jobs a list of (args, key or None), named further arguments of
    errand.enqueue_many. Knows at the end which ids stand and which must not.

    pace: jobs a second, None: as fast as it goes; undo: share of the batches that are rolled back."""

    def __init__(self, dsn, batches, pace=None, undo=0.1, seed=0):
        super().__init__(daemon=True)
        self.dsn, self.batches, self.pace, self.undo = dsn, batches, pace, undo
        self.random = random.Random(seed)
        self.ids, self.undone = [], set()
        self.jobs = {}  # id: (args, key), where keep is set
        self.keep = False
        self.error = None
        self.ended = threading.Event()
        self.stopped = threading.Event()

    def run(self):
        connection = connect(self.dsn)
        connection.autocommit = False
        begun = time.monotonic()
        try:
            for kind, jobs, named in self.batches:
                if self.stopped.is_set():
                    break
                self._enqueue(connection, kind, jobs, named)
                if self.pace:
                    late = begun + len(self.ids) / self.pace - time.monotonic()
                    self.stopped.wait(max(0, late))
        except Exception as error:  # noqa: BLE001: told by check()
            self.error = error
        finally:
            connection.close()
            self.ended.set()

    def _enqueue(self, connection, kind, jobs, named):
        keys = [key for _, key in jobs]
        given = "".join(f", {name} => %({name})s" for name in named)
        if keys[0] is not None:
            given += ", keys => %(keys)s"
        with connection.cursor() as cursor:
            undone = self.undo and (not self.ids or self.random.random() < self.undo)
            for undo in ([True, False] if undone else [False]):
                cursor.execute(f"select errand.enqueue_many(%(kind)s, %(args)s::jsonb[]{given})",
                               {"kind": kind, "args": [json.dumps(args) for args, _ in jobs], "keys": keys, **named})
                ids = [row[0] for row in cursor.fetchall()]
                if undo:
                    connection.rollback()
                    self.undone.update(ids)
                    continue
                connection.commit()
                self.ids.extend(ids)
                if self.keep:
                    self.jobs.update(zip(ids, jobs))

    def stop(self):
        self.stopped.set()
        self.join(30)

    def check(self):
        """Raises what ended it too early."""
        if self.error:
            raise self.error
