"""Two replicas of one outbox on PostgreSQL: what one has claimed, the other skips without waiting for it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from services.business.actions.outbox import LedgerOutbox
from services.business.models import ActionRecord
from services.business.settings import Settings as BusinessSettings
from services.dialogue.actions.outbox import ActionOutbox
from services.dialogue.conversation.models import Conversation, OutboxRow
from services.dialogue.settings import Settings as DialogueSettings
from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.contracts.actions import ActionResult
from shared.queue.outbox import OutboxSource
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate
from tests.postgres import Postgres

NO_REDIS = "redis://127.0.0.1:1/0"
IDS = ("a.0", "a.1", "a.2")
DEADLINE = 10.0
LIMIT = 10

Outbox = tuple[Database, OutboxSource[Any]]


async def add_dialogue_rows(session: AsyncSession) -> None:
    session.add(Conversation(id="a", tenant="default", owner="me", assistant="shop", language="zh"))
    await session.flush()
    for each in IDS:
        session.add(OutboxRow(action_id=each, tenant="default", conversation_id="a", request={"id": each}))


async def add_business_rows(session: AsyncSession) -> None:
    for each in IDS:
        session.add(
            ActionRecord(
                action_id=each, tenant="default", name="refund", conversation_id="a", request={"id": each},
                status="started", resend_at=now() - timedelta(seconds=1),
            )
        )  # fmt: skip


async def nobody(_: ActionResult) -> None:
    """Takes no result."""


@pytest.fixture(params=["dialogue", "business"])
async def outbox(request: pytest.FixtureRequest, postgres: Postgres) -> AsyncIterator[Outbox]:
    url = await postgres.new_database()
    await asyncio.to_thread(migrate, request.param, url)
    database = Database(url)
    async with database.transaction(ALL_TENANTS) as session:
        await (add_dialogue_rows if request.param == "dialogue" else add_business_rows)(session)
    if request.param == "dialogue":
        client = ServiceClient(FixedDiscovery({}))
        yield database, ActionOutbox(DialogueSettings(redis_url=NO_REDIS), database, client, nobody)
        await client.close()
    else:
        yield database, LedgerOutbox(BusinessSettings(redis_url=NO_REDIS), database)
    await database.close()


async def test_a_row_that_is_claimed_is_skipped(outbox: Outbox) -> None:
    database, source = outbox
    moment = now()
    async with asyncio.timeout(DEADLINE):
        async with database.transaction(ALL_TENANTS) as first:
            claimed = await source.claim(first, moment, 1)
            async with database.transaction(ALL_TENANTS) as second:
                others = await source.claim(second, moment, LIMIT)
        async with database.transaction(ALL_TENANTS) as third:
            left = await source.claim(third, moment, LIMIT)
            due = await source.has_due(third, moment)

    assert (len(claimed), len(others), len(left)) == (1, len(IDS) - 1, 0)
    assert all(item not in others for item in claimed)
    assert not due
