"""What a kind of model brings to learning. Runs, cache, registry and gate know a model by this alone."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

from services.learning.artifacts.metrics import Measured
from services.learning.progress import Report
from shared.nlu.manifest import Manifest

__all__ = ["AnyKind", "Extension", "Fitted", "Kind", "Preliminary", "Prepared", "Workplace"]

P = TypeVar("P", bound="Prepared")
F = TypeVar("F", bound="Fitted")


@dataclass(frozen=True)
class Prepared:
    """Data and settings of a model, loaded and checked; a kind's own class adds them.

    name: what its versions are registered under.
    data_hash: tells the training data from other data.
    heldout_hash: tells the held-out data from other data; empty where there is none to measure on.
    recipe: all that determines a model which is trained as a whole, as JSON, with a number that the kind raises when
    the same data and settings give another model. No other kind makes the same.
    """

    name: str
    data_hash: str
    heldout_hash: str
    recipe: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model that was fitted and is not written yet; a kind's own class adds the model.

    settings: as JSON, those that it was fitted with.
    sizes: what was counted of the data, such as `training_rows`.
    history: the figures of each epoch, whose `number` counts from 1; empty where there are no epochs.
    """

    settings: Mapping[str, Any]
    sizes: Mapping[str, int] = field(default_factory=dict)
    history: Sequence[Mapping[str, int | float | None]] = ()


@dataclass(frozen=True)
class Workplace:
    """Where a model is fitted.

    folder: is there again when a run that was stopped is repeated, so checkpoints are kept in it.
    home: the state folder, for what had to be downloaded or converted.
    encoders: a folder of pretrained encoders that a user's clones share, if there is one.
    """

    folder: Path
    home: Path
    encoders: Path | None


class Preliminary(ABC, Generic[P, F]):
    """A model in about a minute, for a kind whose whole training takes long; it serves until the whole one is there.

    revision: a number that the kind raises when the same data and settings give another preliminary model.
    """

    revision: ClassVar[int]

    @abstractmethod
    def suffices(self, prepared: P, folder: Path) -> bool:
        """Whether the model in `folder` can serve until then, because it knows all that is asked of it."""

    @abstractmethod
    def fit(self, prepared: P, place: Workplace, progress: Report) -> F:
        """Fits the preliminary model.

        Raises:
            ConfigurationError: the data or settings do not allow it.
        """


class Extension(ABC, Generic[P, F]):
    """Teaching a model that is there what it lacks, in seconds."""

    @abstractmethod
    def lacking(self, prepared: P, base: Path) -> frozenset[str]:
        """What the model in `base` lacks and could be taught, by name; empty where it needs nothing."""

    @abstractmethod
    def fit(self, prepared: P, base: Path, place: Workplace, progress: Report) -> F:
        """Fits a model that is the one in `base` with what it lacks.

        Raises:
            ModelError: it cannot be extended by that; the message says why.
        """

    @abstractmethod
    def learned(self, folder: Path, taught: frozenset[str]) -> dict[str, float]:
        """The F1 of each that was taught, as far as it was measured of the model in `folder`."""


class Kind(ABC, Generic[P, F]):
    """A kind of model: what differs in learning between models of texts, pictures and tables.

    name: the `kind` in the manifests of its models.
    data_file: the file whose presence says that a folder holds data of this kind.
    manifest: what the manifest of its models is read as.
    measured: what `metrics.json` of its models is read as.
    compared: figures in which a version may not be worse than production, each with its name in words; high is good.
    libraries: the packages that compute a model; another version of them may compute another.
    preliminary, extension: None where the kind does not offer it.
    """

    name: ClassVar[str]
    data_file: ClassVar[str]
    manifest: ClassVar[type[Manifest]]
    measured: ClassVar[type[Measured]]
    compared: ClassVar[Mapping[str, str]]
    libraries: ClassVar[Sequence[str]]
    preliminary: Preliminary[P, F] | None = None
    extension: Extension[P, F] | None = None

    @abstractmethod
    def prepare(self, folder: Path) -> P:
        """Loads and checks the data and settings in a folder.

        Raises:
            ConfigurationError: they cannot be used; the message says where and why.
        """

    def ingredients(self, prepared: P) -> Sequence[Any]:
        """What determines a model beside its recipe and the libraries, as JSON: the digest of a pretrained encoder."""
        return ()

    @abstractmethod
    def fit(self, prepared: P, place: Workplace, progress: Report) -> F:
        """Fits a model as a whole; goes on from what a stopped run left in the place.

        Raises:
            ConfigurationError: the data or settings do not allow it.
        """

    @abstractmethod
    def export(self, prepared: P, fitted: F, folder: Path) -> Mapping[str, Any]:
        """Writes the model's files into an empty folder, in formats that are data only.

        Returns:
            What `manifest` says beside name, version, time, digests and figures.

        Raises:
            ConfigurationError: what was written does not compute what was fitted.
        """

    @abstractmethod
    def judge(self, prepared: P, folder: Path) -> Measured:
        """Measures a model folder by the code that serves it, on the held-out rows whose label the model knows.

        Raises:
            ModelError: the model cannot be measured on this data.
            ConfigurationError: there is no held-out data, or too little.
        """

    @abstractmethod
    def evaluate(self, prepared: P, folder: Path) -> Measured:
        """Measures a model folder on all of the held-out data, and writes what people read.

        Raises:
            ModelError: the model cannot be measured on this data, or does not know all labels of it.
            ConfigurationError: there is no held-out data, or too little.
        """

    @abstractmethod
    def write_checks(self, prepared: P, folder: Path) -> Sequence[str]:
        """Writes the golden set and the reference, by which a server checks a model; returns the names of the files."""


AnyKind: TypeAlias = Kind[Any, Any]
