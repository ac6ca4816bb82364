"""One turn on a conversation as it was read: understands, decides, looks up what is asked for, and commits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import IntegrityError

from services.dialogue.assistant.assistants import Assistants, Live
from services.dialogue.assistant.values import MAX_LOOKUPS_A_TURN, Say
from services.dialogue.conversation import repository
from services.dialogue.conversation.mapping import (
    customer_of,
    draft_of,
    elsewhere,
    fresh,
    handoff_of,
    notice_of,
    request_of,
    state_of,
    trace_of,
)
from services.dialogue.conversation.repository import Appended, ConversationRow, EntryRow, StaleTurn
from services.dialogue.conversation.session import Sessions
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import (
    ActionCall,
    ActionFinished,
    Chosen,
    Decision,
    HandoffCall,
    LookedUp,
    LookupCall,
    LookupFailed,
    SessionExpired,
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.expiry import is_under_way
from services.dialogue.policy.state import State
from services.dialogue.settings import Settings
from shared import faults
from shared.calls.client import ON_BEHALF_HEADER, ServiceClient
from shared.contracts.lookups import LookupAnswer
from shared.contracts.understanding import Understanding
from shared.errors import Problem
from shared.storage.database import Database, now
from shared.storage.statements import Unit
from shared.storage.timers import DueTimer

__all__ = ["Stages", "TurnTaker", "timed"]

log = structlog.get_logger(__name__)

Stages = dict[str, float]
"""Seconds that a turn took so far, by stage."""

STAGE = Histogram(
    "zhiyin_turn_stage_seconds",
    "Time of a turn by stage",
    ["stage"],
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
TURNS = Counter("zhiyin_turns_total", "Turns committed", ["outcome"])


class TurnTaker:
    """Takes the assistant's turns."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        assistants: Assistants,
        client: ServiceClient,
        on_action: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._database = database
        self._assistants = assistants
        self._client = client
        self._on_action = on_action
        self._sessions = Sessions(settings.session_seconds)

    def live(self, conversation: ConversationRow) -> Live:
        """The release that a turn of this conversation takes, if it begins now.

        Raises:
            Unavailable: no release of its assistant has come here yet.
        """
        return self._assistants.of(conversation.tenant, conversation.assistant, conversation.id)

    async def understand(
        self, conversation: ConversationRow, message: EntryRow, stages: Stages, live: Live
    ) -> TurnEvent:
        """What the customer's message means to this release, or that nobody could say."""
        if message.choice is not None:
            return Chosen(choice=message.choice)
        with timed("understand", stages):
            try:
                answer = await self._client.post(
                    "intent",
                    "/v1/understand",
                    json={
                        "text": message.text,
                        "assistant": conversation.assistant,
                        "key": conversation.id,
                        "timezone": live.assistant.timezone,
                        **({"model": live.model, "version": live.model_version} if live.model else {}),
                    },
                    deadline=self._settings.understand_seconds,
                    retry=True,
                    # Otherwise one customer's flood would take the share of all.
                    headers={ON_BEHALF_HEADER: conversation.owner},
                    tenant=conversation.tenant,
                )
                return Understood(understanding=Understanding.model_validate(answer))
            except (Problem, ValueError) as error:
                log.warning("understanding_unavailable", error=type(error).__name__)
                return UnderstandingUnavailable(text=message.text)

    async def take(
        self,
        conversation: ConversationRow,
        event: TurnEvent,
        *,
        stages: Stages,
        answers: EntryRow | None = None,
        settle: Callable[[Unit], None] | None = None,
        live: Live | None = None,
    ) -> Appended:
        """Decides, looking up what is asked for, and commits everything or nothing.

        Args:
            live: the release that the turn has begun with; by default the one that is live now.

        Raises:
            StaleTurn: another turn was committed since the conversation was read, or the floor was taken.
            Unavailable: no release of the conversation's assistant has come here yet.
        """
        live = live or self.live(conversation)
        assistant = live.assistant
        customer = customer_of(conversation, answers)
        changed = customer != conversation.customer
        before = state_of(replace(conversation, state=fresh(conversation.state)) if changed else conversation)
        state, expired = before, []
        # What waited here does not count: a message was written when it was stored.
        moment = now() if answers is None else answers.created_at
        if event.kind != "session_expired" and is_under_way(before) and self._sessions.is_over(conversation, moment):
            decision = decide(assistant, before, SessionExpired())
            state, expired = decision.state, list(decision.steps)
        decision, steps = await self._decide(live, conversation, state, customer, event, stages)
        state, steps = decision.state, expired + steps
        begins = is_under_way(state) and not is_under_way(before)
        # All that can be made before the transaction is made before it.
        stored = state.model_dump(mode="json")
        drafts = [draft_of(assistant, say) for say in decision.replies]
        handoff = None if decision.handoff is None else handoff_of(decision.handoff, conversation.owner)
        if handoff is not None and await self._waits_elsewhere(conversation):
            # Otherwise one customer fills the queue. What the flow says last is that a person comes.
            handoff, drafts = None, [*drafts[:-1], elsewhere(state.language or conversation.language)]
            steps = [*steps, "a person was asked for in another conversation: none is asked for here"]
        if changed:
            # Whatever was under way was another customer's: it ends, and that is said before anything else.
            steps = ["another customer: what was under way ends", *steps]
            said = Say(name="customer_changed", language=state.language or conversation.language)
            drafts = [draft_of(assistant, said), *drafts]
        # Here and not in the unit of work, which may run in a thread that does not know the request's id.
        language = state.language or conversation.language
        requests = [
            (request_of(conversation, action, customer, release=live.release, language=language), action.origin)
            for action in decision.actions
        ]
        trace = trace_of(conversation, event, answers, steps, stages, live.release)

        def write(unit: Unit) -> Appended:
            appended = repository.append_replies(
                unit,
                conversation,
                drafts=drafts,
                state=stored,
                language=language,
                answers=answers,
                customer=customer,
                handoff=handoff,
            )
            for request, origin in requests:
                repository.add_action(unit, request, origin.model_dump(mode="json"))
            repository.add_trace(unit, trace)
            if begins:
                self._sessions.begin(unit, conversation)
            if settle is not None:
                settle(unit)
            return appended

        await faults.point("dialogue.turn.before_commit")
        try:
            with timed("commit", stages):
                appended = await self._database.write(conversation.tenant, write)
        except IntegrityError as error:
            if handoff is None:
                raise
            # A person was asked for in two conversations at once; decided again, it is seen.
            raise StaleTurn(conversation.id) from error
        TURNS.labels(event.kind).inc()
        if decision.actions:
            self._on_action()
        return appended

    async def tell(
        self,
        conversation: ConversationRow,
        event: ActionFinished,
        *,
        known_to: bool,
        settle: Callable[[Unit], None],
    ) -> Appended:
        """Says what became of an action without taking a turn: nothing is asked, and the state stays as it was.

        So it is while the queue or an agent has the floor, and where the action was another customer's, who alone may
        hear of it: then it is not `known_to` this one and nothing is said.

        Raises:
            StaleTurn: a turn was committed since the conversation was read, or the floor was taken.
        """
        live = self.live(conversation)
        assistant = live.assistant
        decision = decide(assistant, state_of(replace(conversation, state=fresh(conversation.state))), event)
        drafts = [notice_of(assistant, say, event) for say in decision.replies if known_to]
        trace = trace_of(conversation, event, None, list(decision.steps), {}, live.release)

        def write(unit: Unit) -> Appended:
            appended = repository.append_replies(
                unit,
                conversation,
                drafts=drafts,
                state=conversation.state,
                language=conversation.language,
                answers=None,
                customer=conversation.customer,
                by=conversation.floor,
            )
            repository.add_trace(unit, trace)
            settle(unit)
            return appended

        await faults.point("dialogue.turn.before_commit")
        appended = await self._database.write(conversation.tenant, write)
        TURNS.labels(event.kind).inc()
        return appended

    async def end_session(self, timer: DueTimer) -> None:
        """Drops what a conversation is in the middle of when nothing has happened in it for long."""

        async def end(conversation: ConversationRow, settle: Callable[[Unit], None]) -> None:
            await self.take(conversation, SessionExpired(), stages={}, settle=settle)

        await self._sessions.on_timer(timer, database=self._database, end=end)

    async def _waits_elsewhere(self, conversation: ConversationRow) -> bool:
        return await self._database.read(
            conversation.tenant, lambda unit: repository.waits_elsewhere(unit, conversation)
        )

    async def _decide(
        self,
        live: Live,
        conversation: ConversationRow,
        state: State,
        customer: str | None,
        event: TurnEvent,
        stages: Stages,
    ) -> tuple[Decision, list[str]]:
        steps: list[str] = []
        replies: list[Say] = []
        actions: list[ActionCall] = []
        handoff: HandoffCall | None = None
        lookups = 0
        while True:
            with timed("decide", stages):
                decision = decide(live.assistant, state, event)
            state = decision.state
            steps += decision.steps
            replies += decision.replies
            actions += decision.actions
            handoff = decision.handoff or handoff
            if decision.lookup is None:
                break
            lookups += 1
            with timed("lookup", stages):
                # Beyond the limit a look-up fails, so that a flow that never stops asking still ends its turn.
                event = (
                    await self._look_up(
                        conversation, live, customer, decision.lookup, state.language or conversation.language
                    )
                    if lookups <= MAX_LOOKUPS_A_TURN
                    else LookupFailed(name=decision.lookup.name, reason="too-many")
                )
        return decision.model_copy(
            update={"replies": tuple(replies), "actions": tuple(actions), "handoff": handoff}
        ), steps

    async def _look_up(
        self, conversation: ConversationRow, live: Live, customer: str | None, call: LookupCall, language: str
    ) -> TurnEvent:
        try:
            answer = LookupAnswer.model_validate(
                await self._client.post(
                    "business",
                    f"/v1/lookups/{call.name}",
                    json={
                        "customer": customer,
                        "arguments": call.arguments,
                        "assistant": conversation.assistant,
                        "release": live.release,
                        "language": language,
                    },
                    deadline=self._settings.lookup_seconds,
                    retry=True,
                    tenant=conversation.tenant,
                )
            )
        except (Problem, ValueError) as error:
            log.warning("lookup_failed", lookup=call.name, error=type(error).__name__)
            return LookupFailed(name=call.name, reason=getattr(error, "kind", "invalid"))
        return LookedUp(name=call.name, found=answer.found, data=answer.data)


@contextmanager
def timed(name: str, stages: Stages | None = None) -> Iterator[None]:
    """Adds the time spent within to the stage's metric, and to the turn's own account."""
    started = time.perf_counter()
    try:
        yield
    finally:
        spent = time.perf_counter() - started
        if stages is not None:
            stages[name] = round(stages.get(name, 0.0) + spent, 6)
        STAGE.labels(name).observe(spent)
