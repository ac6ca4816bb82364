"""The arguments of a look-up or an action, checked against what its connector declares."""

import math
import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from shared.assistants.connectors import Argument
from shared.errors import FieldError
from shared.nlu.assistant_files import plain_message

__all__ = ["json_schema", "read_arguments"]

EXACT = 2**53
"""Whole numbers beyond this are not exact in expressions."""
WHOLE = re.compile(r"[+-]?[0-9]{1,16}")
DECIMAL = re.compile(r"[+-]?[0-9]{1,16}(?:\.[0-9]{1,16})?")
JSON_TYPES = {"text": "string", "date": "string"}


def read_arguments(
    declared: Mapping[str, Argument], given: Mapping[str, Any]
) -> tuple[dict[str, Any], list[FieldError]]:
    """The arguments by name, `null` for what is optional and not there; and what is wrong with them."""
    read: dict[str, Any] = {}
    wrong = [
        FieldError(field=f"arguments.{name}", message="there is no such argument")
        for name in sorted(given.keys() - declared.keys())
    ]
    for name, argument in declared.items():
        value = given.get(name)
        if value is None:
            read[name] = None
            if not argument.optional:
                wrong.append(FieldError(field=f"arguments.{name}", message="is missing"))
            continue
        try:
            read[name] = _fitting(argument, value)
        except ValueError as error:
            wrong.append(FieldError(field=f"arguments.{name}", message=str(error)))
    return read, wrong


def json_schema(declared: Mapping[str, Argument]) -> dict[str, Any]:
    """The arguments as a JSON schema."""
    properties: dict[str, Any] = {}
    for name, argument in declared.items():
        schema: dict[str, Any] = {"type": JSON_TYPES.get(argument.type, argument.type)}
        if argument.type == "text":
            schema |= {"minLength": argument.shortest, "maxLength": argument.longest}
        if argument.type == "date":
            schema["format"] = "date"
        facts = {
            "pattern": argument.pattern and f"^(?:{argument.pattern})$",
            "enum": argument.one_of,
            "minimum": argument.least,
            "maximum": argument.most,
        }
        properties[name] = schema | {key: fact for key, fact in facts.items() if fact is not None}
    required = [name for name, argument in declared.items() if not argument.optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _fitting(argument: Argument, value: JsonValue) -> Any:
    """A value as the argument's type and within its limits; raises `ValueError` that says what is wrong."""
    read = _typed(argument, value)
    if argument.one_of is not None and not any(type(each) is type(read) and each == read for each in argument.one_of):
        raise ValueError(f"is none of {', '.join(str(each) for each in argument.one_of)}")
    if isinstance(read, int | float) and not isinstance(read, bool):
        if argument.least is not None and read < argument.least:
            raise ValueError(f"is less than {argument.least:g}")
        if argument.most is not None and read > argument.most:
            raise ValueError(f"is more than {argument.most:g}")
    return read


def _typed(argument: Argument, value: JsonValue) -> Any:
    match argument.type:
        case "text" if isinstance(value, str):
            if any(not each.isprintable() and each not in "\n\t" for each in value):
                raise ValueError("has characters that cannot be printed")
            try:
                return _texts(argument).validate_python(value)
            except ValidationError as error:
                raise ValueError(plain_message(error.errors(include_url=False)[0]["msg"])) from None
        case "integer" | "number":
            number = _number(value, whole=argument.type == "integer")
            if number is not None:
                return number
        case "boolean" if isinstance(value, bool):
            return value
        case "date" if isinstance(value, str) and len(value) == len("2026-01-31"):
            try:
                return date.fromisoformat(value).isoformat()
            except ValueError:
                pass
    raise ValueError(
        "should be a date, such as 2026-01-31" if argument.type == "date" else f"should be {argument.type}"
    )


def _number(value: JsonValue, *, whole: bool) -> int | float | None:
    """A number; also one that is written as text, as customers' words are."""
    if isinstance(value, str) and (WHOLE if whole else DECIMAL).fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -EXACT < value < EXACT:
        return None
    if float(value).is_integer():
        return int(value)
    return None if whole or not math.isfinite(value) else value


@lru_cache(maxsize=1024)
def _adapter(shortest: int, longest: int, pattern: str | None) -> TypeAdapter[str]:
    return TypeAdapter(Argument(shortest=shortest, longest=longest, pattern=pattern).text)


def _texts(argument: Argument) -> TypeAdapter[str]:
    return _adapter(argument.shortest, argument.longest, argument.pattern)
