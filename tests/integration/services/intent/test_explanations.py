"""Whether the words that explanations name are those that the demo model decides by.

The deletion test: what matters most is taken away, and the score has to fall more than when as much is taken away by
chance (as in Samek et al., 2017, for parts of pictures).
"""

import random
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pytest
import torch

from services.intent.explanation.attributions import Path as ScorePath
from services.intent.explanation.attributions import explain_text
from services.intent.explanation.openvino_gradients import OpenVinoGradients
from services.intent.explanation.torch_gradients import TorchGradients
from shared.nlu.manifest import NetworkSource, read_source
from shared.nlu.tokenizer import Encoded, load_tokenizer
from shared.nlu.training_data import load_training_data
from tests.stack import PROJECT

SENTENCES = 12
LENGTHS = range(7, 15)
TAKEN = 2
DRAWS = 8


class Demo:
    """The demo model, what it was not trained on, and what it says of it."""

    def __init__(self, source: NetworkSource) -> None:
        torch.set_num_threads(1)
        manifest = source.manifest
        self.tokenizer = load_tokenizer(source)
        self.derivatives = TorchGradients(source, neutral=self.tokenizer.neutral_id)
        self.differences = OpenVinoGradients(source, neutral=self.tokenizer.neutral_id)
        heldout = load_training_data(PROJECT / "assistants" / "shop").heldout
        encoded = [(self.encode(each.text), manifest.intents.index(each.intent), each.intent) for each in heldout]
        fitting = [each for each in encoded if len(each[0]) in LENGTHS]
        self.sentences = random.Random(7).sample(fitting, SENTENCES)

    def encode(self, text: str) -> Encoded:
        [encoded] = self.tokenizer.encode([text])
        return encoded

    def score_without(self, encoded: Encoded, taken: Collection[tuple[int, int]], intent: int) -> float:
        """The logit of what is left of a text."""
        gone = {place for start, end in taken for place in range(start, end)}
        left = self.encode("".join(each for place, each in enumerate(encoded.text) if place not in gone))
        [score] = self.derivatives.scores(ScorePath(left.ids, [], intent), np.ones(1, np.float32)).tolist()
        return float(score)


@pytest.fixture(scope="module")
def demo(demo_model: Path) -> Demo:
    return Demo(read_source(demo_model))


def nothing() -> None:
    """Somebody waits still."""


def test_the_score_falls_more_without_what_matters_most_than_by_chance(demo: Demo) -> None:
    chance = random.Random(11)
    fallen, fallen_by_chance = [], []
    for encoded, intent, name in demo.sentences:
        found = explain_text(demo.derivatives, encoded, intent, name, check=nothing)
        best = sorted(found.tokens, key=lambda each: -each.attribution)[:TAKEN]
        spans = [(each.start, each.end) for each in found.tokens]
        whole = demo.score_without(encoded, (), intent)
        fallen.append(whole - demo.score_without(encoded, [(each.start, each.end) for each in best], intent))
        drawn = [demo.score_without(encoded, chance.sample(spans, TAKEN), intent) for _ in range(DRAWS)]
        fallen_by_chance.append(whole - float(np.mean(drawn)))
    assert np.mean(fallen) > 2 * np.mean(fallen_by_chance)


def test_attributions_of_the_demo_model_are_complete_and_both_ways_agree(demo: Demo) -> None:
    encoded, intent, name = min(demo.sentences, key=lambda each: len(each[0]))
    found = [
        explain_text(network, encoded, intent, name, check=nothing) for network in (demo.derivatives, demo.differences)
    ]
    for each in found:
        assert abs(each.completeness_gap) <= 0.05 * abs(each.score - each.baseline_score)
    ours, theirs = (np.array([token.attribution for token in each.tokens]) for each in found)
    assert np.allclose(ours, theirs, atol=0.1 * np.abs(theirs).sum())
