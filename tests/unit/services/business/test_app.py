import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from services.business.app import create_app
from services.business.models import ActionRecord
from services.business.repository import add_action, records_after
from services.business.rules.rule_book import RulesError
from services.business.settings import Settings
from services.business.shop.models import Refund
from services.business.shop.repository import newest_orders
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database, now
from tests.calls import Answer, Calls, calling
from tests.openapi import OTHERS_DRAW, explore
from tests.servers import RunningServer, serve
from tests.stack import eventually
from tests.tokens import TokenFactory


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("POST", "/v1/lookups/unknown", {"json": {}}, 404),
        ("POST", "/v1/lookups/Order!", {"json": {}}, 422),
        ("POST", "/v1/lookups/orders", {"json": []}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"customer": ""}}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"customer": "C" * 65}}, 422),
        ("POST", "/v1/lookups/orders", {"json": {"arguments": {str(n): n for n in range(21)}}}, 422),
        ("POST", "/v1/lookups/orders", {"data": b"{"}, 400),
        ("POST", "/v1/lookups/orders", {"data": b"[" * 100_000}, 400),
        ("POST", "/v1/lookups/orders", {"data": b"\xff\xfe"}, 400),
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


@OTHERS_DRAW
async def test_no_generated_input_gets_an_answer_that_is_not_documented(
    served: RunningServer, tokens: TokenFactory, waiting: ActionRequest
) -> None:
    headers = tokens.headers("admin", roles={"admin"}, scopes={"business:lookup"})

    assert await asyncio.to_thread(explore, served.base_url, headers=headers) >= 7


async def test_it_starts_on_nothing_and_seeds_the_demo_shop_once(
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


async def test_it_does_not_start_with_broken_rules(settings: Settings) -> None:
    (settings.rules_dir / "refund.json").write_text("{}", encoding="utf-8")

    with pytest.raises(RulesError, match=r"refund\.json"):
        create_app(settings)


async def test_what_it_does_is_measured(untouched: Calls) -> None:
    text = (await untouched.get("/metrics")).text

    for name in ("zhiyin_business_dead_letters", "zhiyin_business_rules_outdated", "zhiyin_http_requests_total"):
        assert name in text


async def test_actions_are_kept_for_as_long_as_it_is_said(
    settings: Settings, database: Database, ask: Any, tokens: TokenFactory
) -> None:
    old = now() - timedelta(days=3)
    async with database.transaction("default") as session:
        for action_id, at in (("old", old), ("recent", now())):
            record = ActionRecord(
                action_id=action_id,
                name="refund",
                conversation_id="c",
                request={},
                status="succeeded",
                created_at=at,
                updated_at=at,
            )
            add_action(session, record)

    async def left() -> set[str]:
        async with database.reading("default") as session:
            return {each.action_id for each in await records_after(session, "succeeded", 0, 10)}

    async with serve(create_app(settings.model_copy(update={"action_days": 2}), jwks=tokens.fetch)) as server:

        async def only_the_recent() -> bool:
            return await left() == {"recent"}

        await eventually(only_the_recent, what="the end of what is kept")
        async with calling(server.base_url) as calls:
            token = tokens.issue("dialogue", roles=(), scopes={"business:actions"})
            body = ask("refund").model_dump(mode="json") | {"requested_at": (old - timedelta(days=1)).isoformat()}
            refused = await calls.post("/v1/actions", json=body, token=token)
            assert (refused.status, refused.content_type) == (409, "application/problem+json")
    async with serve(create_app(settings, jwks=tokens.fetch)):
        assert await left() == {"recent"}
