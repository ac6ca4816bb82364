"""Values that a sentence has for slots, by entity, by the words of a suggestion or by its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.assistant.values import QuickReply
from services.dialogue.policy.context import TurnContext
from services.dialogue.policy.slots import change, fill, filled, new_values, picked_option
from services.dialogue.policy.state import Frame, State
from services.dialogue.policy.user_input import UserInput, user_input_of
from tests.unit.services.dialogue.talker import Talker
from tests.unit.services.dialogue.understandings import understanding


def test_several_values_at_first_are_asked_about(talk: Talker) -> None:
    assert talk.says("book [five](word) or [seven](word)", "book") == ["ask_table"]


@pytest.mark.parametrize(
    ("text", "way"),
    [("Cash", "cash"), ("现金", "cash"), ("with coins", "cash"), ("2", "Card"), ("the card one", "Card")],
)
def test_fixed_answers(talk: Talker, text: str, way: str) -> None:
    talk.says("paying", "pay")
    talk.says(text, "inform")
    slots = talk.state.finished.slots if talk.state.finished is not None else talk.slots
    assert slots["way"] == way


def test_what_is_not_suggested_can_be_named(talk: Talker) -> None:
    talk.says("a table please", "book")
    assert [option.value for option in talk.state.options] == ["five", "seven", "eleven"]
    assert talk.says("table nine", "inform") == ["good_choice", "ask_note"]
    assert talk.slots["table"] == "nine"


def at_the_table(mini: Assistant, **frame: Any) -> TurnContext:
    return TurnContext(mini, State(frames=(Frame(flow="book", **frame),)))


@given(st.lists(st.dictionaries(st.sampled_from(["table", "note"]), st.sampled_from(["one", "two"]))))
def test_what_was_filled_last_stands_last(mini: Assistant, fillings: list[dict[str, str]]) -> None:
    context = at_the_table(mini)
    for values in fillings:
        fill(context, dict(values))
    given_values = [item for values in fillings for item in values.items()]
    assert context.frame.slots == dict(given_values)
    assert list(context.frame.slots) == list(dict.fromkeys(name for name, _ in reversed(given_values)))[::-1]


@pytest.mark.parametrize(("name", "kept"), [("table", {"4"}), ("note", {"2", "4"})])
def test_what_was_said_after_a_changed_slot_may_be_said_again(mini: Assistant, name: str, kept: set[str]) -> None:
    context = at_the_table(mini, slots={"table": "five", "note": "window"}, memo={"2": "said", "4": "asked:yes"})
    change(context, {name: None})
    assert set(context.frame.memo) == kept
    assert filled(context) == [other for other in ("table", "note") if other != name]
    assert context.frame.excluded == {name: {"table": "five", "note": "window"}[name]}


@pytest.mark.parametrize(
    ("text", "filled", "values"),
    [
        ("[seven](word)", True, {"table": "seven"}),
        ("[five](word)", True, {}),
        ("[seven](word)", False, {}),
        ("[seven](word) or [nine](word)", True, {}),
        ("[seven](word), not [five](word)", True, {"table": "seven"}),
    ],
)
def test_a_new_value_is_the_only_other_one(mini: Assistant, text: str, filled: bool, values: dict[str, str]) -> None:
    context = at_the_table(mini, slots={"table": "five"})
    heard = user_input_of(mini, understanding(text, "inform"), None)
    assert new_values(context, heard, filled=filled) == values


@pytest.mark.parametrize(("text", "picked"), [("2", "b"), ("b", "b"), ("the second", "b"), ("the second one", None)])
def test_a_place_is_a_pick_among_own_words_only_where_hardly_more_is_said(
    mini: Assistant, text: str, picked: str | None
) -> None:
    offered = tuple(QuickReply(id=value, titles={"en": value}, value=value) for value in "ab")
    option = picked_option(mini.slots["book"]["note"], UserInput(text=text), offered, ())
    assert (option.value if option is not None else None) == picked
