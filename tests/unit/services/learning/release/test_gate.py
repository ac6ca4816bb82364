from hypothesis import given
from hypothesis import strategies as st

from services.learning.release.gate import MARGIN, shortcomings

SHARES = st.floats(0, 1)
COMPARED = {"intent_accuracy": "intent accuracy", "entity_f1": "entity F1"}


@given(SHARES, SHARES)
def test_a_candidate_falls_short_where_it_is_worse_by_more_than_the_margin(mine: float, theirs: float) -> None:
    found = shortcomings({"all": {"intent_accuracy": mine}}, {"all": {"intent_accuracy": theirs}}, COMPARED)
    assert bool(found) == (mine < theirs - MARGIN)


def test_every_language_counts_and_the_words_say_which() -> None:
    good, bad = {"intent_accuracy": 0.95, "entity_f1": 0.9}, {"intent_accuracy": 0.95, "entity_f1": 0.8}
    assert shortcomings({"all": good, "zh": bad, "en": good}, {"all": good, "zh": good, "en": bad}, COMPARED) == [
        "entity F1 (zh) is 0.8000, in production it is 0.9000"
    ]


def test_what_only_one_of_them_has_is_not_compared() -> None:
    mine, theirs = {"all": {"intent_accuracy": 0.5}}, {"all": {"entity_f1": 0.9}, "en": {"intent_accuracy": 1.0}}
    assert shortcomings(mine, theirs, COMPARED) == []


def test_figures_that_the_kind_does_not_name_are_not_compared() -> None:
    assert shortcomings({"all": {"seconds": 0.1}}, {"all": {"seconds": 0.9}}, COMPARED) == []
