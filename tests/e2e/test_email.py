"""Rows of scheduled_messages become mails: when, with what in them, and not when they are not to be sent."""

import time
import uuid

import psycopg2
import pytest

from email_support import HTML, MailBox, fresh, make_database
from support.cluster import shared_cluster
from support.errand import Errand
from support.provider import ResendProvider


@pytest.fixture(scope="module")
def provider():
    with ResendProvider() as p:
        yield p


@pytest.fixture
def box():
    dsn = make_database()
    with MailBox(dsn) as b:
        b.dsn = dsn
        yield b
    shared_cluster().drop_database(dsn)


@pytest.fixture
def errand(box, provider):
    provider.control(faults=[], rate=0, keys=True)
    with Errand(box.dsn, provider, ERRAND_EMAIL_RATE="1000") as e:
        yield e


def received(provider, id):
    return provider.ledger(tag_message_id=str(id))


# ---- When ----

def test_due_now(box, provider, errand):
    errand.start().wait_ready()
    to = fresh()
    id = box.send(to=f"Zoë <{to}>", subject="Hällo", content={"html": "<b>ä</b>", "text": "ä"})
    message = box.wait(id, "sent")
    [mail] = received(provider, id)
    assert mail["to"] == [to] and mail["subject"] == "Hällo" and mail["html"] == "<b>ä</b>" and mail["text"] == "ä"
    assert message.provider_id == mail["id"] and message.log == ["sent"] and message.reason is None
    assert abs(message.sent_at.timestamp() - mail["received_at_us"] / 1e6) < 1
    assert box.outcome_of(id) == ("done", None) and box.job_of(id) is None
    [(state, body, status)] = box.sql("select state, body, status_code from errand.email_request")
    assert state == "settled" and bytes(body) == b"" and status == 200


def test_in_the_future_on_time(box, provider, errand):
    errand.start().wait_ready()
    id = box.send(after=2)
    due = box.message(id).scheduled_for
    box.wait(id, "sent")
    [mail] = received(provider, id)
    late_ms = mail["received_at_us"] / 1e3 - due.timestamp() * 1e3
    assert 0 <= late_ms < 500, late_ms


def test_moved_later_is_not_sent_early(box, provider, errand):
    errand.start().wait_ready()
    id = box.send(after=1)
    box.sql("update public.scheduled_messages set scheduled_for = scheduled_for + interval '2 s' where id = %s", id)
    due = box.message(id).scheduled_for.timestamp()
    box.wait(id, "sent")
    assert received(provider, id)[0]["received_at_us"] / 1e6 >= due


def test_moved_earlier_is_sent_then(box, provider, errand):
    errand.start().wait_ready()
    id = box.send(after=3600)
    time.sleep(0.3)
    box.sql("update public.scheduled_messages set scheduled_for = now() where id = %s", id)
    box.wait(id, "sent", timeout=5)


def test_moved_with_its_job_left_behind(box, provider, errand):
    """The row says later than the job: as when it is moved at the very moment that its job runs."""
    box.sql("alter table public.scheduled_messages disable trigger errand_email_update")
    id = box.send(after=0)
    box.sql("update public.scheduled_messages set scheduled_for = now() + interval '3 s' where id = %s", id)
    due = box.message(id).scheduled_for.timestamp()
    errand.start().wait_ready()
    box.wait(id, "sent")
    assert received(provider, id)[0]["received_at_us"] / 1e6 >= due


def test_moved_to_and_fro_while_its_job_runs(box, provider, errand):
    """The job goes to sleep until a time that no longer holds when it commits: email_follow brings it back."""
    id = box.send(after=3600)
    box.sql("update errand.job set run_at = now() + interval '1 h', claimed_by = null where key = 'message:' || %s", str(id))
    box.sql("alter table public.scheduled_messages disable trigger errand_email_update")
    box.sql("update public.scheduled_messages set scheduled_for = now() where id = %s", id)
    errand.start().wait_ready()
    time.sleep(0.5)
    assert box.message(id).status == "pending"
    box.sql("select errand.email_follow(%s)", id)
    box.wait(id, "sent", timeout=5)


@pytest.mark.parametrize("how", ["update public.scheduled_messages set status = 'cancelled' where id = %s",
                                 "delete from public.scheduled_messages where id = %s"])
def test_called_off_is_not_sent(box, provider, errand, how):
    errand.start().wait_ready()
    id, other = box.send(after=1.5), box.send(after=1.6)
    box.sql(how, id)
    assert box.job_of(id) is None and box.outcome_of(id)[0] == "cancelled"
    box.wait(other, "sent")
    time.sleep(0.3)
    assert not received(provider, id)


def test_called_off_behind_the_triggers_back(box, provider, errand):
    """The job finds out by itself."""
    box.sql("alter table public.scheduled_messages disable trigger user")
    box.sql("alter table public.scheduled_messages enable trigger errand_email_insert")
    gone, cancelled, sent = (box.send() for _ in range(3))
    box.sql("delete from public.scheduled_messages where id = %s", gone)
    box.sql("update public.scheduled_messages set status = 'cancelled' where id = %s", cancelled)
    errand.start().wait_ready()
    box.wait(sent, "sent")
    box.wait_sql("select count(*) = 0 from errand.job where kind = 'email.send'")
    assert not received(provider, gone) and not received(provider, cancelled)
    assert box.outcome_of(gone) == ("cancelled", "the message is gone")
    assert box.outcome_of(cancelled) == ("cancelled", "the message's status is cancelled")


def test_a_workspace_goes_with_its_messages(box, errand):
    box.send(after=3600)
    box.sql("delete from public.workspaces")
    assert box.one("select count(*) from errand.job where kind = 'email.send'") == 0


def test_inserted_while_errand_is_down(box, provider, errand):
    ids = box.insert([{} for _ in range(5)])
    errand.start().wait_ready()
    box.wait_all()
    assert all(len(received(provider, id)) == 1 for id in ids)


def test_the_sweep_takes_nothing_of_the_rate(box, provider, errand):
    """The first mail does not wait for the token that the sweep took at the start."""
    errand.start(env={"ERRAND_EMAIL_RATE": "1"})
    box.wait_sql("select exists (select from errand.jobs where kind = 'email.sweep' and last_error like 'looked for%')")
    id = box.send()
    begun = time.time()
    box.wait(id, "sent")
    assert received(provider, id)[0]["received_at_us"] / 1e6 - begun < 0.6


def test_found_by_the_sweep(box, provider, errand):
    box.sql("alter table public.scheduled_messages disable trigger user")
    id, later = box.send(), box.send(after=7200)
    assert box.job_of(id) is None
    box.sql("alter table public.scheduled_messages enable trigger user")
    errand.start().wait_ready()
    box.wait(id, "sent")
    assert box.job_of(later) is None, "of what is due in hours the sweep makes jobs in time"
    box.sql("select errand.email_sweep(10, 'infinity')")
    assert box.job_of(later)
    assert box.one("select state from errand.jobs where kind = 'email.sweep'") == "scheduled"


def test_found_by_the_migration(provider):
    cluster = shared_cluster()
    dsn = cluster.create_database("email_before")
    with Errand(dsn, provider) as errand, MailBox(dsn) as box:
        errand.run("migrate", "up", "--only", "queue,auth,domain")
        box.sql("insert into auth.users (id) values (%s)", "00000000-0000-4000-8000-00000000000b")
        box.sql("insert into public.workspaces (id, name, owner_id) values (%s, 'x', %s)",
                "00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b")
        id, later = box.send(), box.send(after=7200)
        errand.run("migrate", "up")
        assert box.job_of(later)
        errand.start().wait_ready()
        box.wait(id, "sent")
    cluster.drop_database(dsn)


def test_sent_again_when_opened_again(box, provider, errand):
    errand.start().wait_ready()
    id = box.send(to=fresh("reject"))
    box.wait(id, "failed")
    box.sql("update public.scheduled_messages set recipient_email = %s, status = 'pending' where id = %s", fresh(), id)
    message = box.wait(id, "sent")
    assert message.log == ["failed", "sent"] and message.reason is None
    assert len(received(provider, id)) == 1


def test_edited_just_before_it_is_stored(box, provider, errand):
    """A row that somebody holds is not sent in its old form."""
    id = box.send()
    other = psycopg2.connect(box.dsn)
    other.cursor().execute("update public.scheduled_messages set subject = 'New' where id = %s", (id,))
    errand.start().wait_ready()
    time.sleep(1)
    assert not received(provider, id)
    other.commit()
    box.wait(id, "sent")
    assert received(provider, id)[0]["subject"] == "New"
    other.close()


# ---- What ----

@pytest.fixture
def templates(tmp_path):
    (tmp_path / "welcome.subject.txt").write_text("Welcome, {{name}}\n")
    (tmp_path / "welcome.html").write_text("<p>Hi {{name}}</p>")
    (tmp_path / "welcome.txt").write_text("Hi {{name}}")
    (tmp_path / "digest.txt").write_text("{{#items}}- {{title}}\n{{/items}}")
    (tmp_path / "README").write_text("no template")
    return tmp_path


def test_templates(box, provider, errand, templates):
    errand.start(env={"ERRAND_EMAIL_TEMPLATES": str(templates)}).wait_ready()
    named = box.send(subject=None, content={"template": "welcome", "data": {"name": "A & B"}})
    by_type = box.send(subject=None, type="welcome", content={"name": "Zoë"})
    digest = box.send(content={"template": "digest", "data": {"items": [{"title": "1"}, {"title": "2"}]}})
    missing = box.send(content={"template": "welcome", "data": {}})
    unknown = box.send(content={"template": "goodbye"})
    box.wait_all()
    [mail] = received(provider, named)
    assert mail["subject"] == "Welcome, A & B" and mail["html"] == "<p>Hi A &amp; B</p>" and mail["text"] == "Hi A & B"
    assert received(provider, by_type)[0]["subject"] == "Welcome, Zoë"
    assert received(provider, digest)[0]["text"] == "- 1\n- 2\n"
    assert box.message(missing).reason == "template 'welcome', html: line 1, column 9: no value for 'name'"
    assert box.message(unknown).reason == "there is no template named 'goodbye'"


@pytest.mark.parametrize("name, text, error", [
    ("a.html", "{{#x}}", "a.html: line 1, column 4: 'x' is never closed"), ("a.subject.txt", "Hi", "has a subject and no body"),
    ("a.txt", b"\xff", "a.txt is no UTF-8 text")])
def test_bad_templates_keep_errand_from_starting(errand, tmp_path, name, text, error):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    done = errand.run("run", env={"ERRAND_EMAIL_TEMPLATES": str(tmp_path)}, check=False)
    assert done.returncode != 0 and error in done.stderr


@pytest.mark.parametrize("name, value, error", [
    ("FROM", "nobody", "from 'nobody' has no domain"), ("URL", "ftp://x", "url is no http"),
    ("API_KEY", "re_abc def", "api_key has a character")])
def test_bad_settings_keep_errand_from_starting(errand, name, value, error):
    done = errand.run("run", env={f"ERRAND_EMAIL_{name}": value}, check=False)
    assert done.returncode != 0 and error in done.stderr and "re_abc" not in done.stderr


def test_all_that_content_may_hold(box, provider, errand):
    errand.start(env={"ERRAND_EMAIL_REPLY_TO": "desk@example.com"}).wait_ready()
    id = box.send(content={**HTML, "from": "Shop <shop@example.com>", "cc": "c@example.com", "bcc": ["b@example.com"],
                           "headers": {"X-Order": "7"}, "tags": {"kind": "order"}})
    plain = box.send()
    box.wait_all()
    [mail] = received(provider, id)
    assert mail["from"] == "Shop <shop@example.com>" and mail["headers"] == {"X-Order": "7"}
    assert mail["tags"] == {"message_id": str(id), "kind": "order"} and mail["cc"] == ["c@example.com"]
    [mail] = received(provider, plain)
    assert mail["from"] == "Errand <errand@example.com>" and mail["reply_to"] == ["desk@example.com"]


BAD = [
    ({"content": {}}, "no body: content has neither html, text nor template, and there is no template named 'test'"),
    ({"content": {"htlm": "x"}}, "it has 'htlm'"),
    ({"content": {"html": "x" * 2200000}}, "html and text are more than 2097152 bytes"),
    ({"content": {"html": "x", "n": 10 ** 30}}, "content cannot be read: too big integer"),
    ({"content": None}, "no body"),
    ({"to": "nobody"}, "recipient 'nobody' has no domain"),
    ({"to": "a@b.example, c@d.example"}, "one address is wanted"),
    ({"to": "a@b.example\r\nBcc: x@y.example"}, "line break"),
    ({"subject": None}, "no subject"),
    ({"subject": "two\nlines"}, "subject is not one line of text"),
]


def test_bad_messages_say_what_is_wrong(box, provider, errand):
    deep = "[" * 5000 + "]" * 5000
    errand.start().wait_ready()
    ids = box.insert([row for row, _ in BAD])
    box.sql("insert into public.scheduled_messages (id, workspace_id, scheduled_for, message_type, subject, content, recipient_email)"
            " select gen_random_uuid(), id, now(), 'deep', 'x', %s::jsonb, 'deep@example.com' from public.workspaces", deep)
    good = box.send()
    box.wait(good, "sent")
    box.wait_all()
    for id, (_, words) in zip(ids, BAD):
        message = box.message(id)
        assert message.status == "failed" and words in message.reason and message.log == ["failed"], message
        assert not received(provider, id)
        assert box.outcome_of(id) == ("dead", message.reason)
    [(reason,)] = box.sql("select failure_reason from public.scheduled_messages where message_type = 'deep'")
    assert "nested deeper than 32" in reason


def test_large_bodies_and_many(box, provider, errand):
    """More content than is read at a time: it goes in several turns."""
    errand.start().wait_ready()
    ids = box.insert([{"content": {"html": "x" * 1000000}} for _ in range(30)])
    box.wait_all(timeout=60)
    assert all(len(received(provider, id)) == 1 for id in ids)
    assert max(r["bytes"] for r in provider.requests()) < 9 << 20


def test_suppression(box, provider, errand):
    errand.start().wait_ready()
    box.sql("select errand.suppress('Bad Guy <Bad@Example.com>', 'hard bounce')")
    bad, copied, good = box.insert([
        {"to": "Bad@example.com"}, {"content": {**HTML, "cc": ["bad@example.com", "ok@example.com"]}}, {}])
    box.wait_all()
    message = box.message(bad)
    assert message.status == "failed" and message.log == ["suppressed"]
    assert message.reason == "suppressed: Bad@example.com is on the suppression list: hard bounce"
    assert not received(provider, bad) and len(received(provider, good)) == 1
    assert received(provider, copied)[0]["cc"] == ["ok@example.com"]
    assert box.one("select errand.unsuppress('bad@example.com')") is True
    assert box.one("select errand.unsuppress('bad@example.com')") is False
    box.sql("update public.scheduled_messages set status = 'pending' where id = %s", bad)
    box.wait(bad, "sent")


# ---- How ----

def test_many_travel_in_batches(box, provider, errand):
    before = len(provider.requests())
    ids = box.insert([{} for _ in range(250)])
    errand.start().wait_ready()
    box.wait_all()
    paths = [r["path"] for r in provider.requests()[before:]]
    assert paths == ["/emails/batch"] * 3
    assert all(len(received(provider, id)) == 1 for id in ids)


def test_attachments_travel_alone(box, provider, errand):
    before = len(provider.requests())
    attachment = {"filename": "a.txt", "content": "aGVsbG8="}
    ids = box.insert([{"content": {**HTML, "attachments": [attachment]}} if n in (1, 3) else {} for n in range(5)])
    errand.start().wait_ready()
    box.wait_all()
    assert sorted(r["path"] for r in provider.requests()[before:]) == ["/emails", "/emails", "/emails/batch"]
    assert [received(provider, id)[0]["attachments"] for id in ids] == [0, 1, 0, 1, 0]


def test_jobs_by_hand(box, provider, errand):
    """Two jobs for one message, one that names none, one that names nothing that is."""
    errand.start().wait_ready()
    id = box.send(after=0.5)
    box.sql("select errand.enqueue('email.send', jsonb_build_object('message_id', %s), run_at => now() + interval '0.5 s')", id)
    box.sql("select errand.enqueue('email.send', '{}')")
    box.sql("select errand.enqueue('email.send', jsonb_build_object('message_id', %s))", uuid.uuid4())
    box.wait(id, "sent")
    box.wait_sql("select count(*) = 0 from errand.job where kind = 'email.send'")
    assert len(received(provider, id)) == 1
    errors = {row[0] for row in box.sql("select error from errand.history where kind = 'email.send' and error is not null")}
    assert {"args hold no message_id that is a UUID", "the message is gone"} <= errors


def test_as_a_role_without_privileges(box, provider, errand):
    """A login that is a member of errand_runner, and nothing else, does all of it."""
    cluster = shared_cluster()
    role = "runner_of_" + box.one("select current_database()")
    box.sql(f"create role {role} login; grant errand_runner to {role}")
    try:
        ids = box.insert([{}, {}, {"to": "nobody"}, {"after": 1.0}])
        errand.start(env={"ERRAND_DATABASE_URL": box.dsn.replace("user=postgres", f"user={role}")}).wait_ready()
        for id in ids:
            box.wait(id)
        assert [box.message(id).status for id in ids] == ["sent", "sent", "failed", "sent"]
        assert box.one("select last_error from errand.job where kind = 'email.sweep'") == "looked for messages without a job"
        for runner in errand.runners:
            assert runner.terminate() == 0
    finally:
        box.sql(f"drop role {role}")
    assert cluster.running


def test_viewer_sees_the_emails_and_no_contents(box, errand):
    id = box.send(after=3600)
    box.sql("set role errand_viewer")
    assert box.one("select status from errand.emails where id = %s", id) == "pending"
    for text in ("select content from public.scheduled_messages", "select body from errand.email_request",
                 "select errand.suppress('a@example.com', 'x')", "select errand.email_sweep(1, now())"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            box.sql(text)


def test_graceful_stop_in_the_middle(box, provider, errand):
    provider.control({"answer": "ok", "after_ms": 700, "count": 0})
    runner = errand.start().wait_ready()
    ids = box.insert([{} for _ in range(50)])
    time.sleep(0.5)
    assert runner.terminate() == 0
    provider.control()
    assert box.one("select count(*) from errand.job where claimed_by is not null") == 0
    errand.start().wait_ready()
    box.wait_all()
    assert all(len(received(provider, id)) == 1 for id in ids)
    assert box.one("select count(*) from errand.runner where stopping") == 0


def test_the_key_is_never_shown(box, provider, errand):
    provider.control({"answer": "error", "name": "invalid_api_key"}, {"answer": "garbage"})
    runner = errand.start(env={"ERRAND_LOG_LEVEL": "debug"}).wait_ready()
    box.send()
    box.wait_sql("select paused from errand.queues where name = 'email'")
    box.sql("select errand.queue_resume('email')")
    box.wait_all()
    runner.terminate()
    assert provider.API_KEY not in runner.log()
    assert "paused" in runner.log()
