"""A customer of the running stack: logs in, chats, reads on, follows the stream."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.calls import Answer, Calls, calling
from tests.stack import RunningStack, eventually

__all__ = ["Customer", "customer", "log_in", "texts"]

Event = dict[str, Any]


def texts(events: list[Event]) -> str:
    """Everything that was said in these events."""
    return "\n".join(str(event["text"]) for event in events)


class Customer:
    """One conversation of one customer."""

    def __init__(self, calls: Calls, token: str, conversation: str) -> None:
        self.calls = calls
        self.token = token
        self.conversation = conversation

    @property
    def path(self) -> str:
        """The conversation's address."""
        return f"/v1/conversations/{self.conversation}"

    async def post(self, text: str, *, message_id: str | None = None, choice: str | None = None) -> Answer:
        """Says something; the whole HTTP answer."""
        body = {"message_id": message_id or uuid.uuid4().hex, "text": text}
        if choice is not None:
            body["choice"] = choice
        return await self.calls.post(f"{self.path}/messages", json=body, token=self.token)

    async def say(self, text: str, *, choice: str | None = None) -> list[Event]:
        """Says something; the replies."""
        answer = await self.post(text, choice=choice)
        assert answer.status == 200, answer.text
        replies: list[Event] = answer.body["replies"]
        assert replies, f"no reply to {text!r}"
        return replies

    async def choose(self, replies: list[Event], title: str) -> list[Event]:
        """Clicks the quick reply with this title."""
        options = {option["title"]: option["id"] for reply in replies for option in reply["options"]}
        assert title in options, options
        return await self.say(title, choice=options[title])

    async def events(self, after: int = 0) -> list[Event]:
        """The transcript behind `after`."""
        answer = await self.calls.get(f"{self.path}/events?after={after}&limit=500", token=self.token)
        assert answer.status == 200, answer.text
        events: list[Event] = answer.body["events"]
        return events

    async def until(self, condition: Callable[[list[Event]], bool], seconds: float = 40.0) -> list[Event]:
        """Reads on until the transcript is as wanted."""
        seen: list[Event] = []

        async def look() -> bool:
            nonlocal seen
            seen = await self.events()
            return condition(seen)

        await eventually(look, seconds, what="the transcript")
        return seen

    @asynccontextmanager
    async def stream(self, after: int = 0) -> AsyncIterator["asyncio.Queue[Event]"]:
        """The live stream; each event goes into the queue."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        headers = {"Authorization": f"Bearer {self.token}"}
        path = f"{self.path}/stream?after={after}"
        async with self.calls.session.get(path, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/event-stream")

            async def read() -> None:
                async for line in response.content:
                    if line.startswith(b"data: ") and line != b"data: {}\n":
                        queue.put_nowait(json.loads(line.removeprefix(b"data: ")))

            reader = asyncio.create_task(read())
            try:
                yield queue
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


async def log_in(stack: RunningStack, calls: Calls, username: str | None = None) -> str:
    """An access token of an account of the bootstrap file, or of a new guest."""
    if username is None:
        answer = await calls.post("/v1/auth/guest", json={})
    else:
        body = {"username": username, "password": stack.bootstrap.password(username)}
        answer = await calls.post("/v1/auth/login", json=body)
    assert answer.status == 200, answer.text
    token: str = answer.body["access_token"]
    return token


@asynccontextmanager
async def customer(
    stack: RunningStack, *, username: str | None = None, language: str = "zh", url: str | None = None
) -> AsyncIterator[Customer]:
    """A customer with a new conversation; a guest when no account is named."""
    async with calling(url or stack.url) as calls:
        token = await log_in(stack, calls, username)
        answer = await calls.post("/v1/conversations", json={"language": language}, token=token)
        assert answer.status == 201, answer.text
        yield Customer(calls, token, answer.body["id"])
