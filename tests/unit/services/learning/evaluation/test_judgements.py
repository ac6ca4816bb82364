"""Figures of samples of the held-out sentences are those that an evaluation of the sample would give."""

import numpy as np
import pytest

from services.learning.evaluation.evaluator import Evaluation
from services.learning.kinds.understanding.kind import Understanding
from tests.unit.services.learning.evaluation.scripted import SENTENCES, evaluation

COMPARED = tuple(Understanding.compared)


def sampled(found: Evaluation, counts: list[list[int]]) -> list[dict[str, dict[str, float]]]:
    parts = found.sampled(np.array(counts, np.float32))
    return [
        {part: {key: float(values[row]) for key, values in figures.items()} for part, figures in parts.items()}
        for row in range(len(counts))
    ]


@pytest.mark.parametrize("counts", [[1] * 7, [1, 2, 3, 1, 2, 3, 2], [2, 1, 1, 1, 1, 0, 4], [1, 1, 1, 0, 2, 1, 1]])
def test_a_sample_has_the_figures_of_its_sentences(counts: list[int]) -> None:
    drawn = [sentence for sentence, count in zip(SENTENCES, counts, strict=True) for _ in range(count)]
    wanted = evaluation(drawn).summary()
    # The other sample shows that each has its own.
    found, _other = sampled(evaluation(), [counts, [1] * 7])
    for part, figures in wanted.items():
        for key in COMPARED:
            assert found[part][key] == pytest.approx(figures.get(key, np.nan), nan_ok=True), (part, key)


def test_what_a_sample_has_no_sentence_of_has_no_figure() -> None:
    [found] = sampled(evaluation(), [[1, 1, 1, 0, 0, 0, 0]])
    assert all(np.isnan(found["en"][key]) for key in COMPARED)
    assert found["all"]["intent_accuracy"] == 1.0
    assert np.isnan(found["all"]["entity_f1"])


def test_a_sentence_has_the_same_name_for_every_model_and_its_words_are_not_in_it() -> None:
    found = evaluation()
    assert evaluation(SENTENCES[::-1]).rows == found.rows[::-1]
    assert len(set(found.rows)) == len(SENTENCES)
    assert not any(sentence.text in name for sentence in SENTENCES for name in found.rows)
