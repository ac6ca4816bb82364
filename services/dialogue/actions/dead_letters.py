"""An operator's decisions on actions of the outbox that were given up."""

from sqlalchemy.ext.asyncio import AsyncSession

from services.dialogue.actions import repository
from services.dialogue.conversation.models import DeadLetter
from shared.errors import Conflict, NotFound
from shared.storage.database import Database, now

__all__ = ["dismiss", "retry"]


async def retry(database: Database, tenant: str, letter_id: int, *, by: str) -> DeadLetter:
    """Gives the action a new set of attempts; who did it and when is kept.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was tried again or dismissed already, or its action is gone.
    """
    async with database.transaction(tenant) as session:
        letter = await _waiting(session, letter_id)
        if not await repository.open_again(session, letter.action_id):
            raise Conflict("the action of this dead letter is gone")
        letter.retried_at, letter.retried_by = now(), by
        return letter


async def dismiss(database: Database, tenant: str, letter_id: int, *, by: str, because: str) -> DeadLetter:
    """Takes a dead letter off the list of those that wait; who did it, when and why is kept.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was tried again or dismissed already.
    """
    async with database.transaction(tenant) as session:
        letter = await _waiting(session, letter_id)
        letter.dismissed_at, letter.dismissed_by, letter.dismissed_because = now(), by, because
        return letter


async def _waiting(session: AsyncSession, letter_id: int) -> DeadLetter:
    letter = await repository.letter_by_id(session, letter_id)
    if letter is None:
        raise NotFound("there is no such dead letter")
    if letter.retried_at is not None:
        raise Conflict(f"this dead letter was tried again already, by {letter.retried_by}")
    if letter.dismissed_at is not None:
        raise Conflict(f"this dead letter was dismissed already, by {letter.dismissed_by}")
    return letter
