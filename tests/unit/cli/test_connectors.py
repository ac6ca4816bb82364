"""Calls of a real system from the command line, as `connectors/` says."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from cli.connectors import Notes, Systems
from shared.contracts.actions import ActionRequest
from shared.errors import InvalidInput, NotFound, Unavailable

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
        assert request.headers["Authorization"] == "Bearer s3cret"
        self.asked.append((request.method, request.path_qs, request.headers.get("Idempotency-Key", "")))
        match request.method, request.path:
            case "POST", _:
                body = await request.json()
                if body["name"] == "clash":
                    return web.json_response({"why": "clash"}, status=409)
                return web.json_response({"made": ",".join(sorted(body))}, status=500 if body["name"] == "bad" else 201)
            case _, "/things/none":
                raise web.HTTPNotFound
        size = {"/things/large": 50, "/things/huge": 500}.get(request.path, 1.5)
        return web.json_response({"id": request.rel_url.raw_path, "size": size, "at": "2026-11-30"})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def systems(tmp_path: Path, server: Server) -> AsyncIterator[Systems]:
    (tmp_path / "connectors").mkdir()
    (tmp_path / "connectors" / "core.yml").write_text(yaml.safe_dump(CONNECTOR, sort_keys=False), encoding="utf-8")
    about = {"name": "my-bank", "title": {"en": "Bank"}, "languages": ["en"], "default_language": "en"}
    (tmp_path / "assistant.yml").write_text(yaml.safe_dump(about), encoding="utf-8")
    (tmp_path / "kept" / "default" / "my-bank").mkdir(parents=True)
    (tmp_path / "kept" / "default" / "my-bank" / "token").write_text("s3cret\n", encoding="utf-8")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    urls = {"core": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    async with Systems(tmp_path, urls, secrets={}, kept=tmp_path / "kept") as systems:
        yield systems
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


async def test_a_look_up_asks_the_system(systems: Systems, server: Server) -> None:
    answer = await systems.look_up("thing", {"id": "a/b", "size": 3}, customer="7")
    assert server.asked == [("GET", "/things/a%2Fb?size=3&who=7", "")]
    assert answer.data == {"id": "/things/a%2Fb", "size": 1.5, "at": "2026-11-30"}
    assert not (await systems.look_up("thing", {"id": "none"})).found


async def test_what_cannot_be_asked_is_said(systems: Systems) -> None:
    with pytest.raises(InvalidInput, match="id"):
        await systems.look_up("thing", {"id": "A"})
    with pytest.raises(NotFound):
        await systems.look_up("things", {})


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
    notes = Notes()
    result = await systems.perform(request("make", name=name), notes=notes)
    assert (result.status, result.error_code) == (status, code)
    assert bool(notes.problems) == (status == "failed")


async def test_an_action_that_was_approved_is_made_with_its_key(systems: Systems, server: Server) -> None:
    result = await systems.perform(request("make", name="large"), approved=True)
    assert result.data == {"made": "name"}
    assert server.asked[-1] == ("POST", "/things", "a1")


async def test_a_saga_takes_back_what_it_did(systems: Systems, server: Server) -> None:
    result = await systems.perform(request("both", name="fine"))
    assert (result.status, result.error_code) == ("rejected", "clash")
    assert [key for method, _, key in server.asked if method == "POST"] == ["a1.0", "a1.1", "a1.0.undo"]


async def test_a_secret_that_is_given_comes_before_the_one_that_is_kept(systems: Systems, tmp_path: Path) -> None:
    urls = {"core": "http://127.0.0.1:1"}
    async with Systems(tmp_path, urls, secrets={}) as without:
        with pytest.raises(Unavailable, match="the secret 'token' is missing"):
            await without.look_up("thing", {"id": "a"})
    async with Systems(tmp_path, urls, secrets={"token": "x"}, kept=tmp_path / "kept") as given:
        with pytest.raises(Unavailable, match="'core'"):
            await given.look_up("thing", {"id": "a"})
    assert (tmp_path / "kept" / "default" / "my-bank" / "token").read_text(encoding="utf-8") == "s3cret\n"
