from typing import Any

import pytest

from services.business.connectors.arguments import json_schema, read_arguments
from shared.assistants.connectors import Argument


def read(value: Any, **declared: Any) -> tuple[Any, list[str]]:
    arguments, wrong = read_arguments({"x": Argument.model_validate(declared)}, {"x": value})
    assert all(each.field == "arguments.x" for each in wrong)
    return arguments.get("x"), [each.message for each in wrong]


@pytest.mark.parametrize(
    ("declared", "value", "is_read_as"),
    [
        ({}, "片 \n", "片 \n"),
        ({"pattern": "a|bc"}, "bc", "bc"),
        ({"type": "integer"}, "12", 12),
        ({"type": "integer"}, 12.0, 12),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "number", "least": 1, "most": 2}, 2, 2),
        ({"type": "boolean"}, False, False),
        ({"type": "date"}, "2026-02-28", "2026-02-28"),
        ({"one_of": ["a", "b"]}, "b", "b"),
        ({"type": "integer", "one_of": [1, 2]}, 1, 1),
        ({"optional": True}, None, None),
    ],
)
def test_what_fits_is_taken(declared: Any, value: Any, is_read_as: Any) -> None:
    assert read(value, **declared) == (is_read_as, [])


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        ({}, None, "is missing"),
        ({}, "", "at least 1 character"),
        ({}, "x" * 501, "at most 500 characters"),
        ({}, "a\x00b", "cannot be printed"),
        ({}, "\ud800", "cannot be printed"),
        ({}, 5, "should be text"),
        ({}, ["a"], "should be text"),
        ({"pattern": "a|bc"}, "abc", "pattern"),
        ({"pattern": "a"}, "a\n", "pattern"),
        ({"pattern": "(a+)+"}, "a" * 499 + "b", "pattern"),
        ({"type": "integer"}, 1.5, "should be integer"),
        ({"type": "integer"}, True, "should be integer"),
        ({"type": "integer"}, "١٢", "should be integer"),
        ({"type": "integer"}, 2**53, "should be integer"),
        ({"type": "number"}, float("nan"), "should be number"),
        ({"type": "number"}, float("inf"), "should be number"),
        ({"type": "number"}, "1e5", "should be number"),
        ({"type": "number", "least": 1}, 0.5, "is less than 1"),
        ({"type": "number", "most": 1}, 2, "is more than 1"),
        ({"type": "boolean"}, 1, "should be boolean"),
        ({"type": "date"}, "2026-02-30", "should be a date, such as 2026-01-31"),
        ({"type": "date"}, "20260228", "should be a date"),
        ({"one_of": ["a", "b"]}, "c", "is none of a, b"),
        ({"type": "integer", "one_of": [1]}, 0, "is none of 1"),
    ],
)
def test_what_does_not_fit_is_named_and_never_repeated(declared: Any, value: Any, said: str) -> None:
    read_as, (message,) = read(value, **declared)
    assert read_as is None
    assert said in message


def test_each_wrong_argument_is_named() -> None:
    declared = {"a": Argument(), "b": Argument(optional=True)}
    arguments, wrong = read_arguments(declared, {"c": 1, "d": 2})
    assert arguments == {"a": None, "b": None}
    assert [each.field for each in wrong] == ["arguments.c", "arguments.d", "arguments.a"]


def test_arguments_as_a_json_schema() -> None:
    declared = {
        "card": Argument(pattern="[0-9]{4}", longest=4),
        "amount": Argument(type="number", least=0.01, optional=True),
        "on": Argument(type="date", optional=True),
    }
    assert json_schema(declared) == {
        "type": "object",
        "properties": {
            "card": {"type": "string", "minLength": 1, "maxLength": 4, "pattern": "^(?:[0-9]{4})$"},
            "amount": {"type": "number", "minimum": 0.01},
            "on": {"type": "string", "format": "date"},
        },
        "required": ["card"],
        "additionalProperties": False,
    }
