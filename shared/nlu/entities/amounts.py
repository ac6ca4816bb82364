"""Amounts of money, in figures or Chinese numerals, as a decimal with its currency: `299.00 CNY`."""

import re
from collections.abc import Iterator
from decimal import Decimal

from shared.nlu.entities.numerals import CHINESE_NUMERAL, parse_number

__all__ = ["find_amounts"]

CURRENCIES = {
    "¥": "CNY", "rmb": "CNY", "cny": "CNY", "人民币": "CNY", "元": "CNY", "圆": "CNY", "块": "CNY", "块钱": "CNY",
    "yuan": "CNY", "kuai": "CNY", "$": "USD", "us$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD",
    "buck": "USD", "bucks": "USD", "美元": "USD", "美金": "USD", "€": "EUR", "eur": "EUR", "euro": "EUR",
    "euros": "EUR", "欧元": "EUR", "£": "GBP", "gbp": "GBP", "pounds": "GBP", "英镑": "GBP",
}  # fmt: skip

# Parts of the expressions.
FIGURES = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,3}(?![0-9])|[0-9]{1,9})(?:\.[0-9]{1,2})?"
NUMBER = rf"(?<![0-9.,])(?:{FIGURES}(?: ?[万千百k])?|{CHINESE_NUMERAL}{{1,12}})"
COIN = "[0-9一二三四五六七八九]"
BEFORE = r"(?<![A-Za-z])(¥|rmb|cny|人民币|us\$|\$|usd|€|eur|£|gbp)"
WORD_AFTER = "人民币|rmb|cny|yuan|kuai|美元|美金|usd|dollars?|bucks?|欧元|euros?|eur|英镑|pounds|gbp|块钱|元|圆|块"
AFTER = rf"({WORD_AFTER}|(?<! )[$¥€£])(?![A-Za-z旦素件])(?<![$¥€£](?=[0-9]))"
"""A sign counts as written after a number only when it touches it and no other number follows it."""
NO_COIN = "(?![0-9.A-Za-z个件台只双条瓶月号日天十百千万])"
"""What keeps the digit after 块 from being tenths of it: it belongs to something else."""
COINS = f"(?:({COIN})(?:[毛角](?:({COIN})分)?钱?|{NO_COIN}))?"

SIGN_FIRST = re.compile(rf"{BEFORE} ?({FIGURES}(?: ?(?:[万千]|k(?![A-Za-z])))?)(?:元|块钱?)?", re.IGNORECASE)
SIGN_LAST = re.compile(rf"({NUMBER}) ?{AFTER}{COINS}", re.IGNORECASE)
COIN_ALONE = re.compile(rf"(?<![0-9.,元块圆])({COIN}|两)[毛角]钱?")
MIN_BARE_CHINESE = 10
"""`一块` is also "together" and `两块` two pieces: below this, a Chinese numeral before 块 is no amount by itself."""


def find_amounts(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and normal form of each amount in a text whose characters were made plain; they may overlap."""
    for match in SIGN_FIRST.finditer(text):
        value = parse_number(match[2])
        if value is not None:
            yield *match.span(), _normal(value, match[1])
    for match in SIGN_LAST.finditer(text):
        value = parse_number(match[1])
        if value is not None and not _pieces(match, value):
            yield *match.span(), _normal(value + _coins(match[3], 10) + _coins(match[4], 100), match[2])
    for match in COIN_ALONE.finditer(text):
        yield *match.span(), _normal(_coins(match[1], 10), "元")


def _pieces(match: re.Match[str], value: Decimal) -> bool:
    chinese = not match[1][0].isascii()
    return chinese and match[2] == "块" and not match[3] and value < MIN_BARE_CHINESE


def _coins(digit: str | None, parts: int) -> Decimal:
    value = parse_number(digit) if digit else None
    return Decimal(0) if value is None else value / parts


def _normal(value: Decimal, sign: str) -> str:
    return f"{value:.2f} {CURRENCIES[sign.lower()]}"
