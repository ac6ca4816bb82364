import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.assistants.expressions import read_expression, resolve

SCOPE: dict[str, JsonValue] = {
    "status": "paid",
    "count": 3,
    "none": None,
    "ready": True,
    "order": {"status": "shipped", "item": {"zh": "耳机"}},
    "tags": ["new", "gift"],
    "orders": [{"status": "new", "total": 20}, {"status": "old", "total": 10}],
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("status == 'paid'", True),
        ("status != 'paid'", False),
        ("order.status in ['paid', 'shipped']", True),
        ("order.status not in ['paid', 'shipped']", False),
        ("'gift' in tags", True),
        ("contains(status, 'ai')", True),
        ("3 in status", False),
        ("(none or count) and ready", True),
        ("not none", True),
        ("not missing.deep", True),
        ("not (none)", True),
        ("not (ready)", False),
        ("not order.item", False),
        ("not (status == 'paid')", False),
        ("ready ? count : none", True),
        ("orders[0].status == 'new'", True),
        ("len(filter(orders, #.total > 10)) == 1", True),
        ("`${status}-${count}` == 'paid-3'", True),
        ("status in missing", False),
        ("ready and not none", True),
        ("none or count", True),
        ("none or missing.deep.down", False),
        ("count > 2", True),
        ("count >= 3 and count <= 3", True),
        ("count < 3", False),
        ("status < 3", False),
        ("none > 1", False),
        ("ready == true", True),
        ("none == null", True),
        ("missing == false", False),
        (True, True),
        (0, False),
        ("order.item.zh == '耳机'", True),
        ("order.item.zh.more", False),
    ],
)
def test_holds(source: object, expected: bool) -> None:
    assert read_expression(source).holds(SCOPE) is expected


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("order.status", "shipped"),
        ("'literal'", "literal"),
        ("[1, count]", [1, 3]),
        ("2.5", 2.5),
        ("count + 1", 4),
        ("{zh: order.item.zh, count: count}", {"zh": "耳机", "count": 3}),
        ("map(orders, #.total / 100)", [0.2, 0.1]),
        ("none ?? status", "paid"),
        ("upper(status)", "PAID"),
        ("count + status", None),
        ("order", {"status": "shipped", "item": {"zh": "耳机"}}),
    ],
)
def test_value(source: str, value: object) -> None:
    assert read_expression(source).value(SCOPE) == value


def test_names_are_what_it_uses() -> None:
    written = "order.status == 'x' and not (ready or status in tags) and {key: orders[0].total} != `${count}`"
    assert read_expression(written).names == {"order.status", "ready", "status", "tags", "orders.total", "count"}
    assert read_expression("map(orders, #.total) == order.item.zh.format('%Y')").names == {"orders", "order.item.zh"}
    assert read_expression("ready ? order.status : count").names == {"ready", "order.status", "count"}


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "unknown(order)",
        "a = 1; a + 1",
        "$root",
        "__truth.t0",
        "not status == 'paid'",
        "lambda: 1",
        "a if b else c",
        "status && count",
        "b'bytes'",
        "f'{order}'",
        "status ==",
        "status is none",
        "",
        "a == " + "9" * 400,
        "(" * 250,
        None,
        ["status"],
    ],
)
def test_anything_else_is_refused(source: object) -> None:
    with pytest.raises(ValueError):
        read_expression(source)


@pytest.mark.parametrize("source", ["order.status = delivered", "a = 1 and b", "order.status = 'x'"])
def test_one_sign_of_equality_gets_a_hint(source: str) -> None:
    with pytest.raises(ValueError, match="to compare, write =="):
        read_expression(source)
    with pytest.raises(ValueError) as caught:
        read_expression("a >= ")
    assert "to compare" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        condition = read_expression(source)
    except ValueError:
        return
    condition.holds(SCOPE)


def test_resolve_stops_where_there_is_nothing() -> None:
    assert resolve(SCOPE, "order.item.zh") == "耳机"
    assert resolve(SCOPE, "order.nothing.zh") is None
    assert resolve(SCOPE, "tags.0") is None
