"""A training run from the assistant's files to a model in production, and the evaluation of a model."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from services.learning.artifacts.folders import digest_of, publish, write_alias
from services.learning.artifacts.record import TrainingRecord
from services.learning.evaluation.card import write_card
from services.learning.evaluation.evaluator import ALL, Evaluation, evaluate_predictor
from services.learning.evaluation.golden_set import CHECK_FILES, unseen_sentences, write_checks
from services.learning.progress import Progress, Report
from services.learning.release.gate import shortcomings
from services.learning.runs.cache import UserCache, key_of
from services.learning.runs.tracking import PRODUCTION, Tracker
from services.learning.training.encoders import EncoderFiles, encoder_identity, find_encoder
from shared.nlu.bio_tags import bio_tags
from shared.nlu.manifest import EncoderFacts, ModelError, ModelManifest, read_manifest
from shared.nlu.out_of_scope import CENTROIDS
from shared.nlu.training_data import Assistant, load_assistant

__all__ = ["TrainedModel", "evaluate", "promote", "train"]

TRAINER = 5  # raise it when the same data and settings give another model
HEADS = 1  # the same for heads that are fitted alone
LIBRARIES = ("torch", "transformers", "tokenizers", "onnxruntime")
MODEL_FILES = ("model.onnx", "model.onnx.data", "tokenizer.json", "weights.safetensors", CENTROIDS)


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with its main figures by language; `cached` when it was there and nothing had to be done.

    `held_back` says why it was not put in production; empty when it was. A `preliminary` one serves until the whole
    training has been done. `learned` has the F1 of each intent that was
    added to a model, as far as there are held-out sentences of it.
    """

    path: Path
    version: str
    metrics: dict[str, dict[str, float]]
    cached: bool
    held_back: str = ""
    preliminary: bool = False
    learned: dict[str, float] = field(default_factory=dict)


def train(
    assistant_dir: Path,
    home: Path,
    progress: Report,
    *,
    quick: bool = False,
    soon: bool = False,
    mlflow_uri: str = "",
    cache: UserCache | None = None,
) -> TrainedModel:
    """Trains the assistant's model, measures it on the held-out sentences, registers it and puts it in production.

    The same utterances and settings give the model that is there already; a run that was stopped goes on where it was.
    A model that is worse than the one in production is left a candidate, and so is one that a person took out.

    Args:
        quick: only teach the model in production the intents that it lacks, which takes seconds.
        soon: where the model would have to be trained, leave the one in production if it knows all intents and
            entities, else fit the heads alone, which takes about a minute; either is preliminary.
        cache: where a model is looked for before it is trained, and kept.
        mlflow_uri: where runs and models are registered; by default in `mlflow.db` in the home.
    """
    assistant = load_assistant(assistant_dir)
    models = home / "models" / assistant.manifest.name
    models.mkdir(parents=True, exist_ok=True)
    base = _base(models) if quick else None
    recipe = _recipe(assistant, base)
    with _only_one(models, progress):
        new = set(assistant.intents) - set(read_manifest(base).intents) if base else set()
        folder = base if base and not new else _obtain(assistant, models, recipe, cache)
        preliminary = soon and folder is None
        if preliminary:
            recipe = _recipe(assistant, None, heads_only=True)
            folder = _able(assistant, models) or _obtain(assistant, models, recipe, cache)
        cached = folder is not None
        if folder is None:
            folder = _train(assistant, home, models, recipe, progress, base, cache, heads_only=preliminary)
            if cache is not None and base is None:
                cache.put(_cache_key(assistant, recipe), folder)
        else:
            progress(Progress(stage="cached", done=1, total=1, detail=folder.name))
        metrics = _metrics(assistant, folder)
        tracker = Tracker(home, mlflow_uri)
        tracker.register(folder, read_manifest(folder), TrainingRecord.read(folder))
        if tracker.withdrawn(assistant.manifest.name, folder.name):
            held_back = "it was taken out of production before"
        else:
            # What a preliminary one replaces, if anything, cannot serve the assistant as it is now.
            held_back = "" if preliminary else _gate(assistant, models, tracker, folder)
        if not held_back:
            _put_in_production(models, tracker, folder, forced=False)
    return TrainedModel(folder, folder.name, metrics, cached, held_back, preliminary, _learned(folder, new))


def promote(
    assistant_dir: Path,
    home: Path,
    version: str,
    *,
    alias: str = PRODUCTION,
    force: bool = False,
    mlflow_uri: str = "",
) -> str:
    """Points an alias at a registered version; production only at one that is not worse than the one there.

    Args:
        version: the name of its folder, or an alias that names it.
        force: put it in production all the same.

    Returns:
        The name of the version's folder.

    Raises:
        ModelError: it is worse; the message says where.
        ConfigurationError: no such version is registered.
    """
    assistant = load_assistant(assistant_dir)
    name = assistant.manifest.name
    models = home / "models" / name
    tracker = Tracker(home, mlflow_uri)
    version = tracker.version_at(name, version) or version
    if alias != PRODUCTION:
        tracker.point(name, alias, version)
        return version
    folder = models / version
    if not force and (reason := _gate(assistant, models, tracker, folder)):
        raise ModelError(f"version {version} stays out of production: {reason}; --force puts it there")
    before = tracker.version_at(name, PRODUCTION)
    _put_in_production(models, tracker, folder, forced=force)
    if before and before != version:
        tracker.withdraw(name, before)
    return version


def _gate(assistant: Assistant, models: Path, tracker: Tracker, folder: Path) -> str:
    """Why a version may not take the place of what is in production; empty when it may."""
    before = tracker.version_at(assistant.manifest.name, PRODUCTION)
    if not before or before == folder.name or not (models / before).is_dir():
        return ""
    try:
        production = _metrics(assistant, models / before)
    except ModelError:
        # It lacks an intent that the assistant has now, or is of an older format: there is nothing to compare with.
        return ""
    return "; ".join(shortcomings(_metrics(assistant, folder), production))


def _put_in_production(models: Path, tracker: Tracker, folder: Path, *, forced: bool) -> None:
    tracker.point(models.name, PRODUCTION, folder.name, forced=forced)
    if folder.is_dir():
        write_alias(models, PRODUCTION, folder.name)


def evaluate(assistant_dir: Path, model_dir: Path) -> Evaluation:
    """Measures a model folder on the assistant's held-out sentences and rewrites its metrics, card and report."""
    assistant = load_assistant(assistant_dir)
    manifest = read_manifest(model_dir)
    if missing := {sentence.intent for sentence in assistant.heldout} - set(manifest.intents):
        raise ModelError(f"{model_dir} was trained without the intents {', '.join(sorted(missing))}; train it again")
    evaluation = _evaluate(assistant, model_dir, manifest)
    _write_findings(model_dir, manifest, evaluation)
    return evaluation


def _base(models: Path) -> Path:
    """The folder that is in production."""
    try:
        folder = models / (models / PRODUCTION).read_text(encoding="utf-8").strip()
    except OSError:
        raise ModelError(f"{models.name} has no model in production that could be extended; train one first") from None
    read_manifest(folder)
    return folder


def _able(assistant: Assistant, models: Path) -> Path | None:
    """The folder that is in production, if its model knows all that the assistant asks of it."""
    try:
        folder = _base(models)
        manifest = read_manifest(folder)
    except ModelError:
        return None
    enough = set(assistant.intents) <= set(manifest.intents) and set(bio_tags(assistant.manifest.entities)) <= set(
        manifest.tags
    )
    return folder if enough and _is_whole(folder, manifest) else None


def _cache_key(assistant: Assistant, recipe: str) -> str:
    """All that determines a model: its recipe, the encoder, and the libraries that compute it."""
    return key_of(
        assistant.manifest.name,
        recipe,
        encoder_identity(assistant.manifest.training.encoder),
        ModelManifest.model_fields["format"].default,
        {name: version(name) for name in LIBRARIES},
    )


def _obtain(assistant: Assistant, models: Path, recipe: str, cache: UserCache | None) -> Path | None:
    """The whole model that was made by this recipe: in this home, else in the user's cache."""
    folder = _find(models, recipe)
    if folder is None and cache is not None:
        folder = cache.take(_cache_key(assistant, recipe), models, lambda copy: read_manifest(copy).version)
    return folder


def _recipe(assistant: Assistant, base: Path | None, *, heads_only: bool = False) -> str:
    """What a model is made of: data, settings, the way of training, and the model that it extends if it does."""
    subject = [assistant.data_hash, assistant.manifest.training.model_dump(mode="json"), TRAINER]
    subject += [base.name] if base else []
    subject += [HEADS] if heads_only else []
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
        if record.recipe == recipe and _is_whole(folder, manifest):
            return folder
    return None


def _is_whole(folder: Path, manifest: ModelManifest) -> bool:
    return all(
        (folder / name).is_file() and digest_of(folder / name) == digest for name, digest in manifest.files.items()
    )


def _train(
    assistant: Assistant,
    home: Path,
    models: Path,
    recipe: str,
    progress: Report,
    base: Path | None,
    cache: UserCache | None,
    *,
    heads_only: bool,
) -> Path:
    started = time.monotonic()
    # Threads that wait by spinning take the cores that other programs, and their own partners, need: on a busy machine
    # training was ten times slower. It counts when torch is loaded, which nothing else here needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from services.learning.training.few_shot import extend_model
    from services.learning.training.pipeline import fit_model

    work = models / f".training-{recipe[:8]}"
    scratch = work / "model"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    if base is None:
        files = _encoder(assistant, home, progress, cache)
        made = fit_model(assistant, files, work / "checkpoint.pt", scratch, progress, heads_only=heads_only)
        encoder = EncoderFacts(
            name=files.name, layers=made.layers, vocabulary=made.vocabulary, digest=files.digest, source=files.source
        )
    else:
        made = extend_model(assistant, base, scratch, progress)
        encoder = read_manifest(base).encoder
    now = datetime.now(UTC).replace(microsecond=0)
    manifest = ModelManifest(
        name=assistant.manifest.name,
        version=f"{now:%Y%m%dT%H%M%S}-{recipe[:8]}",
        created_at=now,
        languages=assistant.manifest.languages,
        encoder=encoder,
        max_tokens=assistant.manifest.training.max_tokens,
        prefix=assistant.manifest.training.prefix,
        intents=made.labels.intents,
        tags=made.labels.tags,
        neighbours=made.labels.neighbours,
        sentiments=made.labels.sentiments,
        temperature=made.calibration.temperature,
        out_of_scope=made.calibration.rule,
        multi_intent_threshold=made.multi_intent_threshold,
        files={name: digest_of(scratch / name) for name in MODEL_FILES},
        data_hash=assistant.data_hash,
    )
    TrainingRecord.model_validate(
        {
            "recipe": recipe,
            "settings": (made.settings if heads_only else assistant.manifest.training).model_dump(mode="json"),
            "training_utterances": made.training_utterances,
            "validation_utterances": made.validation_utterances,
            "history": [epoch.model_dump() for epoch in made.history],
            "seconds": round(time.monotonic() - started, 1),
            "libraries": {name: version(name) for name in LIBRARIES},
        }
    ).write(scratch)
    manifest.write(scratch)
    if assistant.heldout:
        progress(Progress(stage="evaluation", done=0, total=1))
        evaluation = _evaluate(assistant, scratch, manifest)
        manifest = manifest.model_copy(update={"metrics": evaluation.summary()})
        _write_findings(scratch, manifest, evaluation)
        progress(Progress(stage="evaluation", done=1, total=1))
    write_checks(assistant, scratch, manifest)
    files_of_checks = {name: digest_of(scratch / name) for name in CHECK_FILES}
    manifest = manifest.model_copy(update={"files": manifest.files | files_of_checks})
    manifest.write(scratch)
    folder = models / manifest.version
    publish(scratch, folder)
    shutil.rmtree(work)
    return folder


def _encoder(assistant: Assistant, home: Path, progress: Report, cache: UserCache | None) -> EncoderFiles:
    progress(Progress(stage="encoder", done=0, total=1, detail=assistant.manifest.training.encoder))
    shared = cache.encoders if cache is not None else None
    files = find_encoder(assistant.manifest.training.encoder, home, shared)
    progress(Progress(stage="encoder", done=1, total=1, detail=f"{files.name} from {files.source}"))
    return files


def _evaluate(assistant: Assistant, folder: Path, manifest: ModelManifest) -> Evaluation:
    """Measures on the held-out sentences that nobody wrote into the training utterances as well."""
    from services.learning.evaluation.prediction import ServedModel

    unseen = unseen_sentences(assistant)
    return evaluate_predictor(
        ServedModel(folder),
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


def _learned(folder: Path, new: set[str]) -> dict[str, float]:
    try:
        found = Evaluation.model_validate_json((folder / "metrics.json").read_bytes()).parts[ALL].intents.per_intent
    except FileNotFoundError:
        return {}
    return {name: found[name].f1 for name in sorted(new) if name in found}


def _write_findings(folder: Path, manifest: ModelManifest, evaluation: Evaluation) -> None:
    from services.learning.evaluation.report import write_report

    record = TrainingRecord.read(folder)
    metrics: dict[str, Any] = {"summary": evaluation.summary(), **evaluation.model_dump(mode="json")}
    (folder / "metrics.json").write_text(json.dumps(metrics, ensure_ascii=False, indent=1), encoding="utf-8")
    write_card(folder, manifest, record, evaluation)
    write_report(folder, manifest, record, evaluation)
