from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intent.kinds.kind import Verdict
from services.intent.versions.drift import WINDOW_ANSWERS, Drift, stability_index
from shared.errors import ConfigurationError
from shared.nlu.golden_set import GoldenSet, Reference

COUNTS = st.lists(st.integers(0, 10_000), min_size=10, max_size=10)


@given(COUNTS, COUNTS, st.integers(1, 50))
def test_the_index_is_zero_for_equal_shares_and_never_negative(a: list[int], b: list[int], times: int) -> None:
    assert stability_index(a, b) >= 0
    assert stability_index(a, b) == pytest.approx(stability_index(b, a))
    assert stability_index(a, [each * times for each in a]) == pytest.approx(0)


def test_the_index_of_two_bins() -> None:
    # (0.8 - 0.5) ln(0.8 / 0.5) + (0.2 - 0.5) ln(0.2 / 0.5)
    assert stability_index([50, 50], [80, 20]) == pytest.approx(0.4159, abs=1e-4)


GREETING, REFUND = Verdict("greet", 1.0), Verdict("refund", 1.0)


def test_a_window_forgets_what_is_long_ago() -> None:
    reference = Reference.of(("greet", "refund"), [("greet", 1.0)] * 50)
    drift = Drift("shop", "v1", reference)
    drift.add([REFUND] * WINDOW_ANSWERS)
    assert drift.indices()["intent"] > 1
    drift.add([GREETING] * WINDOW_ANSWERS)
    assert drift.indices() == {"intent": pytest.approx(0), "confidence": pytest.approx(0)}


def test_an_intent_that_the_reference_lacks_counts_too() -> None:
    drift = Drift("shop", "v1", Reference(confidence=(0,) * 9 + (10,), intents={"refund": 10}))
    drift.add([GREETING] * 10)
    assert drift.indices()["intent"] > 1


@pytest.mark.parametrize("content", [b"", b"{}", b'{"texts": [], "accuracy": 1}', b'{"texts": 1, "accuracy": 2}'])
def test_a_damaged_golden_set_is_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"golden\.json is missing or damaged"):
        GoldenSet.read(path)
