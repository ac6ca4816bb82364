"""Which actions the outbox sends, and when again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.dialogue.conversation import repository
from services.dialogue.conversation.models import Conversation, OutboxRow
from services.dialogue.conversation.outbox import ActionOutbox, DueAction
from services.dialogue.conversation.repository import StaleTurn
from services.dialogue.settings import Settings
from shared.contracts.actions import ActionResult, ActionStatus
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate

FIRST, MOST = 8.0, 20.0
LIMIT = 10


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    async with database.transaction("default") as session:
        session.add(Conversation(id="a", owner="me", assistant="shop", language="zh"))
        await session.flush()
        session.add(OutboxRow(action_id="a.0", conversation_id="a", request={"id": "a.0"}))
    yield database
    await database.close()


@pytest.fixture
def outbox() -> ActionOutbox:
    return ActionOutbox(
        Settings(redis_url="redis://127.0.0.1:1/0", resend_first_seconds=FIRST, resend_most_seconds=MOST)
    )


def result(version: int, status: ActionStatus) -> ActionResult:
    return ActionResult(
        action_id="a.0", tenant="default", name="refund", conversation_id="a", status=status, version=version
    )


async def claim(outbox: ActionOutbox, database: Database, moment: datetime) -> Sequence[DueAction]:
    async with database.reading(ALL_TENANTS) as session:
        due = await outbox.has_due(session, moment)
    async with database.transaction(ALL_TENANTS) as session:
        items = await outbox.claim(session, moment, LIMIT)
    assert due == bool(items)
    return items


async def settle(database: Database, settled: ActionResult, look_again_at: datetime) -> None:
    await database.write("default", lambda unit: repository.settle_action(unit, settled, again_at=look_again_at))


async def test_an_action_is_sent_again_after_growing_pauses(outbox: ActionOutbox, database: Database) -> None:
    moment = now()
    for attempts, pause in enumerate((FIRST, 2 * FIRST, MOST, MOST), start=1):
        assert await claim(outbox, database, moment) == [DueAction({"id": "a.0"}, attempts)]
        assert await claim(outbox, database, moment + timedelta(seconds=pause - 1)) == []
        moment += timedelta(seconds=pause)


async def test_an_interim_result_makes_it_wait_and_the_final_one_ends_it(
    outbox: ActionOutbox, database: Database
) -> None:
    moment = now()
    later = moment + timedelta(hours=1)
    await settle(database, result(1, "awaiting_approval"), later)
    assert await claim(outbox, database, moment) == []
    assert len(await claim(outbox, database, later)) == 1

    await settle(database, result(2, "succeeded"), later)

    assert await claim(outbox, database, later + timedelta(days=30)) == []


async def test_a_result_of_an_old_version_is_refused(database: Database) -> None:
    await settle(database, result(2, "succeeded"), now())

    for version in (1, 2):
        with pytest.raises(StaleTurn):
            await settle(database, result(version, "awaiting_approval"), now())
