"""Registration with Consul: registers this process, keeps it registered, deregisters before it stops."""

import asyncio
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import consul.aio
import structlog
from consul.exceptions import ConsulException

__all__ = ["Instance", "Registrar", "consul_client"]

log = structlog.get_logger(__name__)

CHECK_INTERVAL = "5s"
CHECK_TIMEOUT = "2s"
DEREGISTER_AFTER = "1m"
CALL_SECONDS = 3.0
AGAIN_SECONDS = 2.0

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

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def consul_client(url: str) -> consul.aio.Consul:
    """A client of the Consul agent at `url`."""
    parts = urlsplit(url)
    with warnings.catch_warnings():
        # py-consul still names aiohttp's TLS options by their old names.
        warnings.simplefilter("ignore", DeprecationWarning)
        return consul.aio.Consul(
            host=parts.hostname or "127.0.0.1", port=parts.port or 8500, scheme=parts.scheme or "http"
        )


class Registrar:
    """Keeps one instance registered: after the agent's restart or loss of state it registers again."""

    def __init__(
        self,
        consul_url: str,
        instance: Instance,
        *,
        meta: Callable[[], Mapping[str, str]] = dict,
        reconcile_seconds: float = 5.0,
    ) -> None:
        """Args:
        meta: returns metadata besides the instance's own; a change is registered.
        """
        self._url = consul_url
        self.instance = instance
        self._meta = meta
        self.reconcile_seconds = reconcile_seconds
        self._client: consul.aio.Consul | None = None
        self._task: asyncio.Task[None] | None = None
        self.registered = False
        self._on_beat: Callable[[], None] = lambda: None

    def on_beat(self, beat: Callable[[], None]) -> None:
        """Calls `beat` now and after every pass of the loop."""
        self._on_beat = beat
        beat()

    async def start(self) -> None:
        """Registers now if the agent answers, then keeps registered in the background."""
        self._client = consul_client(self._url)
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
            async with asyncio.timeout(CALL_SECONDS):
                meta = {**self.instance.meta, **self._meta()}
                known = (await self._client.agent.services()).get(self.instance.id)
                if known is not None and known.get("Meta") == meta:
                    self.registered = True
                    return
                await self._client.agent.service.register(
                    self.instance.service,
                    service_id=self.instance.id,
                    address=self.instance.host,
                    port=self.instance.port,
                    meta=meta,
                    check={
                        "HTTP": f"{self.instance.url}/health/ready",
                        "Interval": CHECK_INTERVAL,
                        "Timeout": CHECK_TIMEOUT,
                        # It was ready a moment ago; the agent's first check may be a whole interval away.
                        "Status": "passing",
                        "DeregisterCriticalServiceAfter": DEREGISTER_AFTER,
                    },
                )
        except CONSUL_ERRORS as error:
            if self.registered:
                log.warning("consul_unreachable", error=type(error).__name__)
            self.registered = False
        else:
            self.registered = True
            log.info("registered", instance=self.instance.id, address=self.instance.url)
