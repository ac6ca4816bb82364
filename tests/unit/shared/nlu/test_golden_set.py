"""What a model folder carries to be checked by: counted, written, read again, and refused where it is damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigurationError
from shared.nlu.golden_set import CONFIDENCE_BINS, GoldenSet, GoldenText, Reference, confidence_bin

INTENTS = ("refund", "greet", "never")
Answers = st.lists(st.tuples(st.sampled_from(INTENTS[:2]), st.floats(0, 1)), max_size=30)


@pytest.mark.parametrize(("confidence", "tenth"), [(0.0, 0), (0.099, 0), (0.1, 1), (0.55, 5), (0.999, 9), (1.0, 9)])
def test_a_confidence_lies_in_a_tenth(confidence: float, tenth: int) -> None:
    assert confidence_bin(confidence) == tenth


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_surer_answer_never_lies_in_a_lower_tenth(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert 0 <= confidence_bin(low) <= confidence_bin(high) < CONFIDENCE_BINS


@given(Answers)
def test_every_answer_is_counted_once_as_intent_and_once_as_confidence(answers: list[tuple[str, float]]) -> None:
    reference = Reference.of(INTENTS, answers)
    assert sum(reference.confidence) == sum(reference.intents.values()) == len(answers)
    assert reference.intents == {name: sum(name == intent for intent, _ in answers) for name in INTENTS}


def test_both_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    golden = GoldenSet(texts=(GoldenText(text="退款 “now”", intent="refund"),), accuracy=0.5)
    reference = Reference.of(INTENTS, [("refund", 0.95), ("greet", 0.2)])
    golden.write(tmp_path / "golden.json")
    reference.write(tmp_path / "reference.json")
    assert GoldenSet.read(tmp_path / "golden.json") == golden
    assert Reference.read(tmp_path / "reference.json") == reference


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"\xff",
        b"{",
        b'{"texts": [], "accuracy": 1}',
        b'{"texts": [{"text": "a", "intent": "b"}], "accuracy": 1.1}',
        b'{"texts": [{"text": "", "intent": "b"}], "accuracy": 1}',
    ],
)
def test_a_golden_set_that_is_missing_damaged_or_empty_is_refused_by_name(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "golden.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"golden\.json is missing or damaged"):
        GoldenSet.read(path)


@pytest.mark.parametrize("confidence", ["[1, 2]", "[0, 0, 0, 0, 0, 0, 0, 0, 0, -1]"])
def test_a_reference_with_other_than_ten_counts_is_refused(tmp_path: Path, confidence: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(f'{{"confidence": {confidence}, "intents": {{}}}}')
    with pytest.raises(ConfigurationError, match="missing or damaged"):
        Reference.read(path)
