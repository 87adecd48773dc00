#!/usr/bin/python3
"""A billing provider for development: speaks what errand asks of Lemon Squeezy's API on loopback.

    lemonsqueezy.py [--port N] [--port-file FILE] [--api-key KEY]

API        GET /v1/subscriptions (page[number], page[size], filter[store_id]), GET /v1/subscriptions/ID,
           GET /v1/customers/ID (include=subscriptions), with Bearer keys.
To look    GET /_requests            {"requests": [{"no", "at_us", "path", "status"}]}
To set     POST /_control with any of {"subscriptions": [{"id", "attributes"}...], "unlisted": [ID...] (known, but not in
           the list), "page_size": N (the most that a page holds), "faults": [FAULT...]}, each in place of what was there.
Faults     as of resend.py, which need a `path` here; "error" answers `status` with `retry_after`.
"""

import argparse
import asyncio
import json
from urllib.parse import unquote

from server import Faults, listen


def resource(row):
    return {"type": "subscriptions", "id": str(row["id"]), "attributes": row["attributes"], "relationships": {}, "links": {}}


def error(status, detail):
    return status, {"jsonapi": {"version": "1.0"}, "errors": [{"detail": detail, "status": str(status), "title": detail}]}, {}


class Provider:
    """The subscriptions, and what each request is answered."""

    def __init__(self, options):
        self.api_key = options.api_key
        self.subscriptions, self.unlisted, self.page_size = [], [], 100
        self.requests, self.faults, self.last_no = [], Faults(), 0

    def pick_fault(self, request):
        return self.faults.pick(request) or {}

    def refused(self, request, status=0):
        self.requests.append({"no": request.no, "at_us": request.at_us, "path": request.path, "status": status})

    async def answer(self, request):
        if request.private:
            return self.inspect(request)
        status, body, headers = self.fault_answer(request.fault) or self.api(request)
        self.refused(request, status)
        return status, body, {"content-type": "application/vnd.api+json", **headers}

    @staticmethod
    def fault_answer(fault):
        if fault.get("answer") != "error":
            return None
        status, body, headers = error(fault.get("status", 500), "Scripted.")
        return status, body, {**headers, **({"retry-after": fault["retry_after"]} if "retry_after" in fault else {})}

    def inspect(self, request):
        if request.path == "/_control":
            wanted = json.loads(request.body)
            self.faults.set(wanted.pop("faults", self.faults.list))
            for name in ("subscriptions", "unlisted", "page_size"):
                setattr(self, name, wanted.pop(name, getattr(self, name)))
            return (400, {"message": f"no such setting: {', '.join(wanted)}"}, {}) if wanted else (200, {}, {})
        return 200, {"requests": self.requests}, {}

    def api(self, request):
        if request.headers.get("accept") != "application/vnd.api+json":
            return error(406, "Not Acceptable.")
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not key or (self.api_key and key != self.api_key):
            return error(401, "Unauthenticated.")
        parts = request.path.strip("/").split("/")
        query = {unquote(name): value for name, value in request.query.items()}
        if request.method != "GET" or parts[0] != "v1":
            return error(404, "The requested resource does not exist.")
        if parts[1:] == ["subscriptions"]:
            return 200, self.page(query), {}
        if parts[1] == "subscriptions":
            found = [row for row in self.subscriptions if str(row["id"]) == parts[2]]
            return (200, {"data": resource(found[0])}, {}) if found else error(404, "The requested resource does not exist.")
        found = [row for row in self.subscriptions if str(row["attributes"]["customer_id"]) == parts[2]]
        if parts[1] != "customers" or not found:
            return error(404, "The requested resource does not exist.")
        included = [resource(row) for row in found] if query.get("include") == "subscriptions" else []
        return 200, {"data": {"type": "customers", "id": parts[2], "attributes": {}}, "included": included}, {}

    def page(self, query):
        store = query.get("filter[store_id]")
        rows = [row for row in self.subscriptions if row["id"] not in self.unlisted and store in (None, str(row["attributes"]["store_id"]))]
        size = min(int(query.get("page[size]", 10)), self.page_size)
        number = int(query.get("page[number]", 1))
        meta = {"currentPage": number, "perPage": size, "total": len(rows), "lastPage": max(1, -(-len(rows) // size))}
        return {"meta": {"page": meta}, "data": [resource(row) for row in rows[(number - 1) * size:number * size]]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (printed, and written to --port-file)")
    parser.add_argument("--port-file", metavar="FILE", help="written when the provider listens")
    parser.add_argument("--api-key", metavar="KEY", help="the one valid key (default: any)")
    parser.add_argument("--watch-stdin", action="store_true", help="end when standard input closes")
    options = parser.parse_args()
    asyncio.run(listen(Provider(options), options))


if __name__ == "__main__":
    main()
