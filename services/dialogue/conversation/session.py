"""Sessions end by themselves: a timer drops what a conversation was in the middle of when nothing happens any more.

The timer is set by the turn that begins something and not moved by those that follow, which would be a statement in
each: when it is due, it looks when the last turn was, and waits on. A message that comes before the timer is treated
by the same rule, so nothing depends on the timer being in time.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from pydantic import ValidationError

from services.dialogue.conversation import repository
from services.dialogue.conversation.mapping import state_of
from services.dialogue.conversation.models import ASSISTANT, Timer
from services.dialogue.conversation.repository import ConversationRow, StaleTurn
from services.dialogue.policy.expiry import is_under_way
from shared.errors import NotFound
from shared.storage.database import Database, now
from shared.storage.statements import Unit
from shared.storage.timers import DueTimer, Timers

__all__ = ["SESSION", "TIMERS", "Sessions"]

TIMERS = Timers(Timer)
"""Dialogue's timers."""
SESSION = "session"
"""The kind of timer that ends a session."""
BUSY_SECONDS = 60.0

End = Callable[[ConversationRow, Callable[[Unit], None]], Awaitable[object]]
"""Takes the turn that ends the session of the conversation as it was read, in one unit of work with what is given."""


class Sessions:
    """How long a conversation stays in the middle of something."""

    def __init__(self, seconds: float) -> None:
        self._length = timedelta(seconds=seconds)

    def is_over(self, conversation: ConversationRow, moment: datetime) -> bool:
        """Whether nothing has happened for so long before that moment."""
        return conversation.turn_at is not None and moment - conversation.turn_at >= self._length

    def begin(self, unit: Unit, conversation: ConversationRow) -> None:
        """Has the session looked at when it may be over."""
        self._look_at(unit, conversation.id, now() + self._length)

    async def on_timer(self, timer: DueTimer, *, database: Database, end: End) -> None:
        """Ends the session that the timer is of, or waits on."""
        conversation_id = timer.payload["conversation"]
        try:
            conversation = await database.read(
                timer.tenant, lambda unit: repository.find_conversation(unit, conversation_id)
            )
        except NotFound:
            return
        try:
            if not is_under_way(state_of(conversation)):
                return
        except ValidationError:
            # The next message finds out, and has somebody to tell.
            return
        moment = now()
        if conversation.pending_since is not None or conversation.floor != ASSISTANT:
            # A message waits for its turn, or a person has the conversation.
            again = moment + max(self._length, timedelta(seconds=BUSY_SECONDS))
        elif not self.is_over(conversation, moment):
            again = (conversation.turn_at or moment) + self._length
        else:
            try:
                await end(conversation, partial(TIMERS.take, timer=timer))
            except StaleTurn:
                again = moment + self._length
            else:
                return

        def wait_on(unit: Unit) -> None:
            TIMERS.take(unit, timer)
            self._look_at(unit, conversation_id, again)

        await database.write(timer.tenant, wait_on)

    def _look_at(self, unit: Unit, conversation_id: str, moment: datetime) -> None:
        TIMERS.set(unit, SESSION, f"session:{conversation_id}", moment, {"conversation": conversation_id})
