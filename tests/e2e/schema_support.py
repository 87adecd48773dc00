"""errand in a schema of another name, as the tests use it."""

import re

from support.errand import Errand
from support.wait import QueueDatabase, connect


def in_schema(schema, text):
    return re.sub(r"(?<![\w.])errand\.", f"{schema}.", text)


class Installation(QueueDatabase):
    """One errand of a database that may hold others: what is asked of `errand` goes to its schema. through: how its runners
    reach the database, if otherwise."""

    def __init__(self, dsn, schema, *sets, through=None):
        self.dsn = dsn
        self.schema = schema
        self.connection = connect(dsn)
        self.errand = Errand(dsn, ERRAND_SCHEMA=schema)
        self.errand.run("migrate", "up", "--only", ",".join(sets or ["queue"]))
        self.errand.env["ERRAND_DATABASE_URL"] = through or dsn

    def __exit__(self, *_):
        self.connection.close()
        self.errand.close()

    def sql(self, text, *params):
        return super().sql(in_schema(self.schema, text), *params)
