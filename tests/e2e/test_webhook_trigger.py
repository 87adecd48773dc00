"""`errand webhook trigger`: signed samples that a running errand takes, and what they do there: a checkout, a bounce."""

import http.server
import json
import threading
import uuid

import pytest

from cli_support import refused
from email_support import WORKSPACE, MailBox, make_database
from support.cluster import free_port, shared_cluster
from support.errand import Errand
from support.hooks import PLAIN_SECRET, SECRET
from support.wait import until

SECRETS = {"RESEND_WEBHOOK_SECRET": SECRET, "LEMONSQUEEZY_WEBHOOK_SECRET": PLAIN_SECRET}


@pytest.fixture(scope="module")
def box():
    dsn = make_database()
    with MailBox(dsn) as box:
        box.dsn = dsn
        yield box
    shared_cluster().drop_database(dsn)


@pytest.fixture(scope="module")
def errand(box):
    port = free_port()
    with Errand(box.dsn, ERRAND_HTTP_LISTEN=f"127.0.0.1:{port}", **SECRETS) as errand:
        errand.start().wait_ready()
        errand.port = port
        yield errand


@pytest.fixture
def nowhere():
    with Errand("", **SECRETS) as errand:
        yield errand


def trigger(errand, type, *args, **env):
    return json.loads(errand.run("webhook", "trigger", type, *args, "--json", env=env).stdout)


def effect(box, sent):
    """(status, effect) of the event that was sent, once its job has acted."""
    source, id = sent["event"].split(":")
    return until(lambda: box.sql("select status, effect from errand.webhooks where source = %s and event_id = %s and status <> 'stored'",
                                 source, id), sent)[0]


def pro(box):
    return box.one("select subscription_status from public.workspaces where id = %s", WORKSPACE)


def test_a_checkout_and_its_end(box, errand):
    whose = ("--with", f"meta.custom_data.workspace_id={WORKSPACE}")
    assert pro(box) == "free"
    assert effect(box, trigger(errand, "order_created", *whose))[0] == "applied"
    status, text = effect(box, trigger(errand, "subscription_created", *whose))
    assert status == "applied" and text.startswith(f"workspace {WORKSPACE}: pro until ") and pro(box) == "pro"
    assert effect(box, trigger(errand, "subscription_payment_success"))[0] == "applied", "of the same subscription"
    effect(box, trigger(errand, "subscription_cancelled"))
    assert pro(box) == "pro"
    effect(box, trigger(errand, "subscription_expired", "--with", "data.attributes.ends_at=$now-40d"))
    assert pro(box) == "free"
    assert effect(box, trigger(errand, "license_key_created"))[0] == "ignored"


def test_a_bounce_reaches_the_log(box, errand):
    id = str(uuid.uuid4())
    box.sql("insert into public.email_delivery_log (recipient, provider_message_id, status) values ('ann@example.com', %s, 'sent')", id)
    sent = trigger(errand, "email.bounced", "--with", f"data.email_id={id}", "--with", "data.to.0=ann@example.com")
    assert sent == {"event": sent["event"], "type": "email.bounced", "status": 200, "url": f"http://127.0.0.1:{errand.port}/webhooks/resend"}
    assert effect(box, sent)[0] == "applied"
    assert box.one("select status from public.email_delivery_log where provider_message_id = %s", id) == "bounced"
    assert box.one("select reason from errand.suppression where recipient = 'ann@example.com'").startswith("hard bounce: Permanent/General: ")


def test_every_type_is_taken(box, errand):
    """Each is stored under its type, and none is refused by the job that acts on it."""
    rows = json.loads(errand.run("webhook", "trigger", "--json").stdout)
    assert len(rows) > 30 and {row["source"] for row in rows} == {"resend", "lemonsqueezy"}
    for row in rows:
        sent = trigger(errand, row["type"])
        assert effect(box, sent)[0] in ("applied", "ignored", "unassigned"), sent
        assert box.one("select type from errand.webhooks where event_id = %s", sent["event"].split(":")[1]) == row["type"]


def test_the_same_again(box, errand):
    before = box.one("select count(*) from errand.webhooks")
    for _ in range(2):
        assert trigger(errand, "email.sent", "--id", "msg_again")["event"] == "resend:msg_again"
    assert box.one("select count(*) from errand.webhooks") == before + 1


def test_text(errand):
    text = errand.run("webhook", "trigger", "email.opened", "--url", f"http://localhost:{errand.port}/").stdout
    assert "event   resend:msg_sample" in text and text.endswith(f"url     http://localhost:{errand.port}/webhooks/resend\nstatus  200\n")


def test_another_secret(errand):
    text = refused(errand, "webhook", "trigger", "order_created", status=1, stdout=None, env={"LEMONSQUEEZY_WEBHOOK_SECRET": "another one"})
    assert "it answered 401" in text and "another secret" in text


def test_a_url_of_its_own():
    """A whole path is taken as it is; the request is what a provider would send."""
    seen = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            seen.append((self.path, dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server, Errand("", **SECRETS) as errand:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/hooks?x=1"
        assert trigger(errand, "subscription_updated", "--url", url)["status"] == 204
        server.shutdown()
        thread.join()
    [(path, headers, body)] = seen
    assert path == "/hooks?x=1" and headers["X-Event-Name"] == "subscription_updated" and headers["Content-Type"] == "application/json"
    assert json.loads(body)["data"]["attributes"]["status"] == "active"


@pytest.mark.parametrize("type, source", [("email.clicked", "resend"), ("order_refunded", "lemonsqueezy")])
def test_printed_it_can_be_verified(nowhere, type, source):
    request = nowhere.run("webhook", "trigger", type, "--print").stdout
    assert nowhere.run("webhook", "verify", "-", input=request).stdout.startswith(f"{source}:")


@pytest.mark.parametrize("args, env, text", [
    (["email.bouncd"], {}, "Is it email.bounced?"), (["x"], {}, "lists the types"),
    (["email.sent", "--with", "x"], {}, "'x' is not PATH=VALUE"), (["email.sent", "--with", "data.to.7=x"], {}, "no such place"),
    (["email.sent"], {}, "http_listen is not set: add --url"), (["email.sent"], {"ERRAND_HTTP_LISTEN": "/run/errand/http"}, "names no TCP address"),
    (["email.sent", "--url", "localhost"], {}, "is no URL"), (["email.sent", "--id", "a.b", "--print"], {}, "cannot be an event's id"),
    (["email.sent", "--print"], {"RESEND_WEBHOOK_SECRET": ""}, "webhook.resend_secret is not set"),
    (["email.sent", "--print"], {"RESEND_WEBHOOK_SECRET": "whsec_x"}, "webhook.resend_secret")])
def test_refusals(nowhere, args, env, text):
    assert text in refused(nowhere, "webhook", "trigger", *args, status=2, env=env)


@pytest.mark.parametrize("listen", ["*:{}", "/run/none/errand, 127.0.0.1:{}"])
def test_nobody_there(nowhere, listen):
    port = free_port()
    text = refused(nowhere, "webhook", "trigger", "email.sent", status=1, env={"ERRAND_HTTP_LISTEN": listen.format(port)})
    assert f"http://127.0.0.1:{port}/webhooks/resend: " in text and "Is errand running there?" in text
