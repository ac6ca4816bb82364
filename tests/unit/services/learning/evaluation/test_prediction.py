"""What tagged tokens and logits become."""

import numpy as np

from services.learning.evaluation.prediction import FoundEntity, entities_of, softmax
from shared.nlu.bio_tags import TagDecoder

TAGS = ("O", "B-address", "I-address", "B-company", "I-company")
TEXT = "to 1 Elm St, Acme"
OFFSETS = [(0, 0), (0, 7), (7, 9), (9, 11), (11, 15), (15, 18), (18, 19), (19, 24), (0, 0)]
SHIFT = 7


def entities(*tags: str) -> tuple[FoundEntity, ...]:
    logits = np.eye(len(TAGS), dtype=np.float32)[[TAGS.index(tag) for tag in tags]]
    return entities_of(TEXT, OFFSETS, logits, TagDecoder(TAGS), SHIFT)


def test_tokens_are_joined_without_the_spaces_around_them() -> None:
    found = entities("O", "O", "O", "B-address", "I-address", "I-address", "O", "B-company", "O")
    assert found == (FoundEntity("address", 3, 11, "1 Elm St"), FoundEntity("company", 13, 17, "Acme"))
    assert all(TEXT[entity.start : entity.end] == entity.text for entity in found)


def test_an_inside_has_its_beginning_before_it() -> None:
    assert [e.text for e in entities("O", "O", "O", "B-address", "I-company", "O", "O", "O", "O")] == ["1"]


def test_prefix_and_special_tokens_are_never_entities() -> None:
    assert entities("B-address", "B-address", "O", "O", "O", "O", "O", "O", "B-address") == ()


def test_softmax_is_a_distribution_for_large_logits() -> None:
    assert softmax(np.array([[1000.0, 1000.0, -1000.0]], np.float32)).tolist() == [[0.5, 0.5, 0.0]]
