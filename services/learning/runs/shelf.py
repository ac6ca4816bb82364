"""The versions that are made of one folder of data: where they are, what they are made of, and how good each is."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from pathlib import Path

from services.learning.artifacts.folders import digest_of
from services.learning.artifacts.metrics import Measured, write_metrics
from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.kind import AnyKind, Fitted, Prepared, Workplace
from services.learning.kinds.known import kind_of_data
from services.learning.progress import Report
from services.learning.runs.cache import UserCache, key_of
from services.learning.runs.tracking import PRODUCTION
from shared.errors import ConfigurationError
from shared.nlu.manifest import Manifest, ModelError, read_manifest

__all__ = ["Shelf", "Way", "measure", "recipe_of"]


def recipe_of(prepared: Prepared, *more: object) -> str:
    """The SHA-256 of what determines a model of these data; `more` tells another way of training from the whole one."""
    return hashlib.sha256(json.dumps([*prepared.recipe, *more], sort_keys=True).encode()).hexdigest()


def measure(kind: AnyKind, prepared: Prepared, folder: Path) -> Measured:
    """Measures a model folder, and rewrites its metrics and what people read of them."""
    measured = kind.evaluate(prepared, folder)
    write_metrics(folder, measured)
    return measured


@dataclass(frozen=True)
class Way:
    """One way to a model: the digest of all that the model is made of, and how it is fitted."""

    recipe: str
    fit: Callable[[Workplace, Report], Fitted]


@dataclass(frozen=True)
class Shelf:
    """The versions that are made of one folder of data, in a home."""

    kind: AnyKind
    prepared: Prepared
    home: Path

    @classmethod
    def of(cls, data_dir: Path, home: Path, kinds: Mapping[str, AnyKind], name: str = "") -> "Shelf":
        """Loads and checks the data.

        Args:
            name: what the versions are registered under; by default as the data says.

        Raises:
            ConfigurationError: they cannot be used.
        """
        kind = kind_of_data(data_dir, kinds)
        prepared = kind.prepare(data_dir)
        return cls(kind, replace(prepared, name=name) if name else prepared, home)

    @property
    def name(self) -> str:
        """What the versions are registered under."""
        return self.prepared.name

    @property
    def folder(self) -> Path:
        """Where the versions are."""
        return self.home / "models" / self.name

    def whole(self) -> Way:
        """The whole training."""
        return Way(recipe_of(self.prepared), lambda place, progress: self.kind.fit(self.prepared, place, progress))

    def preliminary(self) -> Way | None:
        """A model in about a minute; None where the kind has no such models."""
        first, data = self.kind.preliminary, self.prepared
        if first is None:
            return None
        return Way(recipe_of(data, first.revision), lambda place, progress: first.fit(data, place, progress))

    def extended(self, base: Path) -> Way:
        """The model in `base`, taught what it lacks.

        Raises:
            ModelError: models of this kind cannot be extended.
        """
        extension, data = self.kind.extension, self.prepared
        if extension is None:
            raise ModelError(f"a model of the kind {self.kind.name} cannot be extended; train {self.name} as a whole")
        return Way(recipe_of(data, base.name), lambda place, progress: extension.fit(data, base, place, progress))

    def lacking(self, base: Path) -> frozenset[str]:
        """What the model in `base` could be taught."""
        return self.kind.extension.lacking(self.prepared, base) if self.kind.extension else frozenset()

    def learned(self, folder: Path, taught: frozenset[str]) -> dict[str, float]:
        """The F1 of each that was taught to the model in `folder`."""
        return self.kind.extension.learned(folder, taught) if self.kind.extension else {}

    def cache_key(self, way: Way) -> str:
        """All that determines a model: its recipe, what the kind knows besides, and the libraries that compute it."""
        return key_of(
            self.name,
            way.recipe,
            *self.kind.ingredients(self.prepared),
            self.kind.manifest.model_fields["format"].default,
            {name: version_of(name) for name in self.kind.libraries},
        )

    def manifest(self, folder: Path) -> Manifest:
        """What a version says of itself.

        Raises:
            ModelError: there is none, or it is of another kind than the data.
        """
        if (found := read_manifest(folder, Manifest).kind) != self.kind.name:
            raise ModelError(f"{folder} holds a model of the kind {found}, and the data is for {self.kind.name}")
        return read_manifest(folder, self.kind.manifest)

    def production(self) -> Path:
        """The folder that is in production.

        Raises:
            ModelError: there is none, or it is of another kind than the data.
        """
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

    def obtain(self, way: Way, cache: UserCache | None) -> Path | None:
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

    def measured(self, folder: Path) -> Measured | None:
        """What was measured, again when the held-out data is no longer what it was; None where there is none."""
        self.manifest(folder)
        if not self.prepared.heldout_hash:
            return None
        found = self.kind.measured.read(folder)
        if found is None or found.heldout_hash != self.prepared.heldout_hash:
            return measure(self.kind, self.prepared, folder)
        return found

    def judged(self, folder: Path) -> Measured | None:
        """The same of a model that may lack labels; None where it cannot be measured, as one of another kind."""
        try:
            return self.measured(folder)
        except ModelError:
            pass
        try:
            self.manifest(folder)
            return self.kind.judge(self.prepared, folder)
        except ConfigurationError:
            return None
