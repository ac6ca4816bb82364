"""Counts the attempts of a turn that fails, and ends one that never succeeds: an apology, a person, a dead letter.

Nothing of the assistant takes part in that end, because the assistant, or the state that it left, may be what fails.
"""

import random
import traceback
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from services.dialogue.conversation import repository
from services.dialogue.conversation.failures import repository as failures
from services.dialogue.conversation.failures.repository import GIVEN_UP_REASON, Failing
from services.dialogue.conversation.mapping import customer_of, state_of
from services.dialogue.conversation.repository import Draft, HandoffDraft, TraceRow
from services.dialogue.policy.cues import language_of
from services.dialogue.policy.expiry import cleared
from services.dialogue.policy.state import State
from services.dialogue.settings import Settings
from shared.errors import Unavailable
from shared.queue.outbox import pause_after
from shared.storage.database import Database, now
from shared.storage.statements import Unit

__all__ = ["APOLOGIES", "Attempts"]

log = structlog.get_logger(__name__)

APOLOGIES = {
    "zh": "抱歉，您的这条消息我这边处理不了，没有为它提交任何内容。我已请人工同事接手，请稍候。",
    "en": "I'm sorry, I could not process this message, and nothing was submitted for it. I have asked a colleague to "
    "take over; please wait a moment.",
}
MAX_ERROR = 256

FAILED = Counter("zhiyin_turns_failed_total", "Attempts of turns that failed for a reason of their own")
GIVEN_UP = Counter("zhiyin_dead_turns_total", "Turns that were given up: the customer waits for a person")


class Attempts:
    """Attempts of the turn on a conversation's oldest message that waits."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    async def begin(self, tenant: str, conversation_id: str) -> Failing | None:
        """Counts an attempt before it is made, so that one which ends the process is counted, too.

        Returns:
            None when nothing is to be tried: the next attempt is not due, or there were enough of them.
        """

        def count(unit: Unit) -> Failing | None:
            found = failures.failing(unit, conversation_id)
            if found is None or (found.retry_at is not None and found.retry_at > now()):
                return None
            if found.attempts >= self._settings.turn_attempts:
                self._give_up(unit, found, "not finished")
                return None
            return failures.count_try(unit, found, retry_at=now() + self._pause(found.attempts + 1))

        try:
            return await self._database.write(tenant, count)
        except Unavailable:
            raise
        except Exception as error:
            await self._set_aside(tenant, conversation_id, error)
            return None

    async def failed(self, tenant: str, conversation_id: str, error: Exception, begun: Failing | None) -> bool:
        """Takes note of an attempt that failed, which may have been counted when it was `begun`.

        Returns:
            Whether it was the last one and the customer has an apology now.
        """
        FAILED.inc()
        why = described(error)

        def note(unit: Unit) -> bool:
            found = failures.failing(unit, conversation_id)
            if found is None or (begun is not None and found.answered_seq != begun.answered_seq):
                return False
            tried = found
            if begun is None:
                counted = failures.count_try(unit, found, retry_at=now() + self._pause(found.attempts + 1))
                if counted is None:
                    return False
                tried = counted
            return tried.attempts >= self._settings.turn_attempts and self._give_up(unit, tried, why)

        try:
            return await self._database.write(tenant, note)
        except Unavailable:
            raise
        except Exception as trouble:
            await self._set_aside(tenant, conversation_id, trouble)
            return False

    async def put_back(self, tenant: str, begun: Failing) -> None:
        """Does not count an attempt that was `begun`: it was the database that failed."""
        soon = now() + self._pause(1)
        await self._database.write(tenant, partial(failures.put_back, tried=begun, retry_at=soon))

    async def _set_aside(self, tenant: str, conversation_id: str, error: Exception) -> None:
        """Even giving up failed; this touches nothing but the time of the next attempt."""
        log.error("turn_not_given_up", conversation=conversation_id, error=type(error).__name__, exc_info=error)
        later = now() + timedelta(seconds=self._settings.retry_most_seconds)

        def put_off(unit: Unit) -> None:
            if found := failures.failing(unit, conversation_id):
                failures.count_try(unit, found, retry_at=later)

        await self._database.write(tenant, put_off)

    def _pause(self, attempts: int) -> timedelta:
        longest = pause_after(
            attempts,
            first_seconds=self._settings.retry_first_seconds,
            most_seconds=self._settings.retry_most_seconds,
        )
        return longest * random.uniform(0.5, 1.0)

    def _give_up(self, unit: Unit, tried: Failing, why: str) -> bool:
        conversation = repository.find_conversation(unit, tried.id)
        message = repository.next_unanswered(unit, conversation)
        if message is None:
            return False
        language = language_of(message.text, certain=True) or tried.language
        try:
            fresh = cleared(state_of(conversation))
        except ValidationError:
            # The next action of the conversation must not be taken for one that was sent before.
            fresh = State(language=tried.language, actions=failures.actions_so_far(unit, tried.id))
        repository.append_replies(
            unit,
            conversation,
            drafts=[Draft(text=APOLOGIES.get(language, APOLOGIES["en"]), data={"reply": GIVEN_UP_REASON})],
            state=fresh.model_dump(mode="json"),
            language=tried.language,
            answers=message,
            customer=customer_of(conversation, message),
            handoff=HandoffDraft(reason=GIVEN_UP_REASON),
        )
        failures.add_dead_turn(
            unit, tried.id, seq=message.seq, answered_seq=conversation.answered_seq, version=conversation.version + 1,
            attempts=tried.attempts, error=why, state=conversation.state,
        )  # fmt: skip
        repository.add_trace(
            unit,
            TraceRow(
                conversation_id=tried.id,
                trigger=f"given-up:{message.seq}:{conversation.version + 1}",
                understanding=None,
                steps=[f"given up after {tried.attempts} attempts: {why}"],
                seconds={},
                created_at=now(),
            ),
        )
        GIVEN_UP.inc()
        log.error("turn_given_up", conversation=tried.id, attempts=tried.attempts, error=why)
        return True


def described(error: Exception) -> str:
    """What failed and where, without the error's own words, which may be the customer's."""
    places = traceback.extract_tb(error.__traceback__)
    place = f" in {places[-1].name}" if places else ""
    return f"{type(error).__name__}{place}"[:MAX_ERROR]
