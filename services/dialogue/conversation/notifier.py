"""Waking: notifies waiters on a conversation, in this process and in others, that something has been committed.

Redis carries the calls between processes, and a short lease that keeps two replicas from doing the same turn for
nothing. Neither is needed for correctness: what is not heard is found by the process's one reader
(`services.dialogue.conversation.reader`), only later, and the version check of the store refuses the second writer.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from shared.calls.circuit_breaker import Breaker, BreakerPolicy

__all__ = ["Wakes", "Watch", "Watcher"]

log = structlog.get_logger(__name__)

CALL_SECONDS = 0.5
LOOK_AGAIN_SECONDS = 5.0
LISTEN_SECONDS = 5.0
"""So long the listener hears nothing before it asks Redis whether it is still there."""
RECONNECT_SECONDS = 0.5
BREAKER = BreakerPolicy(failures=1, open_seconds=1.0)
AWAY = object()

REDIS_ERRORS = (RedisError, OSError, TimeoutError)

TAKE = """
if ARGV[4] ~= '' then redis.call('publish', ARGV[3], ARGV[4]) end
return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
"""
"""Wakes and asks for a lease in one call: a turn's time is calls."""
RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) else return 0 end"
RELEASE = """
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end
if ARGV[3] ~= '' then redis.call('publish', ARGV[2], ARGV[3]) end
"""
"""Gives a lease back and wakes in one call, for the same reason."""


class Watcher(Protocol):
    """Whoever wants to know of a conversation's news; `noticed` is the last `seq` that it was told of or knows."""

    noticed: int

    def set(self) -> None:
        """Something may have been committed."""


class Watch(asyncio.Event):
    """A watcher that can be waited for: an event that is set at every wake."""

    def __init__(self, noticed: int = 0) -> None:
        super().__init__()
        self.noticed = noticed


class Wakes:
    """Conversations with waiters, and the calls that end their wait."""

    def __init__(self, redis_url: str, installation: str) -> None:
        """The channel and the leases carry the installation's name: several of them may share a Redis."""
        self._channel = f"{installation}:dialogue:wake"
        self._lease_key = f"{installation}:dialogue:lease:"
        self._redis: Redis = Redis.from_url(
            redis_url, socket_connect_timeout=CALL_SECONDS, socket_timeout=None, health_check_interval=10
        )
        self._waiting: defaultdict[str, set[Watcher]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self.listening = False
        """Whether other processes are heard now."""
        self.missed = asyncio.Event()
        """Set when calls may have been missed: whoever reads looks now."""
        self._breaker = Breaker(BREAKER)
        self._held: set[str] = set()

    def start(self, beat: Callable[[], None] = lambda: None) -> None:
        """Begins to listen for the other processes; `beat` is called whenever the listener turns."""
        self._listener = asyncio.create_task(self._listen(beat), name="wake-listener")

    async def close(self) -> None:
        """Stops listening."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self._redis.aclose()

    async def wake(self, conversation: str) -> None:
        """Ends every wait on the conversation, here and in the other processes."""
        self.wake_here(conversation)
        await self._ask(partial(self._redis.publish, self._channel, conversation))

    def wake_here(self, conversation: str) -> None:
        """Ends every wait on the conversation in this process."""
        for watcher in tuple(self._waiting.get(conversation, ())):
            watcher.set()

    def wake_all(self) -> None:
        """Ends every wait in this process."""
        for conversation in self.watched():
            self.wake_here(conversation)

    def watched(self) -> list[str]:
        """The conversations with waiters in this process."""
        return list(self._waiting)

    def notice(self, conversation: str, last_seq: int) -> None:
        """Ends the waits of those who have not been told of the conversation's event `last_seq`."""
        for watcher in tuple(self._waiting.get(conversation, ())):
            if watcher.noticed < last_seq:
                watcher.noticed = last_seq
                watcher.set()

    def add(self, conversation: str, watcher: Watcher) -> None:
        """Tells the watcher of every wake from now on, until it is removed."""
        self._waiting[conversation].add(watcher)

    def remove(self, conversation: str, watcher: Watcher) -> None:
        """Tells the watcher nothing more."""
        self._waiting[conversation].discard(watcher)
        if not self._waiting[conversation]:
            del self._waiting[conversation]

    @asynccontextmanager
    async def watching(self, conversation: str, noticed: int = 0) -> AsyncIterator[Watch]:
        """An event that is set at every wake from now on; clear it before looking, then wait with `wait`.

        Args:
            noticed: the last event's `seq` that the caller knows of, so that the reader does not tell it again.
        """
        watch = Watch(noticed)
        self.add(conversation, watch)
        try:
            yield watch
        finally:
            self.remove(conversation, watch)

    async def wait(self, watch: Watch, seconds: float) -> bool:
        """Returns at the wake, when it is time to look again without one, or after `seconds`; whether it was a wake."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, LOOK_AGAIN_SECONDS)):
                await watch.wait()
        return watch.is_set()

    @asynccontextmanager
    async def lease(self, conversation: str, seconds: float, *, wakes: bool = False) -> AsyncIterator[bool]:
        """Whether the caller may work on the conversation now; without Redis one in each process may.

        It is short and renewed while it is held, so that a killed process is soon followed by another one. When
        it is given back after work that did not fail, the conversation is woken, for those who were refused it.

        Args:
            wakes: the conversation is woken in the other processes before, whether the lease is refused or not.
        """
        if conversation in self._held:
            if wakes:
                await self.wake(conversation)
            yield False
            return
        self._held.add(conversation)
        try:
            async with self._stored_lease(conversation, seconds, wakes=wakes) as held:
                yield held
        finally:
            self._held.discard(conversation)
        if held:
            self.wake_here(conversation)

    @asynccontextmanager
    async def _stored_lease(self, conversation: str, seconds: float, *, wakes: bool) -> AsyncIterator[bool]:
        """The lease among processes."""
        key, token = self._lease_key + conversation, uuid.uuid4().hex
        woken = conversation if wakes else ""
        take = partial(self._redis.eval, TAKE, 1, key, token, int(seconds * 1000), self._channel, woken)
        answer = await self._ask(take, otherwise=AWAY)
        if not answer or answer is AWAY:
            yield answer is AWAY
            return
        renewal = _Renewal(partial(self._renew, key, token, seconds), after=seconds / 3)
        woken = ""
        try:
            yield True
            woken = conversation
        finally:
            await renewal.stop()
            await self._ask(partial(self._redis.eval, RELEASE, 1, key, token, self._channel, woken))

    async def _renew(self, key: str, token: str, seconds: float) -> None:
        while True:
            await self._ask(partial(self._redis.eval, RENEW, 1, key, token, int(seconds * 1000)))
            await asyncio.sleep(seconds / 3)

    async def _ask(self, call: Callable[[], Awaitable[Any]], *, otherwise: object = None) -> Any:
        """What Redis answers; `otherwise` when it does not, and for a moment after, so that not every turn waits."""
        if not self._breaker.closed:
            return otherwise
        try:
            with self._breaker.trying(*REDIS_ERRORS):
                async with asyncio.timeout(CALL_SECONDS):
                    return await call()
        except REDIS_ERRORS as error:
            log.warning("redis_away", error=type(error).__name__)
            return otherwise

    async def _listen(self, beat: Callable[[], None]) -> None:
        while True:
            beat()
            try:
                async with self._redis.pubsub() as pubsub:
                    async with asyncio.timeout(LISTEN_SECONDS):
                        await pubsub.subscribe(self._channel)
                    await self._hear(pubsub, beat)
            except REDIS_ERRORS as error:
                if self.listening:
                    log.warning("wake_listener_lost", error=type(error).__name__)
            self.listening = False
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear(self, pubsub: PubSub, beat: Callable[[], None]) -> None:
        asked = False
        while True:
            message = await pubsub.get_message(timeout=LISTEN_SECONDS)
            beat()
            if message is None:
                if asked:
                    raise TimeoutError("Redis does not answer")
                # A server that is gone without a word would be listened to for ever.
                await pubsub.ping()
                asked = True
                continue
            asked = False
            if message["type"] == "subscribe":
                self.listening = True
                self._breaker.record(success=True)
                # Whatever was said while nobody listened is found by looking.
                self.missed.set()
            elif message["type"] == "message":
                self.wake_here(message["data"].decode())


class _Renewal:
    """A task that begins only `after` seconds: most leases are given back long before."""

    def __init__(self, renew: Callable[[], Coroutine[Any, Any, None]], *, after: float) -> None:
        self._renew = renew
        self._task: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(after, self._start)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def stop(self) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
