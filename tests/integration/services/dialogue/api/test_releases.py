"""Operators reach learning at dialogue's address alone."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from shared.assistants.bundle import digest_of, pack
from tests.calls import Calls, calling
from tests.integration.services.learning.gateway import gateway
from tests.integration.services.learning.publisher import TOKENS, ScriptedTrainer, assistant, running

NOBODY = "0" * 32
ROUTES: list[tuple[str, str, Any]] = [
    ("PUT", f"/v1/bundles/{'0' * 64}", None),
    ("GET", "/v1/assistants", None),
    ("POST", "/v1/assistants/mini/releases", {"bundle": "0" * 64}),
    ("GET", "/v1/assistants/mini/releases", None),
    ("GET", f"/v1/assistants/mini/releases/{NOBODY}", None),
    ("PUT", "/v1/assistants/mini/aliases/production", {"release": NOBODY}),
    ("DELETE", "/v1/assistants/mini/aliases/canary", None),
]


def bearer(role: str, tenant: str = "default") -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS.issue(roles=(role,), tenant=tenant)}"}


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    url = f"sqlite:///{tmp_path / 'learning.sqlite'}"
    async with (
        running(tmp_path / "home", url, ScriptedTrainer(), provers=()) as learning,
        gateway(learning) as address,
        calling(address) as calls,
    ):
        yield calls


async def test_everything_of_a_release_goes_through(calls: Calls, tmp_path: Path) -> None:
    operator = bearer("operator")
    # Larger than other bodies may be.
    data = pack(assistant(tmp_path / "mini", **{"faq/long.md": "long " * 300_000}))
    answer = await calls.send("PUT", f"/v1/bundles/{digest_of(data)}", data=BytesIO(data), headers=operator)
    assert (answer.status, answer.body) == (200, {"digest": digest_of(data), "bytes": len(data)})
    path = "/v1/assistants/mini/releases"
    release = (await calls.send("POST", path, json={"bundle": digest_of(data), "live": False}, headers=operator)).body
    assert (await calls.send("GET", f"{path}/{release['id']}", headers=operator)).body["id"] == release["id"]
    assert (await calls.send("GET", "/v1/assistants", headers=operator)).body["assistants"] == ["mini"]
    found = (await calls.send("GET", f"{path}?limit=1&before=2", headers=operator)).body
    assert [each["id"] for each in found["releases"]] == [release["id"]]
    moved = await calls.send("PUT", "/v1/assistants/mini/aliases/canary", json={"release": NOBODY}, headers=operator)
    assert (moved.status, moved.body["detail"]) == (404, "the assistant has no such release")
    assert (await calls.send("DELETE", "/v1/assistants/mini/aliases/canary", headers=operator)).status == 204
    assert (await calls.send("DELETE", "/v1/assistants/mini/aliases/production", headers=operator)).status == 409
    other = await calls.send("GET", path, headers=bearer("operator", "acme"))
    assert other.body["releases"] == []


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_others_than_operators_are_turned_away(calls: Calls, method: str, path: str, body: Any) -> None:
    for role in ("customer", "agent", "supervisor"):
        assert (await calls.send(method, path, json=body, headers=bearer(role))).status == 403
    assert (await calls.send(method, path, json=body)).status == 401


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_without_learning_it_is_said(method: str, path: str, body: Any) -> None:
    async with gateway(None) as address, calling(address) as calls:
        answer = await calls.send(method, path, json=body, headers=bearer("admin"))
        assert (answer.status, answer.body["detail"]) == (503, "learning cannot be reached")
