"""How well a model does, on outputs whose right answers can be counted by hand."""

import math
from collections.abc import Sequence
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from services.learning.datasets.examples import IGNORED, Batch, Labels
from services.learning.training.validation import Validation, validate
from shared.nlu.network import HeadOutputs, Understander

LABELS = Labels(("refund", "greet", "out_of_scope"), ("O", "B-address", "I-address"))
SURE = 20.0


class Scripted(nn.Module):
    """Answers as its inputs say: the first two tokens of a text are its best intent, if below three, and its mood."""

    def __init__(self, tags: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.tags = torch.tensor(tags)

    def forward(self, input_ids: Tensor, _mask: Tensor) -> HeadOutputs:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        intents = nn.functional.one_hot(input_ids[:, 0], 4)[:, :3].float() * 2 * SURE - SURE
        moods = nn.functional.one_hot(input_ids[:, 1], 3).float() * SURE
        tags = nn.functional.one_hot(self.tags, 3).float() * SURE
        return HeadOutputs(intents, tags, moods, torch.zeros(len(input_ids), 1))


def validated(
    answers: list[tuple[int, int]],
    intents: list[list[int]],
    moods: list[int],
    tags: list[list[int]],
    found_tags: list[list[int]] | None = None,
    *,
    multi_intent: bool = False,
) -> Validation:
    ids = torch.tensor([[intent, mood, *[0] * (len(tags[0]) - 2)] for intent, mood in answers])
    batch = Batch(
        ids,
        torch.ones_like(ids),
        torch.tensor(tags),
        torch.tensor(intents),
        torch.tensor(moods),
        torch.arange(len(ids)),
    )
    model = cast(Understander, Scripted(found_tags or [[0] * len(tags[0])] * len(answers)))
    return validate(model.train(), [batch], LABELS, multi_intent=multi_intent)


NO_TAGS = [IGNORED, IGNORED]


def test_a_text_is_right_when_its_best_intent_is_and_texts_without_an_intent_do_not_count() -> None:
    found = validated([(0, 0), (1, 0), (2, 0), (0, 0)], [[0], [1], [0], [IGNORED]], [IGNORED] * 4, [NO_TAGS] * 4)
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.texts == 3
    assert found.loss == pytest.approx(2 * SURE / 3, rel=1e-4)
    assert (found.entity_f1, found.entities) == (None, 0)


def test_without_any_intent_the_moods_are_measured() -> None:
    found = validated([(0, 0), (0, 1), (0, 2)], [[IGNORED]] * 3, [0, 2, IGNORED], [NO_TAGS] * 3)
    assert (found.accuracy, found.texts) == (0.5, 2)


def test_of_several_intents_all_and_no_other_must_be_found() -> None:
    wanted = [[0, IGNORED], [0, 1], [1, IGNORED]]
    found = validated([(0, 0), (0, 0), (3, 0)], wanted, [IGNORED] * 3, [NO_TAGS] * 3, multi_intent=True)
    assert found.accuracy == pytest.approx(1 / 3), "one too few, and none at all"
    assert found.texts == 3
    assert found.loss == pytest.approx(2 * SURE / 3, rel=1e-4)


def test_an_entity_is_found_only_from_its_first_token_to_its_last() -> None:
    wanted = [[IGNORED, 1, 2, 0, IGNORED], [IGNORED, 0, 1, 2, IGNORED], [IGNORED, 0, 0, 0, IGNORED]]
    answered = [[1, 1, 2, 0, 1], [0, 0, 1, 0, 0], [0, 1, 0, 0, 0]]
    found = validated([(0, 0)] * 3, [[0]] * 3, [IGNORED] * 3, wanted, answered)
    assert found.entities == 2
    assert found.entity_f1 == pytest.approx(2 * 1 / (2 + 3)), "one right, one too short, one where there is none"


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 50), st.integers(0, 50), st.floats(0, 10))
def test_a_text_counts_as_much_as_an_entity_and_between_equals_the_surer_model_wins(
    accuracy: float, f1: float, texts: int, entities: int, loss: float
) -> None:
    found = Validation(loss, accuracy, texts, f1 if entities else None, entities)
    share = (accuracy * texts + f1 * entities) / (texts + entities)
    assert math.isclose(found.score + 0.01 * loss, share, abs_tol=1e-9)
    assert Validation(loss + 1, accuracy, texts, f1 if entities else None, entities).score < found.score
