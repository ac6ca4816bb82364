"""What is over goes as a whole, and nothing that is under way, on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from services.dialogue.conversation import repository as conversations
from services.dialogue.conversation.models import (
    Conversation,
    DeadLetter,
    DeadTurn,
    DeskEvent,
    Entry,
    Handoff,
    OutboxRow,
    Timer,
    Trace,
)
from services.dialogue.conversation.retention.repository import PARTS, delete_conversations
from shared.errors import NotFound
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate
from tests.postgres import Postgres

MOMENT = now()
BEFORE = MOMENT - timedelta(days=30)
OLD = BEFORE - timedelta(days=1)
KEPT: dict[str, dict[str, Any]] = {
    "recent": {"created_at": MOMENT, "updated_at": MOMENT},
    "still-used": {"updated_at": MOMENT},
    "in-the-queue": {"floor": "queue"},
    "with-an-agent": {"floor": "agent-7"},
    "waits-for-a-turn": {"pending_since": OLD},
    "action-under-way": {},
    "letter-undecided": {},
    "turn-given-up": {},
}
GONE = ("over", "never-used", "action-done", "letters-decided", "turn-settled", "of-another-tenant")


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    await fill(database)
    yield database
    await database.close()


def letter(of: str, **decision: Any) -> DeadLetter:
    return DeadLetter(action_id=f"{of}.0", conversation_id=of, error="x", attempts=8, **decision)


def dead_turn(of: str, status: str) -> DeadTurn:
    return DeadTurn(conversation_id=of, seq=1, answered_seq=0, version=0, attempts=5, error="x", status=status)


async def fill(database: Database) -> None:
    for name in (*KEPT, *GONE):
        async with database.transaction("other" if name == "of-another-tenant" else "default") as session:
            known = {"created_at": OLD, "updated_at": OLD} | KEPT.get(name, {})
            session.add(Conversation(id=name, owner="me", assistant="shop", language="zh", **known))
            await session.flush()
            if name == "never-used":
                continue
            rows: list[Any] = [
                Entry(conversation_id=name, seq=1, kind="message", sender="customer", text="你好", message_id="1"),
                Entry(conversation_id=name, seq=2, kind="reply", sender="assistant", text="您好", in_reply_to=1),
                Trace(conversation_id=name, trigger="message:1", steps=[], seconds={}),
                OutboxRow(action_id=f"{name}.0", conversation_id=name, request={}, done=name != "action-under-way"),
                Handoff(
                    conversation_id=name,
                    reason="asked",
                    status="waiting" if KEPT.get(name, {}).get("floor") else "closed",
                ),
                DeskEvent(event="closed", actor="agent-7", conversation_id=name),
                Timer(key=f"session:{name}", kind="session", payload={}, due_at=OLD, attempts=0, token="t"),
            ]
            if name == "letter-undecided":
                rows.append(letter(name))
            elif name == "letters-decided":
                rows += [letter(name, retried_at=OLD), letter(name, dismissed_at=OLD)]
            elif name in ("turn-given-up", "turn-settled"):
                rows.append(dead_turn(name, "waiting" if name == "turn-given-up" else "dismissed"))
            session.add_all(rows)


async def delete(database: Database, limit: int = 50) -> int:
    async with database.transaction(ALL_TENANTS) as session:
        made = await delete_conversations(session, BEFORE, None, limit)
    assert list(made) == sorted(made)
    return len(made)


async def left(database: Database, table: Any) -> dict[str, int]:
    """Rows of a table by their conversation."""
    column = getattr(table, "conversation_id", None) or table.id
    async with database.reading(ALL_TENANTS) as session:
        found = await session.execute(select(column, func.count()).group_by(column))
        return {row[0]: row[1] for row in found}


async def test_what_is_over_goes_with_all_its_parts_and_the_rest_stays(database: Database) -> None:
    before = {table: await left(database, table) for table in (*PARTS, DeskEvent)}
    assert await delete(database, limit=4) == 4
    assert await delete(database) == len(GONE) - 4
    assert await delete(database) == 0
    assert set(await left(database, Conversation)) == set(KEPT)
    for part in PARTS:
        kept = {name: count for name, count in before[part].items() if name in KEPT}
        assert await left(database, part) == kept, part.__tablename__
    async with database.reading(ALL_TENANTS) as session:
        assert set(await session.scalars(select(Timer.key))) == {f"session:{name}" for name in KEPT}
    assert await left(database, DeskEvent) == before[DeskEvent], "the audit log stays"


async def test_whoever_writes_to_a_conversation_keeps_it(database: Database) -> None:
    if not database.is_sqlite:
        # With SQLite nobody else writes at the same moment.
        async with database.transaction("default") as session:
            await session.execute(update(Conversation).where(Conversation.id == "over").values(updated_at=MOMENT))
            assert await delete(database) == len(GONE) - 1
        assert "over" in await left(database, Conversation)
        assert await delete(database) == 0
        return
    row = await database.read("default", lambda unit: conversations.find_conversation(unit, "over"))
    await delete(database)
    with pytest.raises(NotFound):
        await database.write(
            "default",
            lambda unit: conversations.append_message(
                unit, row, message_id="2", text="late", choice=None, customer=None
            ),
        )


async def test_a_sweep_goes_on_where_it_was(database: Database) -> None:
    async with database.transaction(ALL_TENANTS) as session:
        assert await delete_conversations(session, BEFORE, OLD + timedelta(seconds=1), 50) == []
        assert len(await delete_conversations(session, BEFORE, OLD, 50)) == len(GONE)
