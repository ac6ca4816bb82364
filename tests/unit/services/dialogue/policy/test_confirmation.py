"""A plain yes is a yes, and nothing else is."""

import pytest

from services.dialogue.policy.decision import Understood
from shared.contracts.understanding import OutOfScope
from tests.unit.services.dialogue.talker import Talker, booked
from tests.unit.services.dialogue.understandings import ranked


def test_nothing_is_done_without_a_plain_yes(talk: Talker) -> None:
    booked(talk)
    assert talk.says("hm", "affirm", confidence=0.6) == ["confirm_unclear", "confirm_booking"]
    assert talk.says("hm", "pay", confidence=0.2) == ["confirm_unclear", "confirm_booking"]
    assert talk.says("hm", "inform") == ["offer_person"]
    assert talk.clicks("no") == ["confirm_booking"]
    assert talk.says("no", "deny") == ["not_booked"]
    assert talk.last is not None
    assert talk.last.actions == ()


def test_a_second_yes_does_nothing(talk: Talker) -> None:
    booked(talk)
    assert talk.clicks("yes") == ["booked"]
    assert talk.clicks("yes") == ["choice_expired"]
    assert talk.says("yes", "affirm") == ["acknowledged"]
    assert talk.last is not None
    assert talk.last.actions == ()


@pytest.mark.parametrize(
    ("text", "chances", "replies"),
    [
        ("yes, book it", {"affirm": 0.5, "book": 0.4}, ["booked"]),
        ("yes, book it", {"book": 0.9}, ["booked"]),
        ("对，就订这个", {"book": 0.45, "affirm": 0.4, "stop": 0.1}, ["booked"]),
        ("book it", {"affirm": 0.99}, ["confirm_unclear", "confirm_booking"]),
        ("of course", {"pay": 0.9}, ["booked"]),
        ("Do it", {"deny": 0.9}, ["booked"]),
        ("Do it?", {"affirm": 0.99}, ["confirm_unclear", "confirm_booking"]),
        ("Do it 👎", {"affirm": 0.99}, ["not_booked"]),
        ("yes five", {"thank": 0.9}, ["booked"]),
        ("yes 7", {"affirm": 0.99}, ["confirm_unclear", "confirm_booking"]),
        ("book it", {"book": 0.5, "affirm": 0.45}, ["confirm_unclear", "confirm_booking"]),
        ("yes, book it", {"affirm": 0.4, "book": 0.3, "deny": 0.2}, ["confirm_unclear", "confirm_booking"]),
        ("yes, book it", {"affirm": 0.5, "pay": 0.4}, ["confirm_unclear", "confirm_booking"]),
        ("yes, do not book it", {"affirm": 0.5, "book": 0.4}, ["not_booked"]),
        ("可以订吗", {"book": 0.9}, ["confirm_unclear", "confirm_booking"]),
        ("rather not", {"deny": 0.5, "stop": 0.4}, ["not_booked"]),
        ("rather not", {"stop": 0.6, "deny": 0.3}, ["not_booked"]),
        ("rather not", {"affirm": 0.99}, ["not_booked"]),
        ("I would not", {"stop": 0.6}, ["confirm_unclear", "confirm_booking"]),
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


def test_a_request_that_is_repeated_with_a_yes_is_a_yes(talk: Talker) -> None:
    booked(talk)
    assert talk.says("book it", "book") == ["confirm_unclear", "confirm_booking"]
    assert talk.says("yes, book it", "book") == ["booked"]


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


def test_giving_up_a_confirmation(talk: Talker) -> None:
    booked(talk)
    assert talk.says("forget it", "stop") == ["stopped"]
