"""One person's way into a running Zhiyin: dialogue's HTTP API, with tokens that renew themselves."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import aiohttp
from pydantic import ValidationError

from cli.errors import CommandError, NotReachable, why_unreachable
from shared.contracts.events import Event

__all__ = ["Answer", "Gateway", "Refused"]

CALL_SECONDS = 30.0
UPLOAD_SECONDS = 120.0
SILENCE_SECONDS = 45.0
RECONNECT_SECONDS = 0.5
LINE_BYTES = 2**20


class Refused(CommandError):
    """The service answered and said no; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """A message as it was stored; `complete` is false when the replies are still to come."""

    message: Event
    complete: bool


class Gateway:
    """Talks to dialogue at `url`; enter first, as a guest or by name."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.refresh_token = ""
        self._access_token = ""

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        # One event is one line, and a line may be longer than aiohttp's usual buffer.
        self._session = aiohttp.ClientSession(timeout=timeout, read_bufsize=LINE_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def enter_as_guest(self) -> None:
        """Becomes a new guest."""
        self._take(await self._send("POST", "/v1/auth/guest", {}))

    async def log_in(self, username: str, password: str) -> None:
        """Becomes the account.

        Raises:
            Refused: the name or the password is wrong.
        """
        self._take(await self._send("POST", "/v1/auth/login", {"username": username, "password": password}))

    async def come_back(self, refresh_token: str) -> None:
        """Becomes again who the refresh token was given to.

        Raises:
            Refused: it is no longer good.
        """
        self._take(await self._send("POST", "/v1/auth/refresh", {"refresh_token": refresh_token}))

    async def open(self, language: str | None = None) -> str:
        """Opens a conversation and answers with its id."""
        body = {"language": language} if language else {}
        return str((await self._call("POST", "/v1/conversations", body))["id"])

    async def say(self, conversation: str, message_id: str, text: str, choice: str | None = None) -> Answer:
        """Says something; the replies are read from the transcript."""
        body = {"message_id": message_id, "text": text} | ({"choice": choice} if choice else {})
        answer = await self._call("POST", f"/v1/conversations/{conversation}/messages", body)
        return Answer(Event.model_validate(answer["message"]), bool(answer["complete"]))

    async def events(self, conversation: str, after: int) -> list[Event]:
        """The transcript behind `after`."""
        found: list[Event] = []
        while True:
            page = await self._call("GET", f"/v1/conversations/{conversation}/events?after={after}&limit=200")
            found += [Event.model_validate(event) for event in page["events"]]
            if len(page["events"]) < 200:
                return found
            after = int(page["last_seq"])

    async def follow(self, conversation: str, after: int) -> AsyncIterator[Event]:
        """Every event behind `after` as it happens, for ever: comes back after a cut, without a gap.

        Raises:
            Refused: the conversation is not the caller's.
        """
        while True:
            try:
                async for event in self._stream(conversation, after):
                    after = event.seq
                    yield event
            except (NotReachable, aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _stream(self, conversation: str, after: int) -> AsyncIterator[Event]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS, sock_read=SILENCE_SECONDS)
        url = f"{self.url}/v1/conversations/{conversation}/stream?after={after}"
        async with self._session.get(url, headers=self._headers(), timeout=timeout) as response:
            if response.status == 401:
                await self.come_back(self.refresh_token)
                return
            if response.status != 200:
                raise await refusal(response)
            async for line in response.content:
                if line.startswith(b"data: {") and b'"seq"' in line:
                    try:
                        yield Event.model_validate_json(line.removeprefix(b"data: "))
                    except ValidationError as error:
                        raise CommandError(f"{self.url} sent an event that is not one; is it Zhiyin?") from error

    async def staff(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Calls what only staff may use.

        Raises:
            Refused: the account may not, or there is no such thing.
        """
        return await self._call(method, path, body)

    async def upload(self, path: str, content: bytes) -> dict[str, Any]:
        """Puts what is no JSON.

        Raises:
            Refused: the account may not, or it is not taken.
        """
        return await self._call("PUT", path, content)

    async def _call(self, method: str, path: str, body: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        try:
            return await self._send(method, path, body)
        except Refused as error:
            if error.status != 401 or not self.refresh_token:
                raise
        await self.come_back(self.refresh_token)
        return await self._send(method, path, body)

    async def _send(self, method: str, path: str, body: dict[str, Any] | bytes | None) -> dict[str, Any]:
        sent: dict[str, Any] = {"json": body}
        if isinstance(body, bytes):
            sent = {"data": BytesIO(body), "timeout": aiohttp.ClientTimeout(total=UPLOAD_SECONDS)}
        try:
            async with self._session.request(method, self.url + path, headers=self._headers(), **sent) as response:
                if response.status >= 400:
                    raise await refusal(response)
                answer = await response.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise NotReachable(
                f"Zhiyin does not answer at {self.url} ({why_unreachable(error)}); start it with `zhiyin up`."
            ) from error
        if not isinstance(answer, dict):
            raise NotReachable(f"What answers at {self.url} is not Zhiyin.")
        return answer

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._access_token}"} if self._access_token else {}

    def _take(self, tokens: dict[str, Any]) -> None:
        self._access_token = str(tokens["access_token"])
        self.refresh_token = str(tokens["refresh_token"])


async def refusal(response: aiohttp.ClientResponse) -> Refused:
    """What the service said, from its problem document."""
    try:
        problem = json.loads(await response.text())
        detail = str(problem.get("detail") or problem["title"])
    except (ValueError, KeyError, AttributeError):
        detail = response.reason or "no reason given"
    return Refused(f"Refused ({response.status}): {detail}", response.status)
