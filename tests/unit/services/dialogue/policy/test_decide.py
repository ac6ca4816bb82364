"""What `decide` decides, on a small assistant: a table is booked, a bill is paid."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import (
    ActionFinished,
    Chosen,
    Decision,
    LookedUp,
    LookupFailed,
    Opened,
    Origin,
    TurnEvent,
    UnderstandingUnavailable,
    Understood,
)
from services.dialogue.policy.state import MAX_FRAMES, Finished, Frame, Pending, State
from shared.contracts.actions import ActionResult
from shared.contracts.understanding import OutOfScope
from tests.unit.services.dialogue.assistants import FLOWS, load, write_assistant
from tests.unit.services.dialogue.understandings import ranked, understanding

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
        if self.down:
            return LookupFailed(name=name, reason="away")
        if name == "tables":
            return LookedUp(name=name, found=bool(self.tables), data={"tables": self.tables})
        number = arguments["number"]
        found = any(table["number"] == number for table in self.tables)
        return LookedUp(name=name, found=found, data={"number": number, "open": number not in self.closed})

    def says(self, text: str, intent: str, *others: str, **more: Any) -> list[str]:
        return self.happens(Understood(understanding=understanding(text, intent, *others, **more)))

    def clicks(self, choice: str) -> list[str]:
        return self.happens(Chosen(choice=choice))

    def text(self) -> str:
        assert self.last is not None
        return "\n".join(self.assistant.render(say).text for say in self.last.replies)

    @property
    def slots(self) -> dict[str, str | None]:
        return self.state.frames[-1].slots


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    return load(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def talk(mini: Assistant) -> Iterator[Talker]:
    talker = Talker(mini)
    yield talker
    assert State.model_validate_json(talker.state.model_dump_json()) == talker.state


def booked(talk: Talker) -> None:
    """Up to the confirmation."""
    assert talk.says("a table please", "book") == ["ask_table"]
    assert talk.says("[five](word)", "inform") == ["good_choice", "ask_note"]
    assert talk.says("by the window", "inform") == ["confirm_booking"]


def test_opening_greets_in_the_language_that_was_asked_for(talk: Talker) -> None:
    assert talk.happens(Opened(language="zh")) == ["welcome"]
    assert talk.last is not None
    assert talk.last.replies[0].language == "zh"
    assert talk.happens(Opened(language="fr")) == ["welcome"]
    assert talk.state.language == "zh"


def test_from_the_first_word_to_the_result(talk: Talker) -> None:
    booked(talk)
    assert "Book five (by the window)?" in talk.text()
    assert talk.says("yes", "affirm") == ["booked"]
    assert talk.last is not None
    [action] = talk.last.actions
    assert (action.index, action.name) == (0, "book")
    assert action.arguments == {"table": "five", "note": "by the window"}
    assert action.origin == Origin(flow="book", step="5", variables={"chosen.number": "five"})
    assert talk.state.frames == ()
    assert talk.happens(finished(action.origin, "succeeded", code=17)) == ["booking_done"]
    assert talk.text() == "Booked five, code 17."


def finished(origin: Origin, status: Any, name: str = "book", error: str | None = None, **data: Any) -> ActionFinished:
    result = ActionResult(
        action_id="a", tenant="t", name=name, conversation_id="c", status=status, data=data, error_code=error
    )
    return ActionFinished(result=result, origin=origin)


@pytest.mark.parametrize(
    ("status", "error", "replies"),
    [
        ("succeeded", None, ["booking_done"]),
        ("rejected", "full", ["booking_full"]),
        ("rejected", "other", ["booking_refused"]),
        ("awaiting_approval", None, []),
        ("failed", None, []),
    ],
)
def test_what_became_of_an_action(talk: Talker, status: str, error: str | None, replies: list[str]) -> None:
    origin = Origin(flow="book", step="5", variables={"chosen.number": "five"})
    assert talk.happens(finished(origin, status, error=error)) == replies


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        (Origin(flow="gone", step="5"), "book"),
        (Origin(flow="book", step="99"), "book"),
        (Origin(flow="book", step="5"), "pay"),
    ],
)
def test_an_action_of_a_flow_that_has_changed_since_is_still_reported(talk: Talker, origin: Origin, name: str) -> None:
    assert talk.happens(finished(origin, "succeeded", name)) == ["action_succeeded"]
    assert talk.happens(finished(origin, "rejected", name)) == ["action_failed"]
    assert talk.happens(finished(origin, "failed", name)) == ["action_failed"]
    assert talk.happens(finished(origin, "awaiting_approval", name)) == []


def test_a_result_does_not_disturb_the_question_that_is_open(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    origin = Origin(flow="book", step="5", variables={})
    assert talk.happens(finished(origin, "rejected", "pay")) == ["action_failed"]
    assert talk.state == before


def test_actions_are_counted_through_the_conversation(talk: Talker) -> None:
    for index in range(3):
        booked(talk)
        talk.clicks("yes")
        assert talk.last is not None
        assert [action.index for action in talk.last.actions] == [index]


def test_a_second_yes_does_nothing(talk: Talker) -> None:
    booked(talk)
    assert talk.clicks("yes") == ["booked"]
    assert talk.clicks("yes") == ["choice_expired"]
    assert talk.says("yes", "affirm") == ["acknowledged"]
    assert talk.last is not None
    assert talk.last.actions == ()


def test_nothing_is_done_without_a_plain_yes(talk: Talker) -> None:
    booked(talk)
    assert talk.says("hm", "affirm", confidence=0.6) == ["confirm_unclear", "confirm_booking"]
    assert talk.says("hm", "pay", confidence=0.2) == ["confirm_unclear", "confirm_booking"]
    assert talk.says("hm", "inform") == ["offer_person"]
    assert talk.clicks("no") == ["confirm_booking"]
    assert talk.says("no", "deny") == ["not_booked"]
    assert talk.last is not None
    assert talk.last.actions == ()


@pytest.mark.parametrize(
    ("text", "chances", "replies"),
    [
        ("yes, book it", {"affirm": 0.5, "book": 0.4}, ["booked"]),
        ("yes, book it", {"book": 0.9}, ["booked"]),
        ("对，就订这个", {"book": 0.45, "affirm": 0.4, "stop": 0.1}, ["booked"]),
        ("book it", {"affirm": 0.82}, ["booked"]),
        ("book it", {"book": 0.5, "affirm": 0.45}, ["confirm_unclear", "confirm_booking"]),
        ("yes, book it", {"affirm": 0.4, "book": 0.3, "deny": 0.2}, ["confirm_unclear", "confirm_booking"]),
        ("yes, book it", {"affirm": 0.5, "pay": 0.4}, ["confirm_unclear", "confirm_booking"]),
        ("yes, do not book it", {"affirm": 0.5, "book": 0.4}, ["confirm_unclear", "confirm_booking"]),
        ("可以订吗", {"book": 0.9}, ["confirm_unclear", "confirm_booking"]),
        ("rather not", {"deny": 0.5, "stop": 0.4}, ["not_booked"]),
        ("rather not", {"stop": 0.6, "deny": 0.3}, ["not_booked"]),
        ("rather not", {"stop": 0.6}, ["confirm_unclear", "confirm_booking"]),
    ],
)
def test_what_comes_to_the_same_adds_up_to_a_yes_or_a_no(
    talk: Talker, text: str, chances: dict[str, float], replies: list[str]
) -> None:
    booked(talk)
    assert talk.happens(Understood(understanding=ranked(text, chances))) == replies


def test_a_yes_that_is_split_between_intents_is_not_out_of_scope(talk: Talker) -> None:
    booked(talk)
    split = ranked("yes, book it", {"affirm": 0.45, "book": 0.45})
    outside = OutOfScope(detected=True, score=0.55)
    assert talk.happens(Understood(understanding=split.model_copy(update={"out_of_scope": outside}))) == ["booked"]


@pytest.mark.parametrize(
    ("text", "intent", "confidence"),
    [("让我考虑一下", "affirm", 0.95), ("hold on", "out_of_scope", 0.95), ("my wife decides", "wait", 0.5)],
)
def test_who_wants_a_moment_gets_it_and_the_question_stays(
    talk: Talker, text: str, intent: str, confidence: float
) -> None:
    booked(talk)
    before = talk.state
    assert talk.says(text, intent, confidence=confidence) == ["take_your_time"]
    assert talk.state.pending == before.pending
    assert talk.state.options == before.options
    assert talk.state.frames == before.frames
    assert talk.says("yes", "affirm") == ["booked"]


def test_a_vague_answer_is_asked_for_again_and_a_strange_one_is_not(talk: Talker) -> None:
    vague = ranked("you know, that one", {"inform": 0.3, "out_of_scope": 0.2})
    vague = vague.model_copy(update={"out_of_scope": OutOfScope(detected=True, score=0.7)})
    strange = ranked("book a flight", {"out_of_scope": 0.4, "inform": 0.3})
    strange = strange.model_copy(update={"out_of_scope": OutOfScope(detected=True, score=0.7)})
    talk.says("a table please", "book")
    assert talk.happens(Understood(understanding=strange)) == ["out_of_scope", "resume", "ask_table"]
    assert talk.happens(Understood(understanding=vague)) == ["retry_table"]
    assert talk.says("[five](word)", "inform") == ["good_choice", "ask_note"]
    talk.clicks("skip")
    assert talk.happens(Understood(understanding=strange)) == ["out_of_scope", "resume", "confirm_booking"]
    assert talk.happens(Understood(understanding=vague)) == ["confirm_unclear", "confirm_booking"]


def test_what_gives_something_is_no_request_for_time(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("wait, it is [five](word)", "wait") == ["good_choice", "ask_note"]
    assert talk.says("maybe wait", "wait", confidence=0.7) == ["confirm_booking"]
    assert talk.slots["note"] == "maybe wait"


def test_a_moment_is_nothing_where_nothing_was_asked(talk: Talker) -> None:
    assert talk.says("hold on", "wait") == ["acknowledged"]


def test_yes_but_is_no_yes(talk: Talker) -> None:
    booked(talk)
    assert talk.says("yes, but change the note", "affirm") == ["corrected", "ask_note"]
    assert talk.says("near the door", "inform") == ["confirm_booking"]
    assert talk.says("yes, but [seven](word)", "affirm") == ["corrected", "good_choice", "confirm_booking"]
    assert talk.slots == {"note": "near the door", "table": "seven"}
    assert talk.says("yes, but", "affirm") == ["which_to_change"]


def test_no_with_another_value_is_a_correction(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, [seven](word)", "deny") == ["corrected", "good_choice", "confirm_booking"]
    assert talk.says("[five](word)", "inform") == ["corrected", "good_choice", "confirm_booking"]
    assert talk.says("[five](word)", "inform") == ["confirm_unclear", "confirm_booking"]


def test_a_corrected_value_is_checked_like_the_first(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, [eleven](word)", "correct") == ["corrected", "table_closed", "ask_table"]
    assert talk.says("[ten](word)", "inform") == ["no_such_table", "offer_person"]
    assert talk.says("[seven](word)", "inform") == ["good_choice", "confirm_booking"]


def test_what_was_said_to_be_wrong_is_not_suggested_again(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, the other table", "correct") == ["corrected", "ask_table"]
    assert [option.value for option in talk.state.options] == ["seven", "eleven"]
    assert talk.says("the first one", "inform") == ["good_choice", "confirm_booking"]
    assert talk.slots["table"] == "seven"


def test_a_correction_may_name_another_suggestion(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, the second one", "correct") == ["corrected", "good_choice", "confirm_booking"]
    assert talk.slots["table"] == "seven"


def test_which_of_several_is_to_be_changed(talk: Talker) -> None:
    booked(talk)
    assert talk.says("that is wrong", "correct") == ["which_to_change"]
    assert [option.id for option in talk.state.options] == ["slot:table", "slot:note"]
    assert talk.clicks("slot:note") == ["ask_note"]
    assert talk.clicks("skip") == ["confirm_booking"]
    assert talk.says("that is wrong", "correct") == ["corrected", "ask_table"]


@pytest.mark.parametrize(
    ("text", "intent", "replies"),
    [
        ("the note", "inform", ["corrected", "ask_note"]),
        ("[seven](word)", "inform", ["corrected", "good_choice", "confirm_booking"]),
        ("2", "inform", ["ask_note"]),
        ("nothing", "deny", ["confirm_booking"]),
        ("Note", "inform", ["ask_note"]),
        ("good day", "greet", ["hello", "resume", "confirm_booking"]),
        ("mumble", "inform", ["acknowledged", "resume", "confirm_booking"]),
    ],
)
def test_answers_to_what_is_to_be_changed(talk: Talker, text: str, intent: str, replies: list[str]) -> None:
    booked(talk)
    talk.says("that is wrong", "correct")
    assert talk.says(text, intent) == replies


def test_a_correction_while_a_slot_is_asked_concerns_the_one_before(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("[five](word)", "inform")
    assert talk.says("sorry, my mistake", "correct") == ["corrected", "ask_table"]
    assert talk.says("sorry, my mistake", "correct") == ["retry_table"]


def test_no_with_the_name_of_a_slot_is_a_correction(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("[five](word)", "inform")
    assert talk.says("not that table", "deny") == ["corrected", "ask_table"]


def test_the_same_request_with_another_value_is_a_correction(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("[five](word)", "inform")
    assert talk.says("book [seven](word)", "book") == ["corrected", "good_choice", "ask_note"]


def test_after_the_end_a_correction_begins_again(talk: Talker) -> None:
    talk.says("paying", "pay")
    talk.says("cash", "inform")
    assert talk.state.frames == ()
    assert talk.says("no, that is wrong", "correct") == ["corrected", "ask_way"]


def test_after_an_action_nothing_is_corrected(talk: Talker) -> None:
    booked(talk)
    talk.clicks("yes")
    assert talk.says("no, the other table", "correct") == ["already_submitted"]
    assert talk.state.frames == ()


def test_a_correction_of_nothing(talk: Talker) -> None:
    assert talk.says("no, that is wrong", "correct") == ["acknowledged"]
    talk.says("paying", "pay")
    talk.says("cash", "inform")
    for _ in range(4):
        talk.says("hello", "greet")
    assert talk.says("no, that is wrong", "correct") == ["acknowledged"]


def test_a_value_that_will_not_do(talk: Talker) -> None:
    assert talk.says("book [eleven](word)", "book") == ["table_closed", "ask_table"]
    assert [option.value for option in talk.state.options] == ["five", "seven"]
    assert talk.says("[ten](word)", "inform") == ["no_such_table", "offer_person"]
    assert talk.says("yes", "affirm") == ["person_comes"]
    assert talk.last is not None
    assert talk.last.handoff is not None
    assert (talk.last.handoff.reason, talk.last.handoff.flow) == ("asked", "book")


def test_a_person_that_is_not_wanted(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("hm", "inform") == ["retry_table"]
    assert talk.says("hm", "inform") == ["offer_person"]
    assert talk.says("no", "deny") == ["ask_table"]
    assert talk.says("hm", "inform") == ["retry_table"]


def test_several_values_where_one_is_wanted(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word) or [seven](word)", "inform") == ["which_value"]
    assert talk.says("the second one", "inform") == ["good_choice", "ask_note"]
    assert talk.slots["table"] == "seven"


def test_several_values_at_first_are_asked_about(talk: Talker) -> None:
    assert talk.says("book [five](word) or [seven](word)", "book") == ["ask_table"]


def test_the_first_sentence_may_pick_a_suggestion(talk: Talker) -> None:
    assert talk.says("book table seven please", "book") == ["good_choice", "ask_note"]


def test_an_empty_look_up_goes_its_own_way(talk: Talker) -> None:
    talk.tables = []
    assert talk.says("a table please", "book") == ["nothing_free"]
    assert talk.state.frames == ()


def test_look_ups_are_asked_once(talk: Talker) -> None:
    talk.says("book [five](word)", "book")
    assert talk.asked == ["tables", "table"]
    talk.says("hello", "greet")
    assert talk.asked == []
    talk.says("by the window", "inform")
    assert talk.asked == []


def test_look_ups_that_fail(talk: Talker) -> None:
    talk.down = True
    assert talk.says("a table please", "book") == ["lookup_failed"]
    assert talk.clicks("retry") == ["lookup_failed_again"]
    assert talk.state.frames == ()
    assert talk.clicks("no") == ["acknowledged"]


@pytest.mark.parametrize(
    ("text", "intent", "replies"),
    [
        ("yes", "affirm", ["ask_table"]),
        ("no", "deny", ["stopped"]),
        ("never mind", "stop", ["stopped"]),
        ("hello", "greet", ["hello", "resume", "ask_table"]),
        ("mumble", "inform", ["acknowledged", "resume", "ask_table"]),
    ],
)
def test_answers_to_trying_again(talk: Talker, text: str, intent: str, replies: list[str]) -> None:
    talk.down = True
    talk.says("a table please", "book")
    talk.down = False
    assert talk.says(text, intent) == replies


def test_answers_that_nobody_waits_for_change_nothing(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    assert talk.happens(LookedUp(name="tables", found=True, data={})) == []
    assert talk.happens(LookupFailed(name="tables")) == []
    assert talk.state == before


def test_a_turn_that_was_cut_off_goes_on_with_the_next_message(mini: Assistant, talk: Talker) -> None:
    event = Understood(understanding=understanding("a table please", "book"))
    talk.state = decide(mini, talk.state, event).state
    assert talk.state.pending == Pending(kind="lookup", name="tables", mark=talk.state.pending.mark)  # type: ignore[union-attr]
    assert talk.says("hm", "pay", confidence=0.1) == ["not_understood", "ask_table"]


# Digressions


def test_a_document_answers_and_the_flow_goes_on(talk: Talker) -> None:
    booked(talk)
    assert talk.says("when are you open?", "faq_hours") == ["faq_answer", "resume", "confirm_booking"]
    assert talk.last is not None
    assert talk.last.replies[0].source == "hours"
    assert "From nine to six." in talk.text()
    assert talk.clicks("yes") == ["booked"]


def test_another_flow_and_back(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("let me pay first", "pay") == ["ask_way"]
    assert talk.says("cash", "inform") == ["pay_cash", "resume", "ask_table"]


def test_what_is_asked_for_again_is_gone_back_to(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("let me pay first", "pay")
    assert talk.says("book [five](word)", "book") == ["good_choice", "ask_note"]
    assert len(talk.state.frames) == 1
    assert talk.says("can I pay first?", "pay") == ["ask_way"]
    assert talk.says("book [seven](word)", "book") == ["good_choice", "ask_note"]
    assert talk.slots == {"table": "seven"}


def test_giving_up_goes_back_to_what_was_interrupted(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("let me pay first", "pay")
    assert talk.says("never mind", "stop") == ["stopped", "resume", "ask_table"]
    assert talk.says("never mind", "stop") == ["stopped"]
    assert talk.says("never mind", "stop") == ["nothing_to_stop"]


def test_giving_up_a_confirmation(talk: Talker) -> None:
    booked(talk)
    assert talk.says("forget it", "stop") == ["stopped"]


def test_thanks_with_the_answer_is_the_answer(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("hello, [five](word)", "greet") == ["good_choice", "ask_note"]


def test_a_person_comes_at_once_and_only_once(talk: Talker) -> None:
    booked(talk)
    assert talk.says("a human please", "ask_human") == ["person_comes"]
    assert talk.last is not None
    assert talk.last.handoff is not None
    assert talk.last.handoff.flow == "book"
    assert talk.last.handoff.slots == {"table": "five", "note": "by the window"}
    assert talk.state.frames == ()
    assert talk.says("a human please", "ask_human") == ["handoff_waiting"]
    assert talk.last.handoff is None


def test_a_value_does_not_hide_the_wish_for_a_person(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word)? a human please", "ask_human") == ["person_comes"]


def test_the_question_is_repeated(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("sorry, can you repeat that?", "faq_hours", confidence=0.4) == ["ask_table"]
    assert talk.says("sorry, can you repeat that?", "faq_hours") == ["faq_answer", "resume", "ask_table"]


# Slots of the customer's own words


def noting(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("[five](word)", "inform")


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "replies"),
    [
        ("by the window", "inform", 0.9, ["confirm_booking"]),
        ("something with pay", "pay", 0.9, ["confirm_booking"]),
        ("weather is fine", "out_of_scope", 0.9, ["confirm_booking"]),
        ("a table outside", "book", 0.9, ["confirm_booking"]),
        ("who knows", "pay", 0.2, ["confirm_booking"]),
        ("can I pay?", "pay", 0.9, ["ask_way"]),
        ("can I pay?", "pay", 0.6, ["confirm_booking"]),
        ("a human", "ask_human", 0.9, ["person_comes"]),
        ("a human", "ask_human", 0.6, ["confirm_booking"]),
        ("hello", "greet", 0.9, ["hello", "resume", "ask_note"]),
        ("no need", "deny", 0.9, ["confirm_booking"]),
        ("never mind", "stop", 0.9, ["confirm_booking"]),
        ("yes", "affirm", 0.9, ["ask_note"]),
        ("x", "inform", 0.9, ["ask_note"]),
        ("x" * 21, "inform", 0.9, ["ask_note"]),
        ("x" * 21, "out_of_scope", 0.9, ["out_of_scope", "resume", "ask_note"]),
        ("x" * 21, "pay", 0.9, ["ask_way"]),
    ],
)
def test_what_is_a_value_and_what_is_not(
    talk: Talker, text: str, intent: str, confidence: float, replies: list[str]
) -> None:
    noting(talk)
    assert talk.says(text, intent, confidence=confidence) == replies


def test_an_optional_slot_is_skipped(talk: Talker) -> None:
    noting(talk)
    assert talk.clicks("skip") == ["confirm_booking"]
    assert talk.slots["note"] is None
    talk.clicks("yes")
    assert talk.last is not None
    assert talk.last.actions[0].arguments == {"table": "five"}


def test_own_words_have_a_form_too(talk: Talker) -> None:
    talk.says("paying", "pay")
    assert talk.clicks("value:way:1") == ["ask_address"]
    assert talk.slots["way"] == "Card"
    assert talk.says("somewhere", "inform") == ["ask_address"]
    assert talk.says("let me book", "book") == ["ask_table"]
    talk.says("never mind", "stop")
    assert talk.says("Main Street 5", "inform") == ["pay_card"]


@pytest.mark.parametrize(
    ("text", "way"),
    [("Cash", "cash"), ("现金", "cash"), ("with coins", "cash"), ("2", "Card"), ("the card one", "Card")],
)
def test_fixed_answers(talk: Talker, text: str, way: str) -> None:
    talk.says("paying", "pay")
    talk.says(text, "inform")
    slots = talk.state.finished.slots if talk.state.finished is not None else talk.slots
    assert slots["way"] == way


# Not understood


def test_unclear_is_asked_about_then_a_person_is_offered(talk: Talker) -> None:
    assert talk.says("hm", "pay", "book", confidence=0.4) == ["clarify"]
    assert [option.intent for option in talk.state.options] == ["pay", "book"]
    assert talk.says("hm", "deny", "stop", confidence=0.4) == ["offer_person"]
    assert talk.says("yes", "affirm") == ["person_comes"]


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "replies"),
    [
        ("Booking", "inform", 0.9, ["good_choice", "ask_note"]),
        ("the second one", "inform", 0.9, ["good_choice", "ask_note"]),
        ("to book", "book", 0.3, ["good_choice", "ask_note"]),
        ("to book", "book", 0.9, ["good_choice", "ask_note"]),
        ("neither", "deny", 0.9, ["offer_person"]),
        ("yes", "affirm", 0.9, ["acknowledged"]),
        ("hello", "greet", 0.9, ["hello"]),
        ("weather", "out_of_scope", 0.9, ["out_of_scope"]),
    ],
)
def test_answers_to_what_was_meant(talk: Talker, text: str, intent: str, confidence: float, replies: list[str]) -> None:
    talk.says("[five](word)", "pay", "book", confidence=0.4)
    assert talk.says(text, intent, confidence=confidence) == replies


def test_yes_to_the_only_one_that_may_be_meant(talk: Talker) -> None:
    talk.says("hm", "book", "deny", confidence=0.4)
    assert talk.says("yes", "affirm") == ["ask_table"]


def test_nothing_to_ask_about(talk: Talker) -> None:
    assert talk.says("hm", "inform", "greet", confidence=0.4) == ["not_understood"]
    assert talk.says("hm", "inform", "greet", confidence=0.4) == ["offer_person"]
    assert talk.says("hello", "greet") == ["hello"]
    assert talk.state.misses == 0


def test_an_intent_that_the_files_do_not_know(talk: Talker) -> None:
    assert talk.says("new", "brand_new") == ["acknowledged"]


def test_out_of_scope_is_said_honestly(talk: Talker) -> None:
    assert talk.says("weather", "out_of_scope") == ["out_of_scope"]
    assert talk.says("yes", "affirm") == ["person_comes"]


def test_a_bare_value_is_asked_about(talk: Talker) -> None:
    assert talk.says("[five](word)", "inform") == ["what_about_it"]
    assert talk.clicks("intent:book") == ["good_choice", "ask_note"]


def test_a_value_is_remembered_for_a_while(talk: Talker) -> None:
    talk.says("[five](word)", "inform")
    talk.says("hello", "greet")
    assert talk.says("book it", "book") == ["good_choice", "ask_note"]
    talk.says("never mind", "ask_human")
    for _ in range(7):
        talk.says("hello", "greet")
    assert talk.says("book it", "book") == ["ask_table"]


# Clicks


def test_a_click_that_is_not_offered_any_more(talk: Talker) -> None:
    assert talk.clicks("yes") == ["choice_expired"]
    assert talk.clicks("intent:nothing") == ["choice_expired"]
    talk.says("a table please", "book")
    assert talk.clicks("value:table:twenty") == ["choice_expired", "ask_table"]
    assert talk.clicks("value:table:seven") == ["good_choice", "ask_note"]


def test_intents_can_always_be_clicked(talk: Talker) -> None:
    assert talk.clicks("intent:pay") == ["ask_way"]
    assert talk.clicks("intent:faq_hours") == ["faq_answer", "resume", "ask_way"]
    assert talk.clicks("intent:stop") == ["stopped"]


def test_a_click_that_is_no_answer_begins_something_else(talk: Talker) -> None:
    booked(talk)
    assert talk.clicks("intent:pay") == ["ask_way"]


# Without a model


def test_without_a_model_there_is_an_apology_and_clicks_still_count(talk: Talker) -> None:
    booked(talk)
    before = talk.state
    assert talk.happens(UnderstandingUnavailable(text="yes")) == ["understanding_unavailable"]
    assert talk.state.pending == before.pending
    assert talk.state.options == before.options
    assert talk.happens(UnderstandingUnavailable(text="Do it")) == ["booked"]
    assert talk.happens(UnderstandingUnavailable(text="a person")) == ["person_comes"]


def test_the_apology_is_in_the_language_of_the_message(talk: Talker) -> None:
    talk.happens(UnderstandingUnavailable(text="我要订位"))
    assert talk.last is not None
    assert talk.last.replies[0].language == "zh"


# Bounds, and states that are not of this version


def test_the_stack_is_bounded(talk: Talker, mini: Assistant) -> None:
    frames = tuple(Frame(flow="pay" if n % 2 else "book", slots={"note": str(n)}) for n in range(20))
    talk.state = State(frames=frames)
    talk.says("hello", "greet")
    assert len(talk.state.frames) <= MAX_FRAMES


def test_a_flow_that_is_gone_is_forgotten(talk: Talker) -> None:
    talk.state = State(frames=(Frame(flow="gone"), Frame(flow="pay")), pending=Pending(kind="slot", name="way"))
    assert talk.says("cash", "inform") == ["acknowledged", "resume", "ask_way"]
    talk.state = State(frames=(Frame(flow="gone"),), pending=Pending(kind="slot", name="way"), language="fr")
    assert talk.says("hello", "greet") == ["hello"]


@pytest.mark.parametrize("kind", ["slot", "confirm", "lookup", "retry", "intent", "person", "change"])
def test_a_question_that_cannot_be_open_is_passed_over(talk: Talker, kind: Any) -> None:
    talk.state = State(pending=Pending(kind=kind, name="nothing"))
    assert talk.says("hello", "greet") == ["hello"]
    talk.state = State(frames=(Frame(flow="pay"),), pending=Pending(kind=kind, name="nothing"))
    assert talk.says("hello", "greet") == ["hello", "resume", "ask_way"]


def test_the_trace_says_what_was_decided(talk: Talker) -> None:
    talk.says("book [five](word)", "book")
    assert talk.last is not None
    assert talk.last.steps == ("book: asks for note",)
    talk.state = State()
    event = Understood(understanding=understanding("a table please", "book"))
    assert decide(talk.assistant, talk.state, event).steps == (
        "understood book 0.95",
        "book: begins",
        "book: looks up tables",
    )


def test_a_message_of_another_turn_may_be_worded_otherwise(talk: Talker) -> None:
    texts = set()
    for _ in range(4):
        talk.says("hello", "greet")
        texts.add(talk.text())
    assert texts == {"Hello!", "Hi!"}


def test_the_mood_stays_bad_once_it_was(talk: Talker) -> None:
    talk.says("a table please", "book", mood="negative")
    talk.says("[five](word)", "inform", mood="positive")
    assert talk.state.frames[-1].mood == "negative"
    talk.state = State()
    talk.says("a table please", "book", mood="positive")
    assert talk.state.frames[-1].mood == "positive"


def test_documents_live_beside_flows(tmp_path: Path) -> None:
    assert load(tmp_path).answers("faq_hours")


def test_a_value_beside_a_question_for_a_document_is_still_the_answer(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("[five](word), when are you open?", "faq_hours") == ["good_choice", "ask_note"]


def test_what_was_done_is_not_done_again_when_the_flow_goes_on(tmp_path: Path) -> None:
    more = "        - {reply: booking_refused}\n  - {handoff: late, reply: person_comes}\n  - call: pay\n"
    text = FLOWS.replace("        - {reply: booking_refused}\n", more)
    talk = Talker(load_assistant(write_assistant(tmp_path, flows=text)))
    booked(talk)
    assert talk.clicks("yes") == ["booked", "person_comes", "ask_way"]
    assert talk.says("hello", "greet") == ["hello", "resume", "ask_way"]
    assert talk.says("no, the other table", "correct") == ["already_submitted", "ask_way"]
    assert talk.last is not None
    assert (talk.last.actions, talk.last.handoff) == ((), None)
    assert talk.says("never mind", "stop") == ["acknowledged"]


def test_a_correction_instead_of_trying_again(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.down = True
    assert talk.says("[five](word)", "inform") == ["lookup_failed"]
    talk.down = False
    assert talk.says("that is wrong", "correct") == ["corrected", "ask_table"]


def test_nothing_of_what_has_ended_can_be_corrected(talk: Talker) -> None:
    talk.state = State(finished=Finished(flow="pay", slots={"way": None}, committed=False, turn=0))
    assert talk.says("that is wrong", "correct") == ["acknowledged"]
    assert talk.state.frames == ()


def test_a_request_that_is_repeated_with_a_yes_is_a_yes(talk: Talker) -> None:
    booked(talk)
    assert talk.says("book it", "book") == ["confirm_unclear", "confirm_booking"]
    assert talk.says("yes, book it", "book") == ["booked"]


def test_giving_up_for_something_else(talk: Talker) -> None:
    booked(talk)
    assert talk.says("never mind, I want to pay", "pay") == ["ask_way"]
    assert [frame.flow for frame in talk.state.frames] == ["pay"]


def test_what_is_not_suggested_can_be_named(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert [option.value for option in talk.state.options] == ["five", "seven", "eleven"]
    assert talk.says("table nine", "inform") == ["good_choice", "ask_note"]
    assert talk.slots["table"] == "nine"


def test_what_will_be_needed_may_come_early(talk: Talker) -> None:
    talk.says("paying", "pay")
    assert talk.says("card, to [Main Street 5](address)", "inform") == ["pay_card"]
    talk.says("paying", "pay")
    assert talk.says("[Main Street 5](address)", "inform") == ["ask_way"]
    assert talk.says("card", "inform") == ["pay_card"]
