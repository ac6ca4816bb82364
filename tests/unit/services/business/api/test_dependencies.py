from typing import Any

import pytest

from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from tests.calls import Calls
from tests.tokens import TokenFactory
from tests.unit.services.business.refunds import refunds_of

ROUTES = [
    ("GET", "/v1/lookups"),
    ("POST", "/v1/lookups/orders"),
    ("GET", "/v1/actions/action-1"),
    ("GET", "/v1/approvals"),
    ("POST", "/v1/approvals/action-1"),
    ("GET", "/v1/dead-letters"),
    ("POST", "/v1/dead-letters/1/retry"),
    ("POST", "/v1/dead-letters/1/dismiss"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_wants_a_token_with_the_right(
    untouched: Calls, tokens: TokenFactory, method: str, path: str
) -> None:
    everything: dict[str, Any] = {"roles": {"agent", "operator", "admin"}, "scopes": {"business:lookup"}}
    body: dict[str, Any] = {"customer": None, "arguments": {}}
    if "approvals" in path:
        body = {"decision": "approve"}
    elif "dismiss" in path:
        body = {"reason": "done by hand"}

    async def status(token: str | None) -> int:
        return (await untouched.send(method, path, json=body if method == "POST" else None, token=token)).status

    assert await status(None) == 401
    assert await status("nonsense") == 401
    assert await status(TokenFactory().issue("stranger", **everything)) == 401
    assert await status(tokens.issue("late", lifetime=-60, **everything)) == 401
    assert await status(tokens.issue("customer", roles={"customer"}, customer="C1001")) == 403
    assert await status(tokens.issue("everybody", tenant="*", **everything)) == 403
    assert await status(tokens.issue("admin", **everything)) in (200, 404)


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("POST", "/v1/lookups/orders", "agent"),
        ("GET", "/v1/approvals", "operator"),
        ("POST", "/v1/approvals/action-1", "operator"),
        ("GET", "/v1/dead-letters", "agent"),
        ("POST", "/v1/dead-letters/1/retry", "agent"),
        ("POST", "/v1/dead-letters/1/dismiss", "agent"),
        ("GET", "/v1/actions/action-1", "operator"),
    ],
)
async def test_a_role_has_its_own_rights_only(
    untouched: Calls, tokens: TokenFactory, method: str, path: str, role: str
) -> None:
    body = {"decision": "approve"} if "approvals" in path else {}
    answer = await untouched.send(
        method, path, json=body if method == "POST" else None, token=tokens.issue(roles={role})
    )

    assert answer.status == 403


async def test_nothing_of_one_tenant_is_seen_or_changed_by_another(
    calls: Calls, tokens: TokenFactory, database: Database, waiting: ActionRequest, given_up: ActionRequest
) -> None:
    stranger = tokens.issue("stranger", tenant="other", roles={"admin"}, scopes={"business:lookup"})
    decision = {"decision": "approve"}

    assert (await calls.get("/v1/approvals", token=stranger)).body["approvals"] == []
    assert (await calls.get("/v1/dead-letters", token=stranger)).body["dead_letters"] == []
    assert (await calls.get(f"/v1/actions/{waiting.id}", token=stranger)).status == 404
    assert (await calls.post(f"/v1/approvals/{waiting.id}", json=decision, token=stranger)).status == 404
    assert (await calls.post("/v1/dead-letters/1/retry", token=stranger)).status == 404
    body = {"customer": "C1001", "arguments": {"order_number": "20261103001"}}
    assert (await calls.post("/v1/lookups/order", json=body, token=stranger)).body["found"] is False
    assert [refund.status for refund in await refunds_of(database, "20261103004")] == ["pending"]
