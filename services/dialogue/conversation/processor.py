"""Turns: a customer's message goes in, replies come out, once, in order, whatever happens to the process meanwhile.

A message is committed before anything else happens. Then whichever replica holds the conversation's lease understands
it, decides, and commits replies, state, actions and trace in one transaction that only succeeds if no other turn was
committed since the state was read. A message that was committed and not answered is found by `Turns.recover`; a turn
that fails is tried again after a pause, and given up in the end.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError

from services.dialogue.assistant.assistants import Live
from services.dialogue.assistant.values import Say
from services.dialogue.conversation import repository
from services.dialogue.conversation.failures.attempts import Attempts
from services.dialogue.conversation.mapping import draft_of
from services.dialogue.conversation.models import ASSISTANT, QUEUE
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.recovery import Recovery
from services.dialogue.conversation.repository import (
    Accepted,
    ActionRow,
    Appended,
    ConversationRow,
    EntryRow,
    StaleTurn,
)
from services.dialogue.conversation.turn import Stages, TurnTaker, timed
from services.dialogue.policy.decision import ActionFinished, Origin, TurnEvent
from services.dialogue.settings import Settings
from shared.contracts.actions import ActionResult
from shared.contracts.events import Event
from shared.errors import Unavailable, ZhiyinError
from shared.http.auth import Principal
from shared.storage.database import Database, now
from shared.storage.statements import Unit

__all__ = ["Answer", "Turns"]

log = structlog.get_logger(__name__)

MAX_STALE = 20
TURN_SECONDS = 90.0
"""Longer than all look-ups that a turn may make; what still hangs then has failed."""
TURNS_AT_ONCE = 16
"""More would only slow one another down, and keep new messages from being stored."""
KNOWN_SECONDS = 1.0
"""A turn that begins later than this after its message was stored looks whether it is still to be answered."""

STALE = Counter("zhiyin_turns_stale_total", "Turns refused because another one was committed first")

Replies = dict[int, list[Event]]
"""What was answered, by the `seq` of the message."""


class Answer(BaseModel):
    """The message as it was stored, and the replies; `complete` is false when they are still to come."""

    message: Event
    replies: Sequence[Event]
    complete: bool


@dataclass(frozen=True)
class Waiting:
    """The message that is to be answered next, and the conversation as it was read for it."""

    conversation: ConversationRow
    message: EntryRow
    stages: Stages = field(default_factory=dict)
    """Seconds that this took so far, by stage."""
    since: float = field(default_factory=time.monotonic)
    wakes: bool = False
    """The other processes do not know of the message yet; the lease tells them, which saves a call."""

    @property
    def put_off(self) -> bool:
        """Whether a turn has failed on it and the next attempt is not due."""
        return self.conversation.retry_at is not None and self.conversation.retry_at > now()


class _PutOff(ZhiyinError):
    """The message is tried later. It ends the lease as a failure does: those who wait need not look at once."""


class Turns:
    """Takes messages and answers them."""

    def __init__(self, *, settings: Settings, database: Database, taker: TurnTaker, wakes: Wakes) -> None:
        self._settings = settings
        self._database = database
        self._taker = taker
        self._wakes = wakes
        self._running: dict[asyncio.Task[Replies | None], str] = {}
        self._slots = asyncio.Semaphore(TURNS_AT_ONCE)
        self._attempts = Attempts(settings, database)
        self._recovery = Recovery(
            settings, database, busy=lambda: set(self._running.values()), pick_up=self._pick_up_later
        )

    @property
    def queued(self) -> int:
        """Turns that run or wait for their place in this process."""
        return len(self._running)

    async def say(
        self, principal: Principal, conversation_id: str, *, message_id: str, text: str, choice: str | None
    ) -> Answer:
        """Takes a message and waits for the replies, as long as settings allow. The same id again changes nothing.

        Raises:
            NotFound: no such conversation of this customer.
            Conflict: the id was used before for another text.
            Unavailable: the database does not answer. The message may be stored: send it again with the same id.
        """
        message, waiting, held = await self._accept(principal, conversation_id, message_id, text, choice)
        if held is not None:
            return Answer(message=message.event(), replies=held, complete=True)
        replies = await self._replies(principal.tenant, message, waiting)
        return Answer(message=message.event(), replies=replies or [], complete=replies is not None)

    async def _accept(
        self, principal: Principal, conversation_id: str, message_id: str, text: str, choice: str | None
    ) -> tuple[EntryRow, Waiting | None, list[Event] | None]:
        """The message in the transcript; a turn's begin where it is the next to be answered; and, where the assistant
        does not have the floor, all that is said to it for now."""

        def append(unit: Unit) -> tuple[ConversationRow, Accepted, list[EntryRow]]:
            conversation = repository.find_conversation(unit, conversation_id, owner=principal.subject)
            accepted = repository.append_message(
                unit, conversation, message_id=message_id, text=text, choice=choice, customer=principal.customer
            )
            if accepted.floor != QUEUE:
                return conversation, accepted, []
            try:
                live = self._taker.live(conversation)
            except Unavailable:
                # The message is a person's, who needs no assistant.
                return conversation, accepted, []
            waits = draft_of(live.assistant, Say(name="handoff_waiting", language=conversation.language))
            return conversation, accepted, repository.append_holding_reply(unit, accepted.entry, waits)

        def find(unit: Unit) -> tuple[ConversationRow, Accepted | None]:
            conversation = repository.find_conversation(unit, conversation_id, owner=principal.subject)
            return conversation, repository.find_message(
                unit, conversation, message_id=message_id, text=text, choice=choice
            )

        said: list[EntryRow] = []
        stages: Stages = {}
        with timed("accept", stages):
            try:
                conversation, accepted, said = await self._database.write(principal.tenant, append)
            except IntegrityError:
                # Most messages are new, so that the id was used before is left to the constraint to find.
                conversation, known = await self._database.read(principal.tenant, find)
                if known is None:
                    raise
                accepted = known
        entry = accepted.entry
        # Where the turn has to wait for its place, the other processes are woken before.
        soon = accepted.next and not self._slots.locked()
        if soon:
            self._wakes.wake_here(conversation_id)
        elif accepted.new:
            await self._wakes.wake(conversation_id)
        if accepted.floor not in (None, ASSISTANT):
            return entry, None, [each.event() for each in said]
        return entry, Waiting(conversation, entry, stages, wakes=soon) if accepted.next else None, None

    async def _replies(self, tenant: str, message: EntryRow, waiting: Waiting | None) -> list[Event] | None:
        """What is answered to the message, by this process or another one; None when it takes too long."""
        conversation_id, seq = message.conversation_id, message.seq
        until = time.monotonic() + self._settings.answer_seconds
        async with self._wakes.watching(conversation_id, noticed=seq) as event:
            while True:
                event.clear()
                work = self._spawn(conversation_id, self.drain(tenant, conversation_id, waiting))
                done, _ = await asyncio.wait([work], timeout=max(0.0, until - time.monotonic()))
                if not done:
                    return None
                if (answered := work.result()) and seq in answered:
                    return answered[seq]
                with timed("replies"):
                    found = await self._database.read(tenant, partial(_replies_if_answered, conversation_id, seq))
                if found is not None:
                    return found
                if time.monotonic() >= until:
                    return None
                await self._wakes.wait(event, until - time.monotonic())
                waiting = None

    async def drain(
        self, tenant: str, conversation_id: str, waiting: Waiting | None = None, *, again: bool = False
    ) -> Replies:
        """Answers what is unanswered, unless another replica is at it or it was put off.

        Args:
            waiting: saves reading what is known.
            again: the first turn may have been tried before, so its attempt is counted.
        """
        answered: Replies = {}
        while True:
            more = False
            wakes = waiting is not None and waiting.wakes
            with suppress(_PutOff):
                async with (
                    self._slots,
                    self._wakes.lease(conversation_id, self._settings.lease_seconds, wakes=wakes) as held,
                ):
                    if held and (turn := await self._attempt(tenant, conversation_id, waiting, again=again)):
                        message, appended = turn
                        answered[message.seq] = [entry.event() for entry in appended.entries]
                        more = appended.more
            if not more:
                return answered
            waiting, again = None, False

    async def _attempt(
        self, tenant: str, conversation_id: str, waiting: Waiting | None, *, again: bool
    ) -> tuple[EntryRow, Appended] | None:
        """The turn, where it succeeds; an attempt that fails for a reason of its own is counted and put off."""
        begun = None
        if again:
            begun = await self._attempts.begin(tenant, conversation_id)
            if begun is None:
                return None
        try:
            async with asyncio.timeout(TURN_SECONDS):
                return await self._turn(tenant, conversation_id, waiting, put_off_too=begun is not None)
        except Unavailable:
            if begun is not None:
                await self._attempts.put_back(tenant, begun)
            raise
        except Exception as error:
            if isinstance(error, _PutOff):
                raise
            log.error("turn_failed", error=type(error).__name__, exc_info=error)
            if not await self._attempts.failed(tenant, conversation_id, error, begun):
                raise _PutOff from error
            return None

    async def recover(self, beat: Callable[[], None]) -> None:
        """Finds messages that were accepted and not answered, and answers them; runs until it is cancelled."""
        await self._recovery.run(beat)

    def pick_up(self, tenant: str, conversation_id: str) -> None:
        """Answers what waits in the conversation, in the background."""
        self._spawn(conversation_id, self.drain(tenant, conversation_id))

    def _pick_up_later(
        self, tenant: str, conversation_id: str, places: asyncio.Semaphore
    ) -> asyncio.Task[Replies | None]:
        async def work() -> Replies:
            async with places:
                return await self.drain(tenant, conversation_id, again=True)

        return self._spawn(conversation_id, work())

    async def close(self) -> None:
        """Lets the turns that run come to their end."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._settings.answer_seconds)

    def _spawn(self, conversation_id: str, work: Coroutine[Any, Any, Replies]) -> asyncio.Task[Replies | None]:
        # A turn goes on when its client hangs up.
        task = asyncio.create_task(self._logged(work))
        self._running[task] = conversation_id
        task.add_done_callback(self._running.pop)
        return task

    async def _logged(self, work: Coroutine[Any, Any, Replies]) -> Replies | None:
        try:
            return await work
        except Unavailable as error:
            # The message stays unanswered in the store, where `recover` finds it.
            log.warning("turn_put_off", error=error.detail)
        except Exception as error:
            log.error("turn_failed", error=type(error).__name__, exc_info=error)
        return None

    async def _turn(
        self, tenant: str, conversation_id: str, waiting: Waiting | None, *, put_off_too: bool
    ) -> tuple[EntryRow, Appended] | None:
        """Answers the oldest message that is unanswered, where there is one; one that was put off only on demand."""
        understood: dict[int, TurnEvent] = {}
        live: Live | None = None
        for _ in range(MAX_STALE):
            if waiting is None or time.monotonic() - waiting.since > KNOWN_SECONDS:
                waiting = await self._load(tenant, conversation_id)
            if waiting is None:
                return None
            if waiting.put_off and not put_off_too:
                raise _PutOff
            message = waiting.message
            live = live or self._taker.live(waiting.conversation)
            event = understood.get(message.seq)
            if event is None:
                event = understood[message.seq] = await self._taker.understand(
                    waiting.conversation, message, waiting.stages, live
                )
            try:
                return message, await self._taker.take(
                    waiting.conversation, event, answers=message, stages=waiting.stages, live=live
                )
            except StaleTurn:
                STALE.inc()
                waiting = None
        raise StaleTurn(f"{conversation_id}: {MAX_STALE} times in a row")

    async def _load(self, tenant: str, conversation_id: str) -> Waiting | None:
        stages: Stages = {}
        with timed("load", stages):
            conversation, message = await self._database.read(tenant, partial(_next_unanswered, conversation_id))
        if message is None or conversation.floor != ASSISTANT:
            return None
        return Waiting(conversation, message, stages)

    async def finish_action(self, result: ActionResult) -> None:
        """Tells the conversation what became of an action, once for each version of the result."""
        for _ in range(MAX_STALE):
            found = await self._database.read(result.tenant, partial(_action_of, result))
            if found is None:
                log.warning("result_of_unknown_action", action=result.action_id)
                return
            row, conversation = found
            if result.version <= row.result_version:
                return
            event = ActionFinished(result=result, origin=Origin.model_validate(row.context))
            settle = partial(self._settle, result)
            known_to = row.request.get("customer") == conversation.customer
            try:
                if conversation.floor == ASSISTANT and known_to:
                    await self._taker.take(conversation, event, stages={}, settle=settle)
                else:
                    await self._taker.tell(conversation, event, known_to=known_to, settle=settle)
            except StaleTurn:
                STALE.inc()
                continue
            await self._wakes.wake(conversation.id)
            return
        raise StaleTurn(f"{result.conversation_id}: {MAX_STALE} times in a row")

    def _settle(self, result: ActionResult, unit: Unit) -> None:
        again_at = now() + timedelta(seconds=self._settings.resend_most_seconds)
        repository.settle_action(unit, result, again_at=again_at)


def _next_unanswered(conversation_id: str, unit: Unit) -> tuple[ConversationRow, EntryRow | None]:
    conversation = repository.find_conversation(unit, conversation_id)
    return conversation, repository.next_unanswered(unit, conversation)


def _replies_if_answered(conversation_id: str, seq: int, unit: Unit) -> list[Event] | None:
    if repository.find_conversation(unit, conversation_id).answered_seq < seq:
        return None
    return repository.replies_to(unit, conversation_id, seq)


def _action_of(result: ActionResult, unit: Unit) -> tuple[ActionRow, ConversationRow] | None:
    action = repository.find_action(unit, result.action_id)
    if action is None or action.conversation_id != result.conversation_id:
        return None
    return action, repository.find_conversation(unit, action.conversation_id)
