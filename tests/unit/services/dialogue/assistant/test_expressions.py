import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from services.dialogue.assistant.expressions import read_condition, resolve

SCOPE: dict[str, JsonValue] = {
    "status": "paid",
    "count": 3,
    "none": None,
    "ready": True,
    "order": {"status": "shipped", "item": {"zh": "耳机"}},
    "tags": ["new", "gift"],
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("status == 'paid'", True),
        ("status != 'paid'", False),
        ("order.status in ['paid', 'shipped']", True),
        ("order.status not in ['paid', 'shipped']", False),
        ("'gift' in tags", True),
        ("'ai' in status", True),
        ("3 in status", False),
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
    assert read_condition(source).holds(SCOPE) is expected


@pytest.mark.parametrize(
    ("source", "value"), [("order.status", "shipped"), ("'literal'", "literal"), ("[1, count]", [1, 3]), ("2.5", 2.5)]
)
def test_value(source: str, value: object) -> None:
    assert read_condition(source).value(SCOPE) == value


def test_names_are_what_it_uses() -> None:
    assert read_condition("order.status == 'x' and not (ready or status in tags)").names == {
        "order.status",
        "ready",
        "status",
        "tags",
    }


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os')",
        "order['status']",
        "order.status()",
        "1 + 1",
        "-1",
        "lambda: 1",
        "1 < 2 < 3",
        "a if b else c",
        "'x'.join",
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
        read_condition(source)


@pytest.mark.parametrize("source", ["order.status = delivered", "a = 1 and b", "order.status = 'x'"])
def test_one_sign_of_equality_gets_a_hint(source: str) -> None:
    with pytest.raises(ValueError, match="to compare, write =="):
        read_condition(source)
    with pytest.raises(ValueError) as caught:
        read_condition("a >= ")
    assert "to compare" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(source: str) -> None:
    try:
        condition = read_condition(source)
    except ValueError:
        return
    condition.holds(SCOPE)


def test_resolve_stops_where_there_is_nothing() -> None:
    assert resolve(SCOPE, "order.item.zh") == "耳机"
    assert resolve(SCOPE, "order.nothing.zh") is None
    assert resolve(SCOPE, "tags.0") is None
