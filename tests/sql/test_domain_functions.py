"""The functions of the domain: sessions and messages under concurrency, searches against the document's queries, and
nobody's rows for anybody else."""

import contextlib
import datetime
import random
import threading
import uuid
from types import SimpleNamespace

import pytest
from domain_support import DENIED, Tenant, acting, connect, drop_database, fresh_database, refused, vector

GET = "select * from public.get_or_create_chat_session(%s, %s, %s, %s)"
APPEND = "select * from public.append_session_message(%s, %s, %s, %s)"


@pytest.fixture(scope="module")
def db():
    dsn = fresh_database("domain_functions")
    connection = connect(dsn)
    with acting(connection, "postgres", keep=True) as cursor:
        tenants = [Tenant(cursor, name) for name in ("alice", "bob")]
        fill_vectors(cursor, tenants)
    yield SimpleNamespace(dsn=dsn, connection=connection, alice=tenants[0], bob=tenants[1])
    connection.close()
    drop_database(dsn)


def fill_vectors(cursor, tenants):
    """Random memories and chunks, with and without project, some inactive, unembedded or zero."""
    chance = random.Random(17)
    for tenant in tenants:
        second = tenant.insert(cursor, "projects")
        tenant.projects = [None, tenant.ids["projects"], second]
        tenant.documents = [tenant.insert(cursor, "documents", project_id=p, storage_path=None) for p in tenant.projects]
        for i in range(240):
            point = [chance.gauss(0, 1) for _ in range(4)]
            embedding = None if i % 20 == 0 else vector([0] if i % 20 == 1 else point)
            tenant.insert(cursor, "memories", project_id=tenant.projects[i % 3], embedding=embedding,
                          importance=chance.random(), is_active=i % 11 != 0)
            tenant.insert(cursor, "chunks", document_id=tenant.documents[i % 3], embedding=embedding, chunk_index=i)
    cursor.execute("analyze memories, chunks")


QUERY = vector([0.3, -1, 0.7, 0.2])
ROLES = ["authenticated", "service_role"]


def in_parallel(count, work):
    """Runs work(i) in threads that start together; returns what they returned, raises what they raised."""
    barrier, results, errors = threading.Barrier(count), [None] * count, []

    def run(i):
        try:
            barrier.wait(30)
            results[i] = work(i)
        except Exception as error:  # noqa: BLE001 - handed on below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def call(db, role, user, sql, args):
    """One call on a connection of its own, committed; returns its row."""
    with contextlib.closing(connect(db.dsn)) as connection, acting(connection, role, user, keep=True) as cursor:
        cursor.execute(sql, args)
        return cursor.fetchone()


# ---- get_or_create_chat_session ----

@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("with_project", [False, True])
def test_concurrent_calls_get_one_session(db, role, with_project):
    kind, project = uuid.uuid4().hex, db.alice.ids["projects"] if with_project else None
    for _ in range(5):
        found = in_parallel(8, lambda i: call(db, role, db.alice.user, GET, (db.alice.user, project, kind, "daily")))
        assert len({row.id for row in found}) == 1
        row = found[0]
        assert (row.user_id, row.project_id, row.session_type, row.status) == (db.alice.user, project, kind, "active")
        with acting(db.connection, "postgres", keep=True) as cursor:  # closed: the next round makes a new one
            cursor.execute("update chat_sessions set status = 'completed' where id = %s", (row.id,))


def test_get_does_not_see_what_is_not_committed_but_waits(db):
    """The second caller waits for the first's transaction, and makes the session itself when that rolls back."""
    kind = uuid.uuid4().hex
    args = (db.alice.user, None, kind, "daily")
    for keep in [False, True]:
        found = []
        with acting(db.connection, "authenticated", db.alice.user, keep=keep) as cursor:
            cursor.execute(GET, args)
            first = cursor.fetchone().id
            other = threading.Thread(
                target=lambda: found.append(call(db, "authenticated", db.alice.user, GET, args).id))
            other.start()
            other.join(0.3)
            assert found == []
        other.join(30)
        assert (found == [first]) == keep and len(found) == 1
        with acting(db.connection, "postgres", keep=True) as cursor:
            cursor.execute("delete from chat_sessions where session_type = %s", (kind,))
            assert cursor.rowcount == 1


def test_sessions_are_one_per_user_project_type_and_day(db):
    with acting(db.connection, "service_role") as cursor:
        def get(tenant, project, kind="thinking_partner"):
            cursor.execute(GET, (tenant.user, project, kind, "daily"))
            return cursor.fetchone().id

        alice, bob = db.alice, db.bob
        different = [get(alice, None), get(alice, alice.projects[1]), get(alice, alice.projects[2]), get(bob, None),
                     get(alice, None, "other")]
        assert len(set(different)) == 5 and get(alice, None) == different[0]
        cursor.execute("select * from public.get_or_create_chat_session(p_user_id => %s)", (alice.user,))
        assert cursor.fetchone().id == different[0]

        # Yesterday's last second is another day, today's first is not.
        today = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
        move = "update chat_sessions set started_at = %s where id = %s"
        cursor.execute(move, (today, different[0]))
        assert get(alice, None) == different[0]
        cursor.execute(move, (today - datetime.timedelta(microseconds=1), different[0]))
        assert get(alice, None) != different[0]
        cursor.execute("set local timezone = 'Pacific/Kiritimati'")  # the caller's zone changes nothing
        cursor.execute(move, (today, different[3]))
        assert get(bob, None) == different[3]


def test_a_second_active_session_of_the_day_is_refused_to_direct_inserts_too(db):
    with acting(db.connection, "authenticated", db.alice.user) as cursor:
        cursor.execute(GET, (db.alice.user, None, "direct", "daily"))
        db.alice.insert(cursor, "chat_sessions", project_id=None, session_type="direct", status="archived")
        with refused("23505", "chat_sessions_daily_idx"):
            db.alice.insert(cursor, "chat_sessions", project_id=None, session_type="direct")


def test_get_refuses(db):
    alice, bob = db.alice, db.bob
    for role, user, args, sqlstate, message in [
        ("authenticated", alice.user, (bob.user, None, "x", "daily"), DENIED, "only his own sessions"),
        ("authenticated", None, (bob.user, None, "x", "daily"), DENIED, "only his own sessions"),
        ("authenticated", alice.user, (None, None, "x", "daily"), DENIED, "only his own sessions"),
        ("authenticated", alice.user, (alice.user, bob.projects[1], "x", "daily"), DENIED, "not one of the user's"),
        ("service_role", None, (alice.user, bob.projects[1], "x", "daily"), DENIED, "not one of the user's"),
        ("service_role", None, (alice.user, None, "x", "weekly"), "22023", "'weekly' is not 'daily'"),
        ("anon", alice.user, (alice.user, None, "x", "daily"), DENIED, "permission denied for function"),
    ]:
        with acting(db.connection, role, user) as cursor, refused(sqlstate, message):
            cursor.execute(GET, args)


# ---- append_session_message ----

@pytest.mark.parametrize("role", ROLES)
def test_concurrent_appends_number_without_a_gap(db, role):
    with acting(db.connection, "postgres", keep=True) as cursor:
        session = db.alice.insert(cursor, "chat_sessions")
    user, threads, each = db.alice.user, 6, 10

    def append(i):
        with contextlib.closing(connect(db.dsn)) as connection:
            for n in range(each):
                # Every third is rolled back: it must leave no hole.
                with acting(connection, role, user, keep=n % 3 != 0) as cursor:
                    cursor.execute(APPEND, (session, "user", f"{i}.{n}", None))
                    assert cursor.fetchone().content == f"{i}.{n}"

    in_parallel(threads, append)
    kept = threads * sum(n % 3 != 0 for n in range(each))
    with acting(db.connection, role, user) as cursor:
        cursor.execute("select sequence_number, content from public.session_messages where session_id = %s order by 1",
                       (session,))
        found = cursor.fetchall()
    assert [row.sequence_number for row in found] == list(range(1, kept + 1))
    for i in range(threads):  # and each appender's own in its order
        mine = [row.content for row in found if row.content.startswith(f"{i}.")]
        assert mine == sorted(mine) and len(mine) == kept // threads


def test_append_returns_the_message_and_marks_the_session(db):
    session = db.alice.ids["chat_sessions"]
    with acting(db.connection, "postgres") as cursor:
        cursor.execute("alter table chat_sessions disable trigger set_updated_at")
        cursor.execute("update chat_sessions set updated_at = '2000-01-01' where id = %s", (session,))
        cursor.execute("alter table chat_sessions enable trigger set_updated_at")
        cursor.execute("select max(sequence_number) as last from session_messages where session_id = %s", (session,))
        last = cursor.fetchone().last
        cursor.execute("delete from session_messages where sequence_number = %s", (last,))
        cursor.execute(APPEND, (session, "assistant", "hello", '{"tokens": 3}'))
        row = cursor.fetchone()
        assert (row.session_id, row.role, row.content, row.sequence_number, row.metadata) == (
            session, "assistant", "hello", 1, {"tokens": 3})
        cursor.execute("select updated_at = now() as marked from chat_sessions where id = %s", (session,))
        assert cursor.fetchone().marked


def test_append_refuses(db):
    alice, bob = db.alice, db.bob
    own, foreign = alice.ids["chat_sessions"], bob.ids["chat_sessions"]
    for role, user, args, sqlstate, message in [
        ("authenticated", alice.user, (foreign, "user", "x", None), "P0002", "there is no session"),
        ("authenticated", None, (own, "user", "x", None), "P0002", "there is no session"),
        ("service_role", None, (uuid.uuid4(), "user", "x", None), "P0002", "there is no session"),
        ("authenticated", alice.user, (own, "tool", "x", None), "23514", "role"),
        ("authenticated", alice.user, (own, "user", None, None), "23502", "content"),
        ("anon", alice.user, (own, "user", "x", None), DENIED, "permission denied for function"),
    ]:
        with acting(db.connection, role, user) as cursor, refused(sqlstate, message):
            cursor.execute(APPEND, args)
    with acting(db.connection, "service_role") as cursor:
        cursor.execute(APPEND, (foreign, "user", "x", None))
        assert cursor.fetchone().session_id == foreign


# ---- search_memories and match_chunks ----

# The queries of the schema document, with the tie broken by id and a zero vector's NaN counted as similarity 0.
MEMORIES = """
    select id, coalesce(nullif(1 - (embedding <=> %(query)s), 'NaN'), 0) * 0.7 + importance * 0.3 as relevance
    from memories
    where user_id = %(user)s and is_active = true and (project_id is null or project_id = %(project)s)
      and embedding is not null
    order by relevance desc, id limit %(limit)s"""
CHUNKS = """
    select id, coalesce(nullif(1 - (embedding <=> %(query)s), 'NaN'), 0) as similarity
    from chunks
    where document_id = any (%(documents)s) and embedding is not null
    order by similarity desc, id limit %(limit)s"""
SEARCH = "select * from public.search_memories(%(user)s, %(query)s, %(project)s, %(limit)s, %(exact)s)"
MATCH = "select * from public.match_chunks(%(user)s, %(query)s, %(document)s, %(project)s, %(limit)s, %(exact)s)"


def both(db, role, tenant, function, document_query, args):
    """What the function says to the role, and what the document's query says to the owner of the tables."""
    args = {"query": QUERY, "user": tenant.user, **args}
    with acting(db.connection, role, tenant.user if role == "authenticated" else None) as cursor:
        cursor.execute(function, args)
        found = cursor.fetchall()
    with acting(db.connection, "postgres") as cursor:
        cursor.execute("set local enable_indexscan = off")
        cursor.execute(document_query, args)
        return found, cursor.fetchall()


# exact 10,000: all are compared. 0: the index is asked first.
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("exact", [10000, 0])
@pytest.mark.parametrize("limit", [1, 5, 40, 200])
def test_search_ranks_as_documented(db, role, exact, limit):
    for tenant in [db.alice, db.bob]:
        for project in tenant.projects:
            found, wanted = both(db, role, tenant, SEARCH, MEMORIES,
                                 {"project": project, "limit": limit, "exact": exact})
            assert len(wanted) == min(limit, 69 if project is None else 138) or limit == 200
            assert [row.id for row in found] == [row.id for row in wanted]
            assert [row.relevance for row in found] == pytest.approx([row.relevance for row in wanted])
            assert {row.user_id for row in found} == {tenant.user}


# Both in more rows than are proposed. Spread over all directions, the nearest 800 hold the best. Where importance
# rises as similarity falls, the best are none of the nearest 800.
@pytest.mark.parametrize("point, importance, within", [
    ("cos(i * pi() / 1000), sin(i * pi() / 1000)", "mod(i * 7919, 1000) / 1000.0", True),
    ("1, i / 2000.0", "i / 1000.0", False),
])
@pytest.mark.parametrize("limit", [1, 20, 200])
def test_search_of_many_rows_is_exact(db, point, importance, within, limit):
    user, query = db.alice.user, vector([1])
    with acting(db.connection, "postgres") as cursor:
        cursor.execute("drop index memories_embedding_idx; delete from memories")
        cursor.execute(f"""
            insert into memories (user_id, content, importance, embedding)
            select %s, 'm', {importance}, (array[{point}] || array_fill(0::double precision, '{{1534}}'))::vector
            from generate_series(1, 1000) i""", (user,))
        cursor.execute(MEMORIES, {"user": user, "query": query, "project": None, "limit": limit})
        wanted = [row.id for row in cursor]
        cursor.execute("select id from memories order by embedding <=> %s limit 800", (query,))
        assert (set(wanted) <= {row.id for row in cursor}) == within
        for exact in [0, 999, 1000]:
            cursor.execute(SEARCH, {"user": user, "query": query, "project": None, "limit": limit, "exact": exact})
            assert [row.id for row in cursor] == wanted


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("exact", [10000, 0])
@pytest.mark.parametrize("limit", [1, 5, 40, 200])
def test_match_ranks_as_documented(db, role, exact, limit):
    for tenant in [db.alice, db.bob]:
        own = [*tenant.documents, tenant.ids["documents"]]  # the last is in projects[1], as documents[1]
        for document, project, documents in [
            (own[0], None, own[:1]), (own[1], None, own[1:2]), (own[1], tenant.projects[2], own[1:2]),
            (None, None, own[:1]), (None, tenant.projects[1], [own[0], own[1], own[3]]),
            (None, tenant.projects[2], [own[0], own[2]]),
        ]:
            found, wanted = both(db, role, tenant, MATCH, CHUNKS, {
                "document": document, "project": project, "documents": documents, "limit": limit, "exact": exact})
            assert 0 < len(wanted) <= limit
            assert [row.id for row in found] == [row.id for row in wanted]
            assert {row.document_id for row in found} <= set(documents)


def test_search_by_index_reads_the_index(db):
    """The proposing statement of search_memories can use the index: its order is one that the index serves."""
    with acting(db.connection, "postgres") as cursor:
        cursor.execute("set local enable_seqscan = off; set local enable_sort = off; set local enable_bitmapscan = off")
        for table, where in [("memories", "is_active and"), ("chunks", "")]:
            cursor.execute(f"explain select id from {table} where {where} embedding is not null "
                           f"order by embedding <=> %s limit 80", (QUERY,))
            assert f"{table}_embedding_idx" in cursor.fetchone()[0] + "".join(row[0] for row in cursor)


@pytest.mark.parametrize("function", [SEARCH, MATCH])
def test_limits_are_bounded(db, function):
    args = {"user": db.alice.user, "query": QUERY, "document": None, "project": db.alice.projects[1], "exact": None}
    with acting(db.connection, "service_role") as cursor:
        for limit, count in [(-1, 1), (0, 1), (1, 1), (None, 20 if function is SEARCH else 5), (2**31 - 1, None)]:
            cursor.execute(function, {**args, "limit": limit})
            assert cursor.rowcount == count or (count is None and 100 < cursor.rowcount <= 200)
        for _ in range(120):  # more than 200 to find, no more than 200 given
            db.alice.insert(cursor, "memories", embedding=QUERY)
            db.alice.insert(cursor, "chunks", document_id=db.alice.documents[1], embedding=QUERY)
        cursor.execute(function, {**args, "limit": 1000})
        assert cursor.rowcount == 200


@pytest.mark.parametrize("function", [SEARCH, MATCH])
@pytest.mark.parametrize("exact", [10000, 0])
def test_search_serves_nobody_elses_rows(db, function, exact):
    alice, bob = db.alice, db.bob
    args = {"user": bob.user, "query": QUERY, "document": None, "project": bob.projects[1], "limit": 200,
            "exact": exact}
    for role, user, message in [("authenticated", alice.user, "only his own"), ("authenticated", None, "only his own"),
                                ("anon", bob.user, "permission denied for function")]:
        with acting(db.connection, role, user) as cursor, refused(DENIED, message):
            cursor.execute(function, args)
    # Another's project or document named with one's own user id opens nothing.
    for role, user in [("authenticated", alice.user), ("service_role", None)]:
        with acting(db.connection, role, user) as cursor:
            cursor.execute(function, {**args, "user": alice.user})
            rows = cursor.fetchall()
            own = alice.documents if function is MATCH else [alice.user]
            assert rows and all((row.document_id if function is MATCH else row.user_id) in own for row in rows)
            if function is MATCH:
                cursor.execute(function, {**args, "user": alice.user, "document": bob.documents[0]})
                assert cursor.rowcount == 0


def test_searches_do_not_follow_the_callers_search_path(db):
    """A look-alike operator or table of the caller's is not used."""
    with acting(db.connection, "service_role") as cursor:
        cursor.execute("reset role")
        cursor.execute("""
            create schema trap;
            create function trap.zero(public.vector, public.vector) returns double precision language sql
                return 0::double precision;
            create operator trap.<=> (leftarg = public.vector, rightarg = public.vector, function = trap.zero);
            create table trap.memories (like public.memories);
            create temporary table chunks (like public.chunks);
            grant usage on schema trap to public""")
        args = {"user": db.alice.user, "query": QUERY, "document": None, "project": None, "limit": 5, "exact": None}
        for function, score in [(SEARCH, "relevance"), (MATCH, "similarity")]:
            answers = []
            for path in ["public", "trap, pg_catalog, public", ""]:
                cursor.execute("set local role service_role")
                cursor.execute("select set_config('search_path', %s, true)", (path,))
                cursor.execute(function.replace("%(query)s", "%(query)s::public.vector"), args)
                answers.append([(row.id, getattr(row, score)) for row in cursor])
            assert len(answers[0]) == 5 and answers[0] == answers[1] == answers[2]
