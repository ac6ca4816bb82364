"""How much one person, and one address, may ask of this service.

Each has a bucket of tokens that fills up steadily; a request takes one, and an empty bucket answers 429. The buckets of
a process cost no call. Only when one is less than half full, which those who chat as people do never reach, Redis is
asked too, whose bucket all replicas share. Without Redis each replica counts for itself, so the limit is at most
multiplied by the number of replicas.

An address that is not of the Internet is not counted: it is a proxy's that `trusted_proxies` does not name, behind
which everybody is, or somebody's inside.
"""

import asyncio
import hashlib
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

import prometheus_client
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.types import Scope

from services.dialogue.settings import Settings
from shared.calls.circuit_breaker import Breaker, BreakerPolicy
from shared.errors import TooManyRequests, Unavailable
from shared.http.auth import Principal
from shared.http.client_address import client_address, neighbourhood

__all__ = ["Buckets", "Limits", "Rate", "address_of"]

log = structlog.get_logger(__name__)

CALL_SECONDS = 0.25
AWAY = BreakerPolicy(failures=1, open_seconds=1.0)
MOST_BUCKETS = 50_000
STREAM_RETRY_SECONDS = 5.0
QUEUE_RETRY_SECONDS = 2.0

REFUSED = prometheus_client.Counter("zhiyin_dialogue_limited_total", "Requests that were over a limit", ["limit"])

# A bucket is (tokens, when it was so): what has flowed in since is added when it is looked at. The answer is 0, or the
# milliseconds until a token is there. Time is Redis' own, so that replicas need not agree on it.
TAKE = """
local now = redis.call('TIME')
local moment = now[1] * 1000 + math.floor(now[2] / 1000)
local wait = 0
for number, key in ipairs(KEYS) do
  local burst, per_ms = tonumber(ARGV[2 * number - 1]), tonumber(ARGV[2 * number])
  local known = redis.call('HMGET', key, 'tokens', 'at')
  local tokens = math.min(burst, (tonumber(known[1]) or burst) + (moment - (tonumber(known[2]) or moment)) * per_ms)
  if tokens >= 1 then tokens = tokens - 1 else wait = math.max(wait, math.ceil((1 - tokens) / per_ms)) end
  redis.call('HSET', key, 'tokens', tostring(tokens), 'at', tostring(moment))
  redis.call('PEXPIRE', key, math.ceil(burst / per_ms))
end
return wait
"""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`burst` requests at once, and so many a minute from then on."""

    name: str
    per_minute: float
    burst: float

    def times(self, factor: float) -> "Rate":
        """The same for so many people together."""
        return Rate(name=f"{self.name}_address", per_minute=self.per_minute * factor, burst=self.burst * factor)

    @property
    def per_second(self) -> float:
        """Tokens that flow in."""
        return self.per_minute / 60


class Buckets:
    """The buckets of this process; the ones that were not used for longest are forgotten when there are too many."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_BUCKETS) -> None:
        self._clock = clock
        self._most = most
        self._of: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, rate: Rate, who: str) -> float:
        """How full the bucket is after a token was taken (0 to 1); below 0, the seconds until there is one."""
        moment = self._clock()
        tokens, at = self._of.pop((rate.name, who), (rate.burst, moment))
        tokens = min(rate.burst, tokens + (moment - at) * rate.per_second)
        there = tokens >= 1
        self._of[rate.name, who] = tokens - there, moment
        if len(self._of) > self._most:
            self._of.popitem(last=False)
        return (tokens - 1) / (rate.burst if there else rate.per_second)


class Limits:
    """The limits of one tenant's people."""

    def __init__(self, settings: Settings, *, queued: Callable[[], int], buckets: Buckets | None = None) -> None:
        self._redis: Redis = Redis.from_url(
            settings.redis_url,
            socket_timeout=CALL_SECONDS,
            socket_connect_timeout=CALL_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._breaker = Breaker(AWAY)
        self._prefix = f"{settings.installation}:dialogue:limit"
        self._people = settings.people_per_address
        said = Rate(name="messages", per_minute=settings.messages_per_minute, burst=settings.messages_burst)
        opened = Rate(
            name="conversations",
            per_minute=settings.conversations_per_minute,
            burst=settings.conversations_per_minute,
        )
        self._messages = said, said.times(self._people)
        self._conversations = opened, opened.times(self._people)
        self._streams = settings.streams_at_once
        self._most_queued = settings.turns_waiting
        self._queued = queued
        self._buckets = buckets or Buckets()
        self._open: Counter[str] = Counter()

    async def message(self, principal: Principal, address: str) -> None:
        """Counts a message.

        Raises:
            TooManyRequests: this person or this address has sent too many.
            Unavailable: too many messages of everybody wait for their turn.
        """
        if self._queued() >= self._most_queued:
            REFUSED.labels("turns").inc()
            raise Unavailable("too many messages wait for an answer; try again", retry_after=QUEUE_RETRY_SECONDS)
        await self._take(self._messages, principal, address)

    async def conversation(self, principal: Principal, address: str) -> None:
        """Counts a new conversation.

        Raises:
            TooManyRequests: this person or this address has opened too many.
        """
        await self._take(self._conversations, principal, address)

    @contextmanager
    def stream(self, principal: Principal, address: str) -> Iterator[None]:
        """Holds a place for a stream of this process.

        Raises:
            TooManyRequests: this person or this address has too many open.
        """
        parties = [(f"{principal.tenant}:{principal.subject}", self._streams)]
        if (party := _party(address)) is not None:
            parties.append((party, self._streams * self._people))
        for who, most in parties:
            if self._open[who] >= most:
                REFUSED.labels("streams").inc()
                raise TooManyRequests("too many streams are open; close one", retry_after=STREAM_RETRY_SECONDS)
        for who, _ in parties:
            self._open[who] += 1
        try:
            yield
        finally:
            for who, _ in parties:
                self._open[who] -= 1
                if not self._open[who]:
                    del self._open[who]

    async def close(self) -> None:
        """Gives the connections back."""
        await self._redis.aclose()

    async def _take(self, rates: tuple[Rate, Rate], principal: Principal, address: str) -> None:
        one, many = rates
        parties = [(one, f"{principal.tenant}:{principal.subject}")]
        if (party := _party(address)) is not None:
            parties.append((many, party))
        low = []
        for each, who in parties:
            full = self._buckets.take(each, who)
            if full < 0:
                _refuse(each, -full)
            if full < 0.5:
                low.append((each, who))
        if low and self._breaker.closed and (wait := await self._shared(low)):
            _refuse(low[0][0], wait)

    async def _shared(self, parties: Sequence[tuple[Rate, str]]) -> float:
        """Seconds until the buckets that replicas share have a token; 0 when they have, or nobody knows."""
        keys = [f"{self._prefix}:{rate.name}:{hashlib.sha256(who.encode()).hexdigest()[:32]}" for rate, who in parties]
        arguments = [str(each) for rate, _ in parties for each in (rate.burst, rate.per_second / 1000)]
        try:
            with self._breaker.trying(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(CALL_SECONDS):
                    return int(await self._redis.eval(TAKE, len(keys), *keys, *arguments)) / 1000
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits_not_shared", error=type(error).__name__)
            return 0.0


def address_of(scope: Scope, settings: Settings) -> str:
    """The client's address: the peer, or what the proxies that the settings trust say about who spoke to them."""
    client = scope.get("client")
    peer = client[0] if client else None
    if not settings.trusted_proxies:
        return _direct(peer)
    return client_address(peer, Headers(scope=scope).getlist("X-Forwarded-For"), settings.trusted_proxies)


# Reading an address takes longer than counting it.
@lru_cache(maxsize=4096)
def _direct(peer: str | None) -> str:
    return client_address(peer, (), ())


def _refuse(rate: Rate, seconds: float) -> None:
    REFUSED.labels(rate.name).inc()
    raise TooManyRequests("too many requests; wait a little", retry_after=seconds)


@lru_cache(maxsize=4096)
def _party(address: str) -> str | None:
    """Who is counted for an address of the Internet; None for any other."""
    try:
        return neighbourhood(address) if ip_address(address).is_global else None
    except ValueError:
        return None
