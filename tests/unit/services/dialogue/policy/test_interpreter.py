"""Flows as they are run: look-ups, checks, suggestions, actions, hand-offs."""

from pathlib import Path

from services.dialogue.assistant.assistant import load_assistant
from tests.unit.services.dialogue.assistants import FLOWS, write_assistant
from tests.unit.services.dialogue.talker import Talker, booked


def test_actions_are_counted_through_the_conversation(talk: Talker) -> None:
    for index in range(3):
        booked(talk)
        talk.clicks("yes")
        assert talk.last is not None
        assert [action.index for action in talk.last.actions] == [index]


def test_a_value_that_will_not_do(talk: Talker) -> None:
    assert talk.says("book [eleven](word)", "book") == ["table_closed", "ask_table"]
    assert [option.value for option in talk.state.options] == ["five", "seven"]
    assert talk.says("[ten](word)", "inform") == ["no_such_table", "offer_person"]
    assert talk.says("yes", "affirm") == ["person_comes"]
    assert talk.last is not None
    assert talk.last.handoff is not None
    assert (talk.last.handoff.reason, talk.last.handoff.flow) == ("asked", "book")


def test_what_was_said_to_be_wrong_is_not_suggested_again(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, the other table", "correct") == ["corrected", "ask_table"]
    assert [option.value for option in talk.state.options] == ["seven", "eleven"]
    assert talk.says("the first one", "inform") == ["good_choice", "confirm_booking"]
    assert talk.slots["table"] == "seven"


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


def test_a_person_comes_at_once_and_whenever_one_is_asked_for(talk: Talker) -> None:
    booked(talk)
    assert talk.says("a human please", "ask_human") == ["person_comes"]
    assert talk.last is not None
    assert talk.last.handoff is not None
    assert talk.last.handoff.flow == "book"
    assert talk.last.handoff.slots == {"table": "five", "note": "by the window"}
    assert talk.state.frames == ()
    assert talk.says("a human please", "ask_human") == ["person_comes"]
    assert talk.last.handoff is not None


def test_a_person_goes_on_and_the_assistant_asks_nothing_more(tmp_path: Path) -> None:
    more = "        - {reply: booking_refused}\n  - {handoff: late, reply: person_comes}\n  - call: pay\n"
    text = FLOWS.replace("        - {reply: booking_refused}\n", more)
    talk = Talker(load_assistant(write_assistant(tmp_path, flows=text)))
    talk.says("I want to pay", "pay")
    booked(talk)
    assert talk.clicks("yes") == ["booked", "person_comes"]
    assert talk.state.pending is None


def test_what_was_done_is_not_done_again_when_the_flow_goes_on(tmp_path: Path) -> None:
    more = "        - {reply: booking_refused}\n  - call: pay\n"
    text = FLOWS.replace("        - {reply: booking_refused}\n", more)
    talk = Talker(load_assistant(write_assistant(tmp_path, flows=text)))
    booked(talk)
    assert talk.clicks("yes") == ["booked", "ask_way"]
    assert talk.says("hello", "greet") == ["hello", "resume", "ask_way"]
    assert talk.says("no, the other table", "correct") == ["already_submitted", "ask_way"]
    assert talk.last is not None
    assert (talk.last.actions, talk.last.handoff) == ((), None)
    assert talk.says("never mind", "stop") == ["submitted_pending"]


def test_giving_up_goes_back_to_what_was_interrupted(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.says("let me pay first", "pay")
    assert talk.says("never mind", "stop") == ["stopped", "resume", "ask_table"]
    assert talk.says("never mind", "stop") == ["stopped"]
    assert talk.says("never mind", "stop") == ["nothing_to_stop"]
