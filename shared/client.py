"""Calls between services, by name: with a deadline, another instance where a retry is safe, and a circuit breaker.

Every failure leaves as one of `shared.errors`: no instance, refused or broken connections and open breakers are
`Unavailable`, a deadline that ran out is `DeadlineExceeded`, problem documents become the problem that they describe.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from prometheus_client import Counter, Histogram
from pydantic import ValidationError
from structlog.contextvars import get_contextvars

from shared.discovery import Balancer, Discovery
from shared.errors import (
    DeadlineExceeded,
    FieldError,
    InternalError,
    Problem,
    Unavailable,
    UpstreamError,
    problem_for_status,
)
from shared.registry import Instance

__all__ = ["DEADLINE_HEADER", "REQUEST_ID_HEADER", "BreakerPolicy", "ServiceClient", "ServiceTokens"]

log = structlog.get_logger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"
DEADLINE_HEADER = "X-Deadline-Seconds"
"""Seconds that are left; relative, so that clocks need not agree."""

DEFAULT_DEADLINE_SECONDS = 5.0
MAX_ATTEMPTS = 3
CONNECT_SECONDS = 1.0
MAX_ANSWER_BYTES = 8_000_000
TOKEN_MARGIN_SECONDS = 30.0
RENEW_AGAIN_SECONDS = 5.0

CALLS = Counter("zhiyin_client_calls_total", "Calls to other services", ["target", "outcome"])
SECONDS = Histogram("zhiyin_client_call_seconds", "Time a call to another service took", ["target"])

Tokens = Callable[[], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class BreakerPolicy:
    """After `failures` in a row an instance is left alone for `open_seconds`, then tried by one call."""

    failures: int = 3
    open_seconds: float = 2.0


class _Breaker:
    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self._retry_at = 0.0

    @property
    def closed(self) -> bool:
        return self._failures < self._policy.failures or time.monotonic() >= self._retry_at

    def admit(self) -> None:
        """Marks a trial call, so that the others keep waiting for its outcome."""
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds

    def record(self, *, success: bool) -> None:
        if success:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self._policy.failures:
            self._retry_at = time.monotonic() + self._policy.open_seconds


class ServiceClient:
    """Calls services by name over pooled connections."""

    def __init__(
        self, discovery: Discovery, *, tokens: Tokens | None = None, breaker: BreakerPolicy | None = None
    ) -> None:
        self._discovery = discovery
        self._tokens = tokens
        self._policy = breaker or BreakerPolicy()
        self._breakers: dict[str, _Breaker] = {}
        self._balancer = Balancer()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Gives the connections back."""
        if self._session is not None:
            await self._session.close()

    async def get(self, service: str, path: str, *, deadline: float = DEFAULT_DEADLINE_SECONDS) -> Any:
        """The JSON that the service answers; tried on another instance when one fails."""
        return await self.call(service, "GET", path, deadline=deadline, retry=True)

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
    ) -> Any:
        """The JSON that the service answers; `retry` says that doing it twice does no harm."""
        return await self.call(
            service,
            "POST",
            path,
            json=json,
            deadline=deadline,
            retry=retry,
            headers=headers,
            authenticated=authenticated,
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
    ) -> Any:
        """One call with all its attempts within `deadline` seconds.

        Raises:
            Unavailable: no instance took the call.
            DeadlineExceeded: the time was up before the answer came.
            UpstreamError: the answer cannot be used.
            Problem: what the service itself answered.
        """
        started = time.monotonic()
        outcome = "ok"
        try:
            async with asyncio.timeout(deadline):
                return await self._attempts(
                    service, method, path, json, started + deadline, retry, headers or {}, authenticated
                )
        except TimeoutError as error:
            outcome = "deadline"
            raise DeadlineExceeded(f"{service} did not answer within {deadline:.1f} s") from error
        except Exception as error:
            outcome = getattr(error, "kind", "error")
            raise
        finally:
            CALLS.labels(service, outcome).inc()
            SECONDS.labels(service).observe(time.monotonic() - started)

    async def _attempts(
        self,
        service: str,
        method: str,
        path: str,
        json: Any,
        until: float,
        retry: bool,
        headers: Mapping[str, str],
        authenticated: bool,
    ) -> Any:
        tried: set[str] = set()
        failure: Unavailable | None = None
        for _ in range(MAX_ATTEMPTS):
            instance = await self._choose(service, tried)
            if instance is None:
                break
            tried.add(instance.id)
            breaker = self._breaker(instance)
            breaker.admit()
            sent = dict(headers)
            if self._tokens is not None and authenticated:
                sent["Authorization"] = f"Bearer {await self._tokens()}"
            sent[DEADLINE_HEADER] = f"{max(0.0, until - time.monotonic()):.3f}"
            request_id = get_contextvars().get("request_id")
            if request_id:
                sent.setdefault(REQUEST_ID_HEADER, str(request_id))
            try:
                answer = await self._once(instance, method, path, json, sent)
            except aiohttp.ClientConnectorError as error:
                # Nothing was sent, so any call may try the next instance.
                breaker.record(success=False)
                failure = Unavailable(f"{service} cannot be reached", retry_after=2)
                failure.__cause__ = error
                continue
            except (aiohttp.ClientError, OSError) as error:
                breaker.record(success=False)
                failure = Unavailable(f"the connection to {service} broke", retry_after=2)
                failure.__cause__ = error
                if not retry:
                    break
                continue
            except Unavailable as error:
                breaker.record(success=False)
                failure = error
                if not retry:
                    break
                continue
            except asyncio.CancelledError:
                if time.monotonic() >= until:
                    breaker.record(success=False)
                raise
            breaker.record(success=True)
            return answer
        raise failure or Unavailable(f"no instance of {service} is known to work", retry_after=2)

    async def _choose(self, service: str, tried: set[str]) -> Instance | None:
        known = await self._discovery.instances(service)
        fresh = tuple(instance for instance in known if instance.id not in tried)
        usable = tuple(instance for instance in fresh if self._breaker(instance).closed)
        return self._balancer.pick(service, usable) if usable else None

    def _breaker(self, instance: Instance) -> _Breaker:
        return self._breakers.setdefault(f"{instance.id}@{instance.url}", _Breaker(self._policy))

    async def _once(self, instance: Instance, method: str, path: str, json: Any, headers: Mapping[str, str]) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=256, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        async with (
            self._balancer.using(instance),
            self._session.request(method, instance.url + path, json=json, headers=headers) as response,
        ):
            return await _read(response, instance.service)


async def _read(response: aiohttp.ClientResponse, service: str) -> Any:
    if response.content_length is not None and response.content_length > MAX_ANSWER_BYTES:
        raise UpstreamError(f"the answer of {service} is too large")
    if response.status == 204:
        return None
    try:
        body = await response.json(content_type=None)
    except ValueError as error:
        raise UpstreamError(f"the answer of {service} is not JSON") from error
    if response.status < 400:
        return body
    raise _problem(response, body if isinstance(body, dict) else {}, service)


def _problem(response: aiohttp.ClientResponse, body: Mapping[str, Any], service: str) -> Problem:
    kind = problem_for_status(response.status)
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


class ServiceTokens:
    """A service's own access token, asked of login by client credentials and renewed in time.

    While login is away the last token serves until it expires.
    """

    def __init__(self, client: ServiceClient, client_id: str, client_secret: str) -> None:
        self._client = client
        self._body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
        self._token = ""
        self._renew_at = float("-inf")
        self._expires_at = float("-inf")
        self._lock = asyncio.Lock()

    async def __call__(self) -> str:
        """A token that is good now.

        Raises:
            Unavailable: login is away and no token is left.
        """
        if time.monotonic() >= self._renew_at:
            async with self._lock:
                if time.monotonic() >= self._renew_at:
                    await self._renew()
        return self._token

    async def _renew(self) -> None:
        try:
            answer = await self._client.post(
                "login", "/v1/token", json=self._body, deadline=3.0, retry=True, authenticated=False
            )
        except (Unavailable, DeadlineExceeded):
            if time.monotonic() >= self._expires_at:
                raise
            log.warning("service_token_not_renewed")
            self._renew_at = min(time.monotonic() + RENEW_AGAIN_SECONDS, self._expires_at)
            return
        lifetime = float(answer["expires_in"])
        self._token = str(answer["access_token"])
        self._expires_at = time.monotonic() + lifetime - TOKEN_MARGIN_SECONDS
        self._renew_at = min(self._expires_at, time.monotonic() + lifetime / 2)
