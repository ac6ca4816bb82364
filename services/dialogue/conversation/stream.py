"""A conversation's events as they happen: by long poll, and as server-sent events.

An idle stream is one task that waits for its client to hang up. It reads nothing and has no timer of its own: what is
new is sent by short tasks that a wake begins, a few of which read at once, and one loop keeps all connections alive.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import TypedDict

import structlog
from prometheus_client import Gauge
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from shared.contracts.events import Event
from shared.errors import NotFound, Unavailable
from shared.http.continuation import go_on_with
from shared.storage.database import Database
from shared.storage.statements import Unit

__all__ = ["EventStream", "Streams", "wait_for_events"]

log = structlog.get_logger(__name__)

BATCH = 100
READS_AT_ONCE = 4
"""The streams' share of the database's connections; turns need the others."""
SWEEP_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
MAX_LIFE_SECONDS = 600.0
RETRY_MILLISECONDS = 1000
RECONNECT = "event: reconnect\ndata: {}\n\n"
END = "event: end\ndata: {}\n\n"
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}

OPEN = Gauge("zhiyin_open_streams", "Clients that follow a conversation live")


async def wait_for_events(
    database: Database,
    wakes: Wakes,
    *,
    tenant: str,
    conversation_id: str,
    after: int,
    limit: int,
    seconds: float,
    holder: str | None = None,
) -> list[Event]:
    """The events behind `after`; waits up to `seconds` for the first one.

    Raises:
        NotFound: a `holder` is given, who no longer has the floor.
    """
    until = time.monotonic() + seconds
    async with wakes.watching(conversation_id, noticed=after) as wake:
        while True:
            wake.clear()
            events = await database.read(tenant, partial(_events, conversation_id, after, limit, holder))
            while not events and not wake.is_set() and (left := until - time.monotonic()) > 0:
                await wakes.wait(wake, left)
            if events or not wake.is_set():
                return events


class _Stream:
    """One client that follows: `after` is the last event that it was sent, `holder` the agent who needs the floor."""

    __slots__ = ("_begin", "after", "born", "busy", "conversation", "good", "holder", "last_words", "news", "noticed",
                 "over", "send", "spoken", "task", "tenant")  # fmt: skip

    def __init__(
        self,
        begin: Callable[["_Stream"], None],
        tenant: str,
        conversation: str,
        after: int,
        holder: str | None,
        good: Callable[[], bool],
    ) -> None:
        self._begin = begin
        self.tenant = tenant
        self.conversation = conversation
        self.holder = holder
        self.good = good
        self.last_words = RECONNECT
        self.after = self.noticed = after
        self.born = self.spoken = time.monotonic()
        self.busy = self.news = self.over = False
        self.send: Send
        self.task: asyncio.Task[object] | None = None

    def set(self) -> None:
        """There may be news; while it is sent, more of it waits."""
        self.news = True
        if not self.busy and self.task is not None:
            self._begin(self)


class Streams:
    """The streams of a process."""

    def __init__(self, database: Database, wakes: Wakes) -> None:
        self._database = database
        self._wakes = wakes
        self._streams: set[_Stream] = set()
        self._sending: set[asyncio.Task[None]] = set()
        self._reads = asyncio.Semaphore(READS_AT_ONCE)
        self._stopping = False

    async def run(self, beat: Callable[[], None]) -> None:
        """Keeps connections alive, and ends those that are old, until it is cancelled."""
        while True:
            beat()
            moment = time.monotonic()
            for stream in tuple(self._streams):
                if moment - stream.born > MAX_LIFE_SECONDS or not stream.good():
                    self._end(stream)
                elif moment - stream.spoken > KEEP_ALIVE_SECONDS and not stream.busy:
                    stream.spoken = moment
                    self._start(stream, self._keep_alive(stream))
            await asyncio.sleep(SWEEP_SECONDS)

    def stop(self) -> None:
        """Ends all streams, and those that are opened from now on: clients come back to another replica."""
        self._stopping = True
        for stream in tuple(self._streams):
            self._end(stream)

    async def close(self) -> None:
        """Ends what is being sent."""
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    async def follow(
        self,
        receive: Receive,
        send: Send,
        *,
        tenant: str,
        conversation_id: str,
        after: int,
        holder: str | None = None,
        good: Callable[[], bool] = lambda: True,
    ) -> None:
        """Sends every event behind `after` and those to come, until the client hangs up or the stream is ended.

        With a `holder` it ends for good when they no longer have the floor; and when the token is not `good` any more.
        """
        stream = _Stream(self._send_later, tenant, conversation_id, after, holder, good)
        stream.send = send
        stream.task = asyncio.current_task()
        assert stream.task is not None
        await _say(stream, f"retry: {RETRY_MILLISECONDS}\n\n")
        self._streams.add(stream)
        OPEN.inc()
        self._wakes.add(conversation_id, stream)
        try:
            stream.set()
            if self._stopping:
                self._end(stream)
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        except asyncio.CancelledError:
            if not stream.over or stream.task.uncancel() > 0:
                raise
        finally:
            stream.task = None
            self._wakes.remove(conversation_id, stream)
            self._streams.discard(stream)
            OPEN.dec()
        await _say(stream, stream.last_words)

    def _end(self, stream: _Stream) -> None:
        if stream.task is not None and not stream.over:
            stream.over = True
            stream.task.cancel()

    def _send_later(self, stream: _Stream) -> None:
        self._start(stream, self._send_news(stream))

    def _start(self, stream: _Stream, work: Coroutine[object, object, None]) -> None:
        stream.busy = True
        task = asyncio.create_task(work)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _keep_alive(self, stream: _Stream) -> None:
        await _say(stream, ": still here\n\n")
        await self._send_news(stream)

    async def _send_news(self, stream: _Stream) -> None:
        """Sends what there is, one task a stream at a time, so that the order is that of the transcript."""
        try:
            while stream.news and stream.task is not None and not stream.over:
                stream.news = False
                async with self._reads:
                    events = await self._database.read(
                        stream.tenant, partial(_events, stream.conversation, stream.after, BATCH, stream.holder)
                    )
                if not stream.good():
                    self._end(stream)
                    return
                for event in events:
                    await _say(stream, f"id: {event.seq}\nevent: {event.kind}\ndata: {event.model_dump_json()}\n\n")
                    stream.after = event.seq
                stream.news = stream.news or len(events) == BATCH
                stream.noticed = max(stream.noticed, stream.after)
        except Unavailable:
            # The database comes back; this client should not have to. The reader tells it again.
            stream.noticed = stream.after
        except NotFound:
            stream.last_words = END
            self._end(stream)
        except Exception as error:
            log.error("stream_failed", error=type(error).__name__, exc_info=error)
            self._end(stream)
        finally:
            stream.busy = False


class _Of(TypedDict):
    tenant: str
    conversation_id: str
    after: int
    holder: str | None
    good: Callable[[], bool]


class EventStream(Response):
    """Every event behind `after`, each with its `seq` as id, then those to come; the client resumes with the last id.

    Ends after ten minutes, and when the process stops: clients come back by themselves, to another replica. With a
    `holder` it ends for good when they no longer have the floor; and when the token is not `good` any more. Its `place`
    is held until it ends.
    """

    def __init__(
        self,
        streams: Streams,
        *,
        place: AbstractContextManager[None],
        tenant: str,
        conversation_id: str,
        after: int,
        holder: str | None = None,
        good: Callable[[], bool] = lambda: True,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._streams = streams
        self._place = place
        self._of = _Of(tenant=tenant, conversation_id=conversation_id, after=after, holder=holder, good=good)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with ExitStack() as held:
            held.enter_context(self._place)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            go_on_with(scope, partial(_follow, self._streams, self._of, held.pop_all()))


async def _follow(streams: Streams, of: _Of, held: ExitStack, receive: Receive, send: Send) -> None:
    with held:
        await streams.follow(receive, send, **of)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _say(stream: _Stream, text: str) -> None:
    await stream.send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    stream.spoken = time.monotonic()


def _events(conversation_id: str, after: int, limit: int, holder: str | None, unit: Unit) -> list[Event]:
    events = repository.events_after(unit, conversation_id, after, limit)
    # Asked last: what was read while the floor was still theirs, they may have.
    if holder is not None and repository.find_conversation(unit, conversation_id).floor != holder:
        raise NotFound("there is no such conversation")
    return events
