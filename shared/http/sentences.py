"""What is wrong with a value, in words for people: pydantic's own speak of strings, patterns and classes."""

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["sentence"]

Context = Mapping[str, Any]


TEXT, LIST, OBJECT = "must be a text", "must be a list", "must be an object"
WHOLE, NUMBER = "must be a whole number", "must be a number"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _characters(number: int) -> str:
    return _count(number, "character", "characters")


def _bound(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _entries(number: int) -> str:
    return _count(number, "entry", "entries")


SENTENCES: dict[str, str | Callable[[Context], str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not known here",
    "none_required": "must be left out",
    "string_type": TEXT,
    "string_unicode": "is not a valid text",
    "string_sub_type": TEXT,
    "string_too_short": lambda given: (
        "must not be empty" if given["min_length"] == 1 else f"needs {_characters(given['min_length'])} or more"
    ),
    "string_too_long": lambda given: f"has more than {_characters(given['max_length'])}",
    "string_pattern_mismatch": lambda given: (
        "must not be blank" if given["pattern"] == r"\S" else "has characters or a form that are not allowed here"
    ),
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": "is too large",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "must be a finite number",
    "greater_than": lambda given: f"must be more than {_bound(given['gt'])}",
    "greater_than_equal": lambda given: f"must be {_bound(given['ge'])} or more",
    "less_than": lambda given: f"must be less than {_bound(given['lt'])}",
    "less_than_equal": lambda given: f"must be {_bound(given['le'])} or less",
    "literal_error": lambda given: f"must be {given['expected']}",
    "enum": lambda given: f"must be {given['expected']}",
    "list_type": LIST,
    "tuple_type": LIST,
    "set_type": LIST,
    "dict_type": OBJECT,
    "mapping_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "dataclass_type": OBJECT,
    "too_short": lambda given: f"needs {_entries(given['min_length'])} or more",
    "too_long": lambda given: f"has more than {_entries(given['max_length'])}",
}


def sentence(error: Mapping[str, Any]) -> str:
    """The words for one of pydantic's errors, to stand behind the field's name; it repeats nothing that was sent."""
    known = SENTENCES.get(str(error["type"]))
    if known is None:
        # What a validator of ours says is a sentence already.
        return str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return known if isinstance(known, str) else known(error.get("ctx") or {})
