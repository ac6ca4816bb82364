"""Figures of an evaluation, on predictions whose right answers can be counted by hand."""

import pytest

from services.learning.evaluation.evaluator import evaluate_predictor
from shared.errors import ConfigurationError
from shared.nlu.training_data import HeldOut
from tests.unit.services.learning.evaluation.scripted import INTENTS, Scripted, evaluation


def test_intents_are_scored_on_in_scope_sentences_by_language() -> None:
    found = evaluation().parts
    assert found["zh"].intents.accuracy == 1.0
    assert found["en"].intents.count == 3
    assert found["en"].intents.accuracy == pytest.approx(1 / 3)
    refund = found["all"].intents.per_intent["refund"]
    assert (refund.precision, refund.support) == (1.0, 3)
    assert refund.recall == pytest.approx(1 / 3)
    greet = found["all"].intents.per_intent["greet"]
    assert greet.f1 == pytest.approx(0.8)
    assert found["all"].intents.macro_f1 == pytest.approx((0.8 + 0.5) / 2)


def test_out_of_scope_is_ranked_and_cut() -> None:
    found = evaluation().parts
    assert found["zh"].out_of_scope.auroc == 1.0
    english = found["en"].out_of_scope
    assert english.auroc == pytest.approx(2 / 3)
    assert english.recall == 1.0
    assert english.false_alarms == pytest.approx(1 / 3)
    assert sorted(english.inside) == pytest.approx([0.2, 0.4, 0.7])
    assert english.curve[0] == (0.0, 0.0)
    assert english.curve[-1] == (1.0, 1.0)


def test_calibration_compares_what_was_promised_with_what_was_kept() -> None:
    chinese = evaluation().parts["zh"].calibration
    assert chinese.ece == pytest.approx((0.1 + 0.3 + 0.2) / 3, abs=1e-6)
    assert sum(part.count for part in chinese.bins) == 3


def test_entities_need_the_right_words() -> None:
    english = evaluation().parts["en"].entities
    assert english is not None
    assert (english.per_label["address"].precision, english.per_label["address"].recall) == (0.5, 1.0)
    assert (english.overall.precision, english.overall.recall) == (0.5, 0.5), "a kind that is annotated counts too"
    assert evaluation().parts["zh"].entities is None


def test_sentiment_is_scored_where_a_person_wrote_it_down() -> None:
    english = evaluation().parts["en"].sentiment
    assert english is not None
    assert (english.count, english.accuracy) == (2, 0.5)
    assert evaluation().parts["zh"].sentiment is None


def test_mistakes_are_listed_the_surest_first() -> None:
    found = evaluation()
    assert [(m.text, m.wanted, m.found) for m in found.mistakes] == [
        ("money", "refund", "out_of_scope"),
        ("Oak refund", "refund", "greet"),
        ("rain", "out_of_scope", "greet"),
    ]
    assert found.confusion == ((2, 0, 0), (1, 1, 1), (1, 0, 1))


def test_the_summary_leaves_out_what_was_not_measured() -> None:
    summary = evaluation().summary()
    assert set(summary) == {"all", "zh", "en"}
    assert "entity_f1" not in summary["zh"]
    assert summary["en"]["sentiment_accuracy"] == 0.5


def test_sentences_of_both_kinds_are_needed() -> None:
    script = Scripted({"你好": ([0.9, 0.1, 0.0], 1, ())})
    with pytest.raises(ConfigurationError, match="no held-out sentences"):
        evaluate_predictor(script, [], intents=INTENTS, entities=[], threshold=0.5)
    with pytest.raises(ConfigurationError, match="in-scope and out-of-scope"):
        evaluate_predictor(script, [HeldOut("你好", "zh", "greet")], intents=INTENTS, entities=[], threshold=0.5)
