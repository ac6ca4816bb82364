"""Discovery: instances of services, kept current by blocking queries to Consul and remembered while it is away."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import consul.aio
import structlog
from prometheus_client import Gauge

from shared.calls.registration import CONSUL_ERRORS, Instance, consul_client
from shared.errors import Unavailable

__all__ = ["Balancer", "ConsulDiscovery", "Discovery", "FixedDiscovery", "split_address"]

log = structlog.get_logger(__name__)

WAIT = "10s"
WAIT_SECONDS = 10.0
"""How long Consul may hold a query; a dead connection is noticed a little later."""
FIRST_LIST_SECONDS = 1.0
"""Well below the deadlines of calls, so that a new process serves while Consul is away."""
MAX_AGE_SECONDS = 600.0
EMPTY_GRACE_SECONDS = 60.0
BACKOFF_SECONDS = (0.2, 5.0)

AGE = Gauge("zhiyin_discovery_list_age_seconds", "Time since Consul last confirmed the list of instances", ["target"])
INSTANCES = Gauge("zhiyin_discovery_instances", "Instances known to be passing", ["target"])


class Discovery(Protocol):
    """Finds the instances of a service."""

    async def instances(self, service: str) -> tuple[Instance, ...]:
        """The instances that may be called now; empty when none is known."""
        ...

    async def close(self) -> None:
        """Stops watching."""
        ...


class FixedDiscovery:
    """Fixed addresses: a laptop without Consul, or with `template` the names of a cluster's Services."""

    def __init__(self, addresses: Mapping[str, str], template: str | None = None) -> None:
        self._addresses = dict(addresses)
        self._template = template

    async def instances(self, service: str) -> tuple[Instance, ...]:
        address, several = self._addresses.get(service), False
        if address is None and self._template is not None:
            address, several = self._template.format(name=service), True
        if address is None:
            return ()
        host, port = split_address(address)
        return (Instance(id=f"{service}@{host}:{port}", service=service, host=host, port=port, several=several),)

    async def close(self) -> None:
        return None


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `http://host:port`."""
    host, _, port = address.removeprefix("http://").rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"not an address of the form host:port: {address!r}")
    return host, int(port)


class _Watch:
    """One service's list, kept current by a blocking query."""

    def __init__(self) -> None:
        self.instances: tuple[Instance, ...] = ()
        self.confirmed_at: float | None = None
        self.filled_at = float("-inf")
        self.first = asyncio.Event()
        self.began_at = time.monotonic()
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since Consul confirmed the list."""
        return float("inf") if self.confirmed_at is None else time.monotonic() - self.confirmed_at

    def confirm(self, found: tuple[Instance, ...]) -> None:
        """Adopts a list; an empty one replaces the old one only after a while.

        An agent that was restarted or lost its state lists no instance until all have registered again.
        """
        self.confirmed_at = time.monotonic()
        self.lost = False
        if found:
            self.filled_at = self.confirmed_at
        if found or self.confirmed_at - self.filled_at > EMPTY_GRACE_SECONDS:
            self.instances = found
        self.first.set()


class ConsulDiscovery:
    """Passing instances from Consul; while it is away the last good list and the fallback, later the fallback alone."""

    def __init__(self, url: str, fallback: Discovery | None = None) -> None:
        self._url = url
        self._fallback = fallback
        self._watches: dict[str, _Watch] = {}
        self._client: consul.aio.Consul | None = None

    async def instances(self, service: str) -> tuple[Instance, ...]:
        watch = self._watches.get(service)
        if watch is None:
            watch = self._watches[service] = _Watch()
            watch.task = asyncio.create_task(self._follow(service, watch), name=f"discovery-{service}")
        # Only the first callers wait for the first list; while Consul is away later ones must not.
        patience = watch.began_at + FIRST_LIST_SECONDS - time.monotonic()
        if not watch.first.is_set() and patience > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await watch.first.wait()
        if self._fallback is None or (watch.instances and not watch.lost):
            return watch.instances
        others = await self._fallback.instances(service)
        if watch.age > MAX_AGE_SECONDS:
            return others or watch.instances
        # Instances that started since Consul was lost are missing from our list.
        return (*watch.instances, *others)

    async def close(self) -> None:
        tasks = [watch.task for watch in self._watches.values() if watch.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    async def _follow(self, service: str, watch: _Watch) -> None:
        if self._client is None:
            self._client = consul_client(self._url)
        index: str | None = None
        failures = 0
        while True:
            try:
                async with asyncio.timeout(WAIT_SECONDS + 5):
                    # After an error `index` is None: a restarted agent counts its index from the start.
                    index, nodes = await self._client.health.service(service, passing=True, index=index, wait=WAIT)
            except CONSUL_ERRORS as error:
                if failures == 0:
                    log.warning("discovery_stale", target=service, error=type(error).__name__)
                failures += 1
                index = None
                watch.lost = True
                if self._fallback is not None:
                    watch.first.set()
                if watch.confirmed_at is not None:
                    AGE.labels(service).set(watch.age)
                low, high = BACKOFF_SECONDS
                await asyncio.sleep(min(high, low * 2**failures) * random.uniform(0.5, 1.0))
                continue
            failures = 0
            watch.confirm(tuple(sorted((_instance(service, node) for node in nodes), key=lambda each: each.id)))
            AGE.labels(service).set(0)
            INSTANCES.labels(service).set(len(watch.instances))


def _instance(service: str, node: Mapping[str, Mapping[str, object]]) -> Instance:
    entry = node["Service"]
    meta = entry.get("Meta")
    return Instance(
        id=str(entry["ID"]),
        service=service,
        host=str(entry["Address"] or node["Node"]["Address"]),
        port=int(str(entry["Port"])),
        meta={str(key): str(value) for key, value in meta.items()} if isinstance(meta, Mapping) else {},
    )


class Balancer:
    """Picks the less busy of two instances drawn at random (power of two choices)."""

    def __init__(self) -> None:
        self._in_flight: Counter[str] = Counter()

    def pick(self, service: str, instances: tuple[Instance, ...]) -> Instance:
        """One of the instances.

        Raises:
            Unavailable: there is none.
        """
        if not instances:
            raise Unavailable(f"no instance of {service} is known", retry_after=2)
        if len(instances) == 1:
            return instances[0]
        return min(random.sample(instances, 2), key=lambda instance: self._in_flight[instance.id])

    @asynccontextmanager
    async def using(self, instance: Instance) -> AsyncIterator[None]:
        """Counts a request in flight."""
        self._in_flight[instance.id] += 1
        try:
            yield
        finally:
            self._in_flight[instance.id] -= 1
            if not self._in_flight[instance.id]:
                del self._in_flight[instance.id]
