"""Discovery: instances of services, kept current by blocking queries to Consul and remembered while it is away.

Consul says where, never who: an entry counts once `Proven` says that login has signed it.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from typing import Any, Protocol
from urllib.parse import urlsplit

import consul.aio
import structlog
from prometheus_client import Gauge

from shared.calls.registration import CONSUL_ERRORS, Instance, consul_client, registered_name
from shared.errors import Unavailable

__all__ = ["Balancer", "ConsulDiscovery", "Discovery", "FixedDiscovery", "PinnedLogin", "Proven", "split_address"]

log = structlog.get_logger(__name__)

WAIT = "10s"
WAIT_SECONDS = 10.0
"""How long Consul may hold a query; a dead connection is noticed a little later."""
FIRST_LIST_SECONDS = 1.0
"""Well below the deadlines of calls, so that a new process serves while Consul is away."""
MAX_AGE_SECONDS = 600.0
EMPTY_GRACE_SECONDS = 30.0
BACKOFF_SECONDS = (0.2, 5.0)

AGE = Gauge("zhiyin_discovery_list_age_seconds", "Time since Consul last confirmed the list of instances", ["target"])
INSTANCES = Gauge("zhiyin_discovery_instances", "Instances known to be passing", ["target"])
UNPROVEN = Gauge("zhiyin_discovery_unproven", "Entries that login has not signed, and that are ignored", ["target"])

Proven = Callable[[Instance], Awaitable[bool]]
"""Whether login vouches for an instance; raises `Unavailable` where that cannot be said now."""


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
        scheme, host, port = split_address(address)
        return (
            Instance(
                id=f"{service}@{host}:{port}",
                service=service,
                host=host,
                port=port,
                several=several or not _is_one(host),
                scheme=scheme,
            ),
        )

    async def close(self) -> None:
        return None


class PinnedLogin:
    """Login where the settings say it is, never where a registry says; everybody else as `others` knows them."""

    def __init__(self, login: Discovery, others: Discovery) -> None:
        self._login = login
        self._others = others

    async def instances(self, service: str) -> tuple[Instance, ...]:
        return await (self._login if service == "login" else self._others).instances(service)

    async def close(self) -> None:
        await self._login.close()
        await self._others.close()


def split_address(address: str) -> tuple[str, str, int]:
    """Scheme, host and port of `host:port`, `http://host[:port]` or `https://host[:port]`.

    Raises:
        ValueError: it is none of them.
    """
    parts = urlsplit(address if "://" in address else f"http://{address}")
    ports = {"http": 80, "https": 443}
    port = parts.port or (ports.get(parts.scheme) if "://" in address else None)
    beyond = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ports or not parts.hostname or port is None or beyond:
        raise ValueError(f"not an address of the form host:port: {address!r}")
    return parts.scheme, parts.hostname, port


def _is_one(host: str) -> bool:
    """Whether there is one process at most behind a host: a name may stand for many, an address does not."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class _Watch:
    """One service's list, kept current by a blocking query."""

    def __init__(self) -> None:
        self.instances: tuple[Instance, ...] = ()
        self.confirmed_at: float | None = None
        self.filled_at = float("-inf")
        self.first = asyncio.Event()
        self.began_at = time.monotonic()
        self.lost = False
        self.unproven: frozenset[str] = frozenset()
        self.task: asyncio.Task[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since Consul confirmed the list."""
        return float("inf") if self.confirmed_at is None else time.monotonic() - self.confirmed_at

    def confirm(self, listed: Mapping[Instance, bool]) -> None:
        """Adopts the instances that pass; where there are none, those that are not even listed stay for a while.

        An agent that was restarted or lost its state lists no instance until all have registered again. One that is
        listed and fails its check is gone, and its address may be somebody else's by now.
        """
        self.confirmed_at = time.monotonic()
        self.lost = False
        found = tuple(instance for instance, passing in listed.items() if passing)
        if found:
            self.filled_at = self.confirmed_at
            self.instances = found
        elif self.confirmed_at - self.filled_at > EMPTY_GRACE_SECONDS:
            self.instances = ()
        else:
            failing = {instance.id for instance in listed}
            self.instances = tuple(each for each in self.instances if each.id not in failing)
        self.first.set()


class ConsulDiscovery:
    """Passing instances from Consul; while it is away the last good list and the fallback, later the fallback alone."""

    def __init__(
        self,
        url: str,
        fallback: Discovery | None = None,
        *,
        proven: Proven,
        installation: str = "zhiyin",
        token: str = "",
        beat: Callable[[str], None] = lambda loop: None,
    ) -> None:
        """Args:
        proven: whether an entry may be believed.
        token: the ACL token for Consul.
        beat: called with the name of a watch whenever it turns.
        """
        self._url = url
        self._fallback = fallback
        self._proven = proven
        self._installation = installation
        self._token = token
        self._beat = beat
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
            self._client = consul_client(self._url, self._token)
        name = registered_name(self._installation, service)
        index: str | None = None
        failures = 0
        while True:
            self._beat(f"discovery-{service}")
            try:
                async with asyncio.timeout(WAIT_SECONDS + 5):
                    # After an error `index` is None: a restarted agent counts its index from the start.
                    index, nodes = await self._client.health.service(name, index=index, wait=WAIT)
                listed = await self._believed(service, watch, nodes)
            except (*CONSUL_ERRORS, Unavailable) as error:
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
            watch.confirm(listed)
            AGE.labels(service).set(0)
            INSTANCES.labels(service).set(len(watch.instances))

    async def _believed(self, service: str, watch: _Watch, nodes: Sequence[Any]) -> dict[Instance, bool]:
        """The instances that login vouches for, and whether they pass; what else is listed is reported once."""
        listed: dict[str, tuple[Instance, bool]] = {}
        unproven: set[str] = set()
        for node in nodes:
            # A list of any length must not hold the event loop.
            await asyncio.sleep(0)
            entry = _entry(service, node)
            if entry is not None and await self._proven(entry[0]):
                listed[entry[0].id] = entry
            else:
                unproven.add("" if entry is None else entry[0].id)
        UNPROVEN.labels(service).set(len(unproven))
        if unproven - watch.unproven:
            log.warning("unproven_instances_ignored", target=service, count=len(unproven))
        watch.unproven = frozenset(unproven)
        return dict(listed[key] for key in sorted(listed))


def _entry(service: str, node: Any) -> tuple[Instance, bool] | None:
    """An instance, and whether its checks pass; none where the entry is not of the form: anybody could have made it."""
    try:
        entry = node["Service"]
        instance = Instance(
            id=str(entry["ID"]),
            service=service,
            host=str(entry["Address"]),
            port=int(entry["Port"]),
            meta={str(key): str(value) for key, value in (entry.get("Meta") or {}).items()},
        )
        return instance, all(check["Status"] == "passing" for check in node["Checks"])
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


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
