"""Registration with Consul: registers this process, keeps it registered, deregisters before it stops."""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import consul.aio
import structlog
from consul.exceptions import ConsulException

from shared.errors import ZhiyinError

__all__ = ["PROOF", "Instance", "Registrar", "consul_client", "registered_name"]

log = structlog.get_logger(__name__)

CHECK_INTERVAL = "5s"
CHECK_TIMEOUT = "2s"
DEREGISTER_AFTER = "1m"
CALL_SECONDS = 3.0
AGAIN_SECONDS = 2.0

PROOF = "proof"
"""The key of an instance's proof in Consul's metadata."""

CONSUL_ERRORS = (ConsulException, OSError, TimeoutError, ValueError)


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One process of a service, or with `several` an address that spreads connections over several processes."""

    id: str
    service: str
    host: str
    port: int
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)
    several: bool = False
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def registered_name(installation: str, service: str) -> str:
    """The service's name in Consul, which several installations may share."""
    return f"{installation}-{service}"


def consul_client(url: str, token: str = "") -> consul.aio.Consul:
    """A client of the Consul agent at `url`, with an ACL token where one is given."""
    parts = urlsplit(url)
    with warnings.catch_warnings():
        # py-consul still names aiohttp's TLS options by their old names.
        warnings.simplefilter("ignore", DeprecationWarning)
        return consul.aio.Consul(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 8500,
            scheme=parts.scheme or "http",
            token=token or None,
        )


class Registrar:
    """Keeps one instance registered: whatever the agent forgot or somebody else changed is registered again."""

    def __init__(
        self,
        consul_url: str,
        instance: Instance,
        *,
        installation: str = "zhiyin",
        token: str = "",
        prove: Callable[[], Awaitable[str]] | None = None,
        meta: Callable[[], Mapping[str, str]] = dict,
        reconcile_seconds: float = 5.0,
    ) -> None:
        """Args:
        token: the ACL token for Consul.
        prove: returns the proof by which others believe the entry; without one they ignore it.
        meta: returns metadata besides the instance's own; a change is registered.
        """
        self._url = consul_url
        self._token = token
        self._name = registered_name(installation, instance.service)
        self._prove = prove
        self.instance = instance
        self._meta = meta
        self.reconcile_seconds = reconcile_seconds
        self._client: consul.aio.Consul | None = None
        self._task: asyncio.Task[None] | None = None
        self.registered = False
        self._complained = False
        self._on_beat: Callable[[], None] = lambda: None

    def on_beat(self, beat: Callable[[], None]) -> None:
        """Calls `beat` now and after every pass of the loop."""
        self._on_beat = beat
        beat()

    async def start(self) -> None:
        """Registers now if the agent answers, then keeps registered in the background."""
        self._client = consul_client(self._url, self._token)
        await self._reconcile()
        self._task = asyncio.create_task(self._loop(), name="registrar")

    async def stop(self) -> None:
        """Deregisters; an unreachable agent does not delay the stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._client is None:
            return
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._client.agent.service.deregister(self.instance.id)
        except CONSUL_ERRORS as error:
            log.warning("consul_deregister_failed", error=type(error).__name__)
        finally:
            self.registered = False
            await self._client.close()

    async def _loop(self) -> None:
        while True:
            await asyncio.sleep(
                self.reconcile_seconds if self.registered else min(AGAIN_SECONDS, self.reconcile_seconds)
            )
            await self._reconcile()
            self._on_beat()

    async def _reconcile(self) -> None:
        assert self._client is not None
        try:
            proof = {} if self._prove is None else {PROOF: await self._prove()}
            async with asyncio.timeout(CALL_SECONDS):
                meta = {**self.instance.meta, **self._meta(), **proof}
                known = (await self._client.agent.services()).get(self.instance.id)
                if known is not None and self._is_ours(known, meta):
                    self.registered = True
                    return
                await self._client.agent.service.register(
                    self._name,
                    service_id=self.instance.id,
                    address=self.instance.host,
                    port=self.instance.port,
                    meta=meta,
                    check={
                        # Addresses are used again: only this very instance knows this path.
                        "HTTP": f"{self.instance.url}/health/ready/{self.instance.id}",
                        "Interval": CHECK_INTERVAL,
                        "Timeout": CHECK_TIMEOUT,
                        # It was ready a moment ago; the agent's first check may be a whole interval away.
                        "Status": "passing",
                        "DeregisterCriticalServiceAfter": DEREGISTER_AFTER,
                    },
                )
        except CONSUL_ERRORS as error:
            self._lost("consul_unreachable", error)
        except ZhiyinError as error:
            self._lost("registration_not_proven", error)
        else:
            if not self.registered:
                log.info("registered", instance=self.instance.id, address=self.instance.url)
            self.registered = True
            self._complained = False

    def _is_ours(self, known: Mapping[str, Any], meta: Mapping[str, str]) -> bool:
        entry = (known.get("Service"), known.get("Address"), known.get("Port"), known.get("Meta"))
        return entry == (self._name, self.instance.host, self.instance.port, meta)

    def _lost(self, event: str, error: Exception) -> None:
        if not self._complained:
            log.warning(event, error=type(error).__name__, detail=str(error))
        self._complained = True
        self.registered = False
