"""Numbers as people write them: Arabic with separators, and Chinese numerals."""

import re
from decimal import Decimal

__all__ = ["CHINESE_NUMERAL", "parse_chinese", "parse_number"]

DIGITS = {character: value for value, row in enumerate(
    ("零〇○", "一壹", "二两贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
) for character in row}  # fmt: skip
UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
MYRIADS = {"万": 10_000, "萬": 10_000, "亿": 100_000_000}

CHINESE_NUMERAL = "[" + "".join(DIGITS) + "".join(UNITS) + "".join(MYRIADS) + "]"
"""A character class that matches one character of a Chinese numeral."""

ARABIC = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,4})?|[0-9]{1,12}(?:\.[0-9]{1,4})?")
MAX_CHINESE = 16


def parse_number(text: str) -> Decimal | None:
    """The value of `1,299.00`, `3万`, `5k` or `三百五`; None when it is no well-formed number."""
    body, scale = text.strip(), Decimal(1)
    if body[:1].isdigit():
        scales = {"k": 1000, "K": 1000} | UNITS | MYRIADS
        if body[-1] in scales:
            body, scale = body[:-1].rstrip(), Decimal(scales[body[-1]])
        return Decimal(body.replace(",", "")) * scale if ARABIC.fullmatch(body) else None
    value = parse_chinese(body)
    return None if value is None else Decimal(value)


def parse_chinese(text: str) -> int | None:
    """The value of `三百二十`, `一万三` (13,000) or `二〇二六` (digit by digit); None when malformed."""
    if not text or len(text) > MAX_CHINESE:
        return None
    if all(character in DIGITS for character in text):
        return int("".join(str(DIGITS[character]) for character in text))
    return _with_units(text)


def _with_units(text: str) -> int | None:
    total = section = 0
    digit: int | None = None
    smallest, last_unit, zero = 10_000, 1, False
    largest_myriad = max(MYRIADS.values()) * 10
    for position, character in enumerate(text):
        if character in DIGITS:
            value = DIGITS[character]
            if value == 0:
                if digit is not None or zero or position == 0:
                    return None
                zero = True
                continue
            if digit is not None:
                return None
            digit = value
        elif character in UNITS:
            unit = UNITS[character]
            if digit is None and not (unit == 10 and section == 0):
                return None
            if unit >= smallest:
                return None
            section += (1 if digit is None else digit) * unit
            digit, smallest, last_unit, zero = None, unit, unit, False
        elif character in MYRIADS:
            myriad = MYRIADS[character]
            section += digit or 0
            if section == 0 or myriad >= largest_myriad:
                return None
            total += section * myriad
            section, digit, smallest, last_unit, zero = 0, None, 10_000, myriad, False
            largest_myriad = myriad
        else:
            return None
    if zero and digit is None:
        return None
    if digit is not None:
        # Spoken short form: after a unit of a hundred or more, a last bare digit counts the next smaller unit.
        section += digit * (last_unit // 10 if last_unit >= 100 and not zero else 1)
    return total + section
