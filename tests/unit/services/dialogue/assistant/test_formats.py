from datetime import datetime
from decimal import Decimal

import pytest

from services.dialogue.assistant.formats import day_text, is_currency, money_text, number_text, time_text

SPACE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("amount", "currency", "zh", "en"),
    [
        ("1299.5", "CNY", "¥1,299.50", "CN¥1,299.50"),
        ("1299.5", "USD", "US$1,299.50", "$1,299.50"),
        ("1299.5", "EUR", "€1,299.50", "€1,299.50"),
        ("1299.5", "GBP", "£1,299.50", "£1,299.50"),
        ("1299.5", "HKD", "HK$1,299.50", "HK$1,299.50"),
        ("1299.5", "JPY", "JP¥1,300", "¥1,300"),
        ("1298.5", "JPY", "JP¥1,299", "¥1,299"),
        ("1298.5", "KRW", "₩1,299", "₩1,299"),
        ("1.2345", "KWD", f"KWD{SPACE}1.235", f"KWD{SPACE}1.235"),
        ("5", "CHF", f"CHF{SPACE}5.00", f"CHF{SPACE}5.00"),
        ("5", "XYZ", f"XYZ{SPACE}5.00", f"XYZ{SPACE}5.00"),
        ("8.505", "CNY", "¥8.51", "CN¥8.51"),
        ("-8.505", "CNY", "-¥8.51", "-CN¥8.51"),
        ("0", "CNY", "¥0.00", "CN¥0.00"),
        ("-0.001", "CNY", "¥0.00", "CN¥0.00"),
        ("-5", "CHF", f"-CHF{SPACE}5.00", f"-CHF{SPACE}5.00"),
        ("1234567890.12", "INR", "₹1,234,567,890.12", "₹1,234,567,890.12"),
    ],
)
def test_an_amount_is_written_as_the_language_does(amount: str, currency: str, zh: str, en: str) -> None:
    assert [money_text(Decimal(amount), currency, language) for language in ("zh", "en")] == [zh, en]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1234567.5", "1,234,567.5"),
        ("1000", "1,000"),
        ("0.12345", "0.123"),
        ("-0.5", "-0.5"),
        ("0", "0"),
        ("1E+3", "1,000"),
    ],
)
def test_a_number_has_its_digits_in_groups(number: str, expected: str) -> None:
    assert {number_text(Decimal(number), language) for language in ("zh", "en")} == {expected}


def test_days_and_times() -> None:
    moment = datetime(2026, 11, 3, 7, 5)
    assert (day_text(moment, "zh"), day_text(moment, "en")) == ("11月3日", "Nov 3")
    assert (time_text(moment, "zh"), time_text(moment, "en")) == ("07:05", "07:05")


def test_which_currencies_there_are() -> None:
    assert is_currency("CNY")
    assert not is_currency("ABZ")
