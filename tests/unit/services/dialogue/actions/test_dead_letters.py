"""What an operator decides is kept, and holds once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dialogue.actions import dead_letters, repository
from services.dialogue.conversation.models import Conversation, DeadLetter, OutboxRow
from shared.errors import Conflict
from shared.storage.database import Database
from shared.storage.migrations import migrate


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    async with database.transaction("default") as session:
        session.add(Conversation(id="a", owner="me", assistant="shop", language="zh"))
        await session.flush()
        session.add(OutboxRow(action_id="a.0", conversation_id="a", request={}, done=True, failures=8))
        session.add(DeadLetter(action_id="a.0", conversation_id="a", error="Conflict", attempts=8))
        session.add(DeadLetter(action_id="gone.0", conversation_id="gone", error="Conflict", attempts=8))
    yield database
    await database.close()


async def test_of_contrary_decisions_at_once_one_holds(database: Database) -> None:
    outcomes = await asyncio.gather(
        *(dead_letters.retry(database, "default", 1, by=f"operator-{number}") for number in range(3)),
        *(dead_letters.dismiss(database, "default", 1, by="operator", because="no") for _ in range(3)),
        return_exceptions=True,
    )
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [Conflict] * 5


async def test_an_action_that_is_gone_can_only_be_dismissed(database: Database) -> None:
    with pytest.raises(Conflict, match="gone"):
        await dead_letters.retry(database, "default", 2, by="operator")

    letter = await dead_letters.dismiss(database, "default", 2, by="operator", because="erased")

    assert (letter.dismissed_by, letter.dismissed_because) == ("operator", "erased")
    async with database.reading("default") as session:
        assert await repository.count_letters(session) == 1
