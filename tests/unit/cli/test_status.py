"""What runs on this machine, as the processes themselves say where there is no Consul."""

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from rich.console import Console

from cli.consul_process import Registered
from cli.errors import NotReachable
from cli.home import Home
from cli.settings import CommandSettings
from cli.status import instances, status_table
from tests.servers import free_port, serve


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def service(*, ready: bool, described: bool = True) -> FastAPI:
    app = FastAPI(version="1.2.3", openapi_url="/openapi.json" if described else None)

    @app.get("/health/ready", status_code=200 if ready else 503)
    async def health() -> None:
        """Whether it is ready."""

    return app


async def test_without_a_registry_the_processes_say_themselves_how_they_are(home: Home) -> None:
    async with (
        serve(service(ready=True)) as login,
        serve(service(ready=False)) as dialogue,
        serve(service(ready=True, described=False)) as intent,
    ):
        addresses = {
            "redis": "127.0.0.1:1",
            "login": login.address,
            "dialogue": dialogue.address,
            "intent": intent.address,
            "business": f"127.0.0.1:{free_port()}",
        }
        with home.lock():
            processes = {name: {"address": address, "pid": 7} for name, address in addresses.items()}
            home.write_run({"registry": "static", "processes": processes})
            found = await instances(CommandSettings(), home)
    assert [(each.id, each.address, each.health, each.version) for each in found] == [
        ("login-7", login.address, "passing", "1.2.3"),
        ("dialogue-7", dialogue.address, "critical", ""),
        ("intent-7", intent.address, "passing", ""),
        ("business-7", addresses["business"], "critical", ""),
    ], "Redis is no service"


async def test_where_nothing_runs_it_says_how_to_start(home: Home) -> None:
    settings = CommandSettings(consul_port=free_port())
    with pytest.raises(NotReachable, match=r"^Nothing runs in .* start Zhiyin with `zhiyin up`\.$"):
        await instances(settings, home)


async def test_a_consul_that_is_away_is_named_while_services_run(home: Home) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with home.lock():
        home.write_run({"registry": "consul", "consul_url": url, "installation": "zhiyin", "processes": {}})
        with pytest.raises(NotReachable, match=f"^Consul does not answer at {url} "):
            await instances(CommandSettings(consul_port=1), home)


async def test_a_service_that_consul_has_dropped_is_named(home: Home) -> None:
    consul = FastAPI()

    @consul.get("/v1/catalog/services")
    async def services() -> dict[str, list[str]]:
        return {"consul": [], "zhiyin-login": []}

    @consul.get("/v1/health/service/{name}")
    async def health(name: str) -> list[dict[str, Any]]:
        service = {"ID": f"{name}-1", "Address": "127.0.0.1", "Port": 1, "Meta": {}}
        return [{"Node": {"Address": "127.0.0.1"}, "Service": service, "Checks": [{"Status": "passing", "Output": ""}]}]

    async with serve(consul) as registry:
        with home.lock():
            entry = {"address": "127.0.0.1:1", "pid": 7}
            processes = {"redis": entry, "login": entry, "business": entry, "worker": entry}
            url = f"http://{registry.address}"
            home.write_run({"registry": "consul", "consul_url": url, "installation": "zhiyin", "processes": processes})
            found = await instances(CommandSettings(), home)
    assert [(each.service, each.health) for each in found] == [
        ("login", "passing"),
        ("business", "missing"),
        ("worker", "missing"),
    ]


def test_instances_of_a_person_are_lines_of_a_table() -> None:
    found = [
        Registered(service="login", id="login-1", address="a:1", version="1", model="", health="passing"),
        Registered(service="intent", id="intent-1", address="a:2", version="1", model="shop@v1", health="critical"),
    ]
    console = Console(width=100)
    with console.capture() as written:
        console.print(status_table(found))
    assert [line.split() for line in written.get().splitlines()] == [
        ["service", "address", "version", "model", "health", "id"],
        ["login", "a:1", "1", "passing", "login-1"],
        ["intent", "a:2", "1", "shop@v1", "critical", "intent-1"],
    ]
