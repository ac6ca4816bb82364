import re

from hypothesis import example, given
from hypothesis import strategies as st

from services.dialogue.assistant.values import MAX_ID, value_id

values = st.text() | st.text(alphabet="a .:-", max_size=6) | st.text(min_size=MAX_ID, max_size=MAX_ID + 60)


@given(values)
@example("20261103001")
@example("地址 一")
@example("x" * 500)
@example("")
@example("\n")
def test_an_id_is_short_and_without_spaces(value: str) -> None:
    assert re.fullmatch(rf"\S{{1,{MAX_ID}}}", value_id("slot", value))


@given(values, values)
@example("a b", "a  b")
@example("x" * 500, "x" * 501)
def test_ids_of_different_values_differ(one: str, other: str) -> None:
    assert (value_id("slot", one) == value_id("slot", other)) == (one == other)
    assert value_id("slot", one) != value_id("other", one)


def test_a_plain_value_can_be_read_in_its_id() -> None:
    assert value_id("order_number", "20261103001") == "value:order_number:20261103001"
