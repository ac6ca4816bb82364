"""Measures how much worse a model understands held-out sentences that are written in another way."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from services.learning.datasets.perturbations import PERTURBATIONS, Perturbation
from services.learning.evaluation.golden_set import unseen_sentences
from services.learning.evaluation.prediction import FolderPredictor, Predictor
from shared.nlu.manifest import read_manifest
from shared.nlu.training_data import OUT_OF_SCOPE, HeldOut, load_training_data

__all__ = ["GOAL", "Drop", "Robustness", "check_robustness", "measure_robustness", "read_robustness"]

SEED = 20
GOAL = 0.05
ALL = "all"
FILE = "robustness.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Drop(_Frozen):
    """Intent accuracy over the `count` in-scope sentences that a perturbation changed: as written, and changed.

    `false_alarms` are the in-scope sentences that are taken for out of scope after the change.
    """

    count: int
    accuracy: float
    perturbed_accuracy: float
    false_alarms: float
    example: tuple[str, str]

    @property
    def drop(self) -> float:
        """By how much the accuracy falls; negative where it rises."""
        return self.accuracy - self.perturbed_accuracy


class Robustness(_Frozen):
    """The drops by perturbation and language; `all` is every language together."""

    seed: int
    drops: dict[str, dict[str, Drop]]

    def missed(self) -> tuple[str, ...]:
        """The perturbations that cost more than the goal allows."""
        return tuple(name for name, drops in self.drops.items() if drops[ALL].drop > GOAL)


def check_robustness(assistant_dir: Path, model_dir: Path, *, seed: int = SEED) -> Robustness:
    """Measures a model folder on the assistant's held-out sentences and leaves the drops in it for the report."""
    assistant, manifest = load_training_data(assistant_dir), read_manifest(model_dir)
    found = measure_robustness(
        FolderPredictor(model_dir),
        [sentence for sentence in unseen_sentences(assistant) if sentence.intent in manifest.intents],
        intents=manifest.intents,
        threshold=manifest.out_of_scope.threshold,
        seed=seed,
    )
    (model_dir / FILE).write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return found


def read_robustness(model_dir: Path) -> Robustness | None:
    """The drops that were measured last, if they were."""
    try:
        return Robustness.model_validate_json((model_dir / FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def measure_robustness(
    predictor: Predictor, sentences: Sequence[HeldOut], *, intents: tuple[str, ...], threshold: float, seed: int = SEED
) -> Robustness:
    """Every perturbation on every in-scope sentence that it changes; the same seed gives the same changes."""
    known = [sentence for sentence in sentences if sentence.intent != OUT_OF_SCOPE]
    plain = _right(predictor, [sentence.text for sentence in known], known, intents)[0] if known else np.zeros(0, bool)
    drops: dict[str, dict[str, Drop]] = {}
    for name, change in PERTURBATIONS.items():
        changed = [_changed(name, change, sentence.text, seed) for sentence in known]
        rows = [row for row, sentence in enumerate(known) if changed[row] != sentence.text]
        if not rows:
            continue
        texts, kept = [changed[row] for row in rows], [known[row] for row in rows]
        right, scores = _right(predictor, texts, kept, intents)
        by_language = {ALL: np.arange(len(rows))}
        for language in sorted({sentence.language for sentence in kept}):
            by_language[language] = np.array([i for i, sentence in enumerate(kept) if sentence.language == language])
        before = plain[rows]
        drops[name] = {
            language: Drop(
                count=len(places),
                accuracy=float(before[places].mean()),
                perturbed_accuracy=float(right[places].mean()),
                false_alarms=float((scores[places] >= threshold).mean()),
                example=(kept[places[0]].text, texts[places[0]]),
            )
            for language, places in by_language.items()
        }
    return Robustness(seed=seed, drops=drops)


def _changed(name: str, change: Perturbation, text: str, seed: int) -> str:
    return change(text, random.Random(f"{seed} {name} {text}"))


def _right(
    predictor: Predictor, texts: Sequence[str], sentences: Sequence[HeldOut], intents: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Which texts are understood as their sentences are meant, and how far each seems out of scope."""
    predictions = predictor.predict(texts)
    right = [
        intents[int(prediction.intents.argmax())] == sentence.intent
        for prediction, sentence in zip(predictions, sentences, strict=True)
    ]
    return np.array(right), np.array([prediction.out_of_scope for prediction in predictions])
