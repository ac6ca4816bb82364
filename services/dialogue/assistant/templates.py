"""Text with places for values: `{item}`, `{order.amount:money}`. Values are put in as text and never read again."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, TypeGuard

from pydantic import JsonValue, PlainValidator

from services.dialogue.assistant.formats import day_text, money_text, number_text, time_text
from shared.assistants.expressions import Scope, resolve

__all__ = ["CONVENTIONS", "FORMATS", "Conventions", "Template", "TemplateField", "read_template", "written"]

MAX_LENGTH = 2000
REMEMBERED = 4096
MOST = Decimal(10) ** 18
"""Larger than any amount; what is beyond is shown as it came."""
PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
AMOUNT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ([A-Z]{3})")
CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True)
class Conventions:
    """In which time zone days are, and in which currency (ISO 4217) amounts are that do not say."""

    zone: tzinfo = UTC
    currency: str = "CNY"


CONVENTIONS = Conventions()


@dataclass(frozen=True)
class Place:
    """Where a value goes, and how it is written; `currency` is the name under which an amount's owner says its own."""

    name: str
    form: str
    currency: str | None = None


@dataclass(frozen=True)
class Template:
    """A text, read once; `names` are the dotted names of the values that it needs."""

    source: str
    parts: tuple[str | Place, ...]

    @property
    def names(self) -> frozenset[str]:
        """The values that the text needs."""
        return frozenset(part.name for part in self.parts if isinstance(part, Place))

    @property
    def wanted(self) -> frozenset[str]:
        """The values that the text needs, and those that it uses where they are there."""
        return self.names | {part.currency for part in self.parts if isinstance(part, Place) and part.currency}

    def fill(self, variables: Scope, language: str, conventions: Conventions = CONVENTIONS) -> str:
        """The text in a language; a value that is not there leaves nothing behind."""
        return "".join(
            part if isinstance(part, str) else _written_at(part, variables, language, conventions)
            for part in self.parts
        )


def _written_at(place: Place, variables: Scope, language: str, conventions: Conventions) -> str:
    value = looked_up(variables, place.name)
    if place.currency is not None:
        said = looked_up(variables, place.currency)
        if isinstance(said, str) and CURRENCY.fullmatch(said):
            return _amount(value, language, said)
    return FORMATS[place.form](value, language, conventions)


def looked_up(variables: Scope, name: str) -> JsonValue:
    """A variable under its dotted name as a whole, else what the name leads to."""
    return variables[name] if name in variables else resolve(variables, name)


def read_template(source: object) -> Template:
    """Read a text; raises `ValueError` that says what is wrong with it."""
    if not isinstance(source, str):
        raise ValueError("a text is wanted here; put quotes around it")
    if len(source) > MAX_LENGTH:
        raise ValueError(f"a text has at most {MAX_LENGTH} characters")
    parts: list[str | Place] = []
    end = 0
    for match in PLACE.finditer(source):
        parts.append(source[end : match.start()])
        parts.append(match.group()[0] if match.group() in ("{{", "}}") else place(match))
        end = match.end()
    parts.append(source[end:])
    return Template(source, tuple(part for part in parts if part))


TemplateField = Annotated[Template, PlainValidator(read_template)]


def place(match: re.Match[str]) -> Place:
    """`{name:form}` taken apart."""
    if match.group(1) is None:
        raise ValueError(f"a brace that stands for itself is written twice: {match.string}")
    name, _, form = match.group(1).partition(":")
    if not NAME.fullmatch(name):
        raise ValueError(f"between braces goes the name of a value, not '{match.group(1)}'")
    if form not in FORMATS:
        raise ValueError(f"'{form}' is no way to write a value; there are: {', '.join(filter(None, FORMATS))}")
    owner = name.rpartition(".")[0]
    return Place(name, form, f"{owner}.currency".removeprefix(".") if form == "money" else None)


def written(value: JsonValue, language: str) -> str:
    """A value as text; one that has a text for each language gives the one that is wanted."""
    if isinstance(value, dict):
        return written(value.get(language, next(iter(value.values()), None)), language)
    if isinstance(value, list):
        return ("、" if language == "zh" else ", ").join(written(item, language) for item in value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def plain(value: JsonValue, language: str, _conventions: Conventions) -> str:
    """A value as text."""
    return written(value, language)


def money(value: JsonValue, language: str, conventions: Conventions) -> str:
    """An amount with the sign of its currency: what it says itself, as `299.00 USD`, or that of the company."""
    return _amount(value, language, conventions.currency)


def _amount(value: JsonValue, language: str, currency: str) -> str:
    text = _money_text(value, currency, language) if _may_be_number(value) else None
    return written(value, language) if text is None else text


def number(value: JsonValue, language: str, _conventions: Conventions) -> str:
    """A number with its digits in groups."""
    text = _number_text(value, language) if _may_be_number(value) else None
    return written(value, language) if text is None else text


def _may_be_number(value: JsonValue) -> TypeGuard[int | float | str]:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


# The same amounts come again and again within a turn, and working one out costs more than all else of a line.
@lru_cache(maxsize=REMEMBERED)
def _money_text(value: int | float | str, currency: str, language: str) -> str | None:
    if isinstance(value, str) and (said := AMOUNT.fullmatch(value)):
        value, currency = said.groups()
    amount = _decimal(value)
    return None if amount is None else money_text(amount, currency, language)


@lru_cache(maxsize=REMEMBERED)
def _number_text(value: int | float | str, language: str) -> str | None:
    amount = _decimal(value)
    return None if amount is None else number_text(amount, language)


def _decimal(value: int | float | str) -> Decimal | None:
    """A number as it was written, up to what any currency has of it."""
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < MOST else None


def _moment(value: JsonValue, conventions: Conventions) -> datetime | None:
    """An ISO 8601 time where the company is; one without a zone is one there."""
    try:
        moment = datetime.fromisoformat(str(value))
        # Without the zone in the end: two moments that are the same one are not the same day everywhere.
        return (moment.astimezone(conventions.zone) if moment.tzinfo else moment).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def date(value: JsonValue, language: str, conventions: Conventions) -> str:
    """The day of a moment."""
    moment = _moment(value, conventions)
    return written(value, language) if moment is None else day_text(moment, language)


def time(value: JsonValue, language: str, conventions: Conventions) -> str:
    """The hour and the minute of a moment."""
    moment = _moment(value, conventions)
    return written(value, language) if moment is None else time_text(moment, language)


def or_none(value: JsonValue, language: str, conventions: Conventions) -> str:
    """A value that may not have been given."""
    return plain(value, language, conventions) or ("无" if language == "zh" else "none")


FORMATS: dict[str, Callable[[JsonValue, str, Conventions], str]] = {
    "": plain,
    "money": money,
    "number": number,
    "date": date,
    "time": time,
    "or_none": or_none,
}
