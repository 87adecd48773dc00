"""Events of Lemon Squeezy, as their raw bodies."""

import datetime
import json

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
START = datetime.datetime(2026, 1, 1, tzinfo=UTC)


def text_of(time):
    return time and time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def event(name, kind, id, at, custom=None, test=False, **attributes):
    """The raw body."""
    meta = {"event_name": name, "test_mode": test}
    if custom:
        meta["custom_data"] = {"workspace_id": str(custom)}
    attributes = {"store_id": 1, "customer_id": 77, "updated_at": text_of(at), **attributes}
    return json.dumps({"meta": meta, "data": {"type": kind, "id": str(id), "attributes": attributes}}).encode()


def subscription(name, at, status="active", id=500, ends=None, renews=None, **more):
    renews = renews or at + 30 * DAY
    return event("subscription_" + name, "subscriptions", id, at, status=status, renews_at=text_of(renews), ends_at=text_of(ends),
                 urls={"customer_portal": "https://secret"}, **more)


def invoice(name, at, id=9000, subscription_id=500, **more):
    return event("subscription_payment_" + name, "subscription-invoices", id, at, subscription_id=subscription_id, status="paid", **more)


def order(name, at, id=300, **more):
    return event("order_" + name, "orders", id, at, status="paid", **more)


def checkout(workspace, at=START, **more):
    second = datetime.timedelta(seconds=1)
    return [order("created", at, custom=workspace, **more), subscription("created", at + second, "on_trial", custom=workspace, **more),
            invoice("success", at + 2 * second, custom=workspace, **more),
            subscription("updated", at + 3 * second, renews=at + 30 * DAY, custom=workspace, **more)]
