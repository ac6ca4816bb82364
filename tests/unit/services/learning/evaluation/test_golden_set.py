"""What a folder's server will check it by: sentences that nobody trained on, a few of every intent."""

from collections import Counter
from pathlib import Path

import pytest

from services.learning.evaluation.golden_set import GOLDEN_TEXTS, unseen_sentences, write_checks
from shared.nlu.golden_set import GOLDEN, REFERENCE, GoldenSet, Reference
from shared.nlu.manifest import read_manifest
from shared.nlu.training_data import AssistantManifest, HeldOut, TrainingData, Utterance
from tests.models import INTENTS, write_model

ABOUT = AssistantManifest(
    name="shop", title={"zh": "小店", "en": "Shop"}, languages=("zh", "en"), default_language="zh"
)


def data(utterances: list[Utterance], heldout: list[HeldOut]) -> TrainingData:
    return TrainingData(Path("shop"), ABOUT, tuple(utterances), tuple(heldout))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path)


def written(assistant: TrainingData, folder: Path) -> tuple[GoldenSet, Reference]:
    write_checks(assistant, folder, read_manifest(folder))
    return GoldenSet.read(folder / GOLDEN), Reference.read(folder / REFERENCE)


def test_a_sentence_that_is_an_utterance_in_the_same_language_was_seen() -> None:
    utterances = [Utterance("Refund me", "en", "refund"), Utterance("退款", "zh", "refund")]
    known = [HeldOut("refund ME", "en", "refund"), HeldOut("退款", "zh", "refund")]
    fresh = [HeldOut("Refund me", "zh", "refund"), HeldOut("my money", "en", "refund")]
    assert unseen_sentences(data(utterances, [*known, *fresh])) == fresh


def test_the_share_that_is_right_and_every_answer_are_counted(folder: Path) -> None:
    heldout = [
        HeldOut("refund", "en", "refund"),
        HeldOut("退款", "zh", "refund"),
        HeldOut("hello", "en", "refund"),
        HeldOut("你好", "zh", "greet"),
        HeldOut("pay", "en", "unknown to the model"),
    ]
    golden, reference = written(data([], heldout), folder)
    assert [(each.text, each.intent) for each in golden.texts] == [(each.text, each.intent) for each in heldout[:4]]
    assert golden.accuracy == 0.75
    assert reference.intents == {**dict.fromkeys(INTENTS, 0), "refund": 2, "greet": 2}
    assert sum(reference.confidence) == 4


def test_a_large_set_is_cut_to_as_many_of_each_intent_as_there_are(folder: Path) -> None:
    many = [HeldOut(f"refund {number}", "en", "refund") for number in range(GOLDEN_TEXTS)]
    few = [HeldOut(f"hello {number}", "en", "greet") for number in range(5)]
    golden, reference = written(data([], [*many, *few]), folder)
    assert Counter(each.intent for each in golden.texts) == {"refund": GOLDEN_TEXTS - 5, "greet": 5}
    assert sum(reference.confidence) == GOLDEN_TEXTS + 5, "the reference is of all of them"


def test_without_sentences_that_nobody_trained_on_the_utterances_have_to_do(folder: Path) -> None:
    utterances = [Utterance("refund", "en", "refund"), Utterance("hello", "en", "greet"), Utterance("bad", "en")]
    golden, _reference = written(data(utterances, [HeldOut("hello", "en", "greet")]), folder)
    assert [each.text for each in golden.texts] == ["refund", "hello"]
