"""The factory of services: health, metrics, problems and the OpenAPI document."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import FastAPI

from shared.http.service import ServiceContext, make_discovery, make_instance
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import free_port, serve
from tests.unit.shared.http.shop import application


@pytest.fixture
async def service() -> AsyncIterator[Calls]:
    async with serve(application()) as server, calling(server.base_url) as calls:
        yield calls


async def test_metrics_are_for_prometheus(service: Calls) -> None:
    await service.get("/health/live")
    answer = await service.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "zhiyin_http_request_seconds_bucket" in answer.text


async def test_a_lifespan_has_the_context_and_ends_with_the_service() -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        seen.append(context.settings.environment)
        yield
        seen.append(context.health.stopping.is_set())

    async with serve(application(lifespan=lifespan)):
        assert seen == ["development"]
    assert seen == ["development", True]


async def test_a_lifespan_that_fails_stops_the_start() -> None:
    def start() -> None:
        raise OSError("no disk")

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        start()
        yield

    with pytest.raises(OSError, match="no disk"):
        async with serve(application(lifespan=lifespan)):
            pass


async def test_services_are_found_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    static = {"login": "127.0.0.1:8001"}
    nobody = f"http://127.0.0.1:{free_port()}"
    ways = [
        make_discovery(ServiceSettings(registry="static", static_services=static)),
        make_discovery(ServiceSettings(registry="kubernetes", static_services=static)),
        make_discovery(ServiceSettings(registry="kubernetes")),
        make_discovery(ServiceSettings(registry="consul", consul_url=nobody, static_services=static)),
    ]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    ways.append(make_discovery(ServiceSettings(registry="consul", consul_url=nobody)))
    found = await asyncio.gather(*(way.instances("login") for way in ways))
    assert [[each.url for each in instances] for instances in found] == [
        ["http://127.0.0.1:8001"],
        ["http://127.0.0.1:8001"],
        ["http://login:80"],
        ["http://127.0.0.1:8001"],
        ["http://login:80"],
    ]
    for way in ways:
        await way.close()


def test_an_instance_is_named_after_its_pod_or_process() -> None:
    settings = ServiceSettings(port=8001, advertise_host="10.1.2.3", instance="pod-7", zone="eu-1")
    instance = make_instance("login", settings)
    assert (instance.id, instance.url) == ("login-pod-7", "http://10.1.2.3:8001")
    assert instance.meta == {"version": "0.1.0", "zone": "eu-1"}
    assert make_instance("login", ServiceSettings()).id != instance.id


PROGRAM = """
import sys
from fastapi import APIRouter
from shared.http.service import create_service
from shared.settings import ServiceSettings

router = APIRouter()

def create_app():
    return create_service(ServiceSettings(), name="shop", description="", routers=[router])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_makes_it_unready_first_and_ends_it_then(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "shop_program.py").write_text(PROGRAM)
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "--factory", "shop_program:create_app"),
        *("--app-dir", str(tmp_path), "--port", str(port), "--no-access-log"),
        env={"ZHIYIN_DRAIN_SECONDS": "1.5", "ZHIYIN_LOG_LEVEL": "error"},
    )
    url = f"http://127.0.0.1:{port}/health/ready"
    statuses: list[int] = []
    try:
        async with asyncio.timeout(30), aiohttp.ClientSession() as session:
            while 200 not in statuses:
                try:
                    async with session.get(url) as answer:
                        statuses.append(answer.status)
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0)
            process.send_signal(number)
            while 503 not in statuses:
                async with session.get(url) as answer:
                    statuses.append(answer.status)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode in (0, -number, 128 + number)
