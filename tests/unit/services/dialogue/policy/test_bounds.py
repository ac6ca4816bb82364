import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.dialogue.policy.bounds import MAX_CHARACTERS, bounded, digest

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=30,
)


@given(anything)
def test_what_comes_out_is_json_and_stays_the_same(value: Any) -> None:
    once = bounded(value)
    assert json.loads(json.dumps(once, allow_nan=False)) == once
    assert bounded(once) == once


def test_small_json_is_kept() -> None:
    value = {"a": [1, 2.5, None, True, "文字"], "b": {"c": ()}}
    assert bounded(value) == {"a": [1, 2.5, None, True, "文字"], "b": {"c": []}}


def test_large_and_deep_is_cut() -> None:
    deep: Any = "end"
    for _ in range(100):
        deep = [deep]
    assert len(json.dumps(bounded(deep))) < 100
    assert len(json.dumps(bounded({str(n): "x" * 900 for n in range(10_000)}))) < 2 * MAX_CHARACTERS
    assert bounded([math.nan, math.inf, 2**60, "\ud800", {1: 2}, object()]) == [None, None, hex(2**60), "?", {}, None]


def test_digest_does_not_depend_on_order() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": "1"})
