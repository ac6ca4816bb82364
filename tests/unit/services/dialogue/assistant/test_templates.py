import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.dialogue.assistant.templates import read_template, written


@pytest.mark.parametrize(
    ("source", "language", "expected"),
    [
        ("{item}到哪了", "zh", "耳机到哪了"),
        ("{item} is on its way", "en", "earphones is on its way"),
        ("{order.amount:money}", "zh", "¥1,299.00"),
        ("{price:money}", "en", "¥8.50"),
        ("{word:money}", "en", "soon"),
        ("{order.at:date}", "zh", "11月3日"),
        ("{order.at:date}", "en", "Nov 3"),
        ("{word:date}", "en", "soon"),
        ("{count} and {whole}", "en", "3 and 4"),
        ("{list}", "zh", "a、b"),
        ("{list}", "en", "a, b"),
        ("[{missing}][{order.missing.deep}]", "en", "[][]"),
        ("{{item}} {{", "en", "{item} {"),
        ("{dotted.name}", "en", "whole"),
        ("{only_zh}", "en", "茶"),
        ("{infinite:money}", "en", "inf"),
    ],
)
def test_fill(source: str, language: str, expected: str) -> None:
    values: dict[str, JsonValue] = {
        "item": {"zh": "耳机", "en": "earphones"},
        "order": {"amount": 1299, "at": "2026-11-03T23:00:00Z"},
        "price": "8.5",
        "word": "soon",
        "count": 3,
        "whole": 4.0,
        "list": ["a", "b"],
        "dotted.name": "whole",
        "only_zh": {"zh": "茶"},
        "infinite": "inf",
    }
    assert read_template(source).fill(values, language) == expected


@pytest.mark.parametrize(
    "source", ["{", "}", "{a", "{a:weight}", "{}", "{0}", "{a.}", "{a!r}", "{a[0]}", 7, "x" * 2001]
)
def test_what_is_no_template_is_refused(source: object) -> None:
    with pytest.raises(ValueError):
        read_template(source)


@given(st.text(max_size=100))
def test_a_value_is_put_in_as_it_is_and_never_read_again(value: str) -> None:
    assert read_template("<{a}|{b}>").fill({"a": value, "b": "{a}"}, "en") == f"<{value}|{{a}}>"


def test_python_attributes_cannot_be_reached() -> None:
    assert read_template("{a.__class__}").fill({"a": "text"}, "en") == ""
    assert read_template("{a.__class__}").fill({"a": {}}, "en") == ""


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_any_value_can_be_written(value: object) -> None:
    assert isinstance(written(value, "zh"), str)  # type: ignore[arg-type]
