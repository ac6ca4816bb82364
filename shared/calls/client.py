"""Calls between services by name, with a deadline, retries on another instance where safe, and circuit breakers.

Every failure becomes one of `shared.errors`: no instance, refused or broken connections and open breakers are
`Unavailable`, an expired deadline is `DeadlineExceeded`, a problem document becomes the problem that it describes.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from structlog.contextvars import get_contextvars

from shared.calls.circuit_breaker import Breaker, BreakerPolicy
from shared.calls.discovery import Balancer, Discovery
from shared.calls.registration import Instance
from shared.errors import (
    DeadlineExceeded,
    FieldError,
    InternalError,
    Problem,
    Unavailable,
    UpstreamError,
    problem_for_status,
)
from shared.http.auth import TENANT_HEADER

__all__ = ["DEADLINE_HEADER", "ON_BEHALF_HEADER", "REQUEST_ID_HEADER", "ServiceClient"]

log = structlog.get_logger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"
DEADLINE_HEADER = "X-Deadline-Seconds"
"""Seconds that are left; relative, so that clocks need not agree."""

ON_BEHALF_HEADER = "X-On-Behalf-Of"
"""Whom a service asks for: callers have equal shares, and a service that asks for many is as many callers."""

DEFAULT_DEADLINE_SECONDS = 5.0
MAX_ATTEMPTS = 3
MAX_ATTEMPTS_AT_SEVERAL = 8
"""More at an address that stands for several processes: each attempt may reach the one that has died."""
PAUSE_SECONDS = 0.05
CONNECT_SECONDS = 1.0
KEEP_SECONDS = 30.0
"""How long idle connections are kept; servers keep them longer."""
MAX_ANSWER_BYTES = 8_000_000

CALLS = Counter("zhiyin_client_calls_total", "Calls to other services", ["target", "outcome"])
SECONDS = Histogram("zhiyin_client_call_seconds", "Time a call to another service took", ["target"])

UNAVAILABLE = f"urn:zhiyin:problem:{Unavailable.kind}"

Tokens = Callable[[str], Awaitable[str]]
"""A bearer token for the service of that name."""


NEVER = BreakerPolicy(failures=sys.maxsize)
"""For an address that stands for several processes: a dead one must not block the others."""


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One request to a service; `until` is on the monotonic clock, `retry` means that repeating it does no harm."""

    service: str
    method: str
    path: str
    json: Any
    until: float
    retry: bool
    headers: dict[str, str]
    raw_up_to: int | None = None
    """Where the answer is wanted as it is, the most bytes that it may have; otherwise it is JSON."""

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self.until - time.monotonic())


class ServiceClient:
    """Calls services by name over pooled connections."""

    def __init__(
        self, discovery: Discovery, *, tokens: Tokens | None = None, breaker: BreakerPolicy | None = None
    ) -> None:
        self._discovery = discovery
        self._tokens = tokens
        self._policy = breaker or BreakerPolicy()
        self._breakers: dict[str, dict[str, Breaker]] = {}
        self._balancer = Balancer()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Gives the connections back."""
        for session in self._sessions.values():
            await session.close()

    async def token(self, service: str) -> str | None:
        """This service's own token for calls to the other one, where it does not go into `Authorization`.

        None for a client without credentials; raises as `ServiceTokens`.
        """
        return None if self._tokens is None else await self._tokens(service)

    async def get(self, service: str, path: str, *, deadline: float = DEFAULT_DEADLINE_SECONDS) -> Any:
        """The JSON that the service answers; tried on another instance when one fails."""
        return await self.call(service, "GET", path, deadline=deadline, retry=True)

    async def get_bytes(
        self, service: str, path: str, *, most: int, deadline: float = DEFAULT_DEADLINE_SECONDS, tenant: str
    ) -> bytes:
        """The bytes that the service answers; raises as `call`, `UpstreamError` for more than `most` bytes."""
        answer = await self.call(service, "GET", path, deadline=deadline, retry=True, tenant=tenant, raw_up_to=most)
        return b"" if answer is None else bytes(answer)

    async def post(
        self,
        service: str,
        path: str,
        *,
        json: Any,
        deadline: float = DEFAULT_DEADLINE_SECONDS,
        retry: bool = False,
        headers: Mapping[str, str] | None = None,
        authenticated: bool = True,
        tenant: str | None = None,
    ) -> Any:
        """The JSON that the service answers; `retry` means that repeating the call does no harm."""
        return await self.call(
            service,
            "POST",
            path,
            json=json,
            deadline=deadline,
            retry=retry,
            headers=headers,
            authenticated=authenticated,
            tenant=tenant,
        )

    async def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        json: Any = None,
        deadline: float = DEFAULT_DEADLINE_SECONDS,
        retry: bool,
        headers: Mapping[str, str] | None = None,
        authenticated: bool = True,
        tenant: str | None = None,
        raw_up_to: int | None = None,
    ) -> Any:
        """One call with all its attempts within `deadline` seconds.

        Args:
            tenant: whom the work is for; without one, the tenant of this service's own token.
            raw_up_to: the answer is wanted as bytes and not as JSON, up to so many.

        Raises:
            Unavailable: no instance took the call.
            DeadlineExceeded: the deadline passed before the answer came.
            UpstreamError: the answer cannot be used.
            Problem: what the service itself answered.
        """
        started = time.monotonic()
        asked = _Call(
            service=service,
            method=method,
            path=path,
            json=json,
            until=started + deadline,
            retry=retry,
            headers=dict(headers or {}),
            raw_up_to=raw_up_to,
        )
        if tenant is not None:
            asked.headers[TENANT_HEADER] = tenant
        outcome = "ok"
        try:
            async with asyncio.timeout(deadline):
                if self._tokens is not None and authenticated:
                    asked.headers["Authorization"] = f"Bearer {await self._tokens(service)}"
                request_id = get_contextvars().get("request_id")
                if request_id:
                    asked.headers.setdefault(REQUEST_ID_HEADER, str(request_id))
                return await self._attempts(asked)
        except TimeoutError as error:
            outcome = "deadline"
            raise DeadlineExceeded(f"{service} did not answer within {deadline:.1f} s") from error
        except Exception as error:
            outcome = getattr(error, "kind", "error")
            raise
        finally:
            CALLS.labels(service, outcome).inc()
            SECONDS.labels(service).observe(time.monotonic() - started)

    async def _attempts(self, asked: _Call) -> Any:
        tried: set[str] = set()
        failure: Problem | None = None
        broken: Instance | None = None
        refusals = 0
        for attempt in range(1, MAX_ATTEMPTS_AT_SEVERAL + 1):
            instance, others = await self._choose(asked.service, tried)
            if instance is None:
                instance, broken = broken, None
            if instance is None or (attempt > MAX_ATTEMPTS and not instance.several):
                break
            if attempt > 1 and instance.several:
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            tried.add(instance.id)
            breaker = self._breaker(instance)
            breaker.admit()
            # An instance that takes a request and never answers must leave time for another one.
            patience = asked.left / 2 if asked.retry and others and attempt < MAX_ATTEMPTS else asked.left
            try:
                async with asyncio.timeout(patience):
                    answer = await self._once(instance, asked, patience, fresh=attempt > 1)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                # Nothing was sent, so any call may try again.
                failure = Unavailable(f"{asked.service} cannot be reached", retry_after=2)
                failure.__cause__ = error
                sent = False
            except TimeoutError as error:
                failure = DeadlineExceeded(f"{asked.service} did not answer in time")
                failure.__cause__ = error
                sent = True
            except (aiohttp.ClientError, OSError) as error:
                failure = Unavailable(f"the connection to {asked.service} broke", retry_after=2)
                failure.__cause__ = error
                sent = True
                if attempt == 1:
                    # The pooled connection may be from before a restart of the instance; if there is no other
                    # instance, the same one is tried again over a new connection.
                    broken = instance
            except Unavailable as error:
                failure = error
                sent = True
                refusals += 1
            except asyncio.CancelledError:
                if not asked.left:
                    breaker.record(success=False)
                raise
            except Problem:
                breaker.record(success=True)
                raise
            else:
                breaker.record(success=True)
                return answer
            breaker.record(success=False)
            if (sent and not asked.retry) or refusals == MAX_ATTEMPTS:
                break
        raise failure or Unavailable(f"no instance of {asked.service} is known to work", retry_after=2)

    async def _choose(self, service: str, tried: set[str]) -> tuple[Instance | None, bool]:
        """An instance to call, and whether there is another one to try after it."""
        known = await self._discovery.instances(service)
        self._forget_gone(service, known)
        fresh = tuple(each for each in known if each.several or each.id not in tried)
        usable = tuple(each for each in fresh if self._breaker(each).closed)
        if not usable:
            return None, False
        chosen = self._balancer.pick(service, usable)
        return chosen, chosen.several or len(usable) > 1

    def _breaker(self, instance: Instance) -> Breaker:
        breakers, place = self._breakers.setdefault(instance.service, {}), _place(instance)
        if place not in breakers:
            breakers[place] = Breaker(NEVER if instance.several else self._policy)
        return breakers[place]

    def _forget_gone(self, service: str, known: tuple[Instance, ...]) -> None:
        """Drops the breakers of instances that are no longer listed; there are never more of them than instances."""
        breakers = self._breakers.get(service)
        if breakers is None or len(breakers) <= len(known):
            return
        places = {_place(each) for each in known}
        self._breakers[service] = {place: each for place, each in breakers.items() if place in places}

    async def _once(self, instance: Instance, asked: _Call, patience: float, *, fresh: bool) -> Any:
        """One attempt; `fresh` opens a new connection, because a pooled one may lead to a process that is gone."""
        url = instance.url + asked.path
        headers = {**asked.headers, DEADLINE_HEADER: f"{patience:.3f}"}
        async with (
            self._balancer.using(instance),
            self._session(fresh=fresh).request(asked.method, url, json=asked.json, headers=headers) as response,
        ):
            return await _read(response, instance.service, asked.raw_up_to)

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        if fresh not in self._sessions:
            kept = {"force_close": True} if fresh else {"keepalive_timeout": KEEP_SECONDS}
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=256, **kept),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        return self._sessions[fresh]


def _place(instance: Instance) -> str:
    return f"{instance.id}@{instance.url}"


async def _read(response: aiohttp.ClientResponse, service: str, raw_up_to: int | None) -> Any:
    if response.status == 204:
        return None
    most = raw_up_to if response.status < 400 else None
    left = MAX_ANSWER_BYTES if most is None else most
    parts: list[bytes] = []
    async for part in response.content.iter_any():
        left -= len(part)
        if left < 0:
            # The rest is not read: leaving the answer closes its connection.
            raise UpstreamError(f"the answer of {service} is too large")
        parts.append(part)
    if most is not None:
        return b"".join(parts)
    try:
        body = json.loads(b"".join(parts)) if parts else None
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"the answer of {service} is not JSON") from error
    if response.status < 400:
        return body
    raise _problem(response, body if isinstance(body, dict) else {}, service)


def _problem(response: aiohttp.ClientResponse, body: Mapping[str, Any], service: str) -> Problem:
    kind = problem_for_status(response.status)
    if kind is Unavailable and body.get("type") not in (None, UNAVAILABLE):
        # What is away stands behind the service, which works itself: no breaker and no other instance would help.
        kind = UpstreamError
    if issubclass(kind, InternalError):
        return UpstreamError(f"{service} failed")
    try:
        errors = [FieldError.model_validate(error) for error in body.get("errors") or ()]
    except ValidationError:
        errors = []
    after = response.headers.get("Retry-After", "")
    return kind(
        str(body.get("detail") or response.reason),
        errors=errors,
        retry_after=float(after) if after.isdigit() else None,
    )
