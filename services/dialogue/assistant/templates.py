"""Text with places for values: `{item}`, `{order.amount:money}`. Values are put in as text and never read again."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated

from pydantic import JsonValue, PlainValidator

from services.dialogue.assistant.expressions import Scope, resolve

__all__ = ["CONVENTIONS", "FORMATS", "Conventions", "Template", "TemplateField", "read_template", "written"]

MAX_LENGTH = 2000
PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

SYMBOLS = {
    "CNY": "¥", "USD": "$", "EUR": "€", "GBP": "£", "HKD": "HK$", "TWD": "NT$", "JPY": "JP¥", "KRW": "₩", "AUD": "A$",
    "CAD": "CA$", "SGD": "S$",
}  # fmt: skip
WHOLE = ("JPY", "KRW")
"""Currencies without a smaller unit."""
AMOUNT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?) ([A-Z]{3})")


@dataclass(frozen=True)
class Conventions:
    """In which time zone days are, and in which currency (ISO 4217) amounts are that do not say."""

    zone: tzinfo = UTC
    currency: str = "CNY"


CONVENTIONS = Conventions()


@dataclass(frozen=True)
class Place:
    """Where a value goes, and how it is written."""

    name: str
    form: str


@dataclass(frozen=True)
class Template:
    """A text, read once; `names` are the dotted names of the values that it needs."""

    source: str
    parts: tuple[str | Place, ...]

    @property
    def names(self) -> frozenset[str]:
        """The values that the text needs."""
        return frozenset(part.name for part in self.parts if isinstance(part, Place))

    def fill(self, variables: Scope, language: str, conventions: Conventions = CONVENTIONS) -> str:
        """The text in a language; a value that is not there leaves nothing behind."""
        return "".join(
            part
            if isinstance(part, str)
            else FORMATS[part.form](looked_up(variables, part.name), language, conventions)
            for part in self.parts
        )


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
    return Place(name, form)


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
    """An amount with the sign of its currency: the one that it says, as `299.00 USD`, or that of the company."""
    currency = conventions.currency
    if isinstance(value, str) and (said := AMOUNT.fullmatch(value)):
        value, currency = said.groups()
    try:
        amount = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        amount = math.nan
    if not math.isfinite(amount):
        return written(value, language)
    sign = "-" if amount < 0 else ""
    return f"{sign}{SYMBOLS.get(currency, f'{currency} ')}{abs(amount):,.{0 if currency in WHOLE else 2}f}"


def date(value: JsonValue, language: str, conventions: Conventions) -> str:
    """The day of an ISO 8601 time where the company is; a time without a zone is one there."""
    try:
        day = datetime.fromisoformat(str(value))
        day = day.astimezone(conventions.zone) if day.tzinfo else day
    except (ValueError, OverflowError):
        return written(value, language)
    return f"{day.month}月{day.day}日" if language == "zh" else f"{MONTHS[day.month - 1]} {day.day}"


def or_none(value: JsonValue, language: str, conventions: Conventions) -> str:
    """A value that may not have been given."""
    return plain(value, language, conventions) or ("无" if language == "zh" else "none")


FORMATS: dict[str, Callable[[JsonValue, str, Conventions], str]] = {
    "": plain,
    "money": money,
    "date": date,
    "or_none": or_none,
}
