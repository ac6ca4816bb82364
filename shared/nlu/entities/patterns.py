"""Entities that have a form: found by expressions in the normalised text, with a value in normal form.

Their places are those in the customer's own text. Each expression is bounded, so the time is linear in the text
whatever somebody types.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from shared.nlu.entities.amounts import find_amounts
from shared.nlu.entities.dates import find_dates
from shared.nlu.entities.numerals import CHINESE_NUMERAL, simplified, spelled_digits
from shared.nlu.normalisation import Normalised

__all__ = ["PATTERN_ENTITIES", "Found", "find_patterns"]

PATTERN_ENTITIES = ("email", "tax_id", "order_number", "phone", "date", "amount")
"""The kinds; of two that match the same characters, the one that comes first here."""

ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~.-"
EMAIL = re.compile(
    rf"(?<![@{ATEXT}])[{ATEXT}]{{1,80}}@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\.){{1,8}}[A-Za-z]{{2,24}})"
    r"(?![A-Za-z0-9_@-])(?!\.[A-Za-z0-9])"
)
LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+^_~-]+(?:\.[A-Za-z0-9!#$%&'*+^_~-]+)*")
MAX_LOCAL = 64
HAN = "\u2e80"
"""From here on a letter is Chinese or Japanese, which people write in front of an address without a blank."""
LEAD = re.compile(r"(?:\.{2,}|[*-]+|.*[=/?|`{}])(?=[A-Za-z0-9_])")
"""What stands before an address without a blank: an ellipsis, a bullet."""
TAX_ID = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{18}(?![0-9A-Za-z])")
MIN_TAX_DIGITS = 6
"""A tax id names its region in six digits; this keeps long words out."""
ORDER_NUMBER = re.compile(
    r"(?<![0-9])(?<![0-9][.-])20[0-9]{2}"
    r"(?:[0-9]{7}|[ -][0-9]{4}[ -][0-9]{3}|(?:-?[0-9]){7}|(?: ?[0-9]){7})(?![0-9])"
)
PHONE = re.compile(
    r"(?<![0-9.])(?<![0-9]-)(?:[+(]{0,2}(?:00)?86\)?[ .-]{0,3})?(1[3-9][0-9](?:[ .-]?[0-9]){8})(?![0-9])(?!\.[0-9])"
)
FOREIGN = re.compile(r"(?:\+|(?<![0-9])00)(?!86)[0-9]{1,3}[ .-]?\Z")
USUAL_GROUPS, LEAST_GROUP = [3, 4, 4], 3
NUMERIC = re.compile(f"[0-9]|{CHINESE_NUMERAL}|半")
SEPARATORS = str.maketrans("", "", " .-")


@dataclass(frozen=True, slots=True)
class Found:
    """A span of a text and what it says in normal form."""

    name: str
    value: str
    start: int
    end: int


def find_patterns(text: Normalised, today: date) -> list[Found]:
    """The entities of a form, in order and without overlap: of two that overlap, the longer one.

    Their places are in the text as it was written. Dates are ISO days, seen from `today`; amounts are `299.00 CNY`.
    """
    return _longest([_placed(found, text) for found in _candidates(text.text, today)])


def _placed(found: Found, text: Normalised) -> Found:
    start, end = text.place(found.start, found.end)
    return Found(found.name, found.value, start, end)


def _longest(candidates: Sequence[Found]) -> list[Found]:
    chosen: list[Found] = []
    taken = bytearray(max((found.end for found in candidates), default=0))
    for found in sorted(candidates, key=lambda found: (found.start - found.end, PATTERN_ENTITIES.index(found.name))):
        if not any(taken[found.start : found.end]):
            taken[found.start : found.end] = b"\1" * (found.end - found.start)
            chosen.append(found)
    return sorted(chosen, key=lambda found: found.start)


def _candidates(text: str, today: date) -> Iterator[Found]:
    if "@" in text:
        yield from _emails(text)
    text = simplified(text)
    for start, end, value in find_dates(text, today):
        yield Found("date", value, start, end)
    for start, end, value in find_amounts(text):
        yield Found("amount", value, start, end)
    if not NUMERIC.search(text):
        return
    text = spelled_digits(text)
    for match in TAX_ID.finditer(text):
        if sum(map(str.isdigit, match[0])) >= MIN_TAX_DIGITS:
            yield Found("tax_id", match[0].upper(), *match.span())
    for match in ORDER_NUMBER.finditer(text):
        yield Found("order_number", match[0].translate(SEPARATORS), *match.span())
    for match in PHONE.finditer(text):
        if _is_phone(match[1]) and not FOREIGN.search(text[max(0, match.start() - 6) : match.start()]):
            yield Found("phone", match[1].translate(SEPARATORS), *match.span())


def _is_phone(written: str) -> bool:
    """Whether it is one number: in the usual groups, or in others with one sign between them."""
    groups = [len(group) for group in re.split("[ .-]", written)]
    return groups == USUAL_GROUPS or (len(set(re.findall("[ .-]", written))) <= 1 and min(groups) >= LEAST_GROUP)


def _emails(text: str) -> Iterator[Found]:
    """Whole addresses: of one that has a sign which cannot be part of it, no rest is taken for another's address."""
    for match in EMAIL.finditer(text):
        start, local = match.start(), match[0].rsplit("@", 1)[0]
        before = text[start - 1 : start]
        if before.isalpha() and before < HAN:
            continue
        lead = LEAD.match(local)
        if lead is not None and not lead[0].endswith(("/", "?", "|", "`", "{", "}")):
            start, local = start + lead.end(), local[lead.end() :]
        quoted = local.startswith("'") and text.startswith("'", match.end())
        if quoted:
            start, local = start + 1, local[1:]
        if len(local) <= MAX_LOCAL and LOCAL.fullmatch(local):
            yield Found("email", f"{local}@{match[1].lower()}", start, match.end())
