import re

import pytest
from pydantic import ValidationError

from services.dialogue.assistant.values import MAX_ID, value_id
from services.dialogue.policy.state import Frame, Pending, State


@pytest.mark.parametrize("value", ["20261103001", "Main Street 5", "地址 一", "x" * 500, "", "\n"])
def test_an_id_is_short_and_without_spaces(value: str) -> None:
    assert re.fullmatch(rf"\S{{1,{MAX_ID}}}", value_id("slot", value))


def test_ids_of_different_values_differ() -> None:
    values = ["a", "a b", "a  b", "x" * 500, "x" * 501]
    assert len({value_id("slot", value) for value in values} | {value_id("other", "a")}) == 6


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(ValidationError):
        State.model_validate({"format": 2})
    with pytest.raises(ValidationError):
        State.model_validate({"unknown": 1})


def test_the_order_in_which_slots_were_filled_survives_json() -> None:
    frame = Frame(flow="refund", slots={"reason": "x", "order_number": None})
    state = State(frames=(frame,), pending=Pending(kind="slot", name="order_number"))
    again = State.model_validate_json(state.model_dump_json())
    assert again == state
    assert list(again.frames[0].slots) == ["reason", "order_number"]
