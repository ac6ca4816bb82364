"""Ways in which a conversation's turns fail for good."""

from sqlalchemy import text

from shared.storage.database import Database

__all__ = ["KINDS", "poison", "repair"]

KINDS = ("of_another_release", "damaged", "not_an_object", "refused_by_the_store")


async def poison(database: Database, conversation: str, kind: str) -> None:
    """Makes every turn of the conversation fail, from the next one on."""
    statement, more = {
        "of_another_release": ("UPDATE conversations SET state = :it WHERE id = :id", {"it": '{"format": 99}'}),
        "damaged": ("UPDATE conversations SET state = :it WHERE id = :id", {"it": '{"format'}),
        "not_an_object": ("UPDATE conversations SET state = :it WHERE id = :id", {"it": "[1, 2]"}),
        # The next message's trace is there already, so that the turn's own breaks a constraint.
        "refused_by_the_store": (
            "INSERT INTO traces (tenant, conversation_id, trigger, steps, seconds, created_at)"
            " SELECT tenant, id, 'message:' || (last_seq + 1), '[]', '{}', created_at FROM conversations"
            " WHERE id = :id",
            {},
        ),
    }[kind]
    async with database.transaction("default") as session:
        await session.execute(text(statement), {"id": conversation, **more})


async def repair(database: Database, conversation: str) -> None:
    """Takes away what `refused_by_the_store` put in the way."""
    async with database.transaction("default") as session:
        await session.execute(
            text("DELETE FROM traces WHERE conversation_id = :id AND steps = '[]'"), {"id": conversation}
        )
