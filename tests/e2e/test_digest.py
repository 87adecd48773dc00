"""The weekly digest, and other messages that come again: one for each workspace and week, in its own zone, and none when
there is nothing to say."""

import datetime
import re
import threading
import uuid
from pathlib import Path

import psycopg2
import pytest

from email_support import OWNER, WORKSPACE, MailBox, make_database
from support.errand import Errand
from support.provider import ResendProvider

UTC = datetime.timezone.utc
HOUR = datetime.timedelta(hours=1)
MONDAY = datetime.datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.fixture
def dsn():
    return make_database()


@pytest.fixture
def box(dsn):
    with MailBox(dsn) as box:
        box.sql("truncate public.workspaces cascade")
        yield box


def workspace(box, active=True, at=MONDAY - 24 * HOUR, **setting):
    """One in which something happened (or not); returns its id."""
    id, project = uuid.uuid4(), uuid.uuid4()
    box.sql("insert into public.workspaces (id, name, owner_id, created_at) values (%s, 'Acme', %s, '2026-01-01')", id, OWNER)
    box.sql("insert into public.projects (id, name, workspace_id) values (%s, 'P', %s)", project, id)
    if active:
        box.sql("insert into public.memories (user_id, project_id, content, created_at) values (%s, %s, 'm', %s)", OWNER, project, at)
    if setting:
        box.sql(f"insert into errand.digest_setting (workspace_id, {', '.join(setting)}) values (%s{', %s' * len(setting)})",
                id, *setting.values())
    return id


def make(box, at, source="digest.weekly", max=500):
    [found] = box.sql("select made, skipped from errand.messages_make(%s, %s, %s)", source, at, max)
    return found


def messages(box):
    return box.sql("select workspace_id, scheduled_for, recipient_email from public.scheduled_messages order by scheduled_for")


def test_one_for_each_workspace_and_week(box):
    first, second = workspace(box), workspace(box, recipient="team@example.com")
    workspace(box, active=False)
    assert make(box, MONDAY) == (2, 1)
    assert [make(box, MONDAY + n * HOUR) for n in range(0, 160, 7)] == [(0, 0)] * 23
    assert set(messages(box)) == {(first, MONDAY, "owner@example.com"), (second, MONDAY, "team@example.com")}
    text = box.sql("select subject, content ->> 'text' as text from public.scheduled_messages limit 1")[0]
    assert text == ("Acme: week 19", "In the last seven days in Acme:\n\nmemories added: 1")
    assert make(box, MONDAY + 168 * HOUR) == (0, 3), "nothing happened in the week after it"


def test_what_comes_too_late_is_not_told_twice(box):
    """Nothing to say at its time: what happens an hour later is for the next week."""
    workspace(box, at=MONDAY + HOUR)
    assert make(box, MONDAY) == (0, 1)
    assert make(box, MONDAY + 2 * HOUR) == (0, 0)
    assert make(box, MONDAY + 168 * HOUR) == (1, 0)


@pytest.mark.parametrize("zone, weekday, hour, due", [
    ("Europe/Berlin", 1, 9, datetime.datetime(2026, 5, 4, 7, tzinfo=UTC)),
    ("America/Los_Angeles", 1, 9, datetime.datetime(2026, 5, 4, 16, tzinfo=UTC)),
    ("Pacific/Auckland", 1, 9, datetime.datetime(2026, 5, 3, 21, tzinfo=UTC)),
    ("Asia/Kolkata", 5, 17, datetime.datetime(2026, 5, 8, 11, 30, tzinfo=UTC)),
    ("UTC", 7, 0, datetime.datetime(2026, 5, 10, 0, tzinfo=UTC))])
def test_in_its_own_zone(box, zone, weekday, hour, due):
    workspace(box, at=due - 24 * HOUR, timezone=zone, weekday=weekday, hour=hour)
    week_before = box.sql("select 1 from errand.digest_weekly(%s, 10) where scheduled_for > %s - interval '1 day'", due - HOUR, due)
    assert week_before == []
    assert make(box, due) == (1, 0)
    assert [m[1] for m in messages(box)] == [due]


def test_caught_up_after_an_outage_within_two_days(box):
    workspace(box)
    assert make(box, MONDAY + 49 * HOUR) == (0, 0)
    assert make(box, MONDAY + 47 * HOUR) == (1, 0)
    assert [m[1] for m in messages(box)] == [MONDAY]


def test_a_change_of_the_day_brings_no_second_one(box):
    workspace(box, weekday=1)
    assert make(box, MONDAY) == (1, 0)
    box.sql("update errand.digest_setting set weekday = 3")
    assert make(box, MONDAY + 50 * HOUR) == (0, 0)


def test_switched_off(box):
    workspace(box, enabled=False)
    assert make(box, MONDAY) == (0, 0)


def test_several_at_once(box, dsn):
    for _ in range(40):
        workspace(box)
    found, errors = [], []

    def run():
        try:
            with MailBox(dsn) as own:
                while sum(step := make(own, MONDAY, max=7)):
                    found.append(step[0])
        except Exception as error:  # noqa: BLE001
            errors.append(error)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    while sum(step := make(box, MONDAY, max=7)):
        found.append(step[0])
    assert errors == [] and sum(found) == 40 and len({m[0] for m in messages(box)}) == len(messages(box)) == 40


def test_a_source_of_ones_own(box):
    id = workspace(box)
    box.sql("""create function public.trials(at timestamptz, max integer) returns setof errand.message_due language plpgsql as $$
        begin return query select w.id::text, 'once', w.id, at, 'a@example.com', 'trial', 'Ends soon', '{"text": "x"}'::jsonb
        from public.workspaces w limit max; end $$""")
    box.sql("insert into errand.message_source values ('trial.ending', 'public.trials')")
    assert [make(box, MONDAY, "trial.ending"), make(box, MONDAY + 999 * HOUR, "trial.ending")] == [(1, 0), (0, 0)]
    assert messages(box) == [(id, MONDAY, "a@example.com")]
    with pytest.raises(psycopg2.Error, match='there is no source "nosuch"'):
        make(box, MONDAY, "nosuch")


def test_by_a_schedule_with_a_runner_that_is_killed(box, dsn):
    """The runner dies between what it made and its job's end; the next one makes nothing again, and the mail goes out."""
    with ResendProvider() as provider, Errand(dsn, provider) as errand:
        now = box.one("select clock_timestamp()")
        local = now - HOUR
        ids = {workspace(box, at=now - 30 * HOUR, weekday=local.isoweekday(), hour=local.hour) for _ in range(3)}
        workspace(box, active=False, weekday=local.isoweekday(), hour=local.hour)
        box.sql("select errand.schedule_set('digest', '* * * * * *', 'digest.weekly', '{\"at\": \"{{fire_time}}\"}', overlap => 'skip')")
        first = errand.start(env={"ERRAND_FAILPOINT": "digest.after_make"})
        assert first.wait() < 0
        assert box.one("select count(*) from errand.message_made") == 4
        errand.start().wait_ready()
        box.wait_sql("select count(*) >= 3 from errand.history where kind = 'digest.weekly' and outcome = 'done'")
        box.sql("select errand.schedule_disable('digest')")
        box.wait_sql("select count(*) = 3 from public.scheduled_messages where status = 'sent'")
        assert {m[0] for m in messages(box)} == ids and len(messages(box)) == 3
        assert box.one("select count(*) from errand.history where kind = 'digest.weekly' and result = '{\"made\": 0, \"skipped\": 0}'") >= 2


def test_args_that_are_wrong(box, dsn):
    with Errand(dsn) as errand:
        errand.start().wait_ready()
        for kind, args, text in (("message.make", "{}", "args have no source"),
                                 ("message.make", '{"source": "nosuch"}', 'there is no source "nosuch"'),
                                 ("digest.weekly", '{"at": "soon"}', "invalid input syntax")):
            id = box.one("select errand.enqueue(%s, %s)", kind, args)
            box.wait_sql("select exists (select from errand.dead_letter where id = %s)", id)
            assert text in box.one("select error from errand.dead_letter where id = %s", id)


def test_sql_of_the_documentation(dsn):
    """docs/schedules.md: each statement runs, and the source that it makes makes a message."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "schedules.md").read_text(encoding="utf-8")
    with MailBox(dsn) as box:
        blocks = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
        assert len(blocks) >= 3
        for block in blocks:
            box.sql(block.replace(":workspace", f"'{WORKSPACE}'").replace("%", "%%"))
        box.sql("update public.workspaces set created_at = now() - interval '11 days 5 hours'")
        assert make(box, box.one("select now()"), "trial.ending") == (1, 0)
        assert box.sql("select subject, recipient_email from public.scheduled_messages") == [("Your trial ends soon", "owner@example.com")]
