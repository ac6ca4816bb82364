"""Who has the floor of a conversation: agents claim it, give it back, hand it on, and are alone in speaking meanwhile.

Every change is one conditional update of the conversation, so of two who try at once one is refused, and the assistant
cannot speak behind the back of an agent. Whoever reads or writes as a person is written down in the same unit of work.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from services.dialogue.conversation import repository as conversations
from services.dialogue.conversation.mapping import fresh
from services.dialogue.conversation.models import ASSISTANT, QUEUE
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.repository import ConversationRow, Draft, StaleTurn
from services.dialogue.desk import repository
from services.dialogue.desk.repository import HandoffRow
from shared.contracts.events import Event
from shared.errors import Conflict, Forbidden, InvalidInput, NotFound
from shared.http.auth import DESK, Principal
from shared.storage.database import Database
from shared.storage.statements import Unit

__all__ = ["DESK", "SUPERVISORS", "Desk", "Said", "may_read"]

SUPERVISORS = ("supervisor", "admin")
"""Who may take a conversation over from an agent."""

MAX_STALE = 20
READ, CLAIMED, RELEASED, HANDED_ON = "read", "claimed", "released", "handed_on"
TAKEN_OVER, REPLIED, CLOSED = "taken_over", "replied", "closed"

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What an agent said, as it stands in the transcript, and the hand-off afterwards."""

    events: Sequence[Event]
    handoff: HandoffRow


def may_read(principal: Principal, conversation: ConversationRow) -> bool:
    """Whether the caller may read a conversation: its owner always, an agent for as long as they have the floor."""
    return conversation.owner == principal.subject or is_held_by(principal, conversation)


def is_held_by(principal: Principal, conversation: ConversationRow) -> bool:
    """Whether the caller is the agent who has the floor."""
    return conversation.floor == principal.subject and not principal.roles.isdisjoint(DESK)


class Desk:
    """What agents do with conversations that were handed to a person."""

    def __init__(self, database: Database, wakes: Wakes) -> None:
        self._database = database
        self._wakes = wakes

    async def claim(self, agent: Principal, handoff_id: int) -> HandoffRow:
        """Takes a conversation from the queue; again, by the same agent, it changes nothing.

        Raises:
            NotFound: there is no such hand-off.
            Forbidden: the conversation is the agent's own.
            Conflict: another agent has it, or it is closed.
        """

        def work(unit: Unit, handoff: HandoffRow, conversation: ConversationRow) -> HandoffRow:
            _refuse_own(agent, conversation)
            if conversation.floor == agent.subject:
                return handoff
            _refuse_closed(handoff)
            if conversation.floor != QUEUE:
                raise _taken(conversation)
            if not repository.pass_floor(unit, conversation.id, seen=QUEUE, to=agent.subject):
                raise StaleTurn(conversation.id)
            return _noted(unit, CLAIMED, agent, repository.set_handoff(unit, handoff.id, agent=agent.subject))

        return await self._with_handoff(agent, handoff_id, work)

    async def release(self, agent: Principal, handoff_id: int) -> HandoffRow:
        """Puts a conversation back into the queue, at its old place.

        Raises:
            NotFound: there is no such hand-off.
            Conflict: the agent does not have it.
        """

        def work(unit: Unit, handoff: HandoffRow, conversation: ConversationRow) -> HandoffRow:
            self._pass(unit, agent, handoff, conversation, QUEUE)
            return _noted(unit, RELEASED, agent, repository.set_handoff(unit, handoff.id, agent=None))

        return await self._with_handoff(agent, handoff_id, work)

    async def hand_on(self, agent: Principal, handoff_id: int, *, to: str) -> HandoffRow:
        """Gives a conversation to another agent.

        Raises:
            NotFound: there is no such hand-off.
            Conflict: the agent does not have it.
            InvalidInput: it cannot be given to `to`.
        """

        def work(unit: Unit, handoff: HandoffRow, conversation: ConversationRow) -> HandoffRow:
            if to in (ASSISTANT, QUEUE, agent.subject, conversation.owner):
                raise InvalidInput("name another agent, who is not the customer", field="agent")
            self._pass(unit, agent, handoff, conversation, to)
            changed = repository.set_handoff(unit, handoff.id, agent=to)
            return _noted(unit, HANDED_ON, agent, changed, {"to": to})

        return await self._with_handoff(agent, handoff_id, work)

    async def take_over(self, supervisor: Principal, handoff_id: int) -> HandoffRow:
        """Takes a conversation from whoever has it, the queue too.

        Raises:
            NotFound: there is no such hand-off.
            Forbidden: the conversation is the supervisor's own.
            Conflict: it is closed.
        """

        def work(unit: Unit, handoff: HandoffRow, conversation: ConversationRow) -> HandoffRow:
            _refuse_own(supervisor, conversation)
            _refuse_closed(handoff)
            if conversation.floor == supervisor.subject:
                return handoff
            seen = conversation.floor
            if seen == ASSISTANT or not repository.pass_floor(unit, conversation.id, seen=seen, to=supervisor.subject):
                raise StaleTurn(conversation.id)
            changed = repository.set_handoff(unit, handoff.id, agent=supervisor.subject)
            return _noted(unit, TAKEN_OVER, supervisor, changed, {"from": seen})

        return await self._with_handoff(supervisor, handoff_id, work)

    async def reply(self, agent: Principal, conversation_id: str, text: str, *, close: bool) -> Said:
        """Says something to the customer as a person; `close` gives the conversation back with it.

        Raises:
            NotFound: there is no such conversation at the desk.
            Forbidden: the conversation is the agent's own.
            Conflict: the agent does not have it.
        """

        def work(unit: Unit) -> Said:
            conversation = conversations.find_conversation(unit, conversation_id)
            handoff = repository.open_handoff(unit, conversation_id)
            if handoff is None:
                if not repository.handed_over(unit, conversation_id):
                    raise NotFound("there is no such conversation")
                raise Conflict("no hand-off of this conversation is open")
            draft = Draft(text=text, sender="agent")
            if close:
                return self._close(unit, agent, handoff, conversation, draft, note=None, read_to=None)
            _refuse_others(agent, conversation)
            appended = conversations.append_replies(
                unit, conversation, drafts=[draft], state=conversation.state, language=conversation.language,
                answers=None, customer=conversation.customer, by=agent.subject,
            )  # fmt: skip
            events = [entry.event() for entry in appended.entries]
            return Said(events, _noted(unit, REPLIED, agent, handoff, {"seq": events[-1].seq}))

        return await self._attempt(agent, work, conversation_id)

    async def close(self, agent: Principal, handoff_id: int, *, note: str | None, read_to: int | None) -> Said:
        """Gives a conversation back to the assistant, which begins anew; the same again changes nothing.

        Args:
            note: what was agreed; it is kept, and the customer reads it as the closing line.
            read_to: the last `seq` that the agent has read; the hand-off stays open if there is something behind it.

        Raises:
            NotFound: there is no such hand-off.
            Forbidden: the conversation is the agent's own.
            Conflict: the agent does not have it, or something new was said.
        """

        def work(unit: Unit, handoff: HandoffRow, conversation: ConversationRow) -> Said:
            if handoff.closed_at is not None and (handoff.agent, handoff.note) == (agent.subject, note):
                return Said([], handoff)
            draft = None if note is None else Draft(text=note, sender="agent", data={"closes": handoff.id})
            return self._close(unit, agent, handoff, conversation, draft, note=note, read_to=read_to)

        return await self._with_handoff(agent, handoff_id, work)

    async def look_into(self, agent: Principal, handoff_id: int) -> HandoffRow:
        """A hand-off that the agent has; that they read it is written down once.

        Raises:
            NotFound: there is no such hand-off, or the agent does not have it.
        """
        handoff = await self._database.read(agent.tenant, partial(repository.find_handoff, handoff_id=handoff_id))
        found = await self.read(agent, handoff.conversation_id, "handoff")
        if found.id != handoff_id:
            raise NotFound("there is no such hand-off")
        return found

    async def read(self, agent: Principal, conversation_id: str, what: str) -> HandoffRow:
        """The open hand-off of an agent who reads a conversation that they have; that they read is written down once.

        Raises:
            NotFound: there is no such conversation, or the agent does not have it.
        """

        def look(unit: Unit) -> tuple[HandoffRow | None, bool]:
            conversation = conversations.find_conversation(unit, conversation_id)
            handoff = repository.open_handoff(unit, conversation_id) if is_held_by(agent, conversation) else None
            noted = handoff is not None and repository.was_noted(
                unit, f"{READ}_{what}", actor=agent.subject, handoff=handoff
            )
            return handoff, noted

        def note(unit: Unit, handoff: HandoffRow) -> None:
            _noted(unit, f"{READ}_{what}", agent, handoff)

        handoff, noted = await self._database.read(agent.tenant, look)
        if handoff is None:
            raise NotFound("there is no such conversation")
        if not noted:
            await self._database.write(agent.tenant, lambda unit: note(unit, handoff))
        return handoff

    def _pass(self, unit: Unit, agent: Principal, handoff: HandoffRow, conversation: ConversationRow, to: str) -> None:
        """Gives the agent's floor to somebody else."""
        _refuse_closed(handoff)
        _refuse_others(agent, conversation)
        if not repository.pass_floor(unit, conversation.id, seen=agent.subject, to=to):
            raise StaleTurn(conversation.id)

    def _close(
        self,
        unit: Unit,
        agent: Principal,
        handoff: HandoffRow,
        conversation: ConversationRow,
        draft: Draft | None,
        *,
        note: str | None,
        read_to: int | None,
    ) -> Said:
        _refuse_closed(handoff)
        _refuse_others(agent, conversation)
        appended = conversations.append_replies(
            unit, conversation, drafts=[] if draft is None else [draft], state=fresh(conversation.state),
            language=conversation.language, answers=None, customer=conversation.customer, by=agent.subject,
            floor=ASSISTANT,
        )  # fmt: skip
        before = appended.last_seq - len(appended.entries)
        if read_to is not None and before > read_to:
            raise Conflict(f"there is something new, up to {before}; read it first", field="read_to")
        closed = _noted(unit, CLOSED, agent, repository.close_handoff(unit, handoff.id, note=note))
        return Said([entry.event() for entry in appended.entries], closed)

    async def _with_handoff(
        self, agent: Principal, handoff_id: int, work: Callable[[Unit, HandoffRow, ConversationRow], T]
    ) -> T:
        handoff = await self._database.read(agent.tenant, partial(repository.find_handoff, handoff_id=handoff_id))

        def attempt(unit: Unit) -> T:
            return work(
                unit,
                repository.find_handoff(unit, handoff_id),
                conversations.find_conversation(unit, handoff.conversation_id),
            )

        return await self._attempt(agent, attempt, handoff.conversation_id)

    async def _attempt(self, agent: Principal, work: Callable[[Unit], T], conversation_id: str) -> T:
        """Commits the work, again where somebody else was first, and wakes whoever follows the conversation."""
        for _ in range(MAX_STALE):
            try:
                result = await self._database.write(agent.tenant, work)
            except StaleTurn:
                continue
            await self._wakes.wake(conversation_id)
            return result
        raise Conflict("the conversation is too busy just now; try again")


def _noted(
    unit: Unit, event: str, actor: Principal, handoff: HandoffRow | None, details: Mapping[str, Any] | None = None
) -> HandoffRow:
    """Writes down what was done, in the unit of work that did it."""
    if handoff is None:
        raise StaleTurn("the hand-off was closed meanwhile")
    repository.add_event(unit, event, actor=actor.subject, handoff=handoff, details=details or {})
    return handoff


def _refuse_own(agent: Principal, conversation: ConversationRow) -> None:
    same_customer = agent.customer is not None and agent.customer == conversation.customer
    if conversation.owner == agent.subject or same_customer:
        raise Forbidden("this conversation is your own; another person has to answer it")


def _refuse_closed(handoff: HandoffRow) -> None:
    if handoff.closed_at is not None:
        raise Conflict("this hand-off is closed")


def _refuse_others(agent: Principal, conversation: ConversationRow) -> None:
    _refuse_own(agent, conversation)
    if conversation.floor != agent.subject:
        raise _taken(conversation)


def _taken(conversation: ConversationRow) -> Conflict:
    if conversation.floor == ASSISTANT:
        return Conflict("this hand-off is closed")
    if conversation.floor == QUEUE:
        return Conflict("nobody has this conversation; claim it first")
    return Conflict(f"{conversation.floor} has this conversation")
