"""What is read out of a system's answer: the declared fields, each of its declared type, and nothing else."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, get_args

from pydantic import JsonValue

from shared.assistants.connectors import Answer, AnswerField
from shared.assistants.expressions import Scope
from shared.nlu.assistant_files import Language

__all__ = ["code_of", "read_answer"]

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8}){0,3}")
LANGUAGES = get_args(Language)
CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
UNNAMED = "refused"
"""The code of a refusal that gives none that could be one."""
EXACT = 2**53


def code_of(value: JsonValue) -> str:
    """A code that an answer gives, as flows compare it."""
    return value if isinstance(value, str) and CODE.fullmatch(value) else UNNAMED


def read_answer(answer: Answer, scope: Scope, *, tolerant: bool = False) -> dict[str, Any]:
    """The fields of an answer.

    Args:
        tolerant: whether what is missing or of another type is `null`, as it is where nothing depends on it.

    Raises:
        ValueError: a required field is missing, or one is of another type; the message names it, without its value.
    """
    return _fields(answer, scope, "response", "", tolerant=tolerant)


def _fields(answer: Answer, scope: Scope, around: str, prefix: str, *, tolerant: bool) -> dict[str, Any]:
    read: dict[str, Any] = {}
    whole = scope.get(around)
    for name, field in answer.items():
        where = f"{prefix}{name}"
        if field.source is not None:
            value = field.source.value(scope)
        else:
            value = whole.get(name) if isinstance(whole, dict) else None
        if value is None and not tolerant and field.required:
            raise ValueError(f"'{where}' is missing")
        try:
            read[name] = None if value is None else _typed(field, value, scope, where, tolerant=tolerant)
        except TypeError:
            if not tolerant:
                raise ValueError(f"'{where}' is no {field.type}") from None
            read[name] = None
    return read


def _typed(field: AnswerField, value: JsonValue, scope: Scope, where: str, *, tolerant: bool) -> Any:
    """A value as its field's type; raises `TypeError` where it is of another one."""
    match field.type:
        case "text":
            return _text(value, field.longest)
        case "integer":
            return _integer(value)
        case "number":
            return _number(value)
        case "boolean" if isinstance(value, bool):
            return value
        case "date":
            return _moment(value).date().isoformat()
        case "datetime":
            moment = _moment(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
        case "localized":
            return _localized(value, field.longest)
        case "object" if isinstance(value, dict):
            return _fields(field.fields, {**scope, "item": value}, "item", f"{where}.", tolerant=tolerant)
        case "list" if isinstance(value, list):
            return [
                _fields(field.fields, {**scope, "item": item}, "item", f"{where}.{place}.", tolerant=tolerant)
                for place, item in enumerate(value[: field.most])
            ]
    raise TypeError


def _text(value: JsonValue, longest: int) -> str:
    """Text that can be stored and shown; what is too long ends in an ellipsis."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    text = str(value)
    if not text.isprintable():
        text = text.encode("utf-8", "replace").decode("utf-8")
        text = "".join(each if each.isprintable() or each in "\n\t" else " " for each in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _integer(value: JsonValue) -> int:
    number = _number(value)
    if isinstance(number, float):
        raise TypeError
    return number


def _number(value: JsonValue) -> int | float:
    """A number, which many systems write as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise TypeError from None
    if not math.isfinite(number):
        raise TypeError
    return int(number) if number.is_integer() and abs(number) < EXACT else number


def _moment(value: JsonValue) -> datetime:
    if not isinstance(value, str) or len(value) > 40:
        raise TypeError
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        pass
    try:
        return datetime.combine(date.fromisoformat(value), datetime.min.time())
    except ValueError:
        raise TypeError from None


def _localized(value: JsonValue, longest: int) -> dict[str, str]:
    """A text for each language; a plain one is that of all, and `zh-CN` stands for `zh` where there is no better."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(LANGUAGES, _text(value, longest))
    if not value or len(value) > 50 or not all(LANGUAGE.fullmatch(each) for each in value):
        raise TypeError
    texts = {language: _text(text, longest) for language, text in value.items() if text is not None}
    for language, text in list(texts.items()):
        texts.setdefault(re.split("[-_]", language)[0].lower(), text)
    return texts
