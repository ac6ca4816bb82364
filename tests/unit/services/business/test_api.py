import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from services.business import repository
from services.business.actions.ledger import GAVE_UP, AttemptFailed, Ledger
from services.business.app import create_app
from services.business.rules.rule_book import RuleBook, RulesError
from services.business.settings import Settings
from services.business.shop.models import Refund
from services.business.shop.repository import newest_orders, order_of_customer
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from tests.calls import Answer, Calls
from tests.openapi import explore
from tests.servers import RunningServer, serve
from tests.tokens import TokenFactory

Ask = Any

ROUTES = [
    ("GET", "/v1/lookups"),
    ("POST", "/v1/lookups/orders"),
    ("GET", "/v1/actions/action-1"),
    ("GET", "/v1/approvals"),
    ("POST", "/v1/approvals/action-1"),
    ("GET", "/v1/dead-letters"),
    ("POST", "/v1/dead-letters/1/retry"),
]


@pytest.fixture
def agent(tokens: TokenFactory) -> str:
    return tokens.issue("agent-7", roles={"agent"})


@pytest.fixture
def operator(tokens: TokenFactory) -> str:
    return tokens.issue("operator-1", roles={"operator"})


@pytest.fixture
async def waiting(ledger: Ledger, ask: Ask) -> ActionRequest:
    """A refund that waits for a person."""
    request: ActionRequest = ask("refund", order_number="20261103004", reason="按键失灵")
    await ledger.perform(request)
    return request


@pytest.fixture
async def given_up(database: Database, rules: RuleBook, settings: Settings, ask: Ask) -> ActionRequest:
    """A refund that failed as often as it may, and would succeed now."""
    request: ActionRequest = ask("refund")
    hopeless = Ledger(database, rules, settings.model_copy(update={"action_seconds": 1e-9}))
    for _ in range(settings.max_attempts - 1):
        with pytest.raises(AttemptFailed):
            await hopeless.perform(request)
    await hopeless.perform(request)
    return request


async def refunds_of(database: Database, number: str) -> list[Refund]:
    async with database.reading("default") as session:
        order = await order_of_customer(session, "C1001", number)
    assert order is not None
    return order.refunds


async def test_an_approved_refund_is_paid_once_and_told_as_the_next_version(
    calls: Calls, database: Database, agent: str, waiting: ActionRequest
) -> None:
    path = f"/v1/approvals/{waiting.id}"
    answers = await asyncio.gather(
        *(calls.post(path, json={"decision": "approve", "note": " 同意 "}, token=agent) for _ in range(5))
    )

    assert {answer.status for answer in answers} == {200}
    assert {answer.text for answer in answers} == {answers[0].text}
    body = answers[0].body
    assert (body["status"], body["version"], body["data"]["amount"]) == ("succeeded", 2, 1299.0)
    (refund,) = await refunds_of(database, "20261103004")
    assert (refund.status, refund.decided_by, refund.note) == ("done", "agent-7", "同意")
    async with database.reading("default") as session:
        record = await repository.find_action(session, waiting.id)
    assert record is not None
    assert (record.status, record.result_version) == ("succeeded", 2)


async def test_a_rejected_refund_pays_nothing_and_may_be_asked_for_again(
    calls: Calls, database: Database, ledger: Ledger, ask: Ask, agent: str, waiting: ActionRequest
) -> None:
    path = f"/v1/approvals/{waiting.id}"
    answer = await calls.post(path, json={"decision": "reject", "note": "已使用"}, token=agent)

    assert answer.status == 200
    assert (answer.body["status"], answer.body["error_code"]) == ("rejected", "approval_rejected")
    assert answer.body["data"]["note"] == "已使用"
    assert (await calls.post(path, json={"decision": "reject"}, token=agent)).body == answer.body
    otherwise = await calls.post(path, json={"decision": "approve"}, token=agent)
    assert otherwise.status == 409
    (refund,) = await refunds_of(database, "20261103004")
    assert refund.status == "rejected"
    again = await ledger.perform(ask("refund", order_number="20261103004"))
    assert again is not None
    assert again.status == "awaiting_approval"


async def test_contrary_decisions_at_once_leave_one_of_them(
    calls: Calls, database: Database, agent: str, waiting: ActionRequest
) -> None:
    answers = await asyncio.gather(
        *(
            calls.post(f"/v1/approvals/{waiting.id}", json={"decision": decision}, token=agent)
            for decision in ("approve", "reject") * 3
        )
    )

    assert sorted(answer.status for answer in answers) == [200, 200, 200, 409, 409, 409]
    assert len({answer.body["status"] for answer in answers if answer.status == 200}) == 1


async def test_only_what_waits_is_listed_and_can_be_decided(
    calls: Calls, ledger: Ledger, ask: Ask, agent: str, waiting: ActionRequest
) -> None:
    paid = ask("refund", order_number="20261103003")
    cancelled = ask("cancel_order", order_number="20261103002")
    for request in (paid, cancelled):
        await ledger.perform(request)

    listed = await calls.get("/v1/approvals", token=agent)

    assert [each["id"] for each in listed.body["approvals"]] == [waiting.id]
    (only,) = listed.body["approvals"]
    assert only["customer"] == "C1001"
    assert only["data"]["reason"] == "按键失灵"
    assert only["data"]["reason_code"] == "amount_over_limit"
    for identity in (paid.id, cancelled.id, "unknown"):
        assert (await calls.post(f"/v1/approvals/{identity}", json={"decision": "approve"}, token=agent)).status == 404
    await calls.post(f"/v1/approvals/{waiting.id}", json={"decision": "approve"}, token=agent)
    assert (await calls.get("/v1/approvals", token=agent)).body == {"approvals": [], "next_after": None}


async def test_lists_are_read_page_by_page(calls: Calls, ledger: Ledger, ask: Ask, agent: str) -> None:
    expected = [ask("refund", order_number=number) for number in ("20261103004", "20261103005")]
    for request in expected:
        await ledger.perform(request)

    first = (await calls.get("/v1/approvals?limit=1", token=agent)).body
    second = (await calls.get(f"/v1/approvals?limit=1&after={first['next_after']}", token=agent)).body

    assert [page["approvals"][0]["id"] for page in (first, second)] == [request.id for request in expected]
    assert second["next_after"] is None


async def test_an_action_can_be_followed(
    calls: Calls, tokens: TokenFactory, agent: str, waiting: ActionRequest
) -> None:
    service = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    for token in (service, agent):
        body = (await calls.get(f"/v1/actions/{waiting.id}", token=token)).body
        assert (body["id"], body["status"], body["attempts"], body["version"]) == (
            waiting.id,
            "awaiting_approval",
            1,
            1,
        )
    assert (await calls.get("/v1/actions/unknown", token=agent)).status == 404


async def test_what_was_given_up_can_be_tried_again_once(
    calls: Calls, database: Database, ledger: Ledger, operator: str, given_up: ActionRequest
) -> None:
    (letter,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]
    assert (letter["action_id"], letter["name"], letter["attempts"]) == (given_up.id, "refund", 5)
    assert letter["error"] == "TimeoutError"

    path = f"/v1/dead-letters/{letter['id']}/retry"
    answers = await asyncio.gather(*(calls.post(path, token=operator) for _ in range(3)))

    assert sorted(answer.status for answer in answers) == [202, 409, 409]
    assert next(answer for answer in answers if answer.status == 202).body["retried_by"] == "operator-1"
    result = await ledger.perform(given_up)
    assert result is not None
    assert (result.status, result.version) == ("succeeded", 2)
    assert len(await refunds_of(database, "20261103003")) == 1


async def test_what_is_no_action_cannot_be_tried_again(calls: Calls, ledger: Ledger, operator: str) -> None:
    await ledger.bury({"id": "action-1", "tenant": "default"}, "name: Field required")
    (letter,) = (await calls.get("/v1/dead-letters", token=operator)).body["dead_letters"]

    assert (await calls.post(f"/v1/dead-letters/{letter['id']}/retry", token=operator)).status == 409
    assert (await calls.post("/v1/dead-letters/999/retry", token=operator)).status == 404


async def test_the_result_of_what_was_given_up_says_so(calls: Calls, agent: str, given_up: ActionRequest) -> None:
    body = (await calls.get(f"/v1/actions/{given_up.id}", token=agent)).body
    assert (body["status"], body["error_code"], body["version"]) == ("failed", GAVE_UP, 1)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_wants_a_token_with_the_right(
    untouched: Calls, tokens: TokenFactory, method: str, path: str
) -> None:
    everything: dict[str, Any] = {"roles": {"agent", "operator", "admin"}, "scopes": {"business:lookup"}}
    body: dict[str, Any] = {"decision": "approve"} if "approvals" in path else {"customer": None, "arguments": {}}

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


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/v1/lookups/unknown", {"json": {}}, 404),
        ("POST", "/v1/lookups/Order!", {"json": {}}, 422),
        ("POST", "/v1/lookups/orders", {"json": []}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"customer": ""}}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"customer": "C" * 65}}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"tenant": "other"}}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"arguments": {str(n): n for n in range(21)}}}, 422),
        ("POST", "/v1/lookups/orders", {"data": b"{"}, 400),
        ("POST", "/v1/lookups/orders", {"data": b"[" * 100_000}, 400),
        ("POST", "/v1/lookups/orders", {"data": b"\xff\xfe"}, 400),
        ("POST", "/v1/lookups/orders", {"data": b'{"arguments": {"\\ud800": 1}}'}, 422),
        ("POST", "/v1/lookups/order", {"data": b'{"arguments": {"order_number": "\\ud800"}}'}, 422),
        ("POST", "/v1/lookups/orders", {"data": b" " * 1_000_001}, 413),
        ("GET", "/v1/actions/" + "a" * 65, {}, 422),
        ("GET", "/v1/actions/a%20b", {}, 422),
        ("GET", "/v1/approvals?limit=0", {}, 422),
        ("GET", "/v1/approvals?limit=101", {}, 422),
        ("GET", "/v1/approvals?after=-1", {}, 422),
        ("GET", "/v1/approvals?after=99999999999999999999", {}, 422),
        ("POST", "/v1/approvals/action-1", {"json": {"decision": "maybe"}}, 422),
        ("POST", "/v1/approvals/action-1", {"json": {"decision": "approve", "note": "x" * 501}}, 422),
        ("POST", "/v1/approvals/action-1", {"json": {"decision": "approve", "amount": 1}}, 422),
        ("POST", "/v1/approvals/action-1", {"json": {}}, 422),
        ("GET", "/v1/dead-letters?limit=x", {}, 422),
        ("POST", "/v1/dead-letters/0/retry", {}, 422),
        ("POST", "/v1/dead-letters/99999999999999999999/retry", {}, 422),
        ("POST", "/v1/dead-letters/one/retry", {}, 422),
        ("DELETE", "/v1/lookups", {}, 405),
        ("GET", "/v1/nothing", {}, 404),
    ],
)
async def test_bad_input_is_refused_clearly(
    untouched: Calls, tokens: TokenFactory, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    token = tokens.issue("admin", roles={"admin"}, scopes={"business:lookup"})

    answer: Answer = await untouched.send(method, path, token=token, **options)

    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["detail"]


async def test_no_generated_input_gets_an_answer_that_is_not_documented(
    served: RunningServer, tokens: TokenFactory, waiting: ActionRequest
) -> None:
    headers = tokens.headers("admin", roles={"admin"}, scopes={"business:lookup"})

    assert await asyncio.to_thread(explore, served.base_url, headers=headers) >= 7


async def test_it_starts_on_nothing_and_seeds_the_demo_shop_in_development_only(
    settings: Settings, tokens: TokenFactory, tmp_path: Path
) -> None:
    fresh = {"database_url": f"sqlite+aiosqlite:///{tmp_path / 'fresh.sqlite'}", "migrate_on_start": True}
    seeded = settings.model_copy(update=fresh | {"seed_demo": True})

    for _ in range(2):
        async with serve(create_app(seeded, jwks=tokens.fetch)):
            database = Database(seeded.business_database)
            async with database.reading("default") as session:
                _, count = await database.read("default", lambda unit: newest_orders(unit, "C1001", 1))
                assert await session.scalar(select(func.count(Refund.id))) == 0
            await database.close()
            assert count == 6
    assert not seeded.model_copy(update={"environment": "production"}).demo
    assert not settings.demo


async def test_it_does_not_start_with_broken_rules(settings: Settings) -> None:
    (settings.rules_dir / "refund.json").write_text("{}", encoding="utf-8")

    with pytest.raises(RulesError, match=r"refund\.json"):
        create_app(settings)


async def test_what_it_does_is_measured(untouched: Calls) -> None:
    text = (await untouched.get("/metrics")).text

    for name in ("zhiyin_business_dead_letters", "zhiyin_business_rules_outdated", "zhiyin_http_requests_total"):
        assert name in text
