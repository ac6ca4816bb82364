from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.intent.explanation.attributions import Check, Explanation, Path, explain_text
from services.intent.explanation.openvino_gradients import OpenVinoGradients
from services.intent.explanation.torch_gradients import TorchGradients
from shared.nlu.manifest import NetworkSource, read_source
from shared.nlu.normalisation import normalise
from shared.nlu.tokenizer import Encoded, TextTokenizer, load_tokenizer
from tests.models import INTENTS, write_exported_model

Floats = NDArray[np.float32]
TEXTS = ("hello the great weather in 北京市", "退款 refund my terrible parcel", "where is 你好 football street 1")


def nothing() -> None:
    """Somebody waits still."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> NetworkSource:
    return read_source(write_exported_model(tmp_path_factory.mktemp("home") / "shop" / "1"))


@pytest.fixture(scope="module")
def networks(source: NetworkSource) -> tuple[OpenVinoGradients, TorchGradients]:
    torch.set_num_threads(1)
    return OpenVinoGradients(source, neutral=1), TorchGradients(source, neutral=1)


@pytest.fixture(scope="module")
def tokenizer(source: NetworkSource) -> TextTokenizer:
    return load_tokenizer(source)


def explain(network: Any, encoded: Encoded, intent: int, check: Check = nothing) -> Explanation:
    return explain_text(network, encoded, intent, INTENTS[intent], check=check)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("intent", range(len(INTENTS)))
def test_the_attributions_add_up_to_the_difference_of_the_scores(
    networks: tuple[OpenVinoGradients, TorchGradients], tokenizer: TextTokenizer, text: str, intent: int
) -> None:
    [encoded] = tokenizer.encode([text])
    for network in networks:
        found = explain(network, encoded, intent)
        rise = found.score - found.baseline_score
        assert abs(found.completeness_gap) <= 0.05 * abs(rise)
        assert sum(each.attribution for each in found.tokens) + found.completeness_gap == pytest.approx(rise)


@pytest.mark.parametrize("text", TEXTS)
def test_differences_and_derivatives_agree(
    networks: tuple[OpenVinoGradients, TorchGradients], tokenizer: TextTokenizer, text: str
) -> None:
    [encoded] = tokenizer.encode([text])
    ours, theirs = (explain(network, encoded, 1) for network in networks)
    assert ours.score == pytest.approx(theirs.score, abs=1e-3)
    assert ours.baseline_score == pytest.approx(theirs.baseline_score, abs=1e-3)
    assert [each.text for each in ours.tokens] == [each.text for each in theirs.tokens]
    size = max(abs(each.attribution) for each in theirs.tokens)
    assert np.allclose(
        [each.attribution for each in ours.tokens], [each.attribution for each in theirs.tokens], atol=0.1 * size
    )


def test_tokens_are_places_in_the_text_and_the_prefix_is_none(
    networks: tuple[OpenVinoGradients, TorchGradients], tokenizer: TextTokenizer
) -> None:
    text = "where: ﬁne 退款"
    [encoded] = tokenizer.encode([text])
    found = explain(networks[0], encoded, 1)
    assert [each.text for each in found.tokens] == ["where", ":", "ﬁne", "退", "款"]
    assert all(text[each.start : each.end] == each.text for each in found.tokens)
    assert all(before.end <= after.start for before, after in pairwise(found.tokens))


def test_a_text_without_tokens_has_no_attributions(
    networks: tuple[OpenVinoGradients, TorchGradients], tokenizer: TextTokenizer
) -> None:
    [encoded] = tokenizer.encode(["\u3000"])
    for network in networks:
        found = explain(network, encoded, 0)
        assert (found.tokens, found.completeness_gap) == ((), 0)
        assert found.score == found.baseline_score


def test_it_is_given_up_between_batches(
    networks: tuple[OpenVinoGradients, TorchGradients], tokenizer: TextTokenizer
) -> None:
    class Left(Exception):
        pass

    def leave() -> None:
        raise Left

    [encoded] = tokenizer.encode([TEXTS[0]])
    for network in networks:
        with pytest.raises(Left):
            explain(network, encoded, 0, leave)


class Formula:
    """A score that is a known function of the tokens' coefficients, with its exact derivatives."""

    def __init__(self, weights: Sequence[float], steepness: float) -> None:
        self._weights = np.array(weights, np.float32)
        self._steepness = steepness
        self.intervals = 0

    def scores(self, path: Path, positions: Floats) -> Floats:
        return self._score(np.repeat(positions[:, None], len(path.moved), axis=1))

    def changes(self, path: Path, intervals: Floats, check: Check) -> Floats:
        self.intervals += len(intervals)
        middles = np.repeat(intervals.mean(axis=1)[:, None], len(path.moved), axis=1)
        moved = np.empty_like(middles)
        for place in range(len(path.moved)):
            ends = []
            for end in (0, 1):
                point = middles.copy()
                point[:, place] = intervals[:, end]
                ends.append(self._score(point))
            moved[:, place] = ends[1] - ends[0]
        return moved

    def _score(self, coefficients: Floats) -> Floats:
        scores: Floats = np.tanh(self._steepness * (coefficients @ self._weights - self._weights.sum() / 2))
        return scores


@given(
    weights=st.lists(st.integers(-8, 8).map(lambda each: each / 8), min_size=1, max_size=6).filter(
        lambda each: abs(sum(each)) > 0.3
    ),
    steepness=st.sampled_from([0.125, 1.0, 4.0, 16.0, 40.0]),
)
def test_a_score_that_jumps_is_integrated_where_it_jumps(weights: list[float], steepness: float) -> None:
    """Of a function of a weighted sum each token's integral is its weight's share of the whole rise."""
    formula = Formula(weights, steepness)
    encoded = Encoded(
        normalise("x" * len(weights)),
        list(range(len(weights))),
        [(n, n + 1) for n in range(len(weights))],
        frozenset("x"),
    )
    found = explain_text(formula, encoded, 0, "sum", check=nothing)
    rise = found.score - found.baseline_score
    expected = np.array(weights) / sum(weights) * rise
    scale = np.abs(expected).sum()
    assert np.allclose([each.attribution for each in found.tokens], expected, atol=0.1 * scale)
    assert formula.intervals <= 3 * 64
