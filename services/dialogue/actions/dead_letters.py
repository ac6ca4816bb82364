"""An operator's decisions on actions of the outbox that were given up."""

from services.dialogue.actions import repository
from services.dialogue.conversation.models import DeadLetter
from shared.errors import Conflict
from shared.storage.database import Database, now

__all__ = ["dismiss", "retry"]


async def retry(database: Database, tenant: str, letter_id: int, *, by: str) -> DeadLetter:
    """Gives the action a new set of attempts; who did it and when is kept.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was tried again or dismissed already, or its action is gone.
    """
    async with database.transaction(tenant) as session:
        letter = await repository.LETTERS.undecided(session, letter_id)
        if not await repository.open_again(session, letter.action_id):
            raise Conflict("the action of this dead letter is gone")
        letter.retried_at, letter.retried_by = now(), by
        return letter


dismiss = repository.LETTERS.dismiss
