"""Conversations as tests: what a customer says, turn by turn, and what the assistant should answer.

`assistants/<name>/tests/*.yml` holds them as data; the caller brings a model and a shop.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self
from uuid import uuid4

from pydantic import Field, JsonValue, RootModel, model_validator

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.values import MAX_LOOKUPS_A_TURN, Say
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
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.state import State
from shared.assistants.yaml_source import Document, Mistakes, Part, did_you_mean, read_documents
from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus
from shared.contracts.lookups import LookupAnswer
from shared.contracts.understanding import Understanding
from shared.errors import Unavailable

__all__ = [
    "ConversationResult",
    "Script",
    "ScriptTurn",
    "Shop",
    "TestCase",
    "load_conversations",
    "run",
    "run_conversation",
]

DEFAULT_CUSTOMER = "C1001"


class Shop(Protocol):
    """The business side of one conversation, freshly seeded for its customer."""

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        """Answer a look-up; raises `Unavailable` where the company's system does not."""

    def perform(self, request: ActionRequest) -> ActionResult:
        """Perform an action."""

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        """Decide, as a person, on an action that awaits approval."""


class ExpectedAction(Part):
    """An action that a turn should lead to; arguments that are not named may be anything."""

    name: str
    arguments: dict[str, JsonValue] = Field(default_factory=dict)


class ScriptTurn(Part):
    """Something that happens, and what should come of it.

    One of: the customer writes (`user`), clicks a quick reply by its title or id (`choose`), business has done the
    action and its `result` arrives, or a person has decided on one that awaited approval (`review`).
    """

    user: str | None = None
    choose: str | None = None
    result: ActionStatus | None = None
    review: Literal["approved", "rejected"] | None = None
    without: list[Literal["understanding", "business"]] = Field(default_factory=list)
    intent: str | None = None
    expect: list[str] | None = None
    contains: list[str] = Field(default_factory=list)
    offers: list[str] = Field(default_factory=list)
    language: str | None = None
    action: ExpectedAction | None = None
    handoff: str | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if sum(value is not None for value in (self.user, self.choose, self.result, self.review)) != 1:
            raise ValueError("a turn has one of: user, choose, result, review")
        return self


class Script(Part):
    """A conversation from its first word to its last."""

    conversation: str
    customer: str = DEFAULT_CUSTOMER
    turns: Annotated[list[ScriptTurn], Field(min_length=1)]


class ScriptsFile(RootModel[list[Script]]):
    """`tests/*.yml`."""


@dataclass(frozen=True)
class TestCase:
    """A conversation and where it stands."""

    __test__ = False

    conversation: Script
    places: tuple[str, ...]


@dataclass
class ConversationResult:
    """How a conversation went: what was said, and what was not as it should be."""

    name: str
    where: str
    transcript: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything was as it should be."""
        return not self.failures


def load_conversations(folder: Path, assistant: Assistant) -> list[TestCase]:
    """The conversations below an assistant's `tests/`.

    Raises:
        BrokenAssistant: a file cannot be used; one line for each mistake.
    """
    mistakes = Mistakes()
    cases: list[TestCase] = []
    for path in sorted((folder / "tests").glob("*.yml")):
        for document in read_documents(path, str(folder / "tests" / path.name), mistakes):
            conversations = document.parse(ScriptsFile, mistakes)
            for index, conversation in enumerate(conversations.root if conversations else ()):
                check_names(assistant, conversation, document, index, mistakes)
                places = (
                    document.where(index),
                    *(document.where(index, "turns", n) for n in range(len(conversation.turns))),
                )
                cases.append(TestCase(conversation, places))
    mistakes.raise_if_any()
    return cases


def check_names(assistant: Assistant, conversation: Script, document: Document, index: int, mistakes: Mistakes) -> None:
    """A test that expects what does not exist would fail for the wrong reason."""
    replies = set().union(*assistant.replies.languages.values())
    for number, turn in enumerate(conversation.turns):
        for name in turn.expect or ():
            if name not in replies:
                where = document.where(index, "turns", number, "expect")
                mistakes.add(where, f"there is no reply '{name}'{did_you_mean(name, replies)}")


def run(
    assistant: Assistant,
    cases: Iterable[TestCase],
    understand: Callable[[str], Understanding],
    open_shop: Callable[[str], Shop],
) -> list[ConversationResult]:
    """Hold each conversation with a shop of its own; `open_shop` is given the customer's number."""
    return [run_conversation(assistant, case, understand, open_shop(case.conversation.customer)) for case in cases]


def run_conversation(
    assistant: Assistant, case: TestCase, understand: Callable[[str], Understanding], shop: Shop
) -> ConversationResult:
    """Hold one conversation, up to the first turn that goes wrong."""
    result = ConversationResult(name=case.conversation.conversation, where=case.places[0])
    session = Session(assistant, understand, shop, case.conversation.customer, result.transcript)
    for turn, place in zip(case.conversation.turns, case.places[1:], strict=True):
        result.failures = [f"{place}: {failure}" for failure in session.hold(turn)]
        if result.failures:
            break
    return result


class Session:
    """One conversation under way, without any of the services around it."""

    def __init__(
        self,
        assistant: Assistant,
        understand: Callable[[str], Understanding],
        shop: Shop,
        customer: str,
        transcript: list[str],
    ) -> None:
        self.assistant = assistant
        self.understand = understand
        self.shop = shop
        self.customer = customer
        self.transcript = transcript
        self.state = State()
        self.id = f"test-{uuid4().hex}"
        """A system that keeps its idempotency keys knows none of another run."""
        self.offered: dict[str, str] = {}
        self.waits: Literal["no", "untold", "told"] = "no"
        """For a person, which ends the assistant's part but for one holding reply."""
        self.waiting: list[tuple[ActionRequest, ActionCall]] = []
        self.reviewing: list[tuple[ActionRequest, ActionCall]] = []

    def hold(self, turn: ScriptTurn) -> list[str]:
        """Let the turn happen; what was not as it should be."""
        failures: list[str] = []
        event = self.event(turn, failures)
        if event is None:
            return failures
        decisions: list[Decision] = []
        if self.waits == "no" or isinstance(event, ActionFinished):
            decisions = self.decide(event, business="business" not in turn.without)
        replies = [say for decision in decisions for say in decision.replies]
        if self.waits == "untold" and not isinstance(event, ActionFinished):
            language = self.state.language or self.assistant.default_language
            replies, self.waits = [Say(name="handoff_waiting", language=language)], "told"
        actions = [action for decision in decisions for action in decision.actions]
        handoffs = [decision.handoff for decision in decisions if decision.handoff is not None]
        if handoffs:
            self.waits = "untold"
        rendered = [self.assistant.render(say) for say in replies]
        for reply in rendered:
            self.transcript.append(f"< {reply.text}")
            self.offered |= {option.title: option.id for option in reply.options}
        for action in actions:
            self.transcript.append(f"! {action.name} {action.arguments}")
            self.waiting.append((self.request(action), action))
        text = "\n".join(reply.text for reply in rendered)
        titles = [option.title for reply in rendered for option in reply.options]
        return [*failures, *differences(turn, replies, actions, handoffs, text, titles)]

    def event(self, turn: ScriptTurn, failures: list[str]) -> TurnEvent | None:
        """What the turn is to `decide`; `None` when it cannot happen."""
        if turn.user is not None:
            self.transcript.append(f"> {turn.user}")
            if "understanding" in turn.without:
                return UnderstandingUnavailable(text=turn.user)
            understanding = self.understand(turn.user)
            if turn.intent not in (None, understanding.intent.name):
                found = f"{understanding.intent.name} ({understanding.intent.confidence:.2f})"
                failures.append(f"should be understood as {turn.intent}, is as {found}")
            return Understood(understanding=understanding)
        if turn.choose is not None:
            self.transcript.append(f"> [{turn.choose}]")
            return Chosen(choice=self.offered.get(turn.choose, turn.choose))
        queue = self.waiting if turn.result is not None else self.reviewing
        if not queue:
            failures.append("there is no action whose result could arrive")
            return None
        request, call = queue.pop(0)
        if turn.result is not None:
            outcome, expected = self.shop.perform(request), turn.result
        else:
            outcome = self.shop.review(request, approved=turn.review == "approved")
            expected = "succeeded" if turn.review == "approved" else "rejected"
        self.transcript.append(f"~ {request.name} {outcome.status} {outcome.error_code or ''}".rstrip())
        if outcome.status != expected:
            failures.append(f"{request.name} should have {expected}, is {outcome.status} ({outcome.error_code})")
        if not outcome.final:
            self.reviewing.append((request, call))
        return ActionFinished(result=outcome, origin=call.origin)

    def decide(self, event: TurnEvent, *, business: bool) -> list[Decision]:
        """All decisions of one turn, with the look-ups between them."""
        decisions: list[Decision] = []
        while len(decisions) <= MAX_LOOKUPS_A_TURN:
            decision = decide(self.assistant, self.state, event)
            decisions.append(decision)
            self.state = decision.state
            call = decision.lookup
            if call is None:
                break
            unavailable = LookupFailed(name=call.name, reason="unavailable")
            event = self.looked_up(call) if business else unavailable
        return decisions

    def looked_up(self, call: LookupCall) -> LookedUp | LookupFailed:
        """What business answers, or that it cannot."""
        try:
            answer = self.shop.lookup(call.name, call.arguments)
        except Unavailable as error:
            self.transcript.append(f"~ {call.name} unavailable: {error}")
            return LookupFailed(name=call.name, reason="unavailable")
        return LookedUp(name=call.name, found=answer.found, data=answer.data)

    def request(self, action: ActionCall) -> ActionRequest:
        """The action as business is sent it."""
        return ActionRequest(
            id=f"{self.id}-{action.index}",
            tenant="default",
            name=action.name,
            customer=self.customer,
            conversation_id="test",
            arguments=action.arguments,
            requested_at=datetime.now(UTC),
        )


def differences(
    turn: ScriptTurn,
    replies: list[Say],
    actions: list[ActionCall],
    handoffs: list[HandoffCall],
    text: str,
    titles: list[str],
) -> list[str]:
    """What a turn should have led to and did not."""
    failures: list[str] = []
    names = [say.name for say in replies]
    if turn.expect is not None and names != turn.expect:
        failures.append(f"should answer {turn.expect}, answers {names}")
    failures += [f"should say '{part}', says: {text}" for part in turn.contains if part not in text]
    failures += [f"should offer '{title}', offers {titles}" for title in turn.offers if title not in titles]
    languages = {say.language for say in replies}
    if turn.language is not None and languages != {turn.language}:
        failures.append(f"should speak {turn.language}, speaks {sorted(languages)}")
    done = [(action.name, action.arguments) for action in actions]
    if turn.action is None:
        failures += [f"should not do anything, does {name} {arguments}" for name, arguments in done]
    elif not any(
        name == turn.action.name and turn.action.arguments.items() <= arguments.items() for name, arguments in done
    ):
        failures.append(f"should do {turn.action.name} {turn.action.arguments}, does {done}")
    reasons = [handoff.reason for handoff in handoffs]
    if reasons != ([turn.handoff] if turn.handoff is not None else []):
        failures.append(f"should hand over {turn.handoff or 'nothing'}, hands over {reasons}")
    return failures
