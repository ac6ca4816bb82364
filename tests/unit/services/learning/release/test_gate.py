from hypothesis import given
from hypothesis import strategies as st

from services.learning.release.gate import MARGIN, shortcomings

SHARES = st.floats(0, 1)


@given(SHARES, SHARES)
def test_a_candidate_falls_short_where_it_is_worse_by_more_than_the_margin(mine: float, theirs: float) -> None:
    found = shortcomings({"all": {"intent_accuracy": mine}}, {"all": {"intent_accuracy": theirs}})
    assert bool(found) == (mine < theirs - MARGIN)


def test_every_language_counts_and_the_words_say_which() -> None:
    good, bad = {"intent_accuracy": 0.95, "entity_f1": 0.9}, {"intent_accuracy": 0.95, "entity_f1": 0.8}
    assert shortcomings({"all": good, "zh": bad, "en": good}, {"all": good, "zh": good, "en": bad}) == [
        "entity F1 (zh) is 0.8000, in production it is 0.9000"
    ]


def test_what_only_one_of_them_has_is_not_compared() -> None:
    assert (
        shortcomings({"all": {"intent_accuracy": 0.5}}, {"all": {"entity_f1": 0.9}, "en": {"intent_accuracy": 1}}) == []
    )
