"""GET /metrics: its form, its numbers, and that a scrape succeeds whatever the database does."""

import contextlib
import json
import re
import time

import pytest

from support.cluster import Cluster, free_port
from support.errand import ROOT, Errand
from support.exposition import Exposition, promtool
from support.hooks import SECRET, Sender
from support.wait import QueueDatabase, connect, until

RULES = ROOT / "contrib" / "prometheus" / "errand.rules.yml"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(vector=False, fsync=False) as cluster:
        yield cluster


@pytest.fixture
def db(cluster):
    with QueueDatabase(cluster) as db:
        db.sql("select errand.queue_create(name, 1) from unnest(array['single', 'apart']) name")
        yield db


@contextlib.contextmanager
def serving(db, **env):
    port = free_port()
    with Errand(db.dsn, ERRAND_QUEUES="default, single", RESEND_WEBHOOK_SECRET=SECRET, **env) as errand:
        sender = Sender(port)
        sender.errand = errand
        sender.runner = errand.start("--http-listen", f"127.0.0.1:{port}").wait_ready()
        yield sender


def scrape(sender):
    answer = sender.request("/metrics", method="GET")
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Exposition(answer.text)


def check_by_promtool(metrics):
    assert not promtool("check", "metrics", input=metrics.text)


def test_what_ended(db):
    with serving(db) as sender:
        ids = [db.enqueue() for _ in range(3)] + [db.enqueue("probe.claim", queue="single")]
        ids += [db.enqueue(args={"outcome": outcome, "text": "no"}) for outcome in ("fail", "cancel", "unknown")]
        ids.append(db.enqueue(args={"outcome": "retry", "text": "no", "delay_ms": 1, "times": 2}))
        for id in ids:
            db.wait_ended(id)
        metrics = scrape(sender)
        ended = {outcome: metrics.get("errand_jobs_ended_total", queue="default", kind="probe.run", outcome=outcome)
                 for outcome in ("done", "dead", "cancelled", "unknown", "retry")}
        assert ended == {"done": 4, "dead": 1, "cancelled": 1, "unknown": 1, "retry": 2}
        assert metrics.get("errand_jobs_ended_total", queue="single", kind="probe.claim", outcome="done") == 1
        for family in ("errand_job_wait_seconds", "errand_job_run_seconds"):
            assert metrics.get(f"{family}_count", queue="default", kind="probe.run") == 9
            assert metrics.get(f"{family}_count", queue="single", kind="probe.claim") == 1
            assert 0 <= metrics.get(f"{family}_sum", queue="default", kind="probe.run") < 60
        check_by_promtool(metrics)


def test_times_stand_in_their_bucket(db):
    with serving(db) as sender:
        db.wait_ended(db.enqueue(args={"outcome": "done", "sleep_ms": 300}))
        metrics = scrape(sender)
        took = metrics.get("errand_job_run_seconds_sum", queue="default", kind="probe.run")
        assert 0.3 <= took < 20
        for labels, count in metrics.having("errand_job_run_seconds_bucket").items():
            assert count == (float(dict(labels)["le"]) > took), labels


def test_runner_and_process(db):
    with serving(db, ERRAND_CONCURRENCY="7") as sender:
        nap = db.enqueue(args={"outcome": "done", "sleep_ms": 60000})
        db.sql("select errand.queue_limit('default', concurrency => 1)")
        until(lambda: scrape(sender).get("errand_jobs_running", queue="default") == 1, "it does not run")
        db.enqueue()
        metrics = until(lambda: (m := scrape(sender)).having("errand_queue_waits") and m, "nothing waits")
        assert metrics.having("errand_queue_waits") == {frozenset({("queue", "default"), ("reason", "concurrency")}): 1}
        assert metrics.get("errand_slots") == 7
        assert metrics.get("errand_slots_used") == 1
        assert metrics.get("errand_lanes_owned", queue="single") == 1
        assert metrics.get("errand_lanes_owned", queue="default") == db.one("select lanes from errand.queues where name = 'default'")
        assert metrics.get("errand_runner_ready") == metrics.get("errand_lease_valid") == metrics.get("errand_database_up") == 1
        version = sender.errand.run("version").stdout.split()[1]
        assert metrics.get("errand_build_info", version=version) == 1
        assert abs(metrics.get("process_start_time_seconds") - time.time()) < 60
        status = dict(re.findall(r"(VmSize|VmRSS):\s*(\d+)", open(f"/proc/{sender.runner.pid}/status").read()))
        assert metrics.get("process_resident_memory_bytes") == pytest.approx(int(status["VmRSS"]) * 1024, rel=0.2)
        assert metrics.get("process_cpu_seconds_total") > 0
        assert 10 < metrics.get("process_open_fds") < metrics.get("process_max_fds")
        pools = {dict(labels)["pool"] for labels in metrics.having("errand_database_connections")}
        assert pools == {f"errand {name}" for name in ("control", "reads", "writes", "jobs", "sql", "webhooks", "callbacks", "metrics")}
        assert metrics.get("errand_database_connections", pool="errand control") == 1
        assert metrics.get("errand_database_connections_opened_total", pool="errand control") == 1
        assert metrics.get("errand_database_statements_total", pool="errand control") > 1
        db.sql("select errand.cancel(%s)", nap)


def test_what_stands_in_the_queues(db):
    db.sql("select errand.queue_pause('apart', 'a test')")
    for _ in range(3):
        db.enqueue(queue="apart")
    last = db.enqueue(queue="apart", after=3600)
    db.enqueue("probe.claim", queue="single", after=3600)
    db.sql("select errand.enqueue('probe.run', queue => 'apart', after => array[%s]::bigint[])", last)
    with serving(db) as sender:
        metrics = scrape(sender)

        def jobs(queue):
            return {state: metrics.get("errand_queue_jobs", queue=queue, state=state)
                    for state in ("ready", "scheduled", "waiting", "held")}
        assert jobs("apart") == {"ready": 3, "scheduled": 1, "waiting": 1, "held": 0}
        assert jobs("single") == {"ready": 0, "scheduled": 1, "waiting": 0, "held": 0}
        assert metrics.get("errand_queue_paused", queue="apart") == 1
        assert metrics.get("errand_queue_paused", queue="single") == 0
        assert 0 < metrics.get("errand_queue_oldest_due_seconds", queue="apart") < 60
        assert metrics.get("errand_queue_oldest_due_seconds", queue="single") == 0
        assert metrics.get("errand_queue_counted_partly", queue="apart") == 0
        check_by_promtool(metrics)


def asked(metrics):
    return metrics.get("errand_database_statements_total", pool="errand metrics")


def test_the_database_is_asked_once(db):
    with serving(db) as sender:
        first = scrape(sender)
        began = time.monotonic()
        for _ in range(5):
            again = scrape(sender)
        if time.monotonic() - began < 9:
            assert asked(again) == asked(first) > 0
        assert again.having("errand_queue_jobs")


def check_without_queues(sender):
    began = time.monotonic()
    metrics = scrape(sender)
    assert time.monotonic() - began < 5
    assert metrics.get("errand_database_up") == 0
    assert not metrics.having("errand_queue_jobs") and not metrics.having("errand_queue_paused")
    assert metrics.get("errand_slots") > 0
    check_by_promtool(metrics)
    return metrics


def test_a_locked_table_keeps_no_scrape(db):
    with serving(db) as sender, contextlib.closing(connect(db.dsn)) as other:
        other.autocommit = False
        other.cursor().execute("lock table errand.queue in access exclusive mode")
        check_without_queues(sender)
        other.rollback()


def test_database_away(cluster, db):
    with serving(db) as sender:
        cluster.stop()
        try:
            until(lambda: sender.request("/readyz", method="GET").status == 503, "it is ready")
            metrics = check_without_queues(sender)
            assert metrics.get("errand_runner_ready") == 0
            assert metrics.get("errand_database_connections", pool="errand control") == 0
            assert metrics.get("errand_database_connection_failures_total", pool="errand control") >= 1
        finally:
            cluster.start()
        db.reconnect()


def test_webhooks(db):
    def refused(metrics):
        return {dict(labels)["reason"]: value
                for labels, value in metrics.having("errand_webhooks_refused_total", source="resend").items()}
    body = json.dumps({"type": "email.sent", "data": {}}).encode()
    db.sql("select errand.queue_pause('default', 'a test')")
    with serving(db) as sender:
        for id in ("msg_1", "msg_2", "msg_1"):
            assert sender.resend(body, id).status == 200
        assert sender.post("resend", body, {}).status == 401
        assert sender.resend(body, "msg_3", at=int(time.time()) - 3600).status == 401
        assert sender.resend(body, "msg_3", key=bytes(24)).status == 401
        assert sender.post("lemonsqueezy", body, {}).status == 401
        metrics = scrape(sender)
        assert metrics.get("errand_webhooks_accepted_total", source="resend", where="database") == 3
        assert metrics.get("errand_webhooks_accepted_total", source="resend", where="spool") == 0
        assert metrics.get("errand_webhooks_stored_total", source="resend", seen="first") == 2
        assert metrics.get("errand_webhooks_stored_total", source="resend", seen="again") == 1
        assert refused(metrics) == {"malformed": 1, "out_of_time": 1, "wrong": 1, "no_secret": 0, "unavailable": 0}
        assert metrics.get("errand_webhooks_refused_total", source="lemonsqueezy", reason="no_secret") == 1
        assert metrics.get("errand_spool_bytes") is None
        assert metrics.get("errand_http_requests_total", code="2xx") == 3
        assert metrics.get("errand_http_requests_total", code="4xx") == 4
        assert metrics.get("errand_http_connections_total") == 8
        assert metrics.get("errand_http_connections") >= 1
        check_by_promtool(metrics)


def test_spool(cluster, db, tmp_path):
    with serving(db, STATE_DIRECTORY=str(tmp_path)) as sender:
        until(lambda: scrape(sender).get("errand_spool_bytes") == 0, "the spool is not empty")
        cluster.stop()
        try:
            assert sender.resend(b"{}", "msg_1").status == 200
            metrics = scrape(sender)
            [file] = (tmp_path / "webhooks").iterdir()
            assert metrics.get("errand_spool_bytes") == file.stat().st_size > 0
            assert metrics.get("errand_spool_files") == 1
            assert metrics.get("errand_spool_bytes_max") == 1 << 30
            assert metrics.get("errand_webhooks_accepted_total", source="resend", where="spool") == 1
        finally:
            cluster.start()
        until(lambda: scrape(sender).get("errand_webhooks_stored_total", source="resend", seen="first") == 1, "it is not stored")
        until(lambda: scrape(sender).get("errand_spool_files") == 0, "the file stays")
        db.reconnect()


def test_refused_heads_and_methods(db):
    with serving(db) as sender:
        assert sender.request("/livez", method="GET", headers=[("Content-Length", "0")]).status == 400
        assert sender.request("/metrics", method="POST").status == 405
        metrics = scrape(sender)
        assert metrics.get("errand_http_heads_refused_total") == 1
        assert metrics.get("errand_http_turned_away_total") == 0


def test_switched_off(db):
    with serving(db, ERRAND_HTTP_METRICS="false") as sender:
        assert sender.request("/metrics", method="GET").status == 404


def test_alerts_are_about_what_there_is(db):
    with serving(db) as sender:
        metrics = scrape(sender)
    named = set(re.findall(r"\b(?:errand|process)_[a-z_]+", RULES.read_text()))
    assert len(named) > 8
    assert named - set(metrics.types) <= {"errand_spool_bytes", "errand_spool_bytes_max"}  # where there is a spool
    assert not promtool("check", "rules", str(RULES))


def test_every_family_is_documented(db):
    with serving(db) as sender:
        metrics = scrape(sender)
    text = (ROOT / "docs" / "operate.md").read_text()
    missing = [name for name in metrics.types if not re.search(rf"`{name}[`{{]", text)]
    assert not missing


BAD = [
    "a 1\n", "# HELP a x\n# TYPE a gauge\na 1", "# HELP a x\n# TYPE a gauge\nb 1\n", "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
    '# HELP a x\n# TYPE a gauge\na{b="c"d} 1\n', '# HELP a x\n# TYPE a gauge\na{b="\\x"} 1\n', "# HELP a x\n# TYPE a counter\na 1\n",
    '# HELP a x\n# TYPE a histogram\na_bucket{le="+Inf"} 2\na_sum 1\na_count 1\n', "# TYPE a gauge\n# HELP a x\na 1\n",
]


@pytest.mark.parametrize("text", BAD, ids=repr)
def test_the_parser_takes_nothing_else(text):
    with pytest.raises((AssertionError, KeyError, IndexError)):
        Exposition(text)
