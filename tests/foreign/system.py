"""A foreign system with an HTTP API, a table of effects in SQLite, and faults that a test asks for.

python -m tests.foreign.system PORT FILE

It is given the next faults by `POST /faults`, one for each call. Those that end in `_after` are made when the effect is
there. With idempotency keys (`POST /keys`) the same key has its effect once.
"""

import asyncio
import sqlite3
import sys
from typing import Any

from aiohttp import web

__all__ = ["FAULTS", "main"]

FAULTS = (
    "ok", "cut_before", "cut_after", "error_before", "error_after", "garbage_after", "busy", "away", "slow_after",
    "late",
)  # fmt: skip
SLOW_SECONDS = 1.0
LATE_SECONDS = 0.05


class System:
    """What it has done, and what it will do wrong."""

    def __init__(self, file: str) -> None:
        self.rows = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self.rows.execute("PRAGMA synchronous=OFF")
        self.rows.execute("CREATE TABLE IF NOT EXISTS effects (key TEXT, name TEXT, content TEXT)")
        self.faults: list[str] = []
        self.keys = True
        self.calls = 0

    def add(self, key: str, name: str, content: str) -> bool:
        """Makes an effect; whether it was made now."""
        if self.keys and self.count(key):
            return False
        self.rows.execute("INSERT INTO effects VALUES (?, ?, ?)", (key, name, content))
        return True

    def count(self, key: str) -> int:
        """How often the effect of a key was made."""
        return int(self.rows.execute("SELECT count(*) FROM effects WHERE key = ?", (key,)).fetchone()[0])

    async def make(self, request: web.Request) -> web.StreamResponse:
        """`POST /effects/{name}`."""
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else "ok"
        key, name = request.headers["Idempotency-Key"], request.match_info["name"]
        body = await request.json()
        match fault:
            case "cut_before":
                return _cut(request)
            case "error_before":
                return web.Response(status=500)
            case "busy":
                return web.Response(status=429, headers={"Retry-After": "0"})
            case "away":
                return web.Response(status=503)
        if body.get("refuse"):
            return web.json_response({"code": body["refuse"]}, status=409)
        if body.get("wrong"):
            return web.json_response({"error": "what is this"}, status=400)
        if fault == "late":
            asyncio.get_running_loop().call_later(LATE_SECONDS, self.add, key, name, str(body))
            return _cut(request)
        self.add(key, name, str(body))
        match fault:
            case "cut_after":
                return _cut(request)
            case "error_after":
                return web.Response(status=500)
            case "garbage_after":
                return web.Response(text="<html>done!</html>", content_type="text/html")
            case "slow_after":
                await asyncio.sleep(SLOW_SECONDS)
        return web.json_response({"number": f"N-{key}"})

    async def ask(self, request: web.Request) -> web.Response:
        """`GET /effects/{key}`."""
        key = request.match_info["name"]
        if not self.count(key):
            return web.Response(status=404)
        return web.json_response({"number": f"N-{key}"})

    async def told(self, request: web.Request) -> web.Response:
        """`POST /faults`, `POST /keys`: what the next calls meet."""
        body: Any = await request.json()
        if "keys" in body:
            self.keys = body["keys"]
        self.faults = list(body.get("faults", self.faults))
        return web.Response()

    async def all(self, _request: web.Request) -> web.Response:
        """`GET /effects`: every effect, in order."""
        rows = self.rows.execute("SELECT key, name, content FROM effects ORDER BY rowid").fetchall()
        return web.json_response({"effects": rows, "calls": self.calls})


def _cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def main() -> None:
    """Serves until it is ended."""
    system = System(sys.argv[2])
    app = web.Application()
    app.router.add_post("/effects/{name}", system.make)
    app.router.add_get("/effects/{name}", system.ask)
    app.router.add_get("/effects", system.all)
    app.router.add_post("/faults", system.told)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()
