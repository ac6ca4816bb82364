"""Amounts, numbers, days and times as each language writes them, from the Unicode CLDR by Babel.

Babel finds its data and a pattern anew for each call, which costs more than using them, so patterns are kept here.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from babel import Locale
from babel.dates import DateTimePattern
from babel.numbers import NumberPattern, get_currency_precision, get_currency_symbol, is_currency

__all__ = ["day_text", "is_currency", "money_text", "number_text", "time_text"]

NO_BREAK = "\N{NO-BREAK SPACE}"
REMEMBERED = 4096


def money_text(amount: Decimal, currency: str, language: str) -> str:
    """An amount with the sign of its currency, in its smallest unit; half of one is rounded away from zero."""
    locale = _locale(language)
    rounded = amount.quantize(Decimal(1).scaleb(-get_currency_precision(currency)), ROUND_HALF_UP)
    # Nothing is neither more nor less than nothing, so adding it takes the sign of a zero away.
    text = _money_pattern(language).apply(rounded + 0, locale, currency=currency)
    sign = get_currency_symbol(currency, locale=locale)
    # As CLDR wants between a letter and a digit, which Babel leaves out.
    return str(text.replace(sign, sign + NO_BREAK) if sign[-1:].isalpha() else text)


def number_text(number: Decimal, language: str) -> str:
    """A number with its digits in groups."""
    return str(_number_pattern(language).apply(number, _locale(language)))


@lru_cache(maxsize=REMEMBERED)
def day_text(day: datetime, language: str) -> str:
    """The day and the month of a moment."""
    return _moment_pattern(language, "MMMd").apply(day, _locale(language))


@lru_cache(maxsize=REMEMBERED)
def time_text(moment: datetime, language: str) -> str:
    """The hour and the minute of a moment."""
    return _moment_pattern(language, "Hm").apply(moment, _locale(language))


@lru_cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


@lru_cache
def _money_pattern(language: str) -> NumberPattern:
    pattern: NumberPattern = _locale(language).currency_formats["standard"]
    return pattern


@lru_cache
def _number_pattern(language: str) -> NumberPattern:
    pattern: NumberPattern = _locale(language).decimal_formats[None]
    return pattern


@lru_cache
def _moment_pattern(language: str, skeleton: str) -> DateTimePattern:
    pattern: DateTimePattern = _locale(language).datetime_skeletons[skeleton]
    return pattern
