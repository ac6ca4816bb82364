"""Teaches a trained model intents that it lacks from a few examples each, without training the encoder.

The encoder, the entities and the sentiment stay as they are; the intent head is fitted again on embeddings.
"""

import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.learning.artifacts.record import TrainingRecord
from services.learning.datasets.examples import Labels, split
from services.learning.datasets.variation import Variation
from services.learning.evaluation.calibration import Answers, calibrate, find_centroids
from services.learning.progress import Progress, Report
from services.learning.training.head_fitting import Head, fit_head, read_head, replace_head
from services.learning.training.pipeline import ExportedModel, answers_of
from shared.nlu.manifest import TOKENIZER, ModelError, ModelManifest, read_manifest
from shared.nlu.out_of_scope import CENTROIDS, Centroids
from shared.nlu.text_network import TextNetwork
from shared.nlu.training_data import OUT_OF_SCOPE, TrainingData, Utterance
from shared.nlu.training_settings import TrainingSettings

__all__ = ["MOST_LOST", "ExtendedModel", "extend_model"]

Flags = NDArray[np.bool_]

SAMPLE = 40
"""Utterances of each intent and language that the model knows; more of them move the head no more."""
OUTSIDE = 3
"""What is out of scope is as varied, and as frequent in training, as this many intents."""
VARIANTS = 4
"""Of each example of a new intent, varied as training varies utterances."""
COUNTS = 5.0
"""How much a new intent counts beside one that the model knows; with as much as that it is found too rarely."""
MOST_LOST = 0.01
"""By how much the accuracy on validation utterances of the intents that were there may fall."""
BY_CHANCE = 0.05
"""A loss is none where utterances that are as often lost as gained would look like it more often than this."""
HELD_BACK = np.linspace(0, 2, 21, dtype=np.float32)
"""By how much the logit of a new intent may be lowered so that it takes less from those that were there."""
KEPT = (1.0, 0.5, 0.0)
"""How much of what the rows of those learned is kept; tried before a new intent is held back further."""


@dataclass(frozen=True)
class ExtendedModel:
    """The model in `base` with another intent head; what it was fitted on by number of utterances."""

    base: Path
    head: Head
    centroids: Centroids
    facts: ExportedModel
    training_utterances: int
    validation_utterances: int

    def export(self, folder: Path) -> ExportedModel:
        """Writes the model's files into `folder`.

        Raises:
            ModelError: the head of `base` cannot be replaced.
        """
        replace_head(self.base, self.head, folder)
        shutil.copyfile(self.base / TOKENIZER, folder / TOKENIZER)
        self.centroids.write(folder / CENTROIDS)
        return self.facts


def extend_model(assistant: TrainingData, base: Path, progress: Report) -> ExtendedModel:
    """Adds the assistant's new intents to the model in `base`.

    Where a new intent takes too much from those that were there, it is held back until it does no more.

    Raises:
        ModelError: there is no new intent, the model cannot be extended, or the intents that were there got worse.
    """
    manifest, settings = read_manifest(base), TrainingRecord.read(base).settings_as(TrainingSettings)
    labels = Labels.of(assistant)
    new = _new_intents(labels, manifest)
    progress(Progress(stage="training", done=0, total=1, detail=", ".join(sorted(new))))
    known = [u for u in assistant.utterances if u.intent is None or u.intent in manifest.intents]
    added = [u for u in assistant.utterances if u.intent in new]
    training, validation = split(known, settings.validation, settings.seed)
    model = TextNetwork.load(base)
    sample = _sample(training, random.Random(settings.seed))
    variants = _variants(added, Variation.of(assistant.utterances), random.Random(settings.seed))
    learned = answers_of(model, labels, [*sample, *added, *variants])
    validated = answers_of(model, labels, validation)
    start = read_head(base).extended(
        [manifest.intents.index(name) if name in manifest.intents else None for name in labels.intents],
        learned.embeddings,
        learned.intents,
    )
    fresh = [number for number, name in enumerate(labels.intents) if name in new]
    counts = np.ones(len(labels.intents), np.float32)
    counts[fresh], counts[labels.out_of_scope] = COUNTS, OUTSIDE
    weights = (counts / np.bincount(learned.intents)).astype(np.float32)[learned.intents]
    head = fit_head(start, learned.embeddings, learned.intents, weights, smoothing=settings.label_smoothing)
    head = _held_back(head, start, fresh, validated, _right(manifest.intents, labels, validated))
    progress(Progress(stage="training", done=1, total=1))
    centroids = find_centroids(learned, labels.out_of_scope)
    validated = Answers(head.logits(validated.embeddings), validated.embeddings, validated.intents)
    return ExtendedModel(
        base=base,
        head=head,
        centroids=centroids,
        facts=ExportedModel(
            labels,
            manifest.encoder,
            calibrate(validated, labels.out_of_scope, settings.out_of_scope, centroids),
            multi_intent_threshold=None,
        ),
        training_utterances=len(sample) + len(added),
        validation_utterances=len(validation),
    )


def _new_intents(labels: Labels, manifest: ModelManifest) -> set[str]:
    if not (new := set(labels.intents) - set(manifest.intents)):
        raise ModelError(f"version {manifest.version} knows every intent of {manifest.name}: there is none to add")
    if manifest.multi_intent_threshold is not None:
        raise ModelError("a model of several intents a text cannot be extended; train it again")
    if labels.tags != manifest.tags:
        raise ModelError(f"{manifest.name} has other entities than version {manifest.version}; train it again")
    return new


def _sample(training: Sequence[Utterance], draw: random.Random) -> list[Utterance]:
    groups: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in training:
        if utterance.intent is not None:
            groups[utterance.language, utterance.intent].append(utterance)
    return [
        utterance
        for (_language, intent), group in sorted(groups.items())
        for utterance in draw.sample(group, min(len(group), SAMPLE * (OUTSIDE if intent == OUT_OF_SCOPE else 1)))
    ]


def _variants(added: Sequence[Utterance], variation: Variation, draw: random.Random) -> list[Utterance]:
    return [variant for _ in range(VARIANTS) for variant in variation.vary(added, draw)]


def _held_back(head: Head, start: Head, fresh: Sequence[int], validated: Answers, before: Flags) -> Head:
    """The head with old rows drawn back to `start` and `fresh` ones lowered as far as the intents that were there need.

    They need no more once what is lost of `before`, the utterances that were right, may be chance.

    Raises:
        ModelError: all the same more than MOST_LOST is lost.
    """
    best, right, least = None, 0.0, float(before.mean()) - MOST_LOST
    for lowered, kept in product(HELD_BACK, KEPT):
        share = np.full(len(head.bias), kept, np.float32)
        share[fresh] = 1.0
        changed = Head(
            start.weights + share[:, None] * (head.weights - start.weights),
            start.bias + share * (head.bias - start.bias),
        )
        changed.bias[fresh] -= lowered
        after = changed.logits(validated.embeddings).argmax(1) == validated.intents
        now = float(after.mean())
        if now >= least and _may_be_chance(before, after):
            return changed
        if best is None or now > right:
            best, right = changed, now
    if best is not None and right >= least:
        return best
    raise ModelError(
        f"the intents that were there would get worse, from {before.mean():.3f} to {right:.3f} of the validation "
        "utterances; train the model again instead"
    )


def _right(intents: Sequence[str], labels: Labels, validated: Answers) -> Flags:
    """The utterances whose best of `intents`, those of their logits, is the right one of `labels`."""
    right = np.array(intents)[validated.logits.argmax(1)] == np.array(labels.intents)[validated.intents]
    return np.asarray(right, np.bool_)


def _may_be_chance(before: Flags, after: Flags) -> bool:
    """Whether the same utterances are not clearly worse: an exact sign test of those that were lost and gained."""
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    fewer: int = sum(comb(lost + gained, number) for number in range(gained + 1))
    return bool(fewer / 2 ** (lost + gained) > BY_CHANCE)
