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
    assert (await service.send("DELETE", "/orders")).headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert (await service.send("PATCH", "/orders/7")).headers["Allow"] == "OPTIONS, PUT"
    assert (await service.get("/teapot")).headers["X-Tea"] == "green"
    assert (await service.post("/orders", json=good)).status == 201


async def test_a_path_says_what_can_be_done_with_it(service: Calls) -> None:
    answer = await service.send("OPTIONS", "/orders")
    assert (answer.status, answer.headers["Allow"], answer.text) == (204, "GET, HEAD, OPTIONS, POST", "")
    assert (await service.send("OPTIONS", "/nowhere")).status == 404


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "nothing"),
        ({"Content-Type": "text/plain"}, "'text/plain'"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "'application/x-www-form-urlencoded'"),
        ({"Content-Type": "application/xml; charset=utf-8"}, "'application/xml'"),
        ({"Content-Type": "x" * 5000}, f"'{'x' * 64}'"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/orders"), ("PUT", "/orders/7")])
async def test_a_body_is_json_and_says_so(
    service: Calls, method: str, path: str, headers: dict[str, str], said: str
) -> None:
    sent = service.session.request(
        method, path, data=b'{"number": 1, "items": []}', headers=headers, skip_auto_headers={"Content-Type"}
    )
    async with sent as answer:
        assert answer.status == 415
        detail = (await answer.json(content_type=None))["detail"]
    assert detail == f"the body should be application/json, and the header Content-Type says {said}"


async def test_what_is_json_in_another_name_is_read_and_what_is_not_there_is_missing(service: Calls) -> None:
    good = b'{"number": 1, "items": []}'
    for kind in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.shop+json"):
        assert (await service.post("/orders", data=good, headers={"Content-Type": kind})).status == 201
    assert (await service.post("/orders")).status == 422
    assert (await service.send("PUT", "/orders/7")).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "nonsense"])
async def test_a_body_is_not_compressed(service: Calls, encoding: str) -> None:
    answer = await service.post("/orders", data=b"\x1f\x8b", headers={"Content-Encoding": encoding})
    assert (answer.status, answer.body["type"]) == (415, "urn:zhiyin:problem:unsupported-media-type")
    plain = await service.post("/orders", data=b'{"number": 1, "items": []}', headers={"Content-Encoding": "Identity"})
    assert plain.status == 201


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
    assert answers["post /orders"] == {"201", "400", "409", "413", "415", "422", "500"}
    assert answers["get /mine"] == {"200", "401", "403", "500", "503"}
    assert answers["get /health/ready"] == {"200", "500", "503"}
    assert "/metrics" not in document["paths"]
    wrong = document["paths"]["/orders"]["post"]["responses"]["422"]["content"]
    assert wrong == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    assert {"ProblemDocument", "FieldError"} <= set(document["components"]["schemas"])
    assert "HTTPValidationError" not in document["components"]["schemas"]
