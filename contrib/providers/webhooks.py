"""Webhooks of a development mail provider: what becomes of the mails that it accepted, as Resend tells it, signed as Svix signs.

Events leave on their own after the mail was accepted, whether its answer arrived or not, and again until they are answered 2xx.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from datetime import datetime, timezone
from urllib.parse import urlsplit

RETRY_AFTER_S = [0.2, 0.5, 1, 2, 5, 10, 30]
ANSWER_TIMEOUT_S = 15
CONNECTIONS = 16

HARD_BOUNCE = {"bounce": {"type": "Permanent", "subType": "General", "message": "550 5.1.1 no such user"}}
SOFT_BOUNCE = {"bounce": {"type": "Transient", "subType": "MailboxFull", "message": "552 5.2.2 mailbox full"}}

# Local parts of recipients begin with these words; [(seconds after acceptance, type, further data)].
FATES = {
    "bounced": [(0, "sent", {}), (0.1, "bounced", HARD_BOUNCE)],
    "softbounced": [(0, "sent", {}), (0.1, "bounced", SOFT_BOUNCE)],
    "complained": [(0, "sent", {}), (0.1, "delivered", {}), (0.2, "complained", {})],
    "delayed": [(0, "sent", {}), (0.1, "delivery_delayed", {}), (0.5, "delivered", {})],
    "opened": [(0, "sent", {}), (0.1, "delivered", {}), (0.2, "opened", {})],
    "suppressed": [(0, "suppressed", {"suppressed": {"type": "OnAccountSuppressionList", "message": "The address is on the list."}})],
    "undeliverable": [(0, "sent", {}), (0.1, "failed", {"failed": {"reason": "reached_daily_quota"}})],
}
ORDINARY = [(0, "sent", {}), (0.1, "delivered", {})]


def fate_of(recipients):
    for word, fate in FATES.items():
        if any(to.startswith(word) for to in recipients):
            return fate
    return ORDINARY


def timestamp(at_s):
    return datetime.fromtimestamp(at_s, timezone.utc).isoformat().replace("+00:00", "Z")


class Webhooks:
    """Where events go, and what was sent. url None: nowhere."""

    def __init__(self, url, secret):
        self.url, self.secret = url, secret
        self.events = []
        self.free = None
        self.tasks = set()

    def tell(self, row):
        """Of a mail that was accepted: starts what its fate says, without waiting."""
        if not self.url:
            return
        self.free = self.free or asyncio.Semaphore(CONNECTIONS)
        for after_s, word, data in fate_of(row["to"]):
            event = {"id": f"msg_{uuid.uuid4().hex}", "type": f"email.{word}", "email_id": row["id"], "attempts": 0, "status": None}
            self.events.append(event)
            task = asyncio.get_running_loop().create_task(self.deliver(event, row, after_s, data))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def deliver(self, event, row, after_s, data):
        await asyncio.sleep(after_s)
        body = json.dumps({"type": event["type"], "created_at": timestamp(row["received_at_us"] / 1e6 + after_s), "data": {
            "email_id": row["id"], "created_at": timestamp(row["received_at_us"] / 1e6), "from": row["from"], "to": row["to"],
            "subject": row["subject"], "tags": row["tags"], **data}}).encode()
        for wait_s in [0] + RETRY_AFTER_S:
            await asyncio.sleep(wait_s)
            async with self.free:
                event["attempts"] += 1
                try:
                    event["status"] = await asyncio.wait_for(self.post(event["id"], body), ANSWER_TIMEOUT_S)
                except (OSError, ValueError, IndexError, asyncio.TimeoutError):
                    event["status"] = 0
            if 200 <= event["status"] < 300:
                return

    def headers(self, id, body):
        at = str(int(time.time()))
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
        return {"content-type": "application/json", "user-agent": "Svix-Webhooks/development", "svix-id": id, "svix-timestamp": at,
                "svix-signature": "v1," + base64.b64encode(mac).decode()}

    async def post(self, id, body):
        """The status of the answer."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            lines = [f"POST {parts.path or '/'} HTTP/1.1", f"host: {parts.netloc}", f"content-length: {len(body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in self.headers(id, body).items()]
            writer.write("\r\n".join(lines + ["", ""]).encode() + body)
            return int((await reader.readline()).split()[1])
        finally:
            writer.close()
