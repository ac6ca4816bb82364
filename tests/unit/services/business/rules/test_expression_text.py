from decimal import Decimal

import pytest

from services.business.rules.expression_text import first_line, read_condition, read_full


@pytest.mark.parametrize(
    ("cell", "plain", "names"),
    [
        ("<= 7", True, set()),
        ("> -5", True, set()),
        ("> 5 and < 9", True, set()),
        ("'a', 'b'", True, set()),
        ("not in [1, 2]", True, set()),
        ("[1..5]", True, set()),
        ("($) - 3 > 5", False, set()),
        ("-$ > 5", False, set()),
        ("> 5 - 3", False, set()),
        ("$ % 2 == 0", False, set()),
        ("$ > amount", False, {"amount"}),
        ("paid", False, {"paid"}),
        ("len($) > 3", False, set()),
        ("customer.level == 'x'", False, {"customer.level"}),
        ("$ == {a: days}", False, {"days"}),
    ],
)
def test_a_condition_says_whether_it_only_compares_and_what_it_asks(cell: str, plain: bool, names: set[str]) -> None:
    reading = read_condition(cell)
    assert reading.plain == plain
    assert set(reading.names) == names


def test_literals_part_the_values() -> None:
    reading = read_condition("> -2.5 and < 10 or $ == 'a'")
    assert {Decimal("-2.5"), Decimal(10)} <= reading.numbers
    assert reading.texts == {"a"}
    assert read_condition("true").truths == {True}


def test_names_in_templates_and_functions_are_seen() -> None:
    assert read_full("`${order.item} x ${count}`").names == {"order.item", "count"}
    assert read_full("max([price, fee])").names == {"price", "fee"}
    assert read_full("map(items, #.price)").names == {"items"}


@pytest.mark.parametrize("text", ["< < 5", "'a' 'b'", "'a", "-", "5 >", "()", "a(", "订单 > 3"])
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_condition(text)


@pytest.mark.parametrize(
    "text",
    [
        "map([0..999999999], #)",
        "sum(map([0..days], #))",
        "len(map(a, map(b, map(c, #))))",
        "(" * 60 + "1" + ")" * 60,
        "'" + "a" * 2000 + "'",
    ],
)
def test_what_would_take_long_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_full(text)


def test_what_is_made_of_itself_is_counted() -> None:
    assert read_full("a + a").mentions == ("a", "a")
    assert read_full("a > 3 and a < 5").mentions == ()
    assert len(read_full("map([1, 2], a)").mentions) > 10
    assert read_full("sum(map(items, #.price))").mentions == ()
    assert read_full("len(a) + a").mentions == ("a", "a")


def test_loops_within_loops_are_counted() -> None:
    assert [read_full(text).loops for text in ("a", "map(a, #)", "map(a, len(filter(b, # > 1)))", "flatMap(a, b)")] == [
        0,
        1,
        2,
        2,
    ]


def test_the_engine_s_errors_are_one_line() -> None:
    assert first_line('{"type":"parserError","source":"Expected a literal"}\n\nStack backtrace:\n   0: x') == (
        "Expected a literal"
    )
    assert first_line(ValueError("plain")) == "plain"
