"""Every error is a problem document, and the OpenAPI document says so."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.calls import Calls, calling
from tests.servers import serve
from tests.unit.shared.http.shop import application


@pytest.fixture
async def service() -> AsyncIterator[Calls]:
    async with serve(application()) as server, calling(server.base_url) as calls:
        yield calls


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
