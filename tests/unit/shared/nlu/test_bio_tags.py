import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.nlu.bio_tags import TagDecoder, TaggedSpan

TAGS = ("O", "B-address", "I-address", "B-company", "I-company")
NUMBERS = {tag: number for number, tag in enumerate(TAGS)}
DECODER = TagDecoder(TAGS)


def logits(*tags: str, strength: float = 10.0) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    table = np.zeros((len(tags), len(TAGS)), np.float32)
    for row, tag in enumerate(tags):
        table[row, NUMBERS[tag]] = strength
    return table


def places(count: int) -> list[tuple[int, int]]:
    return [(each, each + 1) for each in range(count)]


def names(spans: list[TaggedSpan]) -> list[tuple[str, int, int]]:
    return [(span.name, span.start, span.end) for span in spans]


def test_an_entity_goes_from_its_beginning_through_its_insides() -> None:
    found = DECODER.decode(logits("O", "B-address", "I-address", "O"), places(4))
    assert names(found) == [("address", 1, 3)]
    assert 0.99 < found[0].confidence <= 1


def test_two_beginnings_are_two_entities() -> None:
    found = DECODER.decode(logits("B-address", "B-address", "I-address", "B-company"), places(4))
    assert names(found) == [("address", 0, 1), ("address", 1, 3), ("company", 3, 4)]


def test_one_entity_where_none_of_its_kind_may_stand_beside_another() -> None:
    decoder = TagDecoder(TAGS, neighbours=["address"])
    table = logits("B-company", "B-company", "I-company", "B-address", "B-address")
    table[1, NUMBERS["I-company"]] = 9.0
    assert names(decoder.decode(table, places(5))) == [("company", 0, 3), ("address", 3, 4), ("address", 4, 5)]


def test_an_entity_may_follow_one_of_its_kind_at_a_distance() -> None:
    found = TagDecoder(TAGS, neighbours=[]).decode(logits("B-company", "O", "B-company", "B-address"), places(4))
    assert names(found) == [("company", 0, 1), ("company", 2, 3), ("address", 3, 4)]


def test_nothing_but_outside_is_nothing() -> None:
    assert DECODER.decode(logits("O", "O"), places(2)) == []


def test_no_tokens_are_nothing() -> None:
    assert DECODER.decode(logits("B-address"), [(0, 0)]) == []


def test_tokens_of_the_frame_and_the_prefix_do_not_count() -> None:
    found = DECODER.decode(logits("B-company", "B-address", "I-address"), [(0, 0), (0, 2), (2, 5)])
    assert names(found) == [("address", 0, 5)]


def test_an_inside_without_its_beginning_is_read_as_the_likeliest_valid_sequence() -> None:
    table = logits("I-address", "I-address", "O")
    table[0, NUMBERS["B-address"]] = 9.0
    assert names(DECODER.decode(table, places(3))) == [("address", 0, 2)]


def test_an_inside_of_another_kind_does_not_go_on() -> None:
    table = logits("B-address", "I-company", "O")
    table[1, NUMBERS["I-address"]] = 9.0
    assert names(DECODER.decode(table, places(3))) == [("address", 0, 2)]


def test_pieces_of_one_character_make_no_two_entities() -> None:
    found = DECODER.decode(logits("B-address", "B-company"), [(0, 1), (0, 1)])
    assert names(found) == [("address", 0, 1)]


@given(
    arrays(np.float32, st.tuples(st.integers(1, 4), st.just(len(TAGS))), elements=st.floats(-8, 8, width=32)),
    st.sets(st.sampled_from(["address", "company"])),
)
def test_the_path_is_the_best_of_all_valid_ones(
    table: np.ndarray[tuple[int, int], np.dtype[np.float32]], neighbours: set[str]
) -> None:
    def may_follow(before: str, tag: str) -> bool:
        if tag.startswith("I-"):
            return before in (tag, f"B-{tag[2:]}")
        return tag == "O" or tag[2:] in neighbours or before not in (tag, f"I-{tag[2:]}")

    def valid(path: tuple[int, ...]) -> bool:
        return all(may_follow(before, tag) for before, tag in itertools.pairwise(["O", *(TAGS[each] for each in path)]))

    def score(path: tuple[int, ...]) -> float:
        return float(sum(table[row, tag] for row, tag in enumerate(path)))

    paths = [path for path in itertools.product(range(len(TAGS)), repeat=len(table)) if valid(path)]
    best = max(map(score, paths))
    candidates = [_spans(path) for path in paths if abs(score(path) - best) < 1e-3]
    assert names(TagDecoder(TAGS, neighbours).decode(table, places(len(table)))) in candidates


def _spans(path: tuple[int, ...]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for place, number in enumerate(path):
        kind, _, name = TAGS[number].partition("-")
        if kind == "B":
            found.append((name, place, place + 1))
        elif kind == "I":
            found[-1] = (name, found[-1][1], place + 1)
    return found
