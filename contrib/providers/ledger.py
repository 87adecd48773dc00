"""What a development provider remembers: accepted mails, requests and answered keys, in memory and in a file.

Rows are dicts whose "what" is delivery, request or answer; the file has one a line, as JSON.
"""

import json
import os


class Ledger:
    """Accepted mails, requests and answered keys: in memory and, line by line, in a file."""

    def __init__(self, path):
        self.deliveries, self.requests, self.answers, self.mails = [], [], {}, {}
        self.last_request = 0
        self.fd = None
        if path:
            self._load(path)
            self.fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def _load(self, path):
        try:
            data = open(path, "rb").read()
        except FileNotFoundError:
            return
        if data and not data.endswith(b"\n"):
            # Killed inside a write: that answer never left, so its line never counted.
            data = data[:data.rfind(b"\n") + 1]
            os.truncate(path, len(data))
        for line in data.splitlines():
            self._keep(json.loads(line))

    def _keep(self, row):
        what = row["what"]
        if what == "delivery":
            self.deliveries.append(row)
            self.mails[row["id"]] = row
            self.last_request = max(self.last_request, row["request_no"])
        elif what == "request":
            self.requests.append(row)
            self.last_request = max(self.last_request, row["no"])
        else:
            self.answers[row["key"]] = row

    def add(self, rows):
        """One write for all rows: what belongs together is there whole or not at all."""
        if self.fd is not None and rows:
            data = "".join(json.dumps(row) + "\n" for row in rows).encode()
            while data:
                data = data[os.write(self.fd, data):]
        for row in rows:
            self._keep(row)

    def find(self, filters):
        def wanted(row):
            for name, value in filters.items():
                if name == "to" and value not in row["to"]:
                    return False
                if name.startswith("tag_") and row["tags"].get(name[4:]) != value:
                    return False
            return True
        return [row for row in self.deliveries if wanted(row)]

    def summary(self):
        times, untagged = {}, 0
        for row in self.deliveries:
            message = row["tags"].get("message_id")
            if message is None:
                untagged += 1
            else:
                times[message] = times.get(message, 0) + 1
        return {"deliveries": len(self.deliveries), "unique": len(times), "untagged": untagged,
                "duplicates": {message: n for message, n in times.items() if n > 1},
                "requests": len(self.requests)}
