"""The factory of services: health, metrics, problems and the OpenAPI document."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import SecretStr

from shared.calls.discovery import Discovery
from shared.errors import ConfigurationError, Unavailable
from shared.http.service import ServiceContext, find_login, make_discovery, make_instance
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import free_port, serve
from tests.tokens import TokenFactory
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


def ways_to(settings: ServiceSettings) -> Discovery:
    return make_discovery(settings, proven=TokenFactory().proofs().hold, beat=lambda loop: None)


async def test_services_are_found_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    static = {"business": "127.0.0.1:8001"}
    nobody = f"http://127.0.0.1:{free_port()}"
    ways = [
        ways_to(ServiceSettings(registry="static", static_services=static)),
        ways_to(ServiceSettings(registry="kubernetes", static_services=static)),
        ways_to(ServiceSettings(registry="kubernetes")),
        ways_to(ServiceSettings(registry="consul", consul_url=nobody, static_services=static)),
    ]
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    ways.append(ways_to(ServiceSettings(registry="consul", consul_url=nobody)))
    found = await asyncio.gather(*(way.instances("business") for way in ways))
    assert [[each.url for each in instances] for instances in found] == [
        ["http://127.0.0.1:8001"],
        ["http://127.0.0.1:8001"],
        ["http://business:80"],
        ["http://127.0.0.1:8001"],
        ["http://business:80"],
    ]
    for way in ways:
        await way.close()


@pytest.mark.parametrize("registry", ["consul", "kubernetes", "static"])
async def test_login_is_at_its_configured_address_whatever_the_registry(
    registry: Literal["consul", "kubernetes", "static"],
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    address = "https://login.example.com"
    settings = ServiceSettings(
        registry=registry, consul_url=nobody, login_url=address, static_services={"login": "127.0.0.1:1"}
    )
    for way in (find_login(settings), ways_to(settings)):
        assert [each.url for each in await way.instances("login")] == [f"{address}:443"]
        await way.close()


async def test_without_an_address_of_login_no_registry_is_asked_for_it() -> None:
    way = ways_to(ServiceSettings(registry="consul", consul_url=f"http://127.0.0.1:{free_port()}"))
    assert await way.instances("login") == ()
    await way.close()


@pytest.mark.parametrize("address", ["login", "ftp://login:1", "http://login/path"])
def test_an_address_of_login_that_cannot_be_used_is_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match="ZHIYIN_LOGIN_URL"):
        find_login(ServiceSettings(login_url=address))


async def test_only_the_instance_itself_passes_its_check() -> None:
    ready = False

    async def check() -> None:
        if not ready:
            raise OSError("not yet")

    app = application(settings=ServiceSettings(instance="pod-7"), ready_checks={"disk": check})
    async with serve(app) as server, calling(server.base_url) as calls:
        assert (await calls.get("/health/ready/zhiyin-shop-pod-7")).status == 503
        assert (await calls.get("/health/ready/zhiyin-shop-pod-8")).status == 404
        ready = True
        assert (await calls.get("/health/ready/zhiyin-shop-pod-7")).status == 200
        assert (await calls.get("/health/ready/zhiyin-shop-pod-8")).status == 404


async def test_who_registers_needs_credentials_at_login() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = ServiceSettings(registry="consul", consul_url=nobody, login_url=nobody, port=free_port())
    with pytest.raises(ConfigurationError, match="ZHIYIN_CLIENT_ID"):
        async with serve(application(settings=settings)):
            pass


def test_an_instance_is_named_after_its_installation_and_its_pod_or_process() -> None:
    settings = ServiceSettings(
        port=8001, advertise_host="10.1.2.3", instance="pod-7", zone="eu-1", installation="shop-a"
    )
    instance = make_instance("login", settings)
    assert (instance.id, instance.url) == ("shop-a-login-pod-7", "http://10.1.2.3:8001")
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


async def test_a_loop_of_registration_or_discovery_that_stands_still_is_told_by_liveness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody would notice else: the process answers, and is found by nobody, or finds nobody."""
    monkeypatch.setattr("shared.http.service.LOOP_MAX_AGE_SECONDS", -1.0)
    nobody = f"http://127.0.0.1:{free_port()}"
    settings = ServiceSettings(
        registry="consul",
        consul_url=nobody,
        login_url=nobody,
        port=free_port(),
        client_id="shop",
        reconcile_seconds=0.01,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI, context: ServiceContext) -> AsyncIterator[None]:
        with pytest.raises(Unavailable):
            await context.client.post("business", "/", json={}, deadline=2.0, authenticated=False)
        yield

    app = application(settings=settings, lifespan=lifespan)
    async with serve(app) as server, calling(server.base_url) as calls:
        answer = await calls.get("/health/live")
        assert answer.status == 503
        assert {"discovery-business", "registrar"} <= set(answer.body["detail"].removeprefix("stalled: ").split(", "))


async def test_a_service_is_not_ready_while_login_refuses_its_credentials() -> None:
    login, taken = FastAPI(), {"secret": ""}

    @login.post("/v1/token")
    async def token(asked: dict[str, str]) -> JSONResponse:
        if asked["client_secret"] != taken["secret"]:
            return JSONResponse({"title": "Unauthorized"}, status_code=401)
        return JSONResponse({"access_token": "t", "expires_in": 3600})

    async with serve(login) as known:
        settings = ServiceSettings(
            login_url=known.base_url, client_id="shop", client_secret=SecretStr("new"), port=free_port()
        )
        async with serve(application(settings=settings)) as server, calling(server.base_url) as calls:
            answer = await calls.get("/health/ready")
            assert (answer.status, answer.body["detail"]) == (503, "credentials: Unauthenticated")
            assert (await calls.get("/health/live")).status == 200
            taken["secret"] = "new"
            assert (await calls.get("/health/ready")).status == 200
