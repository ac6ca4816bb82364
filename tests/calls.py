"""HTTP calls as tests make them: short to write, the whole answer at hand."""

import json as json_codec
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

__all__ = ["Answer", "Calls", "calling"]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; `body` is the JSON, or None where there is none."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    text: str

    @property
    def body(self) -> Any:
        """The JSON of the answer."""
        return json_codec.loads(self.text) if self.text else None


class Calls:
    """Calls to one server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def get(self, path: str, **options: Any) -> Answer:
        """A GET; options as in `send`."""
        return await self.send("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        """A POST; options as in `send`."""
        return await self.send("POST", path, **options)

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Any call; `token` goes into the Authorization header, `data` is sent as it is and said to be JSON."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, path, json=json, data=data, headers=sent) as response:
            return Answer(
                status=response.status,
                headers=response.headers,
                content_type=response.headers.get("Content-Type", ""),
                text=await response.text(),
            )


@asynccontextmanager
async def calling(base_url: str) -> AsyncIterator[Calls]:
    """Calls to the server at `base_url`."""
    async with aiohttp.ClientSession(base_url, timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Calls(session)
