"""The benchmark's PostgreSQL, its databases, and one connection to each for the harness itself."""

import psycopg2

from support.cluster import Cluster

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "min_wal_size": "2GB",  # segments are used again, as on a server that has run for a while
    "synchronous_commit": "on",
    "max_connections": 400,
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "none",  # on for the idle workloads only
    "track_commit_timestamp": "on",  # tells when a job's completion was committed
}


class Server:
    """Usable as a context manager; the server and its data are gone afterwards."""

    def __init__(self, bindir=None):
        self.cluster = Cluster(bindir, vector=False, extra_conf=SETTINGS)
        self._databases = {}
        self._fill_wal()

    def _fill_wal(self):
        """So many segments that none has to be made during a measurement, whoever comes first."""
        with Database(self.cluster.dsn("postgres")) as database:
            database.sql("create table filling as select n, repeat('x', 1000) from generate_series(1, 600000) n")
            database.sql("drop table filling")
            database.sql("checkpoint")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for database in self._databases.values():
            database.close()
        self.cluster.destroy()

    @property
    def pid(self):
        return self.cluster.process.pid

    @property
    def version(self):
        with Database(self.cluster.dsn("postgres")) as database:
            return database.value("select split_part(current_setting('server_version'), ' ', 1)")

    def fresh_database(self, name):
        """An empty database in place of the last one of that name."""
        last = self._databases.pop(name, None)
        if last:
            last.close()
            self.cluster.drop_database(last.dsn)
        database = Database(self.cluster.create_database(name))
        database.sql("create extension pg_stat_statements")
        self._databases[name] = database
        return database


class Database:
    """A database with the harness's own connection, every statement its own transaction."""

    def __init__(self, dsn):
        self.dsn = dsn
        self.connection = self.connect()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def connect(self):
        connection = psycopg2.connect(self.dsn)
        connection.autocommit = True
        return connection

    def close(self):
        self.connection.close()

    def sql(self, text, parameters=None):
        with self.connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, text, parameters=None):
        return self.sql(text, parameters)[0][0]

    def settle(self):
        """As a database that has stood for a while: statistics, no dead rows, nothing left to write."""
        self.sql("vacuum (analyze)")
        self.sql("checkpoint")

    def wal_position(self):
        """In bytes since the beginning."""
        return int(self.value("select pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def count_statements(self):
        """Begins to count what others send."""
        self.sql("select pg_catalog.set_config('pg_stat_statements.track', 'none', false)")
        name = self.value("select current_database()")
        self.sql(f'alter database "{name}" set pg_stat_statements.track = \'all\'')

    def statements(self):
        """The statements counted since forget_statements, the most frequent first: (calls, text)."""
        return self.sql("""select calls, left(regexp_replace(query, '\\s+', ' ', 'g'), 100)
            from pg_stat_statements s join pg_database d on d.oid = s.dbid
            where d.datname = current_database() and s.toplevel order by 1 desc""")

    def forget_statements(self):
        self.sql("select pg_stat_statements_reset()")
