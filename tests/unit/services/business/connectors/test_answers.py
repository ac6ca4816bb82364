from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from services.business.connectors.answers import code_of, read_answer
from shared.assistants.connectors import Answer

FIELDS: TypeAdapter[Answer] = TypeAdapter(Answer)


def read(field: Any, value: Any, **options: Any) -> Any:
    return read_answer(FIELDS.validate_python({"x": field}), {"response": {"x": value}}, **options)["x"]


@pytest.mark.parametrize(
    ("field", "value", "is_read_as"),
    [
        ("text", "a\x00b\nc\x1b", "a b\nc "),
        ("text", 17, "17"),
        ("text", "\ud800", "?"),
        ({"type": "text", "longest": 3}, "abcd", "ab…"),
        ("integer", 3.0, 3),
        ("integer", "12", 12),
        ("number", "12.50", 12.5),
        ("number", 10**15, 10**15),
        ("boolean", False, False),
        ("date", "2026-11-03", "2026-11-03"),
        ("date", "2026-11-03T23:00:00Z", "2026-11-03"),
        ("datetime", "2026-11-03T23:00:00Z", "2026-11-03T23:00:00+00:00"),
        ("datetime", "2026-11-03 23:00", "2026-11-03T23:00:00+00:00"),
        ("datetime", "2026-11-03T23:00:00+08:00", "2026-11-03T23:00:00+08:00"),
        ("localized", "Visa", {"zh": "Visa", "en": "Visa"}),
        ("localized", {"en": "Card", "zh-CN": "卡"}, {"en": "Card", "zh-CN": "卡", "zh": "卡"}),
        ("localized", {"en-US": "A", "en": "B", "de": None}, {"en-US": "A", "en": "B"}),
        ({"type": "object", "fields": {"a": "integer"}}, {"a": 1, "b": 2}, {"a": 1}),
        ({"type": "list", "most": 2, "fields": {"a": "text"}}, [{"a": 1}, 5, {"a": 3}], [{"a": "1"}, {"a": None}]),
        ({"type": "list", "fields": {"a": {"type": "text", "from": "item"}}}, ["p"], [{"a": "p"}]),
        ("text", None, None),
    ],
)
def test_a_field_has_its_declared_type(field: Any, value: Any, is_read_as: Any) -> None:
    assert read(field, value) == is_read_as
    assert type(read(field, value)) is type(is_read_as)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ({"type": "text", "required": True}, None, "'x' is missing"),
        ("text", True, "'x' is no text"),
        ("text", ["a"], "'x' is no text"),
        ("integer", 1.5, "'x' is no integer"),
        ("integer", "many", "'x' is no integer"),
        ("number", "1e999", "'x' is no number"),
        ("number", "nan", "'x' is no number"),
        ("number", True, "'x' is no number"),
        ("boolean", "true", "'x' is no boolean"),
        ("date", "soon", "'x' is no date"),
        ("date", 20261103, "'x' is no date"),
        ("datetime", "2026-13-01T00:00:00Z", "'x' is no datetime"),
        ("localized", {}, "'x' is no localized"),
        ("localized", {"not a language": "x"}, "'x' is no localized"),
        ("localized", {"en": ["x"]}, "'x' is no localized"),
        ({"type": "object", "fields": {"a": "text"}}, [], "'x' is no object"),
        ({"type": "list", "fields": {"a": "text"}}, {}, "'x' is no list"),
        ({"type": "list", "fields": {"a": "integer"}}, [{"a": 1}, {"a": "private"}], "'x.1.a' is no integer"),
        ({"type": "list", "fields": {"a": {"type": "text", "required": True}}}, [{}], "'x.0.a' is missing"),
    ],
)
def test_another_type_is_named_and_never_repeated(field: Any, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$") as caught:
        read(field, value)
    assert "private" not in str(caught.value)
    left = read(field, value, tolerant=True)
    assert left is None or isinstance(left, list)


def test_fields_below_a_list_may_use_every_name() -> None:
    fields = {"x": {"type": "list", "fields": {"mine": {"type": "boolean", "from": "item.who == customer"}}}}
    scope: dict[str, Any] = {"response": {"x": [{"who": "C1"}, {"who": "C2"}]}, "customer": "C1"}
    assert read_answer(FIELDS.validate_python(fields), scope) == {"x": [{"mine": True}, {"mine": False}]}


SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
JSON = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(st.text(max_size=3), SCALAR, max_size=2)
EVERY_TYPE = ["text", "integer", "number", "boolean", "date", "datetime", "localized", "object", "list"]


@given(JSON)
def test_whatever_a_system_answers_is_read_or_named(value: Any) -> None:
    for each in EVERY_TYPE:
        field = {"type": each, "fields": {"text": "text"} if each in ("object", "list") else {}}
        with suppress(ValueError):
            assert read(field, value) == read(field, value, tolerant=True)
        read(field, value, tolerant=True)


@pytest.mark.parametrize(
    ("value", "code"), [("too_late", "too_late"), ("", "refused"), (7, "refused"), ("a b", "refused")]
)
def test_a_code_is_a_word(value: Any, code: str) -> None:
    assert code_of(value) == code
