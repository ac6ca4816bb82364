"""What is measured of an exported network; figures are in percent, except areas under a curve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score  # type: ignore[import-untyped]

from bench.quality.crosswoz import acts_of
from bench.quality.data import Parts
from services.learning.datasets.examples import Labels
from services.learning.evaluation.calibration import calibrate, find_centroids
from services.learning.training.pipeline import answers_of
from shared.nlu.bio_tags import TagDecoder
from shared.nlu.intents import best_threshold, expressed_intents, intent_probabilities
from shared.nlu.out_of_scope import Measures
from shared.nlu.text_network import TextNetwork, TextOutputs
from shared.nlu.training_data import Utterance
from shared.nlu.training_settings import TrainingSettings

__all__ = ["Measured", "intents_and_slots", "intents_only", "multi_intent_acts", "rejection", "sentiment"]

Entity = tuple[str, int, int]
T = TypeVar("T")


@dataclass(frozen=True)
class Measured:
    """A network with what it was trained on and is measured on."""

    network: TextNetwork
    labels: Labels
    parts: Parts
    settings: TrainingSettings

    def logits(self, utterances: Sequence[Utterance]) -> TextOutputs:
        """The network's outputs for the utterances, in order."""
        return self.network.compute([utterance.text for utterance in utterances])

    def entities(self, utterances: Sequence[Utterance], logits: TextOutputs) -> list[set[Entity]]:
        """The entities that the network finds in each utterance: label, start, end."""
        decoder = TagDecoder(self.labels.tags, self.labels.neighbours)
        return [
            {
                (each.name, *_stripped(utterance.text, each.start, each.end))
                for each in decoder.decode(logits.tags[row], logits.encoded[row].spans)
            }
            for row, utterance in enumerate(utterances)
        ]


def intents_only(measured: Measured) -> dict[str, float]:
    """Accuracy and macro-F1 of the intents."""
    test = measured.parts.test
    found = _named(measured.logits(test), measured.labels)
    wanted = [utterance.intent for utterance in test]
    return {"accuracy": _accuracy(found, wanted), "macro-F1": 100 * float(f1_score(wanted, found, average="macro"))}


def rejection(measured: Measured) -> dict[str, float]:
    """Accuracy in scope, where an answer of out_of_scope is wrong, and the AUROC of the out-of-scope score.

    The score is chosen on the validation part, or was before.
    """
    labels, test = measured.labels, measured.parts.test
    centroids = find_centroids(answers_of(measured.network, labels, measured.parts.training), labels.out_of_scope)
    validated = answers_of(measured.network, labels, measured.parts.validation)
    calibration = calibrate(validated, labels.out_of_scope, measured.settings.out_of_scope, centroids)
    answers = answers_of(measured.network, labels, test)
    outside = answers.intents == labels.out_of_scope
    measures = Measures(
        probabilities=intent_probabilities(answers.logits, calibration.temperature, several=False),
        logits=answers.logits,
        embeddings=answers.embeddings,
        inside=[number for number in range(len(labels.intents)) if number != labels.out_of_scope],
        centroids=centroids,
    )
    right = answers.logits.argmax(1) == answers.intents
    rejected = calibration.rule.scores(measures) >= calibration.rule.threshold
    return {
        "in-scope accuracy": 100 * float(right[~outside].mean()),
        "out-of-scope AUROC": float(roc_auc_score(outside, measures.raw(calibration.rule.score))),
        "out-of-scope recall": 100 * float(rejected[outside].mean()),
        "in-scope kept": 100 * float((~rejected[~outside]).mean()),
    }


def intents_and_slots(measured: Measured) -> dict[str, float]:
    """Accuracy of the intents, F1 of slots with exactly the right words, and texts in which all of both is right."""
    test = measured.parts.test
    logits = measured.logits(test)
    intents = _named(logits, measured.labels)
    slots = measured.entities(test, logits)
    wanted = [{(span.label, span.start, span.end) for span in utterance.spans} for utterance in test]
    whole = [
        intent == utterance.intent and found == right
        for intent, utterance, found, right in zip(intents, test, slots, wanted, strict=True)
    ]
    return {
        "intent accuracy": _accuracy(intents, [utterance.intent for utterance in test]),
        "slot F1": _micro_f1(slots, wanted),
        "whole frame": 100 * float(np.mean(whole)),
    }


def sentiment(measured: Measured) -> dict[str, float]:
    """Accuracy and macro-F1 of the sentiments."""
    test = measured.parts.test
    best = measured.logits(test).sentiments.argmax(1)
    found = [measured.labels.sentiments[number] for number in best]
    wanted = [utterance.sentiment for utterance in test]
    return {"accuracy": _accuracy(found, wanted), "macro-F1": 100 * float(f1_score(wanted, found, average="macro"))}


def multi_intent_acts(measured: Measured) -> dict[str, float]:
    """F1 of the kinds of act as intents, and of whole acts with their values; the threshold is set on validation."""
    labels, test, validation = measured.labels, measured.parts.test, measured.parts.validation
    validated = answers_of(measured.network, labels, validation)
    assert validated.expressed is not None
    threshold = best_threshold(intent_probabilities(validated.logits, 1.0, several=True), validated.expressed)
    logits = measured.logits(test)
    probabilities = intent_probabilities(logits.intents, 1.0, several=True)
    inside = range(len(labels.intents))
    intents = [
        {labels.intents[number] for number in expressed_intents(row, inside, threshold)} for row in probabilities
    ]
    found = [
        acts_of(names, [(label, utterance.text[start:end]) for label, start, end in entities])
        for names, utterance, entities in zip(intents, test, measured.entities(test, logits), strict=True)
    ]
    return {
        "intent F1": _micro_f1(intents, [set(utterance.intents) for utterance in test]),
        "act F1": _micro_f1(found, [set(acts) for acts in measured.parts.test_acts]),
    }


def _named(logits: TextOutputs, labels: Labels) -> list[str]:
    return [labels.intents[number] for number in logits.intents.argmax(1)]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """The place without the spaces at its ends."""
    value = text[start:end]
    start += len(value) - len(value.lstrip())
    return start, start + len(value.strip())


def _accuracy(found: Sequence[str | None], wanted: Sequence[str | None]) -> float:
    return 100 * float(np.mean([one == other for one, other in zip(found, wanted, strict=True)]))


def _micro_f1(found: Sequence[set[T]], wanted: Sequence[set[T]]) -> float:
    right = sum(len(one & other) for one, other in zip(found, wanted, strict=True))
    return 200 * right / max(1, sum(map(len, found)) + sum(map(len, wanted)))
