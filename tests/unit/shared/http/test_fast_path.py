"""Endpoints beside ordinary routes: the same answers, and the ordinary route for everything unusual."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI
from prometheus_client import REGISTRY
from pydantic import BaseModel, ValidationError

from shared.errors import NotFound
from shared.http.auth import CurrentPrincipal
from shared.http.fast_path import DirectAnswer, DirectRequest, DirectRoute
from shared.http.middleware import CancelledWhenGone
from shared.http.service import create_service
from shared.settings import ServiceSettings
from tests.calls import Calls, calling
from tests.servers import serve
from tests.tokens import TokenFactory

LIMIT = 1000
TOKENS = TokenFactory(audience="lengths")
TOKEN = TOKENS.issue(roles={"operator"})
CUSTOMER = TOKENS.issue()
SERVICE = TOKENS.issue("service-dialogue", roles=(), scopes={"lengths:read"})


class Text(BaseModel):
    text: str


class Unwritable:
    """Nothing that JSON has."""


class Length(BaseModel):
    length: int
    direct: bool


router = APIRouter(dependencies=[Depends(lambda: None)])


@router.post("/length")
async def length(body: Text) -> Length:
    """How long a text is."""
    return Length(length=len(body.text), direct=False)


async def directly(request: DirectRequest) -> Length | None:
    """The same."""
    try:
        body = Text.model_validate_json(request.body)
    except ValidationError:
        return None
    if body.text == "missing":
        raise NotFound("nothing of that name")
    if body.text == "surprise":
        raise RuntimeError("boom")
    if body.text == "unwritable":
        nothing_of_json: Any = Unwritable()
        return Length.model_construct(length=nothing_of_json, direct=True)
    return Length(length=len(body.text), direct=True)


@router.post("/texts/{name}/length", status_code=202)
async def named_length(name: str, body: Text) -> Length:
    """How long a text and its name are."""
    return Length(length=len(name) + len(body.text), direct=False)


@router.post("/tenant")
async def tenant_of(principal: CurrentPrincipal) -> dict[str, str]:
    """For which tenant it is asked."""
    return {"tenant": principal.tenant, "by": "framework"}


class Tenant(BaseModel):
    tenant: str
    by: str


async def tenant_directly(request: DirectRequest) -> Tenant:
    """The same."""
    return Tenant(tenant=request.principal.tenant, by="itself")


async def named_directly(request: DirectRequest) -> DirectAnswer:
    """The same, with a status of its own."""
    body = Text.model_validate_json(request.body)
    return DirectAnswer(Length(length=len(request.parameters["name"]) + len(body.text), direct=True), 202)


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return create_service(
        ServiceSettings(max_body_bytes=LIMIT),
        name="lengths",
        description="Lengths.",
        routers=[router],
        direct=[
            DirectRoute("/length", directly, roles={"operator"}),
            DirectRoute("/texts/{name}/length", named_directly, anyone=True),
            DirectRoute("/tenant", tenant_directly, anyone=True),
        ],
        jwks=TOKENS.fetch,
    )


@pytest.fixture(scope="module")
async def service(app: FastAPI) -> AsyncIterator[Calls]:
    async with serve(app) as server, calling(server.base_url) as calls:
        # Tokens are taken once they were verified.
        for token in (TOKEN, CUSTOMER, SERVICE):
            await app.state.verifier.verify(token)
        yield calls


async def test_what_is_in_good_order_is_answered_directly(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "退款"}, token=TOKEN)
    assert answer.body == {"length": 2, "direct": True}
    assert answer.content_type == "application/json"
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        (None, {}),
        (TOKENS.issue("another", roles={"operator"}), {}),
        (CUSTOMER, {}),
        (TOKEN, {"Content-Type": "application/json; charset=utf-8"}),
    ],
)
async def test_everything_else_takes_the_ordinary_route(
    service: Calls, token: str | None, headers: Mapping[str, str]
) -> None:
    answer = await service.post("/length", data=b'{"text": "hello"}', token=token, headers=headers)
    assert answer.body == {"length": 5, "direct": False}


@pytest.mark.parametrize(("body", "status"), [(b"{}", 422), (b"{", 400), (b"", 422), (b'{"text": 5}', 422)])
async def test_a_body_that_is_wrong_is_refused_by_the_ordinary_route(service: Calls, body: bytes, status: int) -> None:
    assert (await service.post("/length", data=body, token=TOKEN)).status == status


@pytest.mark.parametrize(("headers", "direct"), [({"Content-Length": "15"}, True), ({}, False)])
async def test_a_body_in_pieces_is_whole(service: Calls, headers: Mapping[str, str], direct: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"te', b'xt": ', b'"abc"}'):
            yield piece

    answer = await service.post("/length", data=pieces(), token=TOKEN, headers=headers)
    assert answer.body == {"length": 3, "direct": direct}


async def test_a_body_that_is_too_large_is_refused(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "x" * LIMIT}, token=TOKEN)
    assert answer.status == 413


async def test_its_errors_are_problems(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "missing"}, token=TOKEN)
    assert (answer.status, answer.content_type) == (404, "application/problem+json")
    assert answer.body["request_id"] == answer.headers["X-Request-Id"]


async def test_an_error_that_nobody_foresaw_is_a_problem(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "surprise"}, token=TOKEN)
    assert (answer.status, answer.content_type) == (500, "application/problem+json")
    assert "boom" not in answer.text


async def test_the_id_of_a_request_is_kept(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "a"}, token=TOKEN, headers={"X-Request-Id": "mine-1"})
    assert (answer.body["direct"], answer.headers["X-Request-Id"]) == (True, "mine-1")


async def test_while_it_stops_connections_are_closed(service: Calls, app: FastAPI) -> None:
    stopping = app.state.context.health.stopping
    stopping.set()
    answer = await service.post("/length", json={"text": "a"}, token=TOKEN)
    stopping.clear()
    assert (answer.body["direct"], answer.headers["Connection"]) == (True, "close")


async def test_an_answer_that_cannot_be_written_is_a_problem(service: Calls) -> None:
    answer = await service.post("/length", json={"text": "unwritable"}, token=TOKEN)
    assert (answer.status, answer.content_type) == (500, "application/problem+json")


async def test_it_is_counted_as_the_route(service: Calls) -> None:
    await service.post("/length", json={"text": "a"}, token=TOKEN)
    metrics = (await service.get("/metrics")).text
    assert 'zhiyin_http_requests_total{method="POST",route="/length",service="lengths",status="200"}' in metrics


async def test_other_methods_are_left_alone(service: Calls) -> None:
    assert (await service.get("/length", token=TOKEN)).status == 405


async def test_work_ends_when_the_client_goes_away() -> None:
    gone, begun, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        begun.set()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def work() -> None:
        with CancelledWhenGone(receive):
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

    task = asyncio.create_task(work())
    async with asyncio.timeout(10):
        await begun.wait()
        gone.set()
        await ended.wait()
        with pytest.raises(Exception, match="went away"):
            await task
    assert not task.cancelled()


async def test_a_path_with_parameters_is_answered_for_anyone_and_counted_as_its_route(service: Calls) -> None:
    def counted() -> float:
        labels = {"service": "lengths", "method": "POST", "route": "/texts/{name}/length", "status": "202"}
        return REGISTRY.get_sample_value("zhiyin_http_requests_total", labels) or 0.0

    before = counted()
    direct = await service.post("/texts/abc/length", json={"text": "de"}, token=CUSTOMER)
    ordinary = await service.post(
        "/texts/abc/length", data=b'{"text": "de"}', token=CUSTOMER, headers={"Content-Type": "application/json; a=b"}
    )
    assert (direct.status, direct.body) == (202, {"length": 5, "direct": True})
    assert (ordinary.status, ordinary.body) == (202, {"length": 5, "direct": False})
    assert counted() == before + 2


@pytest.mark.parametrize("path", ["/texts/abc/length/more", "/texts//length", "/texts/a/b/length"])
async def test_another_path_is_not_taken_for_it(service: Calls, path: str) -> None:
    assert (await service.post(path, json={"text": "de"}, token=CUSTOMER)).status == 404


async def test_who_sends_no_token_is_left_to_the_ordinary_route(service: Calls) -> None:
    answer = await service.post("/texts/abc/length", json={"text": "de"})
    assert answer.body["direct"] is False


async def test_a_service_is_answered_for_the_tenant_that_it_names_and_nobody_else_is(service: Calls) -> None:
    async def asked(token: str, tenant: str) -> tuple[int, Any]:
        answer = await service.post("/tenant", json={}, token=token, headers={"X-Tenant": tenant})
        return answer.status, answer.body if answer.status == 200 else answer.body["type"]

    assert await asked(SERVICE, "acme") == (200, {"tenant": "acme", "by": "itself"})
    assert await asked(SERVICE, "default") == (200, {"tenant": "default", "by": "itself"})
    assert await asked(TOKEN, "default") == (200, {"tenant": "default", "by": "itself"})
    for token, tenant in ((SERVICE, "*"), (TOKEN, "acme"), (CUSTOMER, "acme"), (CUSTOMER, "*")):
        assert await asked(token, tenant) == (403, "urn:zhiyin:problem:forbidden")
