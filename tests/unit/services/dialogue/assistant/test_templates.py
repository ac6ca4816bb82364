import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.dialogue.assistant.templates import Conventions, read_template, written
from shared.zones import zone_of


@pytest.mark.parametrize(
    ("source", "language", "expected"),
    [
        ("{item}到哪了", "zh", "耳机到哪了"),
        ("{item} is on its way", "en", "earphones is on its way"),
        ("{order.amount:money}", "zh", "¥1,299.00"),
        ("{price:money}", "en", "CN¥8.50"),
        ("{word:money}", "en", "soon"),
        ("{order.at:date}", "zh", "11月3日"),
        ("{order.at:date}", "en", "Nov 3"),
        ("{word:date}", "en", "soon"),
        ("{count} and {whole}", "en", "3 and 4"),
        ("{list}", "zh", "a、b"),
        ("{list}", "en", "a, b"),
        ("[{missing}][{order.missing.deep}]", "en", "[][]"),
        ("{{item}} {{", "en", "{item} {"),
        ("{dotted.name}", "en", "whole"),
        ("{only_zh}", "en", "茶"),
        ("{infinite:money}", "en", "inf"),
    ],
)
def test_fill(source: str, language: str, expected: str) -> None:
    values: dict[str, JsonValue] = {
        "item": {"zh": "耳机", "en": "earphones"},
        "order": {"amount": 1299, "at": "2026-11-03T23:00:00Z"},
        "price": "8.5",
        "word": "soon",
        "count": 3,
        "whole": 4.0,
        "list": ["a", "b"],
        "dotted.name": "whole",
        "only_zh": {"zh": "茶"},
        "infinite": "inf",
    }
    assert read_template(source).fill(values, language) == expected


@pytest.mark.parametrize(
    ("value", "form", "zone", "currency", "expected"),
    [
        ("2026-11-26T17:30:00Z", "date", "Asia/Shanghai", "CNY", "Nov 27"),
        ("2026-11-26T17:30:00+00:00", "date", "UTC", "CNY", "Nov 26"),
        ("2026-11-27T03:00:00Z", "date", "America/New_York", "USD", "Nov 26"),
        ("2026-11-26", "date", "Asia/Shanghai", "CNY", "Nov 26"),
        ("2026-11-26T23:30:00", "date", "Asia/Shanghai", "CNY", "Nov 26"),
        ("0001-01-01T00:00:00+14:00", "date", "America/New_York", "USD", "0001-01-01T00:00:00+14:00"),
        (1299, "money", "UTC", "USD", "$1,299.00"),
        (1299.5, "money", "UTC", "JPY", "¥1,300"),
        (-5, "money", "UTC", "EUR", "-€5.00"),
        (5, "money", "UTC", "CHF", "CHF\N{NO-BREAK SPACE}5.00"),
        ("2026-11-26T17:30:00Z", "time", "Asia/Shanghai", "CNY", "01:30"),
        ("2026-11-26T17:30:00Z", "time", "America/New_York", "USD", "12:30"),
        ("2026-11-26T17:30:00", "time", "Asia/Shanghai", "CNY", "17:30"),
        ("soon", "time", "UTC", "CNY", "soon"),
        (1234567.5, "number", "UTC", "CNY", "1,234,567.5"),
        ("many", "number", "UTC", "CNY", "many"),
        (True, "money", "UTC", "CNY", "True"),
        ("1e400", "money", "UTC", "CNY", "1e400"),
        ("nan", "money", "UTC", "CNY", "nan"),
        ("299.00 USD", "money", "UTC", "CNY", "$299.00"),
        ("299.00 dollars", "money", "UTC", "CNY", "299.00 dollars"),
    ],
)
def test_days_and_amounts_are_those_of_the_company(
    value: JsonValue, form: str, zone: str, currency: str, expected: str
) -> None:
    conventions = Conventions(zone_of(zone), currency)
    assert read_template(f"{{value:{form}}}").fill({"value": value}, "en", conventions) == expected


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("{order.amount:money}", {"order": {"amount": 299, "currency": "USD"}}, "$299.00"),
        ("{amount:money}", {"amount": 299, "currency": "USD"}, "$299.00"),
        ("{terms.amount:money}", {"terms.amount": 299, "terms.currency": "USD"}, "$299.00"),
        ("{order.amount:money}", {"order": {"amount": "299.00 EUR", "currency": "USD"}}, "€299.00"),
        ("{order.amount:money}", {"order": {"amount": 299}, "currency": "USD"}, "CN¥299.00"),
        ("{order.amount:money}", {"order": {"amount": 299, "currency": "dollars"}}, "CN¥299.00"),
        ("{order.amount:money}", {"order": {"amount": 299, "currency": {"en": "USD"}}}, "CN¥299.00"),
    ],
)
def test_an_amount_has_the_currency_of_what_it_belongs_to(
    source: str, values: dict[str, JsonValue], expected: str
) -> None:
    template = read_template(source)
    assert template.fill(values, "en") == expected
    assert template.names < template.wanted


@pytest.mark.parametrize(
    "source", ["{", "}", "{a", "{a:weight}", "{}", "{0}", "{a.}", "{a!r}", "{a[0]}", 7, "x" * 2001]
)
def test_what_is_no_template_is_refused(source: object) -> None:
    with pytest.raises(ValueError):
        read_template(source)


@given(st.text(max_size=100))
def test_a_value_is_put_in_as_it_is_and_never_read_again(value: str) -> None:
    assert read_template("<{a}|{b}>").fill({"a": value, "b": "{a}"}, "en") == f"<{value}|{{a}}>"


def test_python_attributes_cannot_be_reached() -> None:
    assert read_template("{a.__class__}").fill({"a": "text"}, "en") == ""
    assert read_template("{a.__class__}").fill({"a": {}}, "en") == ""


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_any_value_can_be_written(value: object) -> None:
    assert isinstance(written(value, "zh"), str)  # type: ignore[arg-type]
