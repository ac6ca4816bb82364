"""Measures a model on held-out sentences that it was never trained or tuned on."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from services.learning.artifacts.metrics import Counts, Measured, Samples
from services.learning.evaluation.judgements import Judgements
from services.learning.evaluation.prediction import Prediction, Predictor
from shared.errors import ConfigurationError
from shared.nlu.training_data import OUT_OF_SCOPE, SENTIMENTS, HeldOut

__all__ = [
    "ALL",
    "CalibrationScores",
    "EntityScores",
    "Evaluation",
    "IntentScores",
    "LabelScores",
    "LanguageScores",
    "Mistake",
    "RejectionScores",
    "Reliability",
    "SentimentScores",
    "evaluate_predictor",
]

BINS = 10
ALL = "all"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class LabelScores(_Frozen):
    """How well one label is found; `support` sentences or entities have it."""

    precision: float
    recall: float
    f1: float
    support: int


class IntentScores(_Frozen):
    """Over in-scope sentences; an answer of out_of_scope counts as wrong."""

    count: int
    accuracy: float
    macro_f1: float
    per_intent: dict[str, LabelScores]


class RejectionScores(_Frozen):
    """Out-of-scope detection: `recall` of what is outside and `false_alarms` of what is inside, at the threshold.

    `aurocs` compares all scores that the model knows with the one that it uses.
    """

    count: int
    auroc: float
    aurocs: dict[str, float] = {}
    threshold: float
    recall: float
    false_alarms: float
    curve: tuple[tuple[float, float], ...]
    inside: tuple[float, ...]
    outside: tuple[float, ...]


class Reliability(_Frozen):
    """Sentences whose best probability lies between `low` and `high`: what was promised and what was kept."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


class CalibrationScores(_Frozen):
    """Expected calibration error of the best intent over all sentences, and its parts."""

    ece: float
    bins: tuple[Reliability, ...]


class EntityScores(_Frozen):
    """Entities found with exactly the right words."""

    overall: LabelScores
    per_label: dict[str, LabelScores]


class SentimentScores(_Frozen):
    """Over the sentences whose sentiment a person wrote down."""

    count: int
    accuracy: float
    macro_f1: float


class LanguageScores(_Frozen):
    """All figures for one language, or for all together."""

    count: int
    intents: IntentScores
    out_of_scope: RejectionScores
    calibration: CalibrationScores
    entities: EntityScores | None
    sentiment: SentimentScores | None


class Mistake(_Frozen):
    """A held-out sentence whose best intent is not the one that a person wrote down."""

    text: str
    language: str
    wanted: str
    found: str
    confidence: float
    out_of_scope: float


class Evaluation(Measured):
    """The figures of a model on the held-out sentences, computed by `engine`.

    `confusion[i][j]`: wanted i, found j, in order of `intents`.
    """

    seen_in_training: int
    engine: str
    intents: tuple[str, ...]
    parts: dict[str, LanguageScores]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    judgements: Judgements

    @property
    def rows(self) -> Sequence[str]:
        """A name of each sentence."""
        return self.judgements.names

    def sampled(self, counts: Counts) -> Mapping[str, Mapping[str, Samples]]:
        """The main figures of samples of the sentences, by language."""
        return self.judgements.sampled(counts, tuple(self.parts), ALL)

    def summary(self) -> dict[str, dict[str, float]]:
        """The main figures by language."""
        return {
            language: {
                "sentences": part.count,
                "intent_accuracy": part.intents.accuracy,
                "intent_macro_f1": part.intents.macro_f1,
                "out_of_scope_auroc": part.out_of_scope.auroc,
                **{f"out_of_scope_auroc_{name}": auroc for name, auroc in part.out_of_scope.aurocs.items()},
                "out_of_scope_recall": part.out_of_scope.recall,
                "out_of_scope_false_alarms": part.out_of_scope.false_alarms,
                "calibration_error": part.calibration.ece,
                **({"entity_f1": part.entities.overall.f1} if part.entities else {}),
                **({"sentiment_accuracy": part.sentiment.accuracy} if part.sentiment else {}),
            }
            for language, part in self.parts.items()
        }


def evaluate_predictor(
    predictor: Predictor,
    sentences: Sequence[HeldOut],
    *,
    intents: tuple[str, ...],
    entities: Sequence[str],
    threshold: float,
    heldout_hash: str = "",
    seen_in_training: int = 0,
) -> Evaluation:
    """Every figure, for each language and for all; needs in-scope and out-of-scope sentences in each."""
    if not sentences:
        raise ConfigurationError("there are no held-out sentences to evaluate on")
    predictions = predictor.predict([sentence.text for sentence in sentences])
    measured = _Measured(sentences, predictions, intents, tuple(entities), threshold)
    spoken = np.array([sentence.language for sentence in sentences])
    everything = np.arange(len(sentences))
    parts = {ALL: measured.scores_of(everything)}
    for language in sorted(set(spoken.tolist())):
        parts[language] = measured.scores_of(everything[spoken == language])
    return Evaluation(
        heldout_hash=heldout_hash,
        seen_in_training=seen_in_training,
        engine=predictor.engine,
        intents=intents,
        parts=parts,
        confusion=measured.confusion(),
        mistakes=measured.mistakes(),
        judgements=measured.judgements(),
    )


class _Measured:
    """Sentences with their predictions, of which parts can be scored."""

    def __init__(
        self,
        sentences: Sequence[HeldOut],
        predictions: Sequence[Prediction],
        intents: tuple[str, ...],
        entities: tuple[str, ...],
        threshold: float,
    ) -> None:
        self.sentences = sentences
        self.predictions = predictions
        self.intents = intents
        annotated = (label for sentence in sentences for label, _value in sentence.entities)
        self.entities = tuple(dict.fromkeys((*entities, *annotated)))
        self.entity_counts = self._entity_counts()
        self.threshold = threshold
        self.wanted = np.array([intents.index(sentence.intent) for sentence in sentences])
        probabilities = np.stack([prediction.intents for prediction in predictions])
        self.found = probabilities.argmax(1)
        self.confidence = probabilities.max(1)
        self.scope = {name: np.array([p.scope[name] for p in predictions]) for name in predictions[0].scope}
        self.scores = np.array([prediction.out_of_scope for prediction in predictions])
        self.outside = self.wanted == intents.index(OUT_OF_SCOPE)

    def scores_of(self, rows: NDArray[np.int64]) -> LanguageScores:
        if not self.outside[rows].any() or self.outside[rows].all():
            raise ConfigurationError("the held-out sentences of a language need in-scope and out-of-scope ones")
        return LanguageScores(
            count=len(rows),
            intents=self._intents(rows[~self.outside[rows]]),
            out_of_scope=self._rejection(rows),
            calibration=self._calibration(rows),
            entities=self._entities(rows),
            sentiment=self._sentiment(rows),
        )

    def _intents(self, rows: NDArray[np.int64]) -> IntentScores:
        wanted, found = self.wanted[rows], self.found[rows]
        per_intent = {
            self.intents[label]: _label_scores(
                int(((wanted == label) & (found == label)).sum()),
                int((found == label).sum()),
                int((wanted == label).sum()),
            )
            for label in np.unique(wanted)
        }
        return IntentScores(
            count=len(rows),
            accuracy=float((wanted == found).mean()),
            macro_f1=float(np.mean([scores.f1 for scores in per_intent.values()])),
            per_intent=per_intent,
        )

    def _rejection(self, rows: NDArray[np.int64]) -> RejectionScores:
        from sklearn.metrics import roc_auc_score, roc_curve  # type: ignore[import-untyped]

        scores, outside = self.scores[rows], self.outside[rows]
        false_rates, true_rates, _thresholds = roc_curve(outside, scores)
        return RejectionScores(
            count=int(outside.sum()),
            auroc=float(roc_auc_score(outside, scores)),
            aurocs={name: float(roc_auc_score(outside, raw[rows])) for name, raw in self.scope.items()},
            threshold=self.threshold,
            recall=float((scores[outside] >= self.threshold).mean()),
            false_alarms=float((scores[~outside] >= self.threshold).mean()),
            curve=tuple((float(x), float(y)) for x, y in zip(false_rates, true_rates, strict=True)),
            inside=tuple(round(float(score), 4) for score in scores[~outside]),
            outside=tuple(round(float(score), 4) for score in scores[outside]),
        )

    def _calibration(self, rows: NDArray[np.int64]) -> CalibrationScores:
        confidence, right = self.confidence[rows], self.wanted[rows] == self.found[rows]
        places = np.minimum((confidence * BINS).astype(int), BINS - 1)
        bins = tuple(
            Reliability(
                low=place / BINS,
                high=(place + 1) / BINS,
                count=int((places == place).sum()),
                confidence=float(confidence[places == place].mean()),
                accuracy=float(right[places == place].mean()),
            )
            for place in np.unique(places)
        )
        return CalibrationScores(
            ece=sum(b.count * abs(b.confidence - b.accuracy) for b in bins) / len(rows),
            bins=bins,
        )

    def _entities(self, rows: NDArray[np.int64]) -> EntityScores | None:
        counts = self.entity_counts[rows].sum(0)
        if not counts[:, 2].any():
            return None
        return EntityScores(
            overall=_label_scores(*counts.sum(0).tolist()),
            per_label={label: _label_scores(*counts[place].tolist()) for place, label in enumerate(self.entities)},
        )

    def _entity_counts(self) -> NDArray[np.int64]:
        """[sentence, kind, 3]: how many entities are right, were found, and are wanted."""
        counts = np.zeros((len(self.sentences), len(self.entities), 3), int)
        places = {label: place for place, label in enumerate(self.entities)}
        for row, (sentence, prediction) in enumerate(zip(self.sentences, self.predictions, strict=True)):
            expected = list(sentence.entities)
            for label, _value in expected:
                counts[row, places[label], 2] += 1
            for entity in prediction.entities:
                if entity.name not in places:
                    continue
                counts[row, places[entity.name], 1] += 1
                if (entity.name, entity.text) in expected:
                    expected.remove((entity.name, entity.text))
                    counts[row, places[entity.name], 0] += 1
        return counts

    def _sentiment(self, rows: NDArray[np.int64]) -> SentimentScores | None:
        from sklearn.metrics import f1_score

        labelled = [row for row in rows if self.sentences[row].sentiment is not None]
        if not labelled:
            return None
        wanted = [SENTIMENTS.index(self.sentences[row].sentiment or "") for row in labelled]
        found = [SENTIMENTS.index(self.predictions[row].sentiment) for row in labelled]
        return SentimentScores(
            count=len(labelled),
            accuracy=float(np.mean(np.array(wanted) == np.array(found))),
            macro_f1=float(f1_score(wanted, found, average="macro")),
        )

    def judgements(self) -> Judgements:
        return Judgements(
            names=tuple(_name(sentence) for sentence in self.sentences),
            languages=tuple(sentence.language for sentence in self.sentences),
            outside=self.intents.index(OUT_OF_SCOPE),
            wanted=tuple(self.wanted.tolist()),
            found=tuple(self.found.tolist()),
            scores=tuple(self.scores.tolist()),
            entities=tuple((right, found, wanted) for right, found, wanted in self.entity_counts.sum(1).tolist()),
            moods=tuple(
                None if sentence.sentiment is None else sentence.sentiment == prediction.sentiment
                for sentence, prediction in zip(self.sentences, self.predictions, strict=True)
            ),
        )

    def confusion(self) -> tuple[tuple[int, ...], ...]:
        table = np.zeros((len(self.intents), len(self.intents)), int)
        np.add.at(table, (self.wanted, self.found), 1)
        return tuple(tuple(int(cell) for cell in row) for row in table)

    def mistakes(self) -> tuple[Mistake, ...]:
        wrong = [row for row in range(len(self.sentences)) if self.wanted[row] != self.found[row]]
        return tuple(
            Mistake(
                text=self.sentences[row].text,
                language=self.sentences[row].language,
                wanted=self.sentences[row].intent,
                found=self.intents[self.found[row]],
                confidence=float(self.confidence[row]),
                out_of_scope=float(self.scores[row]),
            )
            for row in sorted(wrong, key=lambda row: -self.confidence[row])
        )


def _name(sentence: HeldOut) -> str:
    """Tells a sentence from others without repeating what it says."""
    return hashlib.sha256(f"{sentence.language}\0{sentence.text}".encode()).hexdigest()[:16]


def _label_scores(right: int, found: int, wanted: int) -> LabelScores:
    precision = right / found if found else 0.0
    recall = right / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return LabelScores(precision=precision, recall=recall, f1=f1, support=wanted)
