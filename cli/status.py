"""What runs on this machine, as Consul knows it, or as the processes themselves say where there is no Consul."""

from collections.abc import Iterable
from typing import Any

import aiohttp
from rich.table import Table

from cli.consul_process import Registered, Registry, registered
from cli.consul_tokens import READER, load_consul_tokens
from cli.errors import NotReachable
from cli.home import Home
from cli.settings import CommandSettings
from cli.stack import SERVICES, http_answers

__all__ = ["instances", "status_table"]

STYLES = {"passing": "green", "warning": "yellow", "critical": "red", "missing": "red"}


async def instances(settings: CommandSettings, home: Home) -> list[Registered]:
    """Every registered instance, and each service that should be there and is not, as one that is missing.

    Raises:
        NotReachable: nothing runs here.
    """
    run = home.read_run()
    if run is not None and run.get("registry") == "static":
        return [await ask(name, entry) for name, entry in run["processes"].items() if name in SERVICES]
    url = str(run["consul_url"]) if run is not None else f"http://127.0.0.1:{settings.consul_port}"
    registry = Registry(url)
    if run is not None:
        registry = Registry(url, load_consul_tokens(home).services[READER], str(run["installation"]))
    try:
        found = await registered(registry)
        return found + missing(found, SERVICES if run is None else run["processes"])
    except NotReachable:
        if run is None:
            raise NotReachable(
                f"Nothing runs in {home.root} and no Consul answers at {url}; start Zhiyin with `zhiyin up`."
            ) from None
        raise


def missing(found: Iterable[Registered], wanted: Iterable[str]) -> list[Registered]:
    """The services that run here and that nobody has registered."""
    known = {each.service for each in found}
    return [
        Registered(service=name, id="", address="", version="", model="", health="missing")
        for name in SERVICES
        if name in set(wanted) - known
    ]


async def ask(name: str, entry: dict[str, Any]) -> Registered:
    """An instance that is in no registry: its health is what it says itself."""
    address = str(entry["address"])
    healthy = await http_answers(f"http://{address}/health/ready")()
    version = await version_of(address) if healthy else ""
    return Registered(
        service=name,
        id=f"{name}-{entry['pid']}",
        address=address,
        version=version,
        model="",
        health="passing" if healthy else "critical",
    )


async def version_of(address: str) -> str:
    """The version in a service's own description; empty when it has none."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5), raise_for_status=True) as session,
            session.get(f"http://{address}/openapi.json") as response,
        ):
            return str((await response.json())["info"]["version"])
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError):
        return ""


def status_table(found: list[Registered]) -> Table:
    """For a person."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("service", "address", "version", "model", "health", "id"):
        table.add_column(column, overflow="fold")
    for each in found:
        style = STYLES[each.health]
        health = f"[{style}]{each.health}[/]"
        table.add_row(each.service, each.address, each.version, each.model, health, f"[dim]{each.id}[/]")
    return table
