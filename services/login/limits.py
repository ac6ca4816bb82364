"""Limits on attempts: counters in Redis, shared by all replicas.

An attempt is counted *before* it is made and given back when it was honest, so guesses that come at the same moment
cannot slip through between a check and a count.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.login.client_address import neighbourhood
from services.login.settings import HOUR, MINUTE, Settings
from shared.calls.circuit_breaker import Breaker, BreakerPolicy
from shared.errors import TooManyRequests, Unavailable

__all__ = ["Attempt", "Limit", "Limits", "Locked", "connect"]

log = structlog.get_logger(__name__)

CALL_SECONDS = 1.0
OPTIONAL_SECONDS = 0.5
"""How long a request that may pass uncounted waits for the count."""
AWAY = BreakerPolicy(failures=1, open_seconds=1.0)
"""After a count that failed such ones are left out, or a Redis that is silent would slow everybody down."""
RETRY_AFTER_SECONDS = 5

# An expiry of its own for each counter, set in the same step that makes it: none can be left without one.
# EXPIRE's NX option would need Redis 7.
COUNT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
GIVE_BACK = """
if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('DECR', KEYS[1]) end
return 0
"""

T = TypeVar("T")


def connect(url: str) -> Redis:
    """A client that gives up fast: a person is waiting to log in, and a 503 after a second is better than silence."""
    return Redis.from_url(
        url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS, retry=Retry(NoBackoff(), 1)
    )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """`count` attempts in `seconds`, from the first of them on."""

    name: str
    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The counters that one attempt to log in was counted in."""

    account: str
    address: str


class Locked(TooManyRequests):
    """More attempts than the limit allows; `first` says that this one made the limit known."""

    def __init__(self, limit: Limit, *, first: bool, retry_after: float) -> None:
        super().__init__("too many attempts; try again later", retry_after=retry_after)
        self.limit = limit.name
        self.first = first


class Limits:
    """The limits of one tenant."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._prefix = f"{settings.installation}:login:{settings.tenant}"
        window = settings.failure_window_seconds
        self._per_account = Limit(name="account", count=settings.failures_per_account, seconds=window)
        self._per_address = Limit(name="address", count=settings.failures_per_address, seconds=window)
        self._registrations = Limit(name="register", count=settings.registrations_per_address, seconds=HOUR)
        self._guests = Limit(name="guest", count=settings.requests_per_address, seconds=MINUTE)
        self._clients = Limit(name="client", count=settings.requests_per_address, seconds=MINUTE)
        self._optional = Breaker(AWAY)

    async def begin(self, username: str, address: str) -> Attempt:
        """Counts an attempt to log in as a failure until `succeeded` or `abandoned` says otherwise.

        Raises:
            Locked: the account or the address has had its share; says for how long.
            Unavailable: the attempt cannot be counted, so it must not be made.
        """
        attempt = Attempt(
            account=self._key(self._per_account, username),
            address=self._key(self._per_address, neighbourhood(address)),
        )
        await self._count(self._per_address, attempt.address)
        await self._count(self._per_account, attempt.account)
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        """Forgets the failures of the account, and this attempt for the address."""

        async def settle() -> None:
            await self._redis.delete(attempt.account)
            await self._redis.eval(GIVE_BACK, 1, attempt.address)

        await self._call(settle)

    async def abandoned(self, attempt: Attempt) -> None:
        """Takes back an attempt that was never answered with yes or no."""

        async def settle() -> None:
            await self._redis.eval(GIVE_BACK, 1, attempt.account)
            await self._redis.eval(GIVE_BACK, 1, attempt.address)

        await self._call(settle)

    async def registration(self, address: str) -> None:
        """Counts a registration; raises as `begin`."""
        await self._count(self._registrations, self._key(self._registrations, neighbourhood(address)))

    async def guest(self, address: str) -> None:
        """Counts a guest; goes on without Redis, because a guest costs little and a shop without its chat much.

        Raises:
            Locked: the address has had its share.
        """
        await self._count_if_possible(self._guests, address)

    async def client(self, address: str) -> None:
        """Counts a service's ask for a token; goes on without Redis, because nobody guesses a random secret.

        Raises:
            Locked: the address has had its share.
        """
        await self._count_if_possible(self._clients, address)

    async def close(self) -> None:
        """Gives the connections back."""
        await self._redis.aclose()

    def _key(self, limit: Limit, subject: str) -> str:
        # A digest has a fixed length, and readers of Redis do not learn who tried to log in.
        return f"{self._prefix}:{limit.name}:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"

    async def _count_if_possible(self, limit: Limit, address: str) -> None:
        if not self._optional.closed:
            return
        with suppress(Unavailable), self._optional.trying(Unavailable):
            await self._count(limit, self._key(limit, neighbourhood(address)), seconds=OPTIONAL_SECONDS)

    async def _count(self, limit: Limit, key: str, *, seconds: float = 2 * CALL_SECONDS) -> None:
        async def count() -> tuple[int, int]:
            made, left = await self._redis.eval(COUNT, 1, key, str(int(limit.seconds * 1000)))
            return int(made), int(left)

        made, left = await self._call(count, seconds)
        if made > limit.count:
            raise Locked(limit, first=made == limit.count + 1, retry_after=max(left, 0) / 1000)

    async def _call(self, work: Callable[[], Awaitable[T]], seconds: float = 2 * CALL_SECONDS) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits_unavailable", error=type(error).__name__)
            raise Unavailable("log-in is not possible at the moment", retry_after=RETRY_AFTER_SECONDS) from error
