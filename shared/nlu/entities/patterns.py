"""Entities that have a form: found by expressions, with a value in normal form.

Characters are made plain one for one first (full-width digits, letters and punctuation), so every span holds in the
original text. Each expression is bounded, so the time is linear in the text whatever somebody types.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from shared.nlu.entities.amounts import find_amounts
from shared.nlu.entities.dates import find_dates
from shared.nlu.entities.numerals import CHINESE_NUMERAL

__all__ = ["PATTERN_ENTITIES", "Found", "find_patterns", "plain"]

PATTERN_ENTITIES = ("email", "tax_id", "order_number", "phone", "date", "amount")
"""The kinds; of two that match the same characters, the one that comes first here."""

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0xFFE5: 0xA5}

EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,4}[A-Za-z]{2,24}"
    r"(?![A-Za-z0-9-])"
)
TAX_ID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{18}(?![0-9A-Za-z])")
MIN_TAX_DIGITS = 6
"""A tax id names its region in six digits; this keeps long words out."""
ORDER_NUMBER = re.compile(r"(?<![0-9])(?:20[0-9]{9}|20[0-9]{2}[ -][0-9]{4}[ -][0-9]{3})(?![0-9])")
PHONE = re.compile(r"(?<![0-9])(?:\+?86[ -]?)?(1[3-9][0-9]([ -]?)[0-9]{4}\2[0-9]{4})(?![0-9])")
NUMERIC = re.compile(f"[0-9]|{CHINESE_NUMERAL}")
SEPARATORS = str.maketrans("", "", " -")


@dataclass(frozen=True, slots=True)
class Found:
    """A span of a text and what it says in normal form."""

    name: str
    value: str
    start: int
    end: int


def plain(text: str) -> str:
    """The text with full-width characters made plain; every character keeps its place."""
    return text if text.isascii() else text.translate(FULL_WIDTH)


def find_patterns(text: str, today: date) -> list[Found]:
    """The entities of a form in a text, in order and without overlap: of two that overlap, the longer one.

    Dates are ISO days, seen from `today`; amounts are `299.00 CNY`.
    """
    return _longest(list(_candidates(plain(text), today)))


def _longest(candidates: Sequence[Found]) -> list[Found]:
    chosen: list[Found] = []
    taken = bytearray(max((found.end for found in candidates), default=0))
    for found in sorted(candidates, key=lambda found: (found.start - found.end, PATTERN_ENTITIES.index(found.name))):
        if not any(taken[found.start : found.end]):
            taken[found.start : found.end] = b"\1" * (found.end - found.start)
            chosen.append(found)
    return sorted(chosen, key=lambda found: found.start)


def _candidates(text: str, today: date) -> Iterator[Found]:
    for start, end, value in find_dates(text, today):
        yield Found("date", value, start, end)
    if "@" in text:
        for match in EMAIL.finditer(text):
            local, domain = match[0].rsplit("@", 1)
            yield Found("email", f"{local}@{domain.lower()}", *match.span())
    if not NUMERIC.search(text):
        return
    for match in TAX_ID.finditer(text):
        if sum(map(str.isdigit, match[0])) >= MIN_TAX_DIGITS:
            yield Found("tax_id", match[0].upper(), *match.span())
    for match in ORDER_NUMBER.finditer(text):
        yield Found("order_number", match[0].translate(SEPARATORS), *match.span())
    for match in PHONE.finditer(text):
        yield Found("phone", match[1].translate(SEPARATORS), *match.span())
    for start, end, value in find_amounts(text):
        yield Found("amount", value, start, end)
