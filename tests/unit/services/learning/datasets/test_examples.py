"""Utterances as numbers: tags that match their tokens, an honest split, batches that lose nothing."""

import random
from collections import Counter
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from services.learning.datasets.examples import IGNORED, Encoder, Labels, batches, neighbours_of, split
from shared.nlu.training_data import Span, Utterance, load_training_data
from tests.unit.services.learning.conftest import WriteAssistant


@pytest.fixture
def encoder(encoder_folder: Path) -> Encoder:
    labels = Labels(("refund", "out_of_scope"), ("O", "B-address", "I-address"))
    return Encoder(Tokenizer.from_file(str(encoder_folder / "tokenizer.json")), labels, "query: ", 48)


def tagged(encoder: Encoder, utterance: Utterance) -> list[tuple[str, str]]:
    """The tokens that are learned, with their tags."""
    (example,) = encoder.encode([utterance])
    pairs = zip(example.ids, example.tags, strict=True)
    return [(str(encoder.tokenizer.id_to_token(i)), encoder.labels.tags[t]) for i, t in pairs if t != IGNORED]


def test_labels_of_an_assistant(write_assistant: WriteAssistant, tmp_path: Path) -> None:
    assistant = load_training_data(write_assistant(tmp_path / "mini"))
    labels = Labels.of(assistant)
    assert labels.tags == ("O", "B-address", "I-address")
    assert labels.neighbours == ()
    assert labels.intents[labels.out_of_scope] == "out_of_scope"


def test_tags_the_tokens_of_an_entity_and_not_the_prefix(encoder: Encoder) -> None:
    found = tagged(encoder, Utterance("寄到北京路1号", "zh", "refund", spans=(Span("address", 2, 7),)))
    assert [tag for token, tag in found if token in "寄到"] == ["O", "O"]
    assert [tag for token, tag in found if token in "北京路1号"] == ["B-address"] + ["I-address"] * 4
    assert ("q", "O") not in found


def test_neighbouring_entities_each_begin_anew(encoder: Encoder) -> None:
    found = tagged(encoder, Utterance("北京路", "zh", "refund", spans=(Span("address", 0, 2), Span("address", 2, 3))))
    assert [tag for token, tag in found if token != "▁"][-1] == "B-address"


def test_neighbours_are_two_of_a_kind_with_nothing_but_blanks_between() -> None:
    def spoken(text: str, *spans: Span) -> Utterance:
        return Utterance(text, "en", "refund", spans=spans)

    utterances = [
        spoken("rock jazz", Span("genre", 5, 9), Span("genre", 0, 4)),
        spoken("rock, jazz", Span("style", 0, 4), Span("style", 6, 10)),
        spoken("rock jazz", Span("band", 0, 4), Span("kind", 5, 9)),
    ]
    assert neighbours_of(utterances) == ("genre",)


def test_sentiments_teach_no_tags_and_no_intent(encoder: Encoder) -> None:
    (example,) = encoder.encode([Utterance("太差了", "zh", sentiment="negative")])
    assert set(example.tags) == {IGNORED}
    assert (example.intent, example.sentiment) == (IGNORED, 0)


def test_long_texts_are_cut_and_still_closed(encoder: Encoder) -> None:
    (example,) = encoder.encode([Utterance("退" * 100, "zh", "refund")])
    assert len(example.ids) == len(example.tags) == 48
    assert encoder.tokenizer.id_to_token(example.ids[-1]) == "</s>"


def test_split_takes_the_same_share_of_everything_and_repeats_itself() -> None:
    utterances = [
        Utterance(f"{intent} {language} {number}", language, intent)
        for intent in ("refund", "out_of_scope")
        for language in ("zh", "en")
        for number in range(40)
    ]
    training, validation = split(utterances, 0.1, seed=3)
    assert set(Counter((u.intent, u.language) for u in validation).values()) == {4}
    assert len(training) + len(validation) == len({*training, *validation}) == len(utterances)
    assert split(utterances, 0.1, seed=3) == (training, validation)
    assert split(utterances, 0.1, seed=4) != (training, validation)


def test_batches_hold_every_example_once_with_its_padding_masked(encoder: Encoder) -> None:
    examples = encoder.encode([Utterance("退" * (n % 9 + 1), "zh", "refund") for n in range(50)])
    for shuffle in (None, random.Random(1)):
        found = list(batches(examples, 8, shuffle))
        assert sum(len(batch) for batch in found) == 50
        assert max(len(batch) for batch in found) <= 8
        rows = [
            tuple(ids[mask.bool()].tolist())
            for batch in found
            for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)
        ]
        assert Counter(rows) == Counter(tuple(example.ids) for example in examples)
        assert all((batch.tags[batch.attention_mask == 0] == IGNORED).all() for batch in found)
