"""The factory of services: health, metrics, problems and the OpenAPI document."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict

from shared.errors import Conflict, responses
from shared.http.auth import CurrentPrincipal
from shared.http.health import Health
from shared.http.service import ServiceContext, create_service, make_discovery, make_instance
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import free_port, serve

router = APIRouter()


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int
    items: list[str]


@router.post("/orders", status_code=201, responses=responses(409))
async def order(body: Order, note: Annotated[str, Query(max_length=5)] = "") -> Order:
    """Takes an order."""
    if body.number == 7:
        raise Conflict("it was taken before", field="number")
    return body


@router.get("/teapot")
async def teapot() -> None:
    """Raises a status that is none of ours."""
    raise HTTPException(418, "short and stout", headers={"X-Tea": "green"})


@router.get("/mine")
async def mine(principal: CurrentPrincipal) -> str:
    """Whose it is."""
    return principal.subject


async def no_keys() -> dict[str, Any]:
    return {"keys": []}


def application(**options: Any) -> FastAPI:
    settings = ServiceSettings(log_level="error")
    return create_service(settings, name="shop", description="Takes orders.", routers=[router], jwks=no_keys, **options)


@pytest.fixture
async def service() -> AsyncIterator[Calls]:
    async with serve(application()) as server, calling(server.base_url) as calls:
        yield calls


async def test_alive_and_ready_are_two_questions() -> None:
    outcome: Exception | None = None

    async def check() -> None:
        if outcome is not None:
            raise outcome

    async with serve(application(ready_checks={"database": check})) as server, calling(server.base_url) as service:
        assert (await service.get("/health/ready")).body == {"status": "ready"}
        outcome = ConnectionError("postgresql://user:password@db")
        answer = await service.get("/health/ready")
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert answer.body["detail"] == "database: ConnectionError", "what failed, and no more than that"
        assert (await service.get("/health/live")).body == {"status": "alive"}
        outcome = None
        assert (await service.get("/health/ready")).status == 200
        server.app.state.context.health.stopping.set()
        assert (await service.get("/health/ready")).status == 503
        assert (await service.get("/health/live")).status == 200


async def test_a_loop_that_stands_still_makes_the_process_not_alive() -> None:
    async with serve(application()) as server, calling(server.base_url) as service:
        health: Health = server.app.state.context.health
        health.beat("relay", max_age=60)
        assert (await service.get("/health/live")).status == 200
        health.beat("relay", max_age=-1)
        answer = await service.get("/health/live")
        assert (answer.status, answer.body["detail"]) == (503, "stalled: relay")
        health.stopping.set()
        assert (await service.get("/health/live")).status == 200, "its loops are meant to end"


async def test_a_check_that_hangs_is_a_check_that_fails() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        return None

    problems = await Health({"redis": hang, "database": work}).problems()
    assert problems == {"redis": "no answer in time"}


async def test_metrics_are_for_prometheus(service: Calls) -> None:
    await service.get("/health/live")
    answer = await service.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "zhiyin_http_request_seconds_bucket" in answer.text


async def test_every_error_is_a_problem(service: Calls) -> None:
    good = {"number": 1, "items": []}
    calls: list[tuple[str, str, dict[str, Any], int, str]] = [
        ("GET", "/nowhere", {}, 404, "not-found"),
        ("GET", "/orders/", {}, 404, "not-found"),
        ("DELETE", "/orders", {}, 405, "method-not-allowed"),
        ("POST", "/orders", {"data": b"{"}, 400, "malformed"),
        ("POST", "/orders", {"data": b"[" * 100_000}, 400, "malformed"),
        ("POST", "/orders", {"json": {}}, 422, "invalid-input"),
        ("POST", "/orders?note=too+long", {"json": good}, 422, "invalid-input"),
        ("POST", "/orders", {"json": good | {"number": 7}}, 409, "conflict"),
        ("GET", "/mine", {}, 401, "unauthenticated"),
        ("GET", "/teapot", {}, 400, "malformed"),
    ]
    for method, path, options, status, kind in calls:
        answer = await service.send(method, path, **options)
        assert answer.status == status, (method, path, answer.text)
        assert answer.content_type == "application/problem+json"
        assert answer.body["type"] == f"urn:zhiyin:problem:{kind}"
        assert answer.body["request_id"] == answer.headers["X-Request-ID"]
    assert (await service.send("DELETE", "/orders")).headers["Allow"] == "POST"
    assert (await service.get("/teapot")).headers["X-Tea"] == "green"
    assert (await service.post("/orders", json=good)).status == 201


async def test_wrong_fields_are_named_and_what_was_sent_is_not_repeated(service: Calls) -> None:
    body = {"number": "seven", "items": ["a", 7, {}], "x" * 100_000: 1, "secret": "hunter2"}
    answer = await service.post("/orders", json=body)
    assert answer.status == 422
    fields = [each["field"] for each in answer.body["errors"]]
    assert fields[:3] == ["number", "items.1", "items.2"]
    assert "secret" in fields
    assert "hunter2" not in answer.text
    assert len(answer.text) < 5_000
    many = await service.post("/orders", json={"number": 1, "items": [7] * 1000})
    assert len(many.body["errors"]) == 20


async def test_the_document_describes_every_problem_that_a_route_may_answer(service: Calls) -> None:
    document = (await service.get("/openapi.json")).body
    assert document["info"]["title"] == "Zhiyin shop"
    answers = {
        f"{method} {path}": set(operation["responses"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert answers["post /orders"] == {"201", "400", "409", "413", "422", "500"}
    assert answers["get /mine"] == {"200", "401", "403", "500", "503"}
    assert answers["get /health/ready"] == {"200", "500", "503"}
    assert "/metrics" not in document["paths"]
    wrong = document["paths"]["/orders"]["post"]["responses"]["422"]["content"]
    assert wrong == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    assert {"ProblemDocument", "FieldError"} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]


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
