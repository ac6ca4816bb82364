from typing import Any

import pytest
from pydantic import JsonValue, ValidationError

from shared.assistants.rules import RuleDescription, Value, same


def test_a_description_is_read_with_types_in_short() -> None:
    read = RuleDescription.model_validate(
        {
            "facts": {"status": {"one_of": ["paid", "shipped"]}, "days": "integer", "customer.level": "text"},
            "gives": {"ok": "boolean"},
            "examples": [{"facts": {"days": 3}, "gives": {"ok": True}}],
        }
    )
    assert read.facts["days"] == Value(type="integer")
    assert read.gives["ok"].type == "boolean"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"type": "money"},
        {"one_of": []},
        {"one_of": [["a"]]},
        {"type": "integer", "one_of": ["a"]},
        {"one_of": [1], "least": 0},
        {"type": "text", "most": 3},
        {"type": "integer", "step": 0.5},
        {"type": "number", "step": 0},
        {"type": "number", "least": 3, "most": 1},
        {"type": "number", "least": float("nan")},
        {"type": "text", "longest": 3},
    ],
)
def test_a_value_that_says_nothing_usable_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Value.model_validate(value)


@pytest.mark.parametrize(
    ("value", "good", "bad"),
    [
        (Value(type="text"), ["", "a"], [1, True, None, ["a"]]),
        (Value(type="integer", least=0, most=5), [0, 5, 3.0], [-1, 6, 2.5, "3", True, None, float("inf")]),
        (Value(type="number"), [0.5, -3], ["1", False, float("nan")]),
        (Value(type="boolean", optional=True), [True, None], [1, 0, "true"]),
        (Value(one_of=["a", 1]), ["a", 1, 1.0], ["b", True, 2]),
        (Value(type="list"), [[]], [{}, "a"]),
        (Value(type="object"), [{}], [[], "a"]),
    ],
)
def test_a_value_fits_or_it_is_said_why_not(value: Value, good: list[JsonValue], bad: list[JsonValue]) -> None:
    assert [value.problem(each) for each in good] == [None] * len(good)
    assert all(value.problem(each) for each in bad)


def test_true_is_not_one() -> None:
    assert same(1, 1.0)
    assert not same(True, 1)
