"""What `decide` decides, on a small assistant: a table is booked, a bill is paid."""

from pathlib import Path
from typing import Any

import pytest

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.policy.decide import decide
from services.dialogue.policy.decision import Opened, Origin, UnderstandingUnavailable, Understood
from services.dialogue.policy.state import Frame, Pending, State
from shared.contracts.understanding import OutOfScope
from tests.unit.services.dialogue.assistants import load
from tests.unit.services.dialogue.talker import Talker, booked, finished
from tests.unit.services.dialogue.understandings import ranked, understanding


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
    assert action.origin == Origin(flow="book", step="5", index=0, variables={"chosen.number": "five"})
    assert talk.state.frames == ()
    assert talk.happens(finished(action.origin, "succeeded", code=17)) == ["booking_done"]
    assert talk.text() == "Booked five, code 17."


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


def test_a_turn_that_was_cut_off_goes_on_with_the_next_message(mini: Assistant, talk: Talker) -> None:
    event = Understood(understanding=understanding("a table please", "book"))
    talk.state = decide(mini, talk.state, event).state
    assert talk.state.pending == Pending(kind="lookup", name="tables", mark=talk.state.pending.mark)  # type: ignore[union-attr]
    assert talk.says("hm", "pay", confidence=0.1) == ["not_understood", "ask_table"]


def test_the_question_is_repeated(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert talk.says("sorry, can you repeat that?", "faq_hours", confidence=0.4) == ["ask_table"]
    assert talk.says("sorry, can you repeat that?", "faq_hours") == ["faq_answer", "resume", "ask_table"]


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


def test_the_mood_stays_bad_once_it_was(talk: Talker) -> None:
    talk.says("a table please", "book", mood="negative")
    talk.says("[five](word)", "inform", mood="positive")
    assert talk.state.frames[-1].mood == "negative"
    talk.state = State()
    talk.says("a table please", "book", mood="positive")
    assert talk.state.frames[-1].mood == "positive"


def test_documents_live_beside_flows(tmp_path: Path) -> None:
    assert load(tmp_path).answers("faq_hours")


def test_giving_up_for_something_else(talk: Talker) -> None:
    booked(talk)
    assert talk.says("never mind, I want to pay", "pay") == ["ask_way"]
    assert [frame.flow for frame in talk.state.frames] == ["pay"]
