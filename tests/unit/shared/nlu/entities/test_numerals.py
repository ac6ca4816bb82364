from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.entities.numerals import parse_chinese, parse_number, simplified, spelled_digits

DIGITS = "零一二三四五六七八九"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("三", 3),
        ("两", 2),
        ("十", 10),
        ("十五", 15),
        ("二十", 20),
        ("三十一", 31),
        ("三百", 300),
        ("三百五", 350),
        ("三百零五", 305),
        ("三百二十", 320),
        ("一千二", 1200),
        ("一千零五十", 1050),
        ("一万三", 13_000),
        ("一万三千五", 13_500),
        ("十万", 100_000),
        ("三亿五", 350_000_000),
        ("贰佰", 200),
        ("二〇二六", 2026),
    ],
)
def test_reads_chinese_numerals(text: str, value: int) -> None:
    assert parse_chinese(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "百",
        "万",
        "三百百",
        "三百二百",
        "十百",
        "三四百",
        "三百零",
        "一零零百",
        "亿万",
        "一万亿",
        "三块",
        "一" * 17,
        "零十五",
    ],
)
def test_refuses_what_is_no_chinese_numeral(text: str) -> None:
    assert parse_chinese(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,299.00", "1299"),
        ("3万", "30000"),
        ("1.5k", "1500"),
        ("299", "299"),
        ("三百五", "350"),
        (" 12 ", "12"),
        ("1k5", "1500"),
        ("13万2", "132000"),
        ("1,200万", "12000000"),
        ("三点一四", "3.14"),
    ],
)
def test_reads_numbers_in_either_script(text: str, value: str) -> None:
    assert parse_number(text) == Decimal(value)


@pytest.mark.parametrize(
    "text", ["", "abc", "1,29", "²", "1.", "k", "三x", "三五", "3万2万", "1k50", "3点5", "三点", "十2"]
)
def test_refuses_what_is_no_number(text: str) -> None:
    assert parse_number(text) is None


def test_a_number_spelled_digit_by_digit_is_in_figures() -> None:
    assert spelled_digits("单号二零二六一一零三零零一，三个") == "单号20261103001，三个"
    assert spelled_digits("幺三八 零零一三 八零零零") == "138 0013 8000"
    assert spelled_digits("二〇二六年") == "二〇二六年"


def test_what_values_are_written_with_is_simplified_in_place() -> None:
    assert simplified("後天二十號退兩萬塊") == "后天二十号退两万块"


@given(st.integers(1, 9999))
def test_every_number_is_read_back_as_it_is_written(number: int) -> None:
    assert parse_chinese(_written(number)) == number


@given(st.text(DIGITS + "十百千万亿两〇", max_size=20))
def test_never_fails(text: str) -> None:
    value = parse_chinese(text)
    assert value is None or value >= 0


def _written(number: int) -> str:
    parts: list[str] = []
    gap = False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            parts.append(("零" if gap and parts else "") + DIGITS[digit] + name)
            gap = False
        else:
            gap = True
    return "".join(parts)
