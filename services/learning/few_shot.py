"""Teaches a trained model intents that it lacks from a few examples each, without training the encoder.

The encoder, the entities and the sentiment stay as they are; the intent head is fitted anew on embeddings.
"""

import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.learning.calibration import Answers, calibrate, find_centroids
from services.learning.examples import Labels, split
from services.learning.fitting import MadeModel, answers_of
from services.learning.heads import fit_head, read_head, replace_head
from services.learning.manifest import ModelError, ModelManifest, read_manifest
from services.learning.prediction import OnnxModel
from services.learning.progress import Progress, Report
from services.learning.record import TrainingRecord
from shared.assistants import Assistant, Utterance
from shared.scope import CENTROIDS

__all__ = ["MOST_LOST", "extend_model"]

SAMPLE = 40
"""Utterances of each intent and language that the model knows; more of them move the head no more."""
MOST_LOST = 0.01
"""By how much the accuracy on validation utterances of the intents that were there may fall."""


def extend_model(assistant: Assistant, base: Path, folder: Path, progress: Report) -> MadeModel:
    """Adds the assistant's new intents to the model in `base` and writes the files of the extended one into `folder`.

    Raises:
        ModelError: there is no new intent, the model cannot be extended, or the intents that were there got worse.
    """
    manifest, settings = read_manifest(base), TrainingRecord.read(base).settings
    labels = Labels.of(assistant.manifest, assistant.intents)
    new = _new_intents(labels, manifest)
    progress(Progress(stage="training", done=0, total=1, detail=", ".join(sorted(new))))
    known = [u for u in assistant.utterances if u.intent is None or u.intent in manifest.intents]
    added = [u for u in assistant.utterances if u.intent in new]
    training, validation = split(known, settings.validation, settings.seed)
    model = OnnxModel(base, prefix=manifest.prefix, max_tokens=manifest.max_tokens)
    learned = answers_of(model, labels, [*_sample(training, random.Random(settings.seed)), *added])
    validated = answers_of(model, labels, validation)
    start = read_head(base).extended(
        [manifest.intents.index(name) if name in manifest.intents else None for name in labels.intents],
        learned.embeddings,
        learned.intents,
    )
    head = fit_head(
        start, learned.embeddings, learned.intents, _balanced(learned.intents), smoothing=settings.label_smoothing
    )
    _check_old_intents(manifest, labels, validated, head.logits(validated.embeddings))
    progress(Progress(stage="training", done=1, total=1))
    replace_head(base, head, folder)
    shutil.copyfile(base / "tokenizer.json", folder / "tokenizer.json")
    centroids = find_centroids(learned, labels.out_of_scope)
    centroids.write(folder / CENTROIDS)
    validated = Answers(head.logits(validated.embeddings), validated.embeddings, validated.intents)
    return MadeModel(
        labels=labels,
        layers=manifest.encoder.layers,
        vocabulary=manifest.encoder.vocabulary,
        calibration=calibrate(validated, labels.out_of_scope, settings.out_of_scope, centroids),
        multi_intent_threshold=None,
        history=(),
        training_utterances=len(learned.intents),
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
    return [u for key in sorted(groups) for u in draw.sample(groups[key], min(len(groups[key]), SAMPLE))]


def _balanced(intents: NDArray[np.int64]) -> NDArray[np.float32]:
    """Weights by which each intent counts alike."""
    counts = np.bincount(intents)
    return np.asarray(1 / counts[intents], np.float32)


def _check_old_intents(
    manifest: ModelManifest, labels: Labels, validated: Answers, logits: NDArray[np.float32]
) -> None:
    names = np.array(labels.intents)
    wanted = names[validated.intents]
    was = float((np.array(manifest.intents)[validated.logits.argmax(1)] == wanted).mean())
    now = float((names[logits.argmax(1)] == wanted).mean())
    if now < was - MOST_LOST:
        raise ModelError(
            f"the intents that were there would get worse, from {was:.3f} to {now:.3f} of the validation utterances; "
            "train the model again instead"
        )
