"""Limits on attempts: counters in Redis, shared by all replicas.

An attempt is counted *before* it is made and given back when it was honest, so guesses that come at the same moment
cannot slip through between a check and a count.

An account can be guessed at from few places or from many. From one address it is locked soon, which hurts nobody
elsewhere. From many together it is first slowed down and only much later locked, and a device that has logged in
before has a counter of its own instead of all these: nobody else can lock its owner out.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from services.login.settings import HOUR, MINUTE, Settings
from shared.calls.circuit_breaker import Breaker, BreakerPolicy
from shared.errors import TooManyRequests, Unavailable
from shared.http.client_address import neighbourhood

__all__ = ["Attempt", "Limit", "Limits", "Locked", "connect"]

log = structlog.get_logger(__name__)

CALL_SECONDS = 1.0
OPTIONAL_SECONDS = 0.5
"""How long a request that may pass uncounted waits for the count."""
AWAY = BreakerPolicy(failures=1, open_seconds=1.0)
"""After a count that failed such ones are left out, or a Redis that is silent would slow everybody down."""
RETRY_AFTER_SECONDS = 5

# An expiry of its own for each counter, set in the same step that makes it; one that has lost it, by whatever way, gets
# another: nobody is locked for ever. EXPIRE's NX option would need Redis 7.
COUNT = """
local count = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {count, left}
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
    """The counters that one attempt was counted in.

    `own` is forgotten when the attempt succeeds; in `shared` there are the failures of others too, so that only this
    attempt is taken back there.
    """

    own: str
    shared: tuple[str, ...] = ()


class Locked(TooManyRequests):
    """More attempts than the limit allows; `first` says that this one made the limit known."""

    def __init__(self, limit: Limit, *, first: bool, retry_after: float) -> None:
        super().__init__("too many attempts; try again later", retry_after=retry_after)
        self.limit = limit.name
        self.first = first


class Limits:
    """The limits of one tenant."""

    def __init__(
        self, redis: Redis, settings: Settings, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._redis = redis
        self._sleep = sleep
        self._prefix = f"{settings.installation}:login:{settings.tenant}"
        window = settings.failure_window_seconds
        self._per_pair = Limit(name="pair", count=settings.failures_per_account_and_address, seconds=window)
        self._per_device = Limit(name="device", count=settings.failures_per_account_and_address, seconds=window)
        self._per_account = Limit(name="account", count=settings.failures_in_all, seconds=window)
        self._unslowed, self._delay = settings.failures_per_account, settings.failure_delay_seconds
        self._changes = Limit(name="change", count=settings.failures_per_account_and_address, seconds=window)
        self._per_address = Limit(name="address", count=settings.failures_per_address, seconds=window)
        self._registrations = Limit(name="register", count=settings.registrations_per_address, seconds=HOUR)
        self._guests = Limit(name="guest", count=settings.requests_per_address, seconds=MINUTE)
        self._clients = Limit(name="client", count=settings.requests_per_address, seconds=MINUTE)
        self._refreshes = Limit(name="refresh", count=settings.requests_per_address, seconds=MINUTE)
        self._optional = Breaker(AWAY)

    async def begin(self, username: str, address: str, *, device: str | None = None) -> Attempt:
        """Counts an attempt to log in as a failure until `succeeded` or `abandoned` says otherwise.

        Args:
            device: the name of a device that is known to have logged in to the account before.

        Raises:
            Locked: the address, the account from there, or the account from everywhere has had its share; says for
                how long.
            Unavailable: the attempt cannot be counted, so it must not be made.
        """
        if device is not None:
            own = self._key(self._per_device, f"{username}\0{device}")
            await self._count(self._per_device, own)
            return Attempt(own=own)
        party = neighbourhood(address)
        everyone = self._key(self._per_account, username)
        here = self._key(self._per_address, party)
        pair = self._key(self._per_pair, f"{username}\0{party}")
        # What one counter refuses is not counted in the next: a locked address fills nobody's account.
        await self._count(self._per_address, here)
        await self._count(self._per_pair, pair)
        if await self._count(self._per_account, everyone) > self._unslowed:
            await self._sleep(self._delay)
        return Attempt(own=pair, shared=(here, everyone))

    async def change(self, account_id: str) -> Attempt:
        """Counts a guess at the current password by somebody with the account's access token; raises as `begin`.

        Apart from log-ins, so that neither locks the other.
        """
        attempt = Attempt(own=self._key(self._changes, account_id))
        await self._count(self._changes, attempt.own)
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        """Forgets the failures before this attempt, and the attempt itself where those of others are counted too."""

        async def settle() -> None:
            await self._redis.delete(attempt.own)
            await self._give_back(attempt.shared)

        await self._call(settle)

    async def abandoned(self, attempt: Attempt) -> None:
        """Takes back an attempt that was never answered with yes or no."""
        await self._call(lambda: self._give_back((attempt.own, *attempt.shared)))

    async def registration(self, address: str) -> None:
        """Counts a registration; raises as `begin`."""
        await self._count(self._registrations, self._key(self._registrations, neighbourhood(address)))

    async def guest(self, address: str) -> None:
        """Counts a guest; goes on without Redis, because a guest costs little and a shop without its chat much.

        Raises:
            Locked: the address has had its share.
        """
        await self._count_if_possible(self._guests, address)

    async def refresh(self, address: str) -> None:
        """Counts a renewal; goes on without Redis, because nobody guesses a random secret.

        Raises:
            Locked: the address has had its share.
        """
        await self._count_if_possible(self._refreshes, address)

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

    async def _give_back(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self._redis.eval(GIVE_BACK, 1, key)

    async def _count(self, limit: Limit, key: str, *, seconds: float = 2 * CALL_SECONDS) -> int:
        async def count() -> tuple[int, int]:
            made, left = await self._redis.eval(COUNT, 1, key, str(int(limit.seconds * 1000)))
            return int(made), int(left)

        made, left = await self._call(count, seconds)
        if made > limit.count:
            raise Locked(limit, first=made == limit.count + 1, retry_after=max(left, 0) / 1000)
        return made

    async def _call(self, work: Callable[[], Awaitable[T]], seconds: float = 2 * CALL_SECONDS) -> T:
        try:
            async with asyncio.timeout(seconds):
                return await work()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits_unavailable", error=type(error).__name__)
            raise Unavailable("log-in is not possible at the moment", retry_after=RETRY_AFTER_SECONDS) from error
