"""A training run from a folder of data to a model in production, and the evaluation of a model, of whatever kind."""

import fcntl
import shutil
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from services.learning.artifacts.folders import digest_of, publish, write_alias
from services.learning.artifacts.metrics import Figures, Measured
from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.kind import AnyKind, Workplace
from services.learning.kinds.known import KINDS, kind_of_model
from services.learning.progress import Progress, Report
from services.learning.release.comparison import Comparison
from services.learning.release.gate import compare
from services.learning.runs.cache import UserCache
from services.learning.runs.shelf import Shelf, Way, measure
from services.learning.runs.tracking import PRODUCTION, Tracker
from shared.nlu.manifest import ModelError

__all__ = ["TrainedModel", "evaluate", "go_live", "known_version", "promote", "train"]


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with its main figures by part; `cached` when it was there and nothing had to be done.

    `held_back` says why it was not put in production; empty when it was. A `preliminary` one serves until the whole
    training has been done. `comparison` says how it does beside what was in production, where both could be measured
    on the same rows. `learned` has the F1 of each thing that was taught to a model, such as an intent, as far as there
    is held-out data of it.
    """

    path: Path
    version: str
    metrics: Figures
    cached: bool
    held_back: str = ""
    preliminary: bool = False
    learned: dict[str, float] = field(default_factory=dict)
    comparison: Comparison | None = None


def train(
    data_dir: Path,
    home: Path,
    progress: Report,
    *,
    quick: bool = False,
    soon: bool = False,
    mlflow_uri: str = "",
    cache: UserCache | None = None,
    kinds: Mapping[str, AnyKind] = KINDS,
    name: str = "",
    live: bool = True,
) -> TrainedModel:
    """Trains a model on a folder of data, measures it on the held-out part, registers it and puts it in production.

    The same data and settings give the model that is there already; a run that was stopped goes on where it was.
    A model that is worse beyond chance than the one in production is left a candidate, and so is one that a person
    took out.

    Args:
        data_dir: an assistant, or what another kind is trained on.
        quick: only teach the model in production the intents that it lacks, which takes seconds.
        soon: where the model would have to be trained, leave the one in production if it knows all that is asked of it,
            else fit a first one in about a minute; either is preliminary. What has no first models is trained.
        cache: where a model is looked for before it is trained, and kept.
        mlflow_uri: where runs and models are registered; by default in `mlflow.db` in the home.
        kinds: the kinds of models that there are.
        name: what the versions are registered under; by default as the data says.
        live: whether it is put in production; otherwise it is registered, and compared with what is there. Then `soon`
            also teaches a copy of what is in production what it lacks, where that can be done.

    Raises:
        ModelError: `quick`, and there is no model that can be extended, or its kind cannot be.
        ConfigurationError: the data or the settings cannot be used.
    """
    shelf = Shelf.of(data_dir, home, kinds, name)
    shelf.folder.mkdir(parents=True, exist_ok=True)
    base = shelf.production() if quick else None
    way = shelf.extended(base) if base else shelf.whole()
    # What is to serve within a minute waits for no whole training; two that are put in production would race.
    beside = soon and not live and shelf.kind.preliminary is not None
    with _only_one(shelf.folder, progress, ".lock-soon" if beside else ".lock"):
        taught = shelf.lacking(base) if base else frozenset[str]()
        folder = base if base and not taught else shelf.obtain(way, cache)
        preliminary = False
        if folder is None and base is None and soon and (first := shelf.preliminary()) is not None:
            preliminary, way = True, first
            folder = shelf.sufficient() or (None if live else _taught(shelf, progress)) or shelf.obtain(way, cache)
        cached = folder is not None
        if folder is None:
            folder = _train(shelf, way, progress, cache)
            if cache is not None and base is None:
                cache.put(shelf.cache_key(way), folder)
        else:
            progress(Progress(stage="cached", done=1, total=1, detail=folder.name))
        measured = shelf.measured(folder)
        tracker = Tracker(home, mlflow_uri)
        tracker.register(folder, shelf.manifest(folder), TrainingRecord.read(folder))
        # What a preliminary one replaces, if anything, cannot serve the data as it is now.
        comparison = None if preliminary else _compared(shelf, tracker, folder)
        if tracker.withdrawn(shelf.name, folder.name):
            held_back = "it was taken out of production before"
        else:
            held_back = comparison.shortcomings(shelf.kind.compared) if comparison else ""
        if live and not held_back:
            _put_in_production(shelf, tracker, folder, forced=False)
    return TrainedModel(
        folder,
        folder.name,
        measured.summary() if measured is not None else {},
        cached,
        held_back,
        preliminary,
        shelf.learned(folder, taught) if taught else {},
        comparison,
    )


def promote(
    data_dir: Path,
    home: Path,
    version: str,
    *,
    alias: str = PRODUCTION,
    force: bool = False,
    mlflow_uri: str = "",
    kinds: Mapping[str, AnyKind] = KINDS,
) -> str:
    """Points an alias at a registered version; production only at one that is not worse there beyond chance.

    Args:
        data_dir: what it is measured on.
        version: the name of its folder, or an alias that names it.
        force: put it in production all the same.
        kinds: the kinds of models that there are.

    Returns:
        The name of the version's folder.

    Raises:
        ModelError: it is worse, or of another kind than the data; the message says where.
        ConfigurationError: no such version is registered.
    """
    shelf = Shelf.of(data_dir, home, kinds)
    tracker = Tracker(home, mlflow_uri)
    version = tracker.version_at(shelf.name, version) or version
    if alias != PRODUCTION:
        tracker.point(shelf.name, alias, version)
        return version
    folder = shelf.folder / version
    comparison = None if force else _compared(shelf, tracker, folder)
    if comparison is not None and (reason := comparison.shortcomings(shelf.kind.compared)):
        raise ModelError(f"version {version} stays out of production: {reason}; --force puts it there")
    before = tracker.version_at(shelf.name, PRODUCTION)
    _put_in_production(shelf, tracker, folder, forced=force)
    if before and before != version:
        tracker.withdraw(shelf.name, before)
    return version


def known_version(data_dir: Path, home: Path, known: Collection[str], *, soon: bool, name: str) -> TrainedModel | None:
    """The version among those known that is made of these data: of a whole training, else, `soon`, of a first one.

    Raises:
        ConfigurationError: the data or the settings cannot be used.
    """
    shelf = Shelf.of(data_dir, home, KINDS, name)
    for way, preliminary in ((shelf.whole(), False), (shelf.preliminary() if soon else None, True)):
        folder = shelf.obtain(way, None) if way is not None else None
        if folder is not None and folder.name in known:
            return TrainedModel(folder, folder.name, {}, cached=True, preliminary=preliminary)
    return None


def go_live(name: str, home: Path, version: str, *, mlflow_uri: str = "") -> None:
    """Puts a version in production that was compared with it before.

    Raises:
        ConfigurationError: no such version is registered.
    """
    Tracker(home, mlflow_uri).point(name, PRODUCTION, version, forced=True)
    models = home / "models" / name
    if (models / version).is_dir():
        write_alias(models, PRODUCTION, version)


def evaluate(data_dir: Path, model_dir: Path, *, kinds: Mapping[str, AnyKind] = KINDS) -> Measured:
    """Measures a model folder on the held-out data and rewrites its metrics and what people read of them.

    Raises:
        ModelError: it is no model of a known kind, or it cannot be measured on this data.
        ConfigurationError: there is no held-out data.
    """
    kind = kind_of_model(model_dir, kinds)
    measured = measure(kind, kind.prepare(data_dir), model_dir)
    if (comparison := Comparison.read(model_dir)) is not None:
        comparison.write(model_dir, kind.compared)
    return measured


def _compared(shelf: Shelf, tracker: Tracker, folder: Path) -> Comparison | None:
    """How a version compares with what is in production, noted in its folder and in MLflow; None where nothing can be.

    What production does not know, such as a new intent, takes no part.
    """
    if folder.is_dir():
        shelf.manifest(folder)
    before = tracker.version_at(shelf.name, PRODUCTION)
    if not before or before == folder.name or not (shelf.folder / before).is_dir():
        return None
    production = shelf.judged(shelf.folder / before)
    candidate = shelf.measured(folder) if production is not None else None
    if production is None or candidate is None:
        return None
    compared = shelf.kind.compared
    if not (differences := compare(candidate, production, compared)):
        return None
    comparison = Comparison(against=before, differences=tuple(differences))
    comparison.write(folder, compared)
    tracker.note(shelf.name, folder.name, comparison)
    return comparison


def _taught(shelf: Shelf, progress: Report) -> Path | None:
    """What is in production, taught what it lacks, which takes seconds; None where that cannot be."""
    try:
        base = shelf.production()
        way = shelf.extended(base)
        return (shelf.obtain(way, None) or _train(shelf, way, progress, None)) if shelf.lacking(base) else None
    except ModelError:
        return None


def _put_in_production(shelf: Shelf, tracker: Tracker, folder: Path, *, forced: bool) -> None:
    tracker.point(shelf.name, PRODUCTION, folder.name, forced=forced)
    if folder.is_dir():
        write_alias(shelf.folder, PRODUCTION, folder.name)


@contextmanager
def _only_one(models: Path, progress: Report, name: str = ".lock") -> Iterator[None]:
    """Waits until no other process trains a model of the same name."""
    with (models / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Progress(stage="waiting", done=0, total=1, detail="another training of this model"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _train(shelf: Shelf, way: Way, progress: Report, cache: UserCache | None) -> Path:
    """Fits, exports, measures and publishes a version; gives its folder."""
    started = time.monotonic()
    kind, prepared = shelf.kind, shelf.prepared
    work = shelf.folder / f".training-{way.recipe[:8]}"
    scratch = work / "model"
    work.mkdir(exist_ok=True)
    fitted = way.fit(Workplace(work, shelf.home, cache.encoders if cache is not None else None), progress)
    progress(Progress(stage="export", done=0, total=1))
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    facts = kind.export(prepared, fitted, scratch)
    progress(Progress(stage="export", done=1, total=1))
    now = datetime.now(UTC).replace(microsecond=0)
    described: dict[str, Any] = {
        **facts,
        "kind": kind.name,
        "name": shelf.name,
        "version": f"{now:%Y%m%dT%H%M%S}-{way.recipe[:8]}",
        "created_at": now,
        "files": _digests(scratch, sorted(each.name for each in scratch.iterdir())),
        "data_hash": prepared.data_hash,
    }
    manifest = kind.manifest.model_validate(described)
    TrainingRecord.model_validate(
        {
            **fitted.sizes,
            "recipe": way.recipe,
            "settings": fitted.settings,
            "history": fitted.history,
            "seconds": round(time.monotonic() - started, 1),
            "libraries": {name: version_of(name) for name in kind.libraries},
        }
    ).write(scratch)
    manifest.write(scratch)
    if prepared.heldout_hash:
        progress(Progress(stage="evaluation", done=0, total=1))
        manifest = manifest.model_copy(update={"metrics": measure(kind, prepared, scratch).summary()})
        progress(Progress(stage="evaluation", done=1, total=1))
    checks = kind.write_checks(prepared, scratch)
    manifest = manifest.model_copy(update={"files": manifest.files | _digests(scratch, checks)})
    manifest.write(scratch)
    folder = shelf.folder / manifest.version
    publish(scratch, folder)
    shutil.rmtree(work)
    return folder


def _digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    return {name: digest_of(folder / name) for name in names}
