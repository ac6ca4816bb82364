"""What Consul knows about the services of one installation."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from cli.errors import NotReachable, why_unreachable
from shared.calls.registration import registered_name

__all__ = ["Registered", "Registry", "passing", "registered"]

TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True)
class Registry:
    """Where Consul is, the token that reads it, and the installation whose services are of interest."""

    url: str
    token: str = ""
    installation: str = "zhiyin"


@dataclass(frozen=True, kw_only=True)
class Registered:
    """One instance as Consul has it; `health` is passing, warning, critical or missing."""

    service: str
    id: str
    address: str
    version: str
    model: str
    health: str
    output: str = ""

    def document(self) -> dict[str, Any]:
        """For a script."""
        return asdict(self)


async def registered(registry: Registry) -> list[Registered]:
    """Every registered instance of every service of the installation, by name.

    Raises:
        NotReachable: Consul does not answer.
    """
    found: list[Registered] = []
    prefix = registered_name(registry.installation, "")
    headers = {"X-Consul-Token": registry.token} if registry.token else {}
    try:
        async with aiohttp.ClientSession(
            registry.url, timeout=TIMEOUT, raise_for_status=True, headers=headers
        ) as session:
            async with session.get("/v1/catalog/services") as response:
                names = sorted(name for name in await response.json() if name.startswith(prefix))
            for name in names:
                async with session.get(f"/v1/health/service/{quote(name, safe='')}") as response:
                    found += [_instance(name.removeprefix(prefix), node) for node in await response.json()]
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise NotReachable(
            f"Consul does not answer at {registry.url} ({why_unreachable(error)}); is `zhiyin up` running?"
        ) from error
    return sorted(found, key=lambda each: (each.service, each.id))


async def passing(registry: Registry, services: Iterable[str]) -> set[str]:
    """Which of `services` have a passing instance; none when Consul does not answer."""
    try:
        instances = await registered(registry)
    except NotReachable:
        return set()
    return {each.service for each in instances if each.health == "passing"}.intersection(services)


def _instance(name: str, node: dict[str, Any]) -> Registered:
    service, checks = node["Service"], node["Checks"]
    states = {check["Status"] for check in checks}
    health = next((state for state in ("critical", "warning") if state in states), "passing")
    meta = service.get("Meta") or {}
    outputs = [check["Output"].strip() for check in checks if check["Status"] != "passing" and check["Output"]]
    return Registered(
        service=name,
        id=service["ID"],
        address=f"{service['Address'] or node['Node']['Address']}:{service['Port']}",
        version=meta.get("version", ""),
        model=meta.get("model", ""),
        health=health,
        output=outputs[0] if outputs else "",
    )
