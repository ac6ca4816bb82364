import itertools
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.nlu.entities.patterns import PATTERN_ENTITIES, Found, find_patterns
from shared.nlu.normalisation import normalise

TODAY = date(2026, 11, 22)
TRICKY = "0123456789０１２ ，。-+@.¥$元块毛角一二三十百千万月日号天周年前后上下今明昨abcmaynovdaysago SFRMB年"


VALUES = yaml.safe_load(Path(__file__).with_name("values.yml").read_text(encoding="utf-8"))


def found_in(text: str, today: date = TODAY) -> list[Found]:
    return find_patterns(normalise(text), today)


def read(text: str) -> list[tuple[str, str, str]]:
    return [(found.name, text[found.start : found.end], found.value) for found in found_in(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("订单20261103001到哪了", [("order_number", "20261103001", "20261103001")]),
        ("订单２０２６１１０３００１", [("order_number", "２０２６１１０３００１", "20261103001")]),
        ("order 2026 1103 001 please", [("order_number", "2026 1103 001", "20261103001")]),
        ("my number is 13800000001.", [("phone", "13800000001", "13800000001")]),
        ("+86 138-0000-0001", [("phone", "+86 138-0000-0001", "13800000001")]),
        ("发到Li.Lei@Example.COM。", [("email", "Li.Lei@Example.COM", "Li.Lei@example.com")]),
        ("税号91310000ma1k35rg8x", [("tax_id", "91310000ma1k35rg8x", "91310000MA1K35RG8X")]),
        ("昨天付了三百块", [("date", "昨天", "2026-11-21"), ("amount", "三百块", "300.00 CNY")]),
        ("2026-11-03 299元", [("date", "2026-11-03", "2026-11-03"), ("amount", "299元", "299.00 CNY")]),
    ],
)
def test_finds_what_has_a_form(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026110300",
        "202611030011",
        "12800000001",
        "a@b",
        "@example.com",
        "internationalisati",
        "1234567890",
        "订单号",
    ],
)
def test_leaves_alone_what_has_not(text: str) -> None:
    assert read(text) == []


def test_of_two_overlapping_the_longer_stays() -> None:
    # A phone number and a date are inside the tax id.
    assert [name for name, _, _ in read("913100002026110300")] == ["tax_id"]


def test_of_two_alike_the_surer_kind_stays() -> None:
    assert [name for name, _, _ in read("20261103001 13800000001")] == ["order_number", "phone"]


@given(st.text(alphabet=st.one_of(st.sampled_from(TRICKY), st.characters()), max_size=200), st.dates())
def test_any_text_gives_spans_in_order_without_overlap(text: str, today: date) -> None:
    found = found_in(text, today)
    assert all(each.name in PATTERN_ENTITIES and each.value for each in found)
    assert all(0 <= each.start < each.end <= len(text) for each in found)
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))


@given(st.from_regex(r"20[0-9]{9}", fullmatch=True), st.text(alphabet="的了 ，。请查到哪", max_size=10))
def test_an_order_number_is_found_wherever_it_stands(number: str, around: str) -> None:
    assert ("order_number", number, number) in read(f"{around}{number}{around}")


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [(kind, text, values) for kind, rows in VALUES.items() for text, *values in rows],
)
def test_values_are_right_or_nothing(kind: str, text: str, values: list[str]) -> None:
    assert [each.value for each in found_in(text, date(2026, 11, 30)) if each.name == kind] == values


def test_a_place_is_that_of_what_was_written() -> None:
    text = "\ufeff🎉 e\u0301 订单：２０２６\u200b１１０３\u00a0００１，㎏ 付了￥１，２９９"
    assert [(each.name, text[each.start : each.end]) for each in found_in(text)] == [
        ("order_number", "２０２６\u200b１１０３\u00a0００１"),
        ("amount", "￥１，２９９"),
    ]


@pytest.mark.parametrize(
    "seed",
    [
        "1",
        "一",
        "1,",
        "1,111",
        "a.",
        "a@",
        "a@a.",
        "3号",
        "1块1",
        "1¥",
        "3 may ",
        "in 1 ",
        "上周一",
        "2026-",
        "十",
        "1 ",
        "13万",
        "{@",
        "@a.b",
        "一点",
        "¥1-",
        "two ",
        "1-",
    ],
)
def test_the_longest_text_of_what_almost_matches_is_read_through(seed: str) -> None:
    """An expression that backtracks without bound would not come to an end here."""
    text = (seed * 2000)[:2000]
    assert all(0 <= found.start < found.end <= len(text) for found in found_in(text))
