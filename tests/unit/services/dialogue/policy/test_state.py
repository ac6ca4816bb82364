import pytest
from pydantic import ValidationError

from services.dialogue.policy.state import Frame, Pending, State


def test_a_state_of_another_format_is_refused() -> None:
    with pytest.raises(ValidationError):
        State.model_validate({"format": 2})


def test_the_order_in_which_slots_were_filled_survives_json() -> None:
    frame = Frame(flow="refund", slots={"reason": "x", "order_number": None})
    state = State(frames=(frame,), pending=Pending(kind="slot", name="order_number"))
    again = State.model_validate_json(state.model_dump_json())
    assert again == state
    assert list(again.frames[0].slots) == ["reason", "order_number"]
