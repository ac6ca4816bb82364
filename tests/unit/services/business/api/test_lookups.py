import json
import threading
from pathlib import Path

import pytest

from services.business.rules import rule_book
from services.business.settings import Settings
from tests.calls import Answer, Calls
from tests.stack import eventually
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
