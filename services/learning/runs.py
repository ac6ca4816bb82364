"""A training run from the assistant's files to a model in production, and the evaluation of a model."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from services.learning.card import write_card
from services.learning.encoders import digest_of, find_encoder
from services.learning.evaluation import Evaluation, evaluate_predictor
from services.learning.folders import publish, write_alias
from services.learning.manifest import EncoderFacts, ModelError, ModelManifest, Rejection, read_manifest
from services.learning.progress import Progress, Report
from services.learning.record import TrainingRecord
from shared.assistants import Assistant, comparable, load_assistant

__all__ = ["TrainedModel", "evaluate", "train"]

TRAINER = 3  # raise it when the same data and settings give another model
PRODUCTION = "production"
MODEL_FILES = ("model.onnx", "tokenizer.json", "weights.safetensors")


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with its main figures by language; `cached` when it was there and nothing had to be done."""

    path: Path
    version: str
    metrics: dict[str, dict[str, float]]
    cached: bool


def train(assistant_dir: Path, home: Path, progress: Report) -> TrainedModel:
    """Trains the assistant's model, measures it on the held-out sentences and puts it in production.

    The same utterances and settings give the model that is there already; a run that was stopped goes on where it was.
    """
    assistant = load_assistant(assistant_dir)
    recipe = _recipe(assistant)
    models = home / "models" / assistant.manifest.name
    models.mkdir(parents=True, exist_ok=True)
    with _only_one(models, progress):
        folder = _find(models, recipe)
        cached = folder is not None
        if folder is None:
            folder = _train(assistant, home, models, recipe, progress)
        else:
            progress(Progress(stage="cached", done=1, total=1, detail=folder.name))
        metrics = _metrics(assistant, folder)
        write_alias(models, PRODUCTION, folder.name)
    return TrainedModel(folder, folder.name, metrics, cached)


def evaluate(assistant_dir: Path, model_dir: Path) -> Evaluation:
    """Measures a model folder on the assistant's held-out sentences and writes its metrics, card and report anew."""
    assistant = load_assistant(assistant_dir)
    manifest = read_manifest(model_dir)
    if missing := {sentence.intent for sentence in assistant.heldout} - set(manifest.intents):
        raise ModelError(f"{model_dir} was trained without the intents {', '.join(sorted(missing))}; train it again")
    evaluation = _evaluate(assistant, model_dir, manifest)
    _write_findings(model_dir, manifest, evaluation)
    return evaluation


def _recipe(assistant: Assistant) -> str:
    """What a model is made of: data, settings and the way of training."""
    subject = [assistant.data_hash, assistant.manifest.training.model_dump(mode="json"), TRAINER]
    return hashlib.sha256(json.dumps(subject, sort_keys=True).encode()).hexdigest()


@contextmanager
def _only_one(models: Path, progress: Report) -> Iterator[None]:
    """Waits until no other process trains the same assistant."""
    with (models / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Progress(stage="waiting", done=0, total=1, detail="another training of this assistant"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _find(models: Path, recipe: str) -> Path | None:
    """The newest whole model that was made by this recipe."""
    for folder in sorted(models.glob(f"*-{recipe[:8]}"), reverse=True):
        try:
            manifest, record = read_manifest(folder), TrainingRecord.read(folder)
        except ModelError:
            continue
        if record.recipe == recipe and all(
            (folder / name).is_file() and digest_of(folder / name) == digest for name, digest in manifest.files.items()
        ):
            return folder
    return None


def _train(assistant: Assistant, home: Path, models: Path, recipe: str, progress: Report) -> Path:
    started = time.monotonic()
    # Threads that wait by spinning take the cores that other programs, and their own partners, need: on a busy machine
    # training was ten times slower. It counts when torch is loaded, which nothing else here needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from services.learning.fitting import fit_model

    progress(Progress(stage="encoder", done=0, total=1, detail=assistant.manifest.training.encoder))
    files = find_encoder(assistant.manifest.training.encoder, home)
    progress(Progress(stage="encoder", done=1, total=1, detail=f"{files.name} from {files.source}"))
    work = models / f".training-{recipe[:8]}"
    scratch = work / "model"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    made = fit_model(assistant, files, work / "checkpoint.pt", scratch, progress)
    now = datetime.now(UTC).replace(microsecond=0)
    manifest = ModelManifest(
        name=assistant.manifest.name,
        version=f"{now:%Y%m%dT%H%M%S}-{recipe[:8]}",
        created_at=now,
        languages=assistant.manifest.languages,
        encoder=EncoderFacts(
            name=files.name, layers=made.layers, vocabulary=made.vocabulary, digest=files.digest, source=files.source
        ),
        max_tokens=assistant.manifest.training.max_tokens,
        prefix=assistant.manifest.training.prefix,
        intents=made.labels.intents,
        tags=made.labels.tags,
        sentiments=made.labels.sentiments,
        temperature=made.calibration.temperature,
        out_of_scope=Rejection(threshold=made.calibration.threshold),
        files={name: digest_of(scratch / name) for name in MODEL_FILES},
        data_hash=assistant.data_hash,
    )
    TrainingRecord(
        recipe=recipe,
        settings=assistant.manifest.training,
        training_utterances=made.training_utterances,
        validation_utterances=made.validation_utterances,
        history=made.history,
        seconds=round(time.monotonic() - started, 1),
        libraries={name: version(name) for name in ("torch", "transformers", "tokenizers", "onnxruntime")},
    ).write(scratch)
    if assistant.heldout:
        progress(Progress(stage="evaluation", done=0, total=1))
        evaluation = _evaluate(assistant, scratch, manifest)
        manifest = manifest.model_copy(update={"metrics": evaluation.summary()})
        _write_findings(scratch, manifest, evaluation)
        progress(Progress(stage="evaluation", done=1, total=1))
    (scratch / "manifest.json").write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
    folder = models / manifest.version
    publish(scratch, folder)
    shutil.rmtree(work)
    return folder


def _evaluate(assistant: Assistant, folder: Path, manifest: ModelManifest) -> Evaluation:
    """Measures on the held-out sentences that nobody wrote into the training utterances as well."""
    from services.learning.prediction import ServedModel

    known = {(utterance.language, comparable(utterance.text)) for utterance in assistant.utterances}
    unseen = [s for s in assistant.heldout if (s.language, comparable(s.text)) not in known]
    return evaluate_predictor(
        ServedModel(folder, manifest),
        unseen,
        intents=manifest.intents,
        entities=assistant.manifest.entities,
        threshold=manifest.out_of_scope.threshold,
        heldout_hash=assistant.heldout_hash,
        seen_in_training=len(assistant.heldout) - len(unseen),
    )


def _metrics(assistant: Assistant, folder: Path) -> dict[str, dict[str, float]]:
    """The main figures; measured again when the held-out sentences are no longer those that were measured on."""
    if not assistant.heldout:
        return {}
    try:
        found = Evaluation.model_validate_json((folder / "metrics.json").read_bytes())
    except (FileNotFoundError, ValueError):
        found = None
    if found is None or found.heldout_hash != assistant.heldout_hash:
        found = evaluate(assistant.folder, folder)
    return found.summary()


def _write_findings(folder: Path, manifest: ModelManifest, evaluation: Evaluation) -> None:
    from services.learning.report import write_report

    record = TrainingRecord.read(folder)
    metrics: dict[str, Any] = {"summary": evaluation.summary(), **evaluation.model_dump(mode="json")}
    (folder / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=1), encoding="utf-8")
    write_card(folder, manifest, record, evaluation)
    write_report(folder, manifest, record, evaluation)
