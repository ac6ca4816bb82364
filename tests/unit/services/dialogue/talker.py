"""Holds conversations with the small assistant: a table is booked, a bill is paid."""

from dataclasses import dataclass, field
from typing import Any

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import (
    ActionFinished,
    Chosen,
    Decision,
    LookedUp,
    LookupFailed,
    Origin,
    TurnEvent,
    Understood,
)
from services.dialogue.policy.state import State
from shared.contracts.actions import ActionResult
from tests.unit.services.dialogue.understandings import understanding

__all__ = ["Talker", "booked", "finished"]

TABLES = [
    {"number": "five", "seats": 2},
    {"number": "seven", "seats": 4},
    {"number": "nine", "seats": 1},
    {"number": "eleven", "seats": 2},
]


@dataclass
class Talker:
    """Holds a conversation; `down` makes every look-up fail."""

    assistant: Assistant
    state: State = field(default_factory=State)
    tables: list[dict[str, Any]] = field(default_factory=lambda: list(TABLES))
    closed: set[str] = field(default_factory=lambda: {"eleven"})
    down: bool = False
    last: Decision | None = None
    asked: list[str] = field(default_factory=list)

    def happens(self, event: TurnEvent) -> list[str]:
        """Every reply's name, up to the end of the turn."""
        names: list[str] = []
        self.asked = []
        while True:
            decision = self.last = decide(self.assistant, self.state, event)
            self.state = decision.state
            names += [say.name for say in decision.replies]
            if decision.lookup is None:
                return names
            self.asked.append(decision.lookup.name)
            event = self.answer(decision.lookup.name, decision.lookup.arguments)

    def answer(self, name: str, arguments: dict[str, Any]) -> TurnEvent:
        """What business answers to a look-up."""
        if self.down:
            return LookupFailed(name=name, reason="away")
        if name == "tables":
            return LookedUp(name=name, found=bool(self.tables), data={"tables": self.tables})
        number = arguments["number"]
        found = any(table["number"] == number for table in self.tables)
        return LookedUp(name=name, found=found, data={"number": number, "open": number not in self.closed})

    def says(self, text: str, intent: str, *others: str, **more: Any) -> list[str]:
        """The replies to a sentence with its intent; see `understanding`."""
        return self.happens(Understood(understanding=understanding(text, intent, *others, **more)))

    def clicks(self, choice: str) -> list[str]:
        """The replies to a quick reply that was clicked."""
        return self.happens(Chosen(choice=choice))

    def text(self) -> str:
        """The last replies as the customer reads them."""
        assert self.last is not None
        return "\n".join(self.assistant.render(say).text for say in self.last.replies)

    @property
    def slots(self) -> dict[str, str | None]:
        """What the current flow has been told."""
        return self.state.frames[-1].slots


def booked(talk: Talker) -> None:
    """Up to the confirmation."""
    assert talk.says("a table please", "book") == ["ask_table"]
    assert talk.says("[five](word)", "inform") == ["good_choice", "ask_note"]
    assert talk.says("by the window", "inform") == ["confirm_booking"]


def finished(origin: Origin, status: Any, name: str = "book", error: str | None = None, **data: Any) -> ActionFinished:
    """What business reports of an action."""
    result = ActionResult(
        action_id="a", tenant="t", name=name, conversation_id="c", status=status, data=data, error_code=error
    )
    return ActionFinished(result=result, origin=origin)
