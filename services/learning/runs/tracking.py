"""Runs and model versions in MLflow: a SQLite file in the state folder, or a tracking server."""

import fcntl
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from services.learning.artifacts.record import TrainingRecord
from services.learning.release.comparison import Comparison
from shared.errors import ConfigurationError
from shared.nlu.manifest import Manifest
from shared.nlu.named_versions import NamedVersion, write_named
from shared.nlu.registry_tags import COMPARISON_TAG, DIGEST_TAG, FORCED_TAG, VERSION_TAG, WITHDRAWN_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

__all__ = ["CANDIDATE", "PRODUCTION", "Tracker", "TrackingUnavailable", "Version"]

CANDIDATE, PRODUCTION = "candidate", "production"
ARTIFACTS = "model"
REMOTE = ("http://", "https://")
MAIN_FIGURES = "all"
MAX_PARAMETER = 500
PAGE = 200
SQLITE = "sqlite:///"
ENVIRONMENT = {
    # It calls no other host than the configured store.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # A server that is away is reported in seconds, not in minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class TrackingUnavailable(ConfigurationError):
    """MLflow's store cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Version:
    """A registered version: its number in MLflow, the name of its folder, its aliases and its main figures.

    `comparison` is the last one with what was in production, of all parts together.
    """

    number: str
    version: str
    created_at: datetime
    aliases: tuple[str, ...]
    figures: Mapping[str, float]
    withdrawn: bool
    comparison: Comparison | None


class Tracker:
    """The registered models of a store; a model is registered under its assistant's name."""

    def __init__(self, home: Path, uri: str = "") -> None:
        """Args:
        uri: a tracking server's URL or `sqlite:///` and a path; by default `mlflow.db` in the home.
        """
        self._uri = uri or f"{SQLITE}{home.absolute() / 'mlflow.db'}"
        self._opened: MlflowClient | None = None

    def register(self, folder: Path, manifest: Manifest, record: TrainingRecord) -> None:
        """Logs the training as a run and its model as a version, the candidate from now on; once for each folder.

        Raises:
            TrackingUnavailable: the store cannot be used; the folder is whole, and registering can be repeated.
        """
        with self._client() as client:
            found = self._find(client, manifest.name, manifest.version)
            if found is None:
                found = self._register(client, folder, manifest, record)
            client.set_registered_model_alias(manifest.name, CANDIDATE, found.version)
            self._write_down(client, manifest.name)

    def versions(self, name: str) -> list[Version]:
        """The registered versions of a model, newest first."""
        with self._client() as client:
            aliases = self._aliases(client, name)
            return [self._described(client, each, aliases) for each in self._every(client, name)]

    def version_at(self, name: str, alias: str) -> str | None:
        """The folder's name of the version that an alias names, if it does."""
        with self._client() as client:
            number = self._aliases(client, name).get(alias)
            if number is None:
                return None
            return str(client.get_model_version(name, number).tags.get(VERSION_TAG, ""))

    def withdrawn(self, name: str, version: str) -> bool:
        """Whether a person put another version in the place of this one."""
        with self._client() as client:
            found = self._find(client, name, version)
            return found is not None and found.tags.get(WITHDRAWN_TAG) == "true"

    def point(self, name: str, alias: str, version: str, *, forced: bool = False) -> None:
        """Points an alias at a version.

        Args:
            forced: a server takes it although it is worse than what it serves.

        Raises:
            ConfigurationError: no such version is registered.
        """
        with self._client() as client:
            found = self._find(client, name, version)
            if found is None:
                raise ConfigurationError(f"no version {version} of {name} is registered; `zhiyin models` lists them")
            client.set_model_version_tag(name, found.version, FORCED_TAG, str(forced).lower())
            client.set_model_version_tag(name, found.version, WITHDRAWN_TAG, "false")
            client.set_registered_model_alias(name, alias, found.version)
            self._write_down(client, name)

    def withdraw(self, name: str, version: str) -> None:
        """Remembers that a person took this version out of production."""
        with self._client() as client:
            if (found := self._find(client, name, version)) is not None:
                client.set_model_version_tag(name, found.version, WITHDRAWN_TAG, "true")

    def note(self, name: str, version: str, comparison: Comparison) -> None:
        """Keeps how a version compares with what is in production."""
        whole = tuple(each for each in comparison.differences if each.part == MAIN_FIGURES)
        kept = comparison.model_copy(update={"differences": whole}).model_dump_json()
        with self._client() as client:
            if (found := self._find(client, name, version)) is not None:
                client.set_model_version_tag(name, found.version, COMPARISON_TAG, kept)

    def clear(self, name: str, alias: str) -> None:
        """Takes an alias away."""
        with self._client() as client:
            if alias in self._aliases(client, name):
                client.delete_registered_model_alias(name, alias)
                self._write_down(client, name)

    @contextmanager
    def _client(self) -> "Iterator[MlflowClient]":
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with warnings.catch_warnings():
            # What its libraries will drop one day is its own concern.
            warnings.simplefilter("ignore", DeprecationWarning)
            # It takes a second to import, which only those who use it should wait for.
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException

            try:
                if self._opened is None:
                    self._opened = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
                yield self._opened
            except MlflowException as error:
                # The words may repeat the address, and that may hold a password.
                why = str(error.message).replace(self._uri, self._shown)
                raise TrackingUnavailable(f"MLflow at {self._shown} cannot be used: {why}") from None

    @property
    def _shown(self) -> str:
        """The address without a password."""
        scheme, _, rest = self._uri.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def _register(
        self, client: "MlflowClient", folder: Path, manifest: Manifest, record: TrainingRecord
    ) -> "ModelVersion":
        run = client.create_run(self._experiment(client, manifest.name), run_name=manifest.version)
        number = run.info.run_id
        for key, value in {
            **record.settings,
            **record.sizes,
            "data_hash": manifest.data_hash,
            "recipe": record.recipe,
        }.items():
            client.log_param(number, key, str(value)[:MAX_PARAMETER])
        for step, epoch in enumerate(record.history, 1):
            for key, value in epoch.items():
                if key != "number" and value is not None:
                    client.log_metric(number, key, float(value), step=step)
        for part, figures in manifest.metrics.items():
            for key, value in figures.items():
                client.log_metric(number, key if part == MAIN_FIGURES else f"{part}_{key}", float(value))
        source = folder.absolute().as_uri()
        if self._uri.startswith(REMOTE):
            client.log_artifacts(number, str(folder), ARTIFACTS)
            source = f"{run.info.artifact_uri}/{ARTIFACTS}"
        client.set_terminated(number)
        tags = {
            VERSION_TAG: manifest.version,
            DIGEST_TAG: hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest(),
            **{key: str(value) for key, value in manifest.metrics.get(MAIN_FIGURES, {}).items()},
        }
        return client.create_model_version(manifest.name, source, run_id=number, tags=tags)

    def _experiment(self, client: "MlflowClient", name: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id if found is not None else client.create_experiment(name))

    def _write_down(self, client: "MlflowClient", name: str) -> None:
        """Says beside a SQLite file what its aliases name, for those who serve; a server is asked by them itself."""
        if not self._uri.startswith(SQLITE):
            return
        store = Path(self._uri.removeprefix(SQLITE))
        # Another process may change an alias in between; what it finds afterwards is written last.
        with store.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            named = {}
            for alias, number in self._aliases(client, name).items():
                found = client.get_model_version(name, number)
                named[alias] = NamedVersion(number=int(number), source=str(found.source), tags=dict(found.tags))
            write_named(store, name, named)

    def _find(self, client: "MlflowClient", name: str, version: str) -> "ModelVersion | None":
        every = self._every(client, name)
        return next((each for each in every if each.tags.get(VERSION_TAG) == version), None)

    def _every(self, client: "MlflowClient", name: str) -> "list[ModelVersion]":
        found: list[ModelVersion] = []
        page: str | None = None
        while page is None or page:
            some = client.search_model_versions(
                f"name='{name}'", PAGE, order_by=["version_number DESC"], page_token=page
            )
            found += some
            page = some.token or ""
        return found

    def _aliases(self, client: "MlflowClient", name: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return {alias: str(number) for alias, number in client.get_registered_model(name).aliases.items()}
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return {}

    def _described(self, client: "MlflowClient", each: "ModelVersion", aliases: Mapping[str, str]) -> Version:
        run = client.get_run(each.run_id) if each.run_id else None
        return Version(
            number=str(each.version),
            version=each.tags.get(VERSION_TAG, ""),
            created_at=datetime.fromtimestamp(each.creation_timestamp / 1000, UTC),
            aliases=tuple(sorted(alias for alias, number in aliases.items() if number == str(each.version))),
            figures=dict(run.data.metrics) if run is not None else {},
            withdrawn=each.tags.get(WITHDRAWN_TAG) == "true",
            comparison=_comparison(each.tags.get(COMPARISON_TAG, "")),
        )


def _comparison(tag: str) -> Comparison | None:
    """None where there is none, or another release wrote it."""
    try:
        return Comparison.model_validate_json(tag) if tag else None
    except ValidationError:
        return None
