"""Numbers as people write and say them: Arabic with separators, Chinese numerals, and mixtures of both."""

import re
from decimal import Decimal

from shared.nlu import traditional

__all__ = ["CHINESE_NUMERAL", "parse_chinese", "parse_number", "simplified", "spelled_digits"]

DIGITS = {character: value for value, row in enumerate(
    ("零〇○", "一壹", "二两贰", "三叁", "四肆", "五伍", "六陆", "七柒", "八捌", "九玖")
) for character in row}  # fmt: skip
TENS = {"廿": "二十", "卅": "三十", "卌": "四十"}
UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
MYRIADS = {"万": 10_000, "亿": 100_000_000}
SCALES = {"k": 1000, "w": 10_000} | UNITS | MYRIADS

CHINESE_NUMERAL = "[" + "".join(DIGITS) + "".join(TENS) + "".join(UNITS) + "".join(MYRIADS) + "]"
"""A character class that matches one character of a Chinese numeral."""

ARABIC = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){1,3}(?:\.[0-9]{1,4})?|[0-9]{1,12}(?:\.[0-9]{1,4})?")
STEP = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,4})?) ?([kw十百千万亿])?")
GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3}){1,3}(?![0-9,])")
MAX_CHINESE, MAX_SPELLED = 24, 16

SPELLED = re.compile(r"(?:[零〇○一二三四五六七八九幺][ -]?){6,}[零〇○一二三四五六七八九幺]")
SPELLED_DIGITS = str.maketrans("零〇○一二三四五六七八九幺", "0001234567891")


def simplified(text: str) -> str:
    """The text in simplified characters, and 參 as the numeral that it is in amounts; every place stays."""
    return text if text.isascii() else traditional.simplified(text.replace("參", "叁"))


def spelled_digits(text: str) -> str:
    """The text with numbers that are spelled out, as 二零二六一一零三零零一, in figures; every place stays."""
    return text if text.isascii() else SPELLED.sub(lambda found: found[0].translate(SPELLED_DIGITS), text)


def parse_number(text: str) -> Decimal | None:
    """The value of `1,299.00`, `3万`, `13万2`, `1k5`, `三百五` or `一百点三`; None when it is no well-formed number."""
    body = text.strip().lower()
    if body[:1].isdigit():
        return Decimal(body.replace(",", "")) if ARABIC.fullmatch(body) else _scaled(body)
    whole, point, fraction = body.partition("点")
    if len(whole) > 1 and all(character in DIGITS for character in whole):
        # 三五 is "three to five", and what is spelled digit by digit is no quantity.
        return None
    value = parse_chinese(whole)
    if value is None or not point:
        return None if value is None else Decimal(value)
    if not fraction or not all(character in DIGITS for character in fraction):
        return None
    return Decimal(f"{value}.{''.join(str(DIGITS[character]) for character in fraction)}")


def parse_chinese(text: str) -> int | None:
    """The value of `三百二十`, `一万三` (13,000) or `二〇二六` (digit by digit); None when malformed."""
    if not text or len(text) > MAX_CHINESE:
        return None
    if all(character in DIGITS for character in text):
        return None if len(text) > MAX_SPELLED else int("".join(str(DIGITS[character]) for character in text))
    return _with_units("".join(TENS.get(character, character) for character in text))


def _scaled(body: str) -> Decimal | None:
    """`1.5k`, `3 万`, `13万2千` and `13万2`: figures with units between them."""
    total, last, place = Decimal(0), 0, 0
    if grouped := GROUPED.match(body):
        body = body.replace(",", "", grouped[0].count(","))
    while place < len(body):
        step = STEP.match(body, place)
        if step is None:
            return None
        number, unit = Decimal(step[1]), step[2]
        if unit is None:
            # The spoken short form, as in 一万三: a last bare digit counts the next smaller unit.
            short = last >= 100 and step.end() == len(body) and len(step[1]) == 1 and number
            return total + number * last / 10 if short else None
        scale = SCALES[unit]
        if last and number * scale >= last:
            return None
        total, last, place = total + number * scale, scale, step.end()
    return total


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
