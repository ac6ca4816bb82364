"""A library's lending system in small, to learn with: `python3 system.py [port]`. Your own takes its place.

It forgets everything when it ends. A real one keeps the keys of `Idempotency-Key` as long as its effects.
"""

import json
import re
import sys
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

PRINCE = {"id": "L-1", "title": {"zh": "小王子", "en": "The Little Prince"}, "due": "2031-03-01", "renewals": 0}
PROBLEM = {"id": "L-2", "title": {"zh": "三体", "en": "The Three-Body Problem"}, "due": "2031-03-08", "renewals": 1}
LOANS: dict[str, dict[str, dict[str, Any]]] = {"C1001": {"L-1": PRINCE, "L-2": PROBLEM}, "C1002": {}}
RESERVED = {"L-2"}
DONE: dict[str, tuple[int, object]] = {}  # what was answered to each idempotency key
LOCK = Lock()
PATH = re.compile(r"/members/([^/]+)/loans(?:/([^/]+))?(/renewals)?")


class System(BaseHTTPRequestHandler):
    """GET /members/{m}/loans, GET /members/{m}/loans/{loan}, POST /members/{m}/loans/{loan}/renewals."""

    def do_GET(self) -> None:
        member, loan, renewals = self.parts()
        found = LOANS.get(member)
        if found is None or renewals or (loan and loan not in found):
            return self.answer(404, {"reason": "not_found"})
        self.answer(200, found[loan] if loan else {"loans": list(found.values())})

    def do_POST(self) -> None:
        body = {"weeks": 2} | json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        member, loan, renewals = self.parts()
        key = self.headers.get("Idempotency-Key", "")
        with LOCK:  # the same key is done once, and answered alike every time
            answer = DONE.get(key) or self.renew(LOANS.get(member, {}).get(loan if renewals else ""), body["weeks"])
            if key:
                DONE[key] = answer
        self.answer(*answer)

    def renew(self, loan: dict[str, Any] | None, weeks: int) -> tuple[int, object]:
        if loan is None:
            return 404, {"reason": "not_found"}
        if loan["id"] in RESERVED:
            return 409, {"reason": "reserved"}
        due = date.fromisoformat(loan["due"]) + timedelta(weeks=weeks)
        loan |= {"due": due.isoformat(), "renewals": loan["renewals"] + 1}
        return 201, {"due": loan["due"]}

    def parts(self) -> tuple[str, str, str]:
        match = PATH.fullmatch(self.path.partition("?")[0])
        return (match[1], match[2] or "", match[3] or "") if match else ("", "", "")

    def log_message(self, *_: object) -> None:
        """Says nothing of what it is asked."""

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8090
    print(f"The lending system listens at http://127.0.0.1:{port}; Ctrl-C ends it.", flush=True)
    try:
        ThreadingHTTPServer(("127.0.0.1", port), System).serve_forever()
    except KeyboardInterrupt:
        pass
