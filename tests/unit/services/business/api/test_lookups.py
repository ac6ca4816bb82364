import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.business.app import create_app
from services.business.rules import rule_book
from services.business.settings import Settings
from tests.calls import Answer, Calls, calling
from tests.servers import RunningServer, serve
from tests.stack import eventually
from tests.systems import CompanySystem, company_system
from tests.tokens import TokenFactory


@pytest.mark.parametrize(
    ("path", "arguments", "status"),
    [
        ("/v1/lookups/order", {"order_number": "20261103001"}, 200),
        ("/v1/lookups/order", {"order_number": "1"}, 200),
        ("/v1/lookups/order", {"number": "1"}, 422),
        ("/v1/lookups/nothing", {}, 404),
    ],
)
async def test_a_lookup_is_answered_the_same_with_and_without_the_framework(
    calls: Calls, tokens: TokenFactory, path: str, arguments: dict[str, str], status: int
) -> None:
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    body = json.dumps({"customer": "C1001", "arguments": arguments})

    async def ask(content_type: str) -> Answer:
        headers = {"Content-Type": content_type, "X-Request-ID": "mine"}
        return await calls.post(path, data=body, token=token, headers=headers)

    # The framework verifies a token that comes for the first time.
    ordinary = await ask("application/json; charset=utf-8")
    direct = await ask("application/json")
    assert (direct.status, direct.content_type, direct.body) == (status, ordinary.content_type, ordinary.body)
    assert set(direct.headers) == set(ordinary.headers)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_a_lookup_is_about_the_tenant_of_the_conversation(
    calls: Calls, tokens: TokenFactory, content_type: str
) -> None:
    """Each of the services' tokens asks for whoever it works for, with and without the framework."""
    body = json.dumps({"customer": "C1001", "arguments": {}})

    async def count(token: str, tenant: str | None = None) -> int | None:
        headers = {"Content-Type": content_type} | ({} if tenant is None else {"X-Tenant": tenant})
        answer = await calls.post("/v1/lookups/orders", data=body, token=token, headers=headers)
        return answer.body["data"].get("count", 0) if answer.status == 200 else None

    ours = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    theirs = tokens.issue("dialogue", roles=(), scopes={"business:lookup"}, tenant="other")
    for _ in range(2):
        assert await count(ours) == await count(theirs, "default") == 6
        assert await count(ours, "other") == await count(theirs) == 0
        staff = tokens.issue("staff", roles={"admin"}, scopes={"business:lookup"}, tenant="other")
        assert await count(staff) == 0
        assert await count(staff, "default") is None


async def test_a_table_that_is_edited_is_taken_over_and_read_by_no_lookup(
    calls: Calls, tokens: TokenFactory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    body = {"customer": "C1001", "arguments": {"order_number": "20261103004"}}
    readers: set[str] = set()
    read = rule_book._read

    def noted(path: Path) -> bytes:
        readers.add(threading.current_thread().name)
        return read(path)

    monkeypatch.setattr(rule_book, "_read", noted)

    async def outcome() -> str:
        return str((await calls.post("/v1/lookups/refund_terms", json=body, token=token)).body["data"]["outcome"])

    assert await outcome() == "approval"
    file = settings.rules_dir / "refund.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"< 500"', '"< 2000"'), encoding="utf-8")

    async def automatic() -> bool:
        return await outcome() == "automatic"

    await eventually(automatic, what="the new limit")
    assert readers
    assert not [name for name in readers if name == "MainThread" or name.startswith("sqlite")], readers


CONNECTOR = """
connector: core
url: {url}
lookups:
  card:
    arguments: {{card: {{pattern: "[0-9]{{4}}"}}}}
    request: {{path: "/cards/{{card}}", query: {{who: customer}}}}
    answer: {{state: {{type: text, required: true}}}}
"""


@pytest.fixture
async def bank(settings: Settings, tokens: TokenFactory) -> AsyncIterator[tuple[Calls, CompanySystem]]:
    """The service with an assistant whose look-ups are those of a company's system."""
    async with company_system() as system:
        connectors = settings.assistant / "connectors"
        connectors.mkdir()
        (connectors / "core.yml").write_text(CONNECTOR.format(url=system.url), encoding="utf-8")
        async with serve(create_app(settings, jwks=tokens.fetch)) as server, calling(server.base_url) as calls:
            yield calls, system


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
async def test_a_look_up_of_a_connector_is_asked_of_the_companys_system(
    bank: tuple[Calls, CompanySystem], tokens: TokenFactory, content_type: str
) -> None:
    calls, system = bank
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    headers = {"Content-Type": content_type, "X-Deadline-Seconds": "2"}

    async def ask(name: str = "card", **body: object) -> Answer:
        data = json.dumps({"customer": "C1", "arguments": {"card": "1234"}} | body)
        return await calls.post(f"/v1/lookups/{name}", data=data, token=token, headers=headers)

    system.answers("GET", "/cards/1234", {"state": "open"}, 404, 500, {"state": 1, "x": []}, [], 403)
    answers = [await ask() for _ in range(6)]
    assert [each.status for each in answers] == [200, 200, 503, 200, 502, 502]
    assert answers[0].body == {"name": "card", "found": True, "data": {"state": "open"}}
    assert answers[1].body == {"name": "card", "found": False, "data": {}}
    assert answers[2].body["type"] == "urn:zhiyin:problem:system-away"
    assert system.asked[0].query == {"who": "C1"}
    assert float(system.asked[0].headers["X-Deadline-Seconds"]) <= 2

    wrong = await ask(arguments={"card": "12345"})
    assert (wrong.status, wrong.body["errors"][0]["field"]) == (422, "arguments.card")
    statuses = [
        (await ask("orders")).status,
        (await ask(assistant="shop")).status,
        (await ask(assistant="bank")).status,
        (await ask(assistant="../shop")).status,
        (await ask(release="gone")).status,
    ]
    assert statuses == [404, 502, 404, 422, 502]
    count = len(system.asked)
    assert (await ask(customer=None)).body["found"] is False
    assert len(system.asked) == count


async def test_look_ups_of_connectors_are_listed_with_their_arguments(
    bank: tuple[Calls, CompanySystem], tokens: TokenFactory
) -> None:
    calls, _ = bank
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    listed = await calls.get("/v1/lookups?assistant=shop", token=token)
    (lookup,) = listed.body["lookups"]
    assert (lookup["name"], lookup["description"]) == ("card", "core.card")
    assert lookup["arguments"]["required"] == ["card"]
    assert (await calls.get("/v1/lookups?assistant=bank", token=token)).status == 404
    assert (await calls.get("/v1/lookups?assistant=%00", token=token)).status == 422


async def test_another_tenant_does_not_reach_the_system(
    bank: tuple[Calls, CompanySystem], tokens: TokenFactory
) -> None:
    calls, system = bank
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"}, tenant="other")
    answer = await calls.post("/v1/lookups/card", json={"customer": "C1", "arguments": {"card": "1234"}}, token=token)
    assert answer.status == 404
    assert not system.asked


async def test_an_assistant_without_connectors_is_asked_nothing(
    served: RunningServer, calls: Calls, tokens: TokenFactory, tmp_path: Path
) -> None:
    """Its own answers are still those of the demo shop; another's are none."""
    assistants = served.app.state.business.assistants
    (tmp_path / "empty").mkdir()
    for assistant in ("shop", "bank"):
        assistants.add("default", assistant, "r1", tmp_path / "empty")
        assistants.make_live("default", assistant, "r1")
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})

    async def status(assistant: str) -> int:
        body = {"customer": "C1001", "assistant": assistant}
        return (await calls.post("/v1/lookups/orders", json=body, token=token)).status

    assert [await status("shop"), await status("bank")] == [200, 404]
