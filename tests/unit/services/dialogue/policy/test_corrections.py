"""What was given before was wrong: what is taken back, and what is asked again."""

import pytest

from tests.unit.services.dialogue.talker import Talker, booked


def test_a_corrected_value_is_checked_like_the_first(talk: Talker) -> None:
    booked(talk)
    assert talk.says("no, [eleven](word)", "correct") == ["corrected", "table_closed", "ask_table"]
    assert talk.says("[ten](word)", "inform") == ["no_such_table", "offer_person"]
    assert talk.says("[seven](word)", "inform") == ["good_choice", "confirm_booking"]


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


def test_a_correction_instead_of_trying_again(talk: Talker) -> None:
    talk.says("a table please", "book")
    talk.down = True
    assert talk.says("[five](word)", "inform") == ["lookup_failed"]
    talk.down = False
    assert talk.says("that is wrong", "correct") == ["corrected", "ask_table"]
