"""A training run from a folder of data to a model in production, and the evaluation of a model, of whatever kind."""

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from services.learning.artifacts.folders import digest_of, publish, write_alias
from services.learning.artifacts.metrics import Figures, Measured, Metrics, write_metrics
from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.kind import AnyKind, Fitted, Prepared, Workplace
from services.learning.kinds.known import KINDS, kind_of_data, kind_of_model
from services.learning.progress import Progress, Report
from services.learning.release.gate import shortcomings
from services.learning.runs.cache import UserCache, key_of
from services.learning.runs.tracking import PRODUCTION, Tracker
from shared.nlu.manifest import Manifest, ModelError, read_manifest

__all__ = ["TrainedModel", "evaluate", "promote", "recipe_of", "train"]


@dataclass(frozen=True)
class TrainedModel:
    """A model folder with its main figures by part; `cached` when it was there and nothing had to be done.

    `held_back` says why it was not put in production; empty when it was. A `preliminary` one serves until the whole
    training has been done. `learned` has the F1 of each thing that was taught to a model, such as an intent, as far as
    there is held-out data of it.
    """

    path: Path
    version: str
    metrics: Figures
    cached: bool
    held_back: str = ""
    preliminary: bool = False
    learned: dict[str, float] = field(default_factory=dict)


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
) -> TrainedModel:
    """Trains a model on a folder of data, measures it on the held-out part, registers it and puts it in production.

    The same data and settings give the model that is there already; a run that was stopped goes on where it was.
    A model that is worse than the one in production is left a candidate, and so is one that a person took out.

    Args:
        data_dir: an assistant, or what another kind is trained on.
        quick: only teach the model in production the intents that it lacks, which takes seconds.
        soon: where the model would have to be trained, leave the one in production if it knows all that is asked of it,
            else fit a first one in about a minute; either is preliminary. What has no first models is trained.
        cache: where a model is looked for before it is trained, and kept.
        mlflow_uri: where runs and models are registered; by default in `mlflow.db` in the home.
        kinds: the kinds of models that there are.

    Raises:
        ModelError: `quick`, and there is no model that can be extended, or its kind cannot be.
        ConfigurationError: the data or the settings cannot be used.
    """
    shelf = _Shelf.of(data_dir, home, kinds)
    shelf.folder.mkdir(parents=True, exist_ok=True)
    base = shelf.production() if quick else None
    way = shelf.extended(base) if base else shelf.whole()
    with _only_one(shelf.folder, progress):
        taught = shelf.lacking(base) if base else frozenset[str]()
        folder = base if base and not taught else shelf.obtain(way, cache)
        preliminary = False
        if folder is None and base is None and soon and (first := shelf.preliminary()) is not None:
            preliminary, way = True, first
            folder = shelf.sufficient() or shelf.obtain(way, cache)
        cached = folder is not None
        if folder is None:
            folder = _train(shelf, way, progress, cache)
            if cache is not None and base is None:
                cache.put(shelf.cache_key(way), folder)
        else:
            progress(Progress(stage="cached", done=1, total=1, detail=folder.name))
        metrics = shelf.metrics(folder)
        tracker = Tracker(home, mlflow_uri)
        tracker.register(folder, shelf.manifest(folder), TrainingRecord.read(folder))
        if tracker.withdrawn(shelf.name, folder.name):
            held_back = "it was taken out of production before"
        else:
            # What a preliminary one replaces, if anything, cannot serve the data as it is now.
            held_back = "" if preliminary else _gate(shelf, tracker, folder)
        if not held_back:
            _put_in_production(shelf, tracker, folder, forced=False)
    return TrainedModel(
        folder, folder.name, metrics, cached, held_back, preliminary, shelf.learned(folder, taught) if taught else {}
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
    """Points an alias at a registered version; production only at one that is not worse than the one there.

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
    shelf = _Shelf.of(data_dir, home, kinds)
    tracker = Tracker(home, mlflow_uri)
    version = tracker.version_at(shelf.name, version) or version
    if alias != PRODUCTION:
        tracker.point(shelf.name, alias, version)
        return version
    folder = shelf.folder / version
    if not force and (reason := _gate(shelf, tracker, folder)):
        raise ModelError(f"version {version} stays out of production: {reason}; --force puts it there")
    before = tracker.version_at(shelf.name, PRODUCTION)
    _put_in_production(shelf, tracker, folder, forced=force)
    if before and before != version:
        tracker.withdraw(shelf.name, before)
    return version


def evaluate(data_dir: Path, model_dir: Path, *, kinds: Mapping[str, AnyKind] = KINDS) -> Measured:
    """Measures a model folder on the held-out data and rewrites its metrics and what people read of them.

    Raises:
        ModelError: it is no model of a known kind, or it cannot be measured on this data.
        ConfigurationError: there is no held-out data.
    """
    kind = kind_of_model(model_dir, kinds)
    return _evaluate(kind, kind.prepare(data_dir), model_dir)


def recipe_of(prepared: Prepared, *more: object) -> str:
    """The SHA-256 of what determines a model of these data; `more` tells another way of training from the whole one."""
    return hashlib.sha256(json.dumps([*prepared.recipe, *more], sort_keys=True).encode()).hexdigest()


def _evaluate(kind: AnyKind, prepared: Prepared, folder: Path) -> Measured:
    measured = kind.evaluate(prepared, folder)
    write_metrics(folder, measured)
    return measured


@dataclass(frozen=True)
class _Way:
    """One way to a model: the digest of all that the model is made of, and how it is fitted."""

    recipe: str
    fit: Callable[[Workplace, Report], Fitted]


@dataclass(frozen=True)
class _Shelf:
    """The versions that are made of one folder of data, in a home."""

    kind: AnyKind
    prepared: Prepared
    home: Path

    @classmethod
    def of(cls, data_dir: Path, home: Path, kinds: Mapping[str, AnyKind]) -> "_Shelf":
        kind = kind_of_data(data_dir, kinds)
        return cls(kind, kind.prepare(data_dir), home)

    @property
    def name(self) -> str:
        return self.prepared.name

    @property
    def folder(self) -> Path:
        return self.home / "models" / self.name

    def whole(self) -> _Way:
        return _Way(recipe_of(self.prepared), lambda place, progress: self.kind.fit(self.prepared, place, progress))

    def preliminary(self) -> _Way | None:
        """None where the kind has no such models."""
        first, data = self.kind.preliminary, self.prepared
        if first is None:
            return None
        return _Way(recipe_of(data, first.revision), lambda place, progress: first.fit(data, place, progress))

    def extended(self, base: Path) -> _Way:
        """Raises ModelError where models of this kind cannot be extended."""
        extension, data = self.kind.extension, self.prepared
        if extension is None:
            raise ModelError(f"a model of the kind {self.kind.name} cannot be extended; train {self.name} as a whole")
        return _Way(recipe_of(data, base.name), lambda place, progress: extension.fit(data, base, place, progress))

    def lacking(self, base: Path) -> frozenset[str]:
        return self.kind.extension.lacking(self.prepared, base) if self.kind.extension else frozenset()

    def learned(self, folder: Path, taught: frozenset[str]) -> dict[str, float]:
        return self.kind.extension.learned(folder, taught) if self.kind.extension else {}

    def cache_key(self, way: _Way) -> str:
        """All that determines a model: its recipe, what the kind knows besides, and the libraries that compute it."""
        return key_of(
            self.name,
            way.recipe,
            *self.kind.ingredients(self.prepared),
            self.kind.manifest.model_fields["format"].default,
            {name: version_of(name) for name in self.kind.libraries},
        )

    def manifest(self, folder: Path) -> Manifest:
        """Raises ModelError where there is none, or it is of another kind than the data."""
        if (found := read_manifest(folder, Manifest).kind) != self.kind.name:
            raise ModelError(f"{folder} holds a model of the kind {found}, and the data is for {self.kind.name}")
        return read_manifest(folder, self.kind.manifest)

    def production(self) -> Path:
        """The folder that is in production."""
        try:
            folder = self.folder / (self.folder / PRODUCTION).read_text(encoding="utf-8").strip()
        except OSError:
            raise ModelError(
                f"{self.name} has no model in production that could be extended; train one first"
            ) from None
        self.manifest(folder)
        return folder

    def sufficient(self) -> Path | None:
        """The folder that is in production, if its model knows all that is asked of it."""
        try:
            folder = self.production()
        except ModelError:
            return None
        first = self.kind.preliminary
        return folder if first and first.suffices(self.prepared, folder) and self._is_whole(folder) else None

    def obtain(self, way: _Way, cache: UserCache | None) -> Path | None:
        """The whole model that was made in this way: in this home, else in the user's cache."""
        for folder in sorted(self.folder.glob(f"*-{way.recipe[:8]}"), reverse=True):
            try:
                if TrainingRecord.read(folder).recipe == way.recipe and self._is_whole(folder):
                    return folder
            except ModelError:
                continue
        if cache is None:
            return None
        return cache.take(self.cache_key(way), self.folder, lambda copy: self.manifest(copy).version)

    def _is_whole(self, folder: Path) -> bool:
        files = self.manifest(folder).files.items()
        return all((folder / name).is_file() and digest_of(folder / name) == digest for name, digest in files)

    def metrics(self, folder: Path) -> Figures:
        """The main figures; measured again when the held-out data is no longer what was measured on."""
        self.manifest(folder)
        if not self.prepared.heldout_hash:
            return {}
        found = Metrics.read(folder)
        if found is None or found.heldout_hash != self.prepared.heldout_hash:
            return _evaluate(self.kind, self.prepared, folder).summary()
        return found.summary


def _gate(shelf: _Shelf, tracker: Tracker, folder: Path) -> str:
    """Why a version may not take the place of what is in production; empty when it may."""
    if folder.is_dir():
        shelf.manifest(folder)
    before = tracker.version_at(shelf.name, PRODUCTION)
    if not before or before == folder.name or not (shelf.folder / before).is_dir():
        return ""
    try:
        production = shelf.metrics(shelf.folder / before)
    except ModelError:
        # It lacks an intent that the data has now, or is of another kind or an older format: nothing can be compared.
        return ""
    return "; ".join(shortcomings(shelf.metrics(folder), production, shelf.kind.compared))


def _put_in_production(shelf: _Shelf, tracker: Tracker, folder: Path, *, forced: bool) -> None:
    tracker.point(shelf.name, PRODUCTION, folder.name, forced=forced)
    if folder.is_dir():
        write_alias(shelf.folder, PRODUCTION, folder.name)


@contextmanager
def _only_one(models: Path, progress: Report) -> Iterator[None]:
    """Waits until no other process trains a model of the same name."""
    with (models / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(Progress(stage="waiting", done=0, total=1, detail="another training of this model"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _train(shelf: _Shelf, way: _Way, progress: Report, cache: UserCache | None) -> Path:
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
        manifest = manifest.model_copy(update={"metrics": _evaluate(kind, prepared, scratch).summary()})
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
