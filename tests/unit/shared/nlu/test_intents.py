"""Probabilities of one or several intents, and which of them a text expresses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.nlu.intents import best_threshold, expressed_intents, intent_probabilities

LOGITS = arrays(np.float32, (3, 4), elements=st.floats(-1e4, 1e4, width=32))


@given(LOGITS, st.floats(0.2, 5.0))
def test_one_distribution_a_text_or_each_intent_by_itself(logits: np.ndarray, temperature: float) -> None:
    one = intent_probabilities(logits, temperature, several=False)
    assert one.sum(1) == pytest.approx(np.ones(3), abs=1e-5)
    each = intent_probabilities(logits, temperature, several=True)
    assert ((each >= 0) & (each <= 1)).all()
    # Equal logits may round to unequal order, but a larger one never gets less.
    assert (np.diff(np.take_along_axis(each, logits.argsort(1), 1), axis=1) >= 0).all()


def test_a_text_expresses_all_from_the_threshold_on_and_at_least_the_surest() -> None:
    probabilities = np.array([0.6, 0.9, 0.2, 0.7], np.float32)
    assert expressed_intents(probabilities, (0, 1, 2), 0.5) == [1, 0]
    assert expressed_intents(probabilities, (0, 1, 2), 0.95) == [1]
    assert expressed_intents(probabilities, (0, 1, 2), None) == [1]


def test_the_threshold_parts_what_is_expressed_from_what_is_not() -> None:
    probabilities = np.array([[0.4, 0.1], [0.3, 0.35]], np.float32)
    threshold = best_threshold(probabilities, np.array([[True, False], [True, True]]))
    assert 0.1 < threshold <= 0.3
