#!/usr/bin/python3
"""A mail provider for development: speaks Resend's API on loopback, sends nothing, and remembers everything.

    resend.py [--port N] [--port-file FILE] [--ledger FILE] [--api-key KEY] [--rate N] [--no-keys]
              [--webhook URL --webhook-secret whsec_...]

API        POST /emails, POST /emails/batch (x-batch-validation: strict | permissive), GET /emails/ID, with
           Idempotency-Key, Bearer keys, rate limit headers, Resend's validation and its error answers.
To look    GET /                     a page listing what was received
           GET /_ledger              {"deliveries": [...], "requests": [...]}; filters ?to=ADDRESS, ?tag_NAME=VALUE
           GET /_webhooks            {"events": [{"id", "type", "email_id", "attempts", "status"}]}, as they were sent
           GET /_ledger/summary      {"deliveries", "unique", "duplicates": {message_id: times}, "untagged",
                                     "requests"}, by the tag message_id
Ledger     Every accepted mail and every request (with the status it was answered, or was to be; 0 if it was cut
           off), in memory and as JSON lines in --ledger FILE, written before the answer leaves. Started again
           with the same file it goes on where it was, keys included.

Recipients whose local part begins with these words have a fate (demo, or trying things by hand):
    reject   refused as invalid (422; in a permissive batch: an entry of errors[])
    flaky    the first request that carries the address meets a 500, later ones are fine
    lost     accepted, but the first time the connection is closed without an answer
    slow     answered after 3 seconds
With --webhook, events follow a mail that was accepted: sent, then delivered, or what these words say (webhooks.py):
    bounced, softbounced, complained, delayed, opened, suppressed, undeliverable

Faults     POST /_control sets any of {"faults": [FAULT...], "rate": N, "keys": true|false, "key_ttl": SECONDS,
           "seed": N}; "faults" replaces those that were left. GET /_control shows the present state.
           The first FAULT that applies to a POST (or to `path`) is used up by it:
    count          requests it applies to (1; 0 = without end)      skip   requests to let pass first (0)
    probability    of applying to a request (1.0)                   path   only this path
    before_ms      wait before processing (the key is in flight)    after_ms  wait before answering
    answer         "ok"           the ordinary answer (of use with a wait)
                   "error"        error `name` (internal_server_error), with `status`, `message`, `retry_after`
                                  (seconds, sent as given; with `retry_date` true as an HTTP date), `headers`
                   "close"        close without an answer
                   "close_early"  close when the headers are in, before the body is read
                   "never"        keep the connection, never answer
                   "garbage"      200, not JSON              "shape"  200, JSON of another shape
                   "ids"          200, one id too few (batch), an empty id (single)
                   "cut"          200, half of the promised body, then close
                   "huge"         200, `bytes` (1 GB) of body, chunked unless `chunked` is false
                   "drip"         the ordinary answer, one byte each `every_ms` (1000)
    accept         whether the mail is processed and kept before that (false for error and close_early, else true)
"""

import argparse
import asyncio
import hashlib
import html
import json
import random
import re
import time
import uuid
from datetime import datetime, timezone
from email.utils import formatdate

from ledger import Ledger
from server import Faults, listen
from webhooks import Webhooks

KEPT_BODY_MAX = 64 << 10

ERRORS = {
    "invalid_idempotency_key": (400, "The key must be between 1-256 chars."),
    "validation_error": (400, "We found an error with one or more fields in the request."),
    "missing_api_key": (401, "Missing API key in the authorization header."),
    "restricted_api_key": (401, "This API key is restricted to only send emails."),
    "invalid_api_key": (403, "API key is invalid."),
    "suspended_api_key": (403, "This API key is suspended."),
    "invalid_permission": (403, "The request is not permitted."),
    "unverified_domain": (403, "The domain is not verified."),
    "not_found": (404, "The requested endpoint does not exist."),
    "method_not_allowed": (405, "Method is not allowed for the requested path."),
    "concurrent_idempotent_requests": (409, "Same idempotency key used while original request is still in progress."),
    "resource_locked": (409, "The resource is locked by another operation."),
    "invalid_idempotent_request": (409, "Same idempotency key used with a different request payload."),
    "missing_required_field": (422, "The request body is missing one or more required fields."),
    "missing_required_parameter": (422, "The request is missing one or more required parameters."),
    "invalid_attachment": (422, "Attachment must have either a `content` or `path`."),
    "invalid_parameter": (422, "The parameter must be valid."),
    "invalid_from_address": (422, "Invalid `from` field."),
    "rate_limit_exceeded": (429, "Too many requests. Please limit the number of requests per second."),
    "daily_quota_exceeded": (429, "You have reached your daily email sending quota."),
    "monthly_quota_exceeded": (429, "You have reached your monthly email sending quota."),
    "application_error": (500, "An unexpected error occurred."),
    "internal_server_error": (500, "An unexpected error occurred."),
    "service_unavailable": (503, "The service is temporarily unavailable."),
}
# validation_error stands under two statuses in Resend's table; the second goes by another word in here.
PUBLIC_NAMES = {"unverified_domain": "validation_error"}

ADDRESS = re.compile(r"(?:[^<>]*<([^<>@\s,]+@[^<>@\s,.]+(?:\.[^<>@\s,.]+)+)>|([^<>@\s,]+@[^<>@\s,.]+(?:\.[^<>@\s,.]+)+))\Z")
TAG = re.compile(r"[A-Za-z0-9_-]{1,256}\Z")


class ApiError(Exception):
    """An answer of the error table."""

    def __init__(self, name, message=None, status=None, headers=()):
        super().__init__(name)
        table_status, table_message = ERRORS.get(name, (500, name))
        self.status = status or table_status
        self.headers = dict(headers)
        self.body = {"statusCode": self.status, "message": message or table_message,
                     "name": PUBLIC_NAMES.get(name, name)}


# --- what Resend checks ---------------------------------------------------------------------------------------

def address_of(text):
    match = ADDRESS.match(text.strip()) if isinstance(text, str) else None
    return (match.group(1) or match.group(2)) if match else None


def listed(value):
    return value if isinstance(value, list) else [value]


def check_mail(mail, batch):
    """Raises ApiError for a mail that Resend would refuse; returns its recipients' bare addresses."""
    if not isinstance(mail, dict):
        raise ApiError("validation_error", "The email must be an object.")
    for field in ("from", "to", "subject"):
        if field == "subject" and isinstance(mail.get("template"), dict):
            continue
        if mail.get(field) in (None, "", []):
            raise ApiError("missing_required_field", f"Missing `{field}` field.")
    if not any(mail.get(field) is not None for field in ("html", "text", "template", "react")):
        raise ApiError("missing_required_field", "Missing `html` or `text` field.")
    for field in ("html", "text", "subject"):
        if mail.get(field) is not None and not isinstance(mail[field], str):
            raise ApiError("invalid_parameter", f"The `{field}` field must be a string.")
    if "\n" in (mail.get("subject") or ""):
        raise ApiError("invalid_parameter", "The `\\n` is not allowed in the `subject` field.")
    if not address_of(mail["from"]):
        raise ApiError("invalid_from_address", "Invalid `from` field. The email address needs to follow the "
                       "`email@example.com` or `Name <email@example.com>` format.")
    found = {}
    for field in ("to", "cc", "bcc", "reply_to"):
        values = [] if mail.get(field) is None else listed(mail[field])
        found[field] = [address_of(value) for value in values]
        if None in found[field]:
            raise ApiError("invalid_parameter", f"Invalid `{field}` field. The email address needs to follow the "
                           "`email@example.com` or `Name <email@example.com>` format.")
        if len(values) > 50:
            raise ApiError("invalid_parameter", f"The `{field}` field takes at most 50 addresses.")
    tags = mail.get("tags") or []
    if not isinstance(tags, list):
        raise ApiError("invalid_parameter", "The `tags` field must be an array.")
    for tag in tags:
        if not isinstance(tag, dict) or not all(isinstance(tag.get(k), str) and TAG.match(tag[k])
                                                for k in ("name", "value")):
            raise ApiError("invalid_parameter", "Tags should only contain ASCII letters, numbers, underscores, or "
                           "dashes, and at most 256 of them.")
    headers = mail.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise ApiError("invalid_parameter", "The `headers` field must be an object of strings.")
    if mail.get("attachments"):
        if batch:
            raise ApiError("invalid_attachment", "Attachments are not supported in a batch.")
        for item in listed(mail["attachments"]):
            if not isinstance(item, dict) or not (item.get("content") or item.get("path")):
                raise ApiError("invalid_attachment")
    if any(to.startswith("reject") for to in found["to"]):
        raise ApiError("invalid_parameter", "Invalid `to` field. The address is refused by this provider.")
    return found["to"]


def delivery_row(request, index, mail):
    def size(field):
        return len(mail[field].encode("utf-8", "surrogatepass")) if mail.get(field) else 0

    def kept(field):
        return mail.get(field) if size(field) <= KEPT_BODY_MAX else None

    return {"what": "delivery", "id": str(uuid.uuid4()), "to": [address_of(to) for to in listed(mail["to"])],
            "subject": mail.get("subject"), "from": mail["from"], "reply_to": mail.get("reply_to"),
            "cc": mail.get("cc"), "bcc": mail.get("bcc"),
            "tags": {tag["name"]: tag["value"] for tag in mail.get("tags") or []},
            "headers": mail.get("headers") or {}, "idempotency_key": request.key, "request_no": request.no,
            "index": index, "received_at_us": request.at_us, "html_bytes": size("html"), "text_bytes": size("text"),
            "html": kept("html"), "text": kept("text"), "attachments": len(mail.get("attachments") or [])}


# --- the provider ---------------------------------------------------------------------------------------------

class Provider:
    """The state behind all connections, and what each request is answered."""

    def __init__(self, options):
        self.ledger = Ledger(options.ledger)
        self.api_key = options.api_key
        self.rate, self.keys, self.key_ttl = options.rate, not options.no_keys, options.key_ttl
        self.faults = Faults()
        self.webhooks = Webhooks(options.webhook, options.webhook_secret)
        self.in_flight = set()
        self.met = set()
        self.window_start, self.window_used = 0.0, 0
        self.last_no = self.ledger.last_request

    def pick_fault(self, request):
        return self.faults.pick(request) or {}

    def refused(self, request, status=0):
        self.note(request, status)

    def note(self, request, status):
        self.ledger.add([{"what": "request", "no": request.no, "at_us": request.at_us, "path": request.path,
                          "key": request.key, "status": status, "bytes": len(request.body)}])

    def control(self, wanted):
        unknown = set(wanted) - {"faults", "rate", "keys", "key_ttl", "seed"}
        if unknown:
            raise ValueError(f"no such setting: {', '.join(sorted(unknown))}")
        if "faults" in wanted:
            self.faults.set(wanted["faults"])
        if "seed" in wanted:
            self.faults.random = random.Random(wanted["seed"])
        for name in {"rate", "keys", "key_ttl"} & set(wanted):
            setattr(self, name, wanted[name])
        return self.state()

    def state(self):
        return {"faults": self.faults.list, "rate": self.rate, "keys": self.keys, "key_ttl": self.key_ttl}

    def check_rate(self):
        """Counts the request; returns the rate limit headers."""
        if not self.rate:
            return {}
        now = time.monotonic()
        if now - self.window_start >= 1.0:
            self.window_start, self.window_used = now, 0
        headers = {"ratelimit-limit": self.rate, "ratelimit-remaining": max(0, self.rate - self.window_used - 1),
                   "ratelimit-reset": 1}
        if self.window_used >= self.rate:
            raise ApiError("rate_limit_exceeded", headers={**headers, "retry-after": 1})
        self.window_used += 1
        return headers

    def check_caller(self, request):
        if not request.headers.get("user-agent"):
            raise ApiError("invalid_permission", "A User-Agent header is required.")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise ApiError("missing_api_key")
        if self.api_key and key.strip() != self.api_key:
            raise ApiError("invalid_api_key")

    async def handle_api(self, request):
        """Returns status, answer, headers; keeps what it accepts. Raises ApiError."""
        headers = self.check_rate()
        try:
            self.check_caller(request)
            if request.path in ("/emails", "/emails/batch"):
                if request.method != "POST":
                    raise ApiError("method_not_allowed")
                return 200, await self.send(request), headers
            if request.path.startswith("/emails/"):
                if request.method != "GET":
                    raise ApiError("method_not_allowed")
                return 200, self.show_mail(request.path[len("/emails/"):]), headers
            raise ApiError("not_found")
        except ApiError as error:
            error.headers = {**headers, **error.headers}
            raise

    async def send(self, request):
        key = request.key if self.keys else None
        if key is None:
            return await self.accept(request, None)
        if not 1 <= len(key) <= 256:
            raise ApiError("invalid_idempotency_key")
        digest = hashlib.sha256(request.path.encode() + b"\n" + request.body).hexdigest()
        first = self.ledger.answers.get(key)
        if first and time.time() - first["at_us"] / 1e6 < self.key_ttl:
            if first["digest"] != digest:
                raise ApiError("invalid_idempotent_request")
            return first["answer"]
        if key in self.in_flight:
            raise ApiError("concurrent_idempotent_requests")
        self.in_flight.add(key)
        try:
            return await self.accept(request, digest)
        finally:
            self.in_flight.discard(key)

    async def accept(self, request, digest):
        if request.fault.get("before_ms"):
            await asyncio.sleep(request.fault["before_ms"] / 1000)
        try:
            body = json.loads(request.body.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise ApiError("validation_error", f"The request body is not valid JSON: {error}") from None
        batch = request.path == "/emails/batch"
        mails, errors = self.check_mails(request, body, batch)
        self.meet(request, [to for _, mail, tos in mails for to in tos])
        rows = [delivery_row(request, index, mail) for index, mail, _ in mails]
        if batch:
            answer = {"data": [{"id": row["id"]} for row in rows]}
            if errors is not None:
                answer["errors"] = errors
        else:
            answer = {"id": rows[0]["id"]}
        if digest:
            rows.append({"what": "answer", "key": request.key, "digest": digest, "at_us": request.at_us,
                         "answer": answer})
        self.ledger.add(rows)
        for row in rows:
            if row["what"] == "delivery":
                self.webhooks.tell(row)
        return answer

    def check_mails(self, request, body, batch):
        """Returns [(index, mail, recipients)] and the errors of a permissive batch (None otherwise)."""
        if not batch:
            return [(0, body, check_mail(body, batch=False))], None
        mode = request.headers.get("x-batch-validation", "strict")
        if mode not in ("strict", "permissive"):
            raise ApiError("invalid_parameter", "x-batch-validation is strict or permissive.")
        if not isinstance(body, list) or not body:
            raise ApiError("validation_error", "The request body must be an array of emails.")
        if len(body) > 100:
            raise ApiError("invalid_parameter", "A batch takes at most 100 emails.")
        mails, errors = [], []
        for index, mail in enumerate(body):
            try:
                mails.append((index, mail, check_mail(mail, batch=True)))
            except ApiError as error:
                if mode == "strict":
                    raise
                errors.append({"index": index, "message": error.body["message"]})
        return mails, errors if mode == "permissive" else None

    def meet(self, request, recipients):
        """The fates that a recipient's name asks for (see the head of this file)."""
        for to in recipients:
            fresh = to not in self.met
            if to.startswith("flaky") and fresh:
                self.met.add(to)
                raise ApiError("internal_server_error")
            if to.startswith("lost") and fresh:
                self.met.add(to)
                request.fault = {"answer": "close"}
            if to.startswith("slow"):
                request.fault = {"answer": "ok", "after_ms": 3000}

    def show_mail(self, mail_id):
        row = self.ledger.mails.get(mail_id)
        if not row:
            raise ApiError("not_found", "Email not found")
        created = datetime.fromtimestamp(row["received_at_us"] / 1e6, timezone.utc)
        return {"object": "email", "id": row["id"], "to": row["to"], "from": row["from"],
                "created_at": created.strftime("%Y-%m-%d %H:%M:%S.%f+00"), "subject": row["subject"],
                "html": row["html"], "text": row["text"], "cc": row["cc"], "bcc": row["bcc"],
                "reply_to": row["reply_to"], "last_event": "delivered", "scheduled_at": None,
                "tags": [{"name": name, "value": value} for name, value in row["tags"].items()]}

    def handle_inspection(self, request):
        """The paths that are not Resend's: ledger, control, page."""
        if request.path == "/_control":
            if request.method == "POST":
                try:
                    return 200, self.control(json.loads(request.body)), {}
                except ValueError as error:
                    raise ApiError("validation_error", str(error)) from None
            return 200, self.state(), {}
        if request.path == "/_ledger":
            found = self.ledger.find(request.query)
            return 200, {"deliveries": found, "requests": [] if request.query else self.ledger.requests}, {}
        if request.path == "/_webhooks":
            return 200, {"events": self.webhooks.events}, {}
        if request.path == "/_ledger/summary":
            return 200, self.ledger.summary(), {}
        return 200, page(self.ledger).encode(errors="replace"), {"content-type": "text/html; charset=utf-8"}

    async def answer(self, request):
        """Returns status, body and headers of the ordinary answer."""
        if request.private:
            try:
                return self.handle_inspection(request)
            except ApiError as error:
                return error.status, error.body, error.headers
        fault = request.fault
        kind = fault.get("answer", "ok")
        accepted = fault.get("accept", kind not in ("error", "close_early"))
        try:
            if accepted:
                status, body, headers = await self.handle_api(request)
            elif fault.get("before_ms"):
                await asyncio.sleep(fault["before_ms"] / 1000)
            if kind == "error":
                raise self.fault_error(fault)
            if not accepted:
                status, body, headers = 200, {"id": str(uuid.uuid4())}, {}
        except ApiError as error:
            status, body, headers = error.status, error.body, error.headers
        self.note(request, status)
        return status, body, headers

    @staticmethod
    def fault_error(fault):
        headers = dict(fault.get("headers") or {})
        if "retry_after" in fault:
            after = fault["retry_after"]
            headers["retry-after"] = formatdate(time.time() + after, usegmt=True) if fault.get("retry_date") else after
        return ApiError(fault.get("name", "internal_server_error"), fault.get("message"), fault.get("status"), headers)


def page(ledger):
    """What was received, newest first, for a person."""
    def row(d):
        at = datetime.fromtimestamp(d["received_at_us"] / 1e6).strftime("%H:%M:%S.%f")[:-3]
        cells = [at, ", ".join(d["to"]), d["subject"], d["from"], f"{d['request_no']}/{d['index']}",
                 d["idempotency_key"] or ""]
        return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"

    total = ledger.summary()
    shown = list(reversed(ledger.deliveries[-500:]))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Development mail provider</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ddd; white-space: nowrap; }}
td:nth-child(3) {{ white-space: normal; }}
td {{ font-variant-numeric: tabular-nums; }} th {{ font-weight: 600; }} .dim {{ color: #666; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #181818; color: #ddd; }}
 th, td {{ border-color: #383838; }} .dim {{ color: #999; }} }}
</style></head><body>
<h1>Mail received</h1>
<p>{total['deliveries']} mails in {total['requests']} requests, {len(total['duplicates'])} of them seen twice.
<span class="dim">Newest {len(shown)} below. <a href="/_ledger">All as JSON</a></span></p>
<table><thead><tr><th>Received</th><th>To</th><th>Subject</th><th>From</th><th>Request</th><th>Key</th></tr></thead>
<tbody>{''.join(row(d) for d in shown)}</tbody></table>
</body></html>"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (printed, and written to --port-file)")
    parser.add_argument("--port-file", metavar="FILE", help="written when the provider listens")
    parser.add_argument("--ledger", metavar="FILE", help="JSON lines of all that is received")
    parser.add_argument("--api-key", metavar="KEY", help="the one valid key (default: any)")
    parser.add_argument("--rate", type=int, default=0, metavar="N", help="requests a second (0: no limit)")
    parser.add_argument("--no-keys", action="store_true", help="ignore Idempotency-Key, so that duplicates can happen")
    parser.add_argument("--key-ttl", type=float, default=86400, metavar="SECONDS", help="how long a key is kept (24 h)")
    parser.add_argument("--webhook", metavar="URL", help="where events of mails go (http)")
    parser.add_argument("--webhook-secret", metavar="SECRET", default="", help="what they are signed with: whsec_ and base64")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input closes")
    options = parser.parse_args()
    if options.webhook and not options.webhook_secret:
        parser.error("--webhook needs --webhook-secret")
    asyncio.run(listen(Provider(options), options))


if __name__ == "__main__":
    main()
