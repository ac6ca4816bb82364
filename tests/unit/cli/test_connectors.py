"""Calls of a real system from the command line, as `connectors/` says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web

from cli.connectors import Notes, Systems, secret_of
from shared.contracts.actions import ActionRequest
from shared.errors import InvalidInput, Unavailable

FIELDS = {"id": {"type": "text", "required": True}, "size": "number", "at": "date"}
CONNECTOR: dict[str, Any] = {
    "connector": "core",
    "auth": {"type": "bearer", "secret": "token"},
    "lookups": {
        "thing": {
            "customer": "optional",
            "arguments": {"id": {"pattern": "[a-z/]+"}, "size": {"type": "integer", "optional": True, "most": 9}},
            "request": {"path": "/things/{id}", "query": {"size": "size", "who": "customer"}},
            "answer": FIELDS,
        },
        "all": {
            "request": {"path": "/pages"},
            "pages": {"items": "response.items", "parameter": "page"},
            "answer": {"things": {"type": "list", "from": "items", "fields": {"id": "integer"}}},
        },
    },
    "actions": {
        "make": {
            "arguments": {"name": {}, "kind": {"optional": True}},
            "before": {"lookup": "thing", "arguments": {"id": "name"}, "missing": "gone"},
            "refuse": [{"if": "before.size > 100", "code": "'too_big'"}],
            "approval": {"if": "before.size > 10"},
            "delivery": "idempotent",
            "request": {"method": "POST", "path": "/things", "body": {"name": "name", "kind": "kind"}},
            "refused": {409: "response.why"},
            "answer": {"made": "text"},
        },
        "both": {
            "arguments": {"name": {}},
            "saga": [
                {"action": "make", "arguments": ["name"], "undo": {"action": "make", "arguments": {"name": "'undo'"}}},
                {"action": "make", "arguments": {"name": "'clash'"}},
            ],
        },
    },
}


class Server:
    """A system that says what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path_qs, request.headers.get("Idempotency-Key", "")))
        assert request.headers["Authorization"] == "Bearer s3cret"
        match request.method, request.path:
            case "POST", _:
                body = await request.json()
                if body["name"] == "clash":
                    return web.json_response({"why": "clash"}, status=409)
                return web.json_response({"made": ",".join(sorted(body))}, status=500 if body["name"] == "bad" else 201)
            case _, "/things/none":
                raise web.HTTPNotFound
            case _, "/things/moved":
                raise web.HTTPFound("/things/a")
            case _, "/things/text":
                return web.Response(text="hello")
            case _, "/things/empty":
                return web.json_response({"size": "much", "at": "today"})
            case _, "/pages":
                page = int(request.query.get("page", 1))
                return web.json_response({"items": [{"id": page * 10 + each} for each in range(2)] if page < 3 else []})
        size = {"/things/large": 50, "/things/huge": 500}.get(request.path, 1.5)
        return web.json_response({"id": request.rel_url.raw_path, "size": size, "at": "2026-11-30"})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def systems(tmp_path: Path, server: Server) -> AsyncIterator[Systems]:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "core.yml").write_text(yaml.safe_dump(CONNECTOR, sort_keys=False), encoding="utf-8")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield Systems(tmp_path, session, {"core": url}, secret_of("bank", {"token": "s3cret"}))
    await runner.cleanup()


def request(name: str, /, **arguments: Any) -> ActionRequest:
    return ActionRequest(
        id="a1",
        tenant="default",
        name=name,
        customer="7",
        conversation_id="c",
        arguments=arguments,
        requested_at=datetime.now(UTC),
    )


async def test_arguments_stand_in_path_and_query_and_nothing_is_left_out(systems: Systems, server: Server) -> None:
    answer = await systems.look_up("thing", {"id": "a/b", "size": 3}, customer="7")
    assert server.asked == [("GET", "/things/a%2Fb?size=3&who=7", "")]
    assert answer.data == {"id": "/things/a%2Fb", "size": 1.5, "at": "2026-11-30"}
    await systems.look_up("thing", {"id": "a"})
    assert server.asked[1] == ("GET", "/things/a", "")


async def test_missing_is_no_error_and_everything_else_that_is_no_answer_is_one(systems: Systems) -> None:
    assert not (await systems.look_up("thing", {"id": "none"})).found
    assert not (await systems.look_up("all", {})).found  # nobody is known
    for name, why in (("moved", "HTTP 302"), ("text", "not JSON"), ("empty", "without 'id'")):
        with pytest.raises(Unavailable, match=why):
            await systems.look_up("thing", {"id": name})


async def test_what_a_field_lacks_is_noted(systems: Systems) -> None:
    notes = Notes()
    with pytest.raises(Unavailable):
        await systems.look_up("thing", {"id": "empty"}, notes=notes)
    assert notes.problems == [
        "id is missing, and required",
        'size should be number, is "much"',
        'at should be date, is "today"',
    ]


async def test_pages_are_read_until_one_is_empty(systems: Systems) -> None:
    answer = await systems.look_up("all", {}, customer="7")
    assert [each["id"] for each in answer.data["things"]] == [10, 11, 20, 21]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({}, "'id' is missing"),
        ({"id": "a", "colour": "red"}, "no argument 'colour'"),
        ({"id": "A"}, "'id' cannot be 'A'"),
        ({"id": "a", "size": 10}, "'size' cannot be 10"),
        ({"id": "a", "size": "x"}, "'size' cannot be 'x'"),
    ],
)
async def test_an_argument_keeps_its_limits(systems: Systems, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        await systems.look_up("thing", arguments)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("fine", "succeeded", None),
        ("none", "rejected", "gone"),
        ("huge", "rejected", "too_big"),
        ("large", "awaiting_approval", None),
        ("clash", "rejected", "clash"),
        ("bad", "failed", "outcome_unknown"),
    ],
)
async def test_what_becomes_of_an_action(systems: Systems, name: str, status: str, code: str | None) -> None:
    result = await systems.perform(request("make", name=name))
    assert (result.status, result.error_code) == (status, code)


async def test_an_action_carries_its_key_and_leaves_null_out(systems: Systems, server: Server) -> None:
    result = await systems.perform(request("make", name="large"), approved=True)
    assert result.data == {"made": "name"}
    assert server.asked[-1] == ("POST", "/things", "a1")


async def test_a_saga_takes_back_what_it_did(systems: Systems, server: Server) -> None:
    result = await systems.perform(request("both", name="fine"))
    assert (result.status, result.error_code) == ("rejected", "clash")
    assert [key for method, _, key in server.asked if method == "POST"] == ["a1.0", "a1.1", "a1.0.undo"]


def test_a_secret_comes_from_the_environment_or_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZHIYIN_SECRET_DEFAULT_MY_BANK_API_TOKEN", "x")
    assert secret_of("my-bank", {})("api-token") == "x"
    with pytest.raises(Unavailable, match="ZHIYIN_SECRET_DEFAULT_MY_BANK_OTHER"):
        secret_of("my-bank", {})("other")
