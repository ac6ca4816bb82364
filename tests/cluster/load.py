"""Customers who chat at a steady rate, whatever happens to the system, and an account of what became of every turn."""

import asyncio
import itertools
import statistics
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from cli.process import wait_until
from tests.cluster.transcripts import Event, Message, problems
from tests.stack import eventually

__all__ = ["CutTwice", "Failure", "Guest", "Load", "Refused", "Report", "steady_load"]

TURNS_A_SECOND = 10.0
CUSTOMERS = 30
NEWCOMER_EVERY = 10
"""After this many turns a new customer logs in, opens a conversation and says the turn's sentence."""
RETRY_AFTER_SECONDS = 2.0
CALL_SECONDS = 20.0
READ_SECONDS = 60.0
PAGE = 200

APOLOGIES = frozenset({"understanding_unavailable", "lookup_failed", "lookup_failed_again"})
"""Replies of a system that could not do what it should: the turn did not fail, and it was not what was asked for."""


@dataclass(frozen=True)
class Said:
    """A sentence, and what its answer must contain."""

    text: str
    expected: str = ""


SENTENCES = (
    Said("你好"),
    Said("订单 20261103001 到哪了", "SF1234567890"),
    Said("运费怎么算", "99"),
    Said("where is my order 20261103001?", "SF1234567890"),
    Said("thanks"),
)


@dataclass(frozen=True)
class Failure:
    """A request that was not answered with success; `status` is None where there was no answer."""

    what: str
    status: int | None = None
    cut: bool = False

    def __str__(self) -> str:
        return f"{self.status or 'no answer'}: {self.what}"


class Refused(Exception):
    """An answer that is not the one that was asked for."""

    def __init__(self, what: str, status: int, body: Any) -> None:
        detail = body.get("detail", body) if isinstance(body, dict) else body
        self.failure = Failure(f"{what}: {detail}", status)
        super().__init__(str(self.failure))


class CutTwice(Exception):
    """The connection was cut, and where a retry is allowed, at the retry again."""


@dataclass
class Guest:
    """A guest with one conversation and connections of their own."""

    session: aiohttp.ClientSession
    token: str = ""
    conversation: str = ""
    retry: bool = True
    messages: list[Message] = field(default_factory=list)

    async def enter(self, cuts: list[str]) -> None:
        """Logs in and opens the conversation.

        Raises:
            Refused: one of the two was.
            CutTwice, TimeoutError: there was no answer.
        """
        status, body = await self.call("POST", "/v1/auth/guest", {}, cuts)
        if status != 200:
            raise Refused("guest", status, body)
        self.token = str(body["access_token"])
        status, body = await self.call("POST", "/v1/conversations", {"language": "zh"}, cuts)
        if status != 201:
            raise Refused("conversation", status, body)
        self.conversation = str(body["id"])

    async def say(self, text: str, message_id: str | None = None) -> Message:
        """Says something; the account of it."""
        message = Message(id=message_id or uuid.uuid4().hex, text=text, sent_at=time.monotonic())
        self.messages.append(message)
        path = f"/v1/conversations/{self.conversation}/messages"
        try:
            message.status, body = await self.call("POST", path, {"message_id": message.id, "text": text}, message.cuts)
        except (CutTwice, TimeoutError) as error:
            message.failure = f"{type(error).__name__} {message.cuts}"
        else:
            if message.status == 200:
                message.replies = body["replies"]
            elif message.status != 202:
                message.failure = Refused("message", message.status, body).failure.what
        message.seconds = time.monotonic() - message.sent_at
        return message

    async def transcript(self) -> list[Event]:
        """Every event, page by page."""
        events: list[Event] = []
        while True:
            path = f"/v1/conversations/{self.conversation}/events?after={len(events)}&limit={PAGE}"
            status, body = await self.call("GET", path, None, [])
            if status != 200:
                raise Refused("events", status, body)
            events += body["events"]
            if len(body["events"]) < PAGE:
                return events

    async def call(self, method: str, path: str, body: Any, cuts: list[str]) -> tuple[int, Any]:
        """One request, and once more where its connection was cut; each cut is noted in `cuts`."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        for again in (False, True) if self.retry else (False,):
            if again:
                await asyncio.sleep(RETRY_AFTER_SECONDS)
            try:
                async with self.session.request(method, path, json=body, headers=headers) as response:
                    return response.status, await response.json(content_type=None)
            except TimeoutError:
                raise
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, OSError) as error:
                cuts.append(f"{type(error).__name__}: {error}")
        raise CutTwice


@dataclass(kw_only=True)
class Report:
    """What became of a load's turns."""

    sent: int
    cut: int
    later: int
    """Accepted with 202: the answer came after the request's time."""
    failed: list[Failure]
    degraded: list[str]
    wrong: list[str]
    seconds: Sequence[float]
    """Of every turn that was answered at once, from the moment at which it was due."""

    def quantile(self, share: float) -> float:
        """The time in seconds within which this share of the turns was answered."""
        if len(self.seconds) < 2:
            return max(self.seconds, default=0.0)
        return statistics.quantiles(self.seconds, n=1000, method="inclusive")[min(998, int(share * 1000) - 1)]

    def __str__(self) -> str:
        times = " ".join(f"p{share * 100:g} {self.quantile(share) * 1000:.0f}" for share in (0.5, 0.95, 0.99))
        return (
            f"{self.sent} turns: {len(self.failed)} failed, {self.cut} cut and tried again,"
            f" {self.later} answered later, {len(self.degraded)} degraded, {len(self.wrong)} wrong in transcripts;"
            f" {times} max {max(self.seconds, default=0.0) * 1000:.0f} ms"
        )

    def nothing_lost(self) -> None:
        """Every accepted message is there once, in order, and was answered once."""
        assert not self.wrong, f"{self}\n" + "\n".join(self.wrong[:20])

    def nothing_failed(self) -> None:
        """As `nothing_lost`, and every request was answered, with what was asked for."""
        self.nothing_lost()
        failures = Counter([str(each) for each in self.failed] + self.degraded)
        assert not failures, f"{self}\n" + "\n".join(f"{count} x {what}" for what, count in failures.most_common(20))


class Load:
    """Turns at fixed moments, whether or not the earlier ones were answered."""

    def __init__(self, url: str, *, rate: float, customers: int) -> None:
        self._url = url
        self._rate = rate
        self._customers = customers
        self._guests: list[Guest] = []
        self._everybody: list[Guest] = []
        self._failed: list[Failure] = []
        self._degraded: list[str] = []
        self._cut = 0
        self._times: list[float] = []
        self._sent = 0
        self._in_flight: set[asyncio.Task[None]] = set()
        self._pacing: asyncio.Task[None] | None = None

    @property
    def answered(self) -> int:
        """Turns that were answered at once so far."""
        return len(self._times)

    @property
    def refused(self) -> int:
        """Requests that failed so far."""
        return len(self._failed)

    async def start(self) -> None:
        """Lets the customers in and begins."""
        self._guests = [self._guest() for _ in range(self._customers)]
        cuts: list[str] = []
        await asyncio.gather(*(guest.enter(cuts) for guest in self._guests))
        self._pacing = asyncio.create_task(self._pace(), name="pace")

    async def steady(self, turns: int = 20, seconds: float = 60.0) -> None:
        """Waits until so many more turns were answered."""
        wanted = self.answered + turns

        async def look() -> bool:
            if self._pacing is not None and self._pacing.done():
                await self._pacing
            return self.answered >= wanted

        await eventually(look, seconds, what=f"{turns} more answered turns")

    async def finish(self) -> Report:
        """Sends no more, waits for what is on its way, reads every transcript back, and gives account."""
        await self.stop()
        wrong: list[str] = []
        for guest in self._everybody:
            if guest.conversation:
                wrong += await self._audit(guest)
        later = sum(message.status == 202 for guest in self._everybody for message in guest.messages)
        return Report(
            sent=self._sent,
            cut=self._cut,
            later=later,
            failed=self._failed,
            degraded=self._degraded,
            wrong=wrong,
            seconds=self._times,
        )

    async def stop(self) -> None:
        """Sends no more and waits for what is on its way."""
        if self._pacing is not None:
            self._pacing.cancel()
            await asyncio.gather(self._pacing, return_exceptions=True)
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    async def close(self) -> None:
        """Ends everything."""
        await self.stop()
        for guest in self._everybody:
            await guest.session.close()

    def _guest(self) -> Guest:
        # Connections of their own, as customers have: each may lead to another pod.
        session = aiohttp.ClientSession(
            self._url,
            timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
            connector=aiohttp.TCPConnector(keepalive_timeout=30),
        )
        guest = Guest(session)
        self._everybody.append(guest)
        return guest

    async def _pace(self) -> None:
        began = time.monotonic()
        for number in itertools.count():
            due = began + number / self._rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self._sent += 1
            task = asyncio.create_task(self._turn(number, due))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _turn(self, number: int, due: float) -> None:
        guest = self._guests[number % len(self._guests)]
        if number % NEWCOMER_EVERY == NEWCOMER_EVERY - 1:
            guest = self._guest()
            cuts: list[str] = []
            try:
                await guest.enter(cuts)
            except Refused as refused:
                self._failed.append(refused.failure)
                return
            except (CutTwice, TimeoutError) as error:
                self._failed.append(
                    Failure(f"newcomer: {type(error).__name__} {cuts}", cut=isinstance(error, CutTwice))
                )
                return
            finally:
                self._cut += bool(cuts)
        # Not in step with the customers: each says every sentence.
        said = SENTENCES[number // len(self._guests) % len(SENTENCES)]
        message = await guest.say(said.text)
        self._cut += bool(message.cuts)
        if message.failure:
            self._failed.append(Failure(message.failure, message.status, cut=len(message.cuts) > 1))
        elif message.status == 200:
            self._times.append(time.monotonic() - due)
            self._degraded += disappointments(said, message.replies)

    async def _audit(self, guest: Guest) -> list[str]:
        found: list[str] = []

        async def look() -> bool:
            nonlocal found
            found = problems(await guest.transcript(), guest.messages)
            return not any(each.startswith("unanswered") for each in found)

        # What was accepted and not yet answered has until then.
        await wait_until(look, READ_SECONDS)
        return [f"{guest.conversation}: {each}" for each in found]


def disappointments(said: Said, replies: Sequence[Event]) -> list[str]:
    """What in these replies is an apology instead of an answer, or not the answer."""
    names = [str(reply["data"].get("reply")) for reply in replies]
    found = [f"{said.text}: {name}" for name in names if name in APOLOGIES]
    if not found and said.expected not in "\n".join(str(reply["text"]) for reply in replies):
        found.append(f"{said.text}: answered with {', '.join(names)}")
    return found


@asynccontextmanager
async def steady_load(url: str, *, rate: float = TURNS_A_SECOND, customers: int = CUSTOMERS) -> AsyncIterator[Load]:
    """Customers who chat at `url`, `rate` turns a second, until `finish` or the end of the block."""
    load = Load(url, rate=rate, customers=customers)
    try:
        await load.start()
        await load.steady()
        yield load
    finally:
        await load.close()
