"""What MLflow's model registry says: which version of a model each alias names, and where its files are.

The service needs two questions answered every few seconds, so it asks MLflow's REST API itself, or reads what learning
wrote down beside a SQLite file: the library would more than double what the process keeps in memory.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
from yarl import URL

from services.intent.limits import SQLITE, check_registry_uri
from shared.errors import ZhiyinError
from shared.nlu.named_versions import read_named
from shared.nlu.registry_tags import DIGEST_TAG, FORCED_TAG, VERSION_TAG

__all__ = [
    "ALIASES",
    "CANARY",
    "PRODUCTION",
    "SHADOW",
    "FileRegistry",
    "HttpRegistry",
    "ModelRegistry",
    "Registered",
    "RegistryUnavailable",
    "open_registry",
]

PRODUCTION, CANARY, SHADOW = "production", "canary", "shadow"
ALIASES = (PRODUCTION, CANARY, SHADOW)
SECONDS = aiohttp.ClientTimeout(total=10)


class RegistryUnavailable(ZhiyinError):
    """The model registry cannot be asked now."""


@dataclass(frozen=True)
class Registered:
    """A registered version: its number in MLflow, where its files are, and its tags."""

    name: str
    number: int
    source: str
    tags: Mapping[str, str]

    @property
    def version(self) -> str:
        """The name of the version's folder; empty where nobody said it."""
        return self.tags.get(VERSION_TAG, "")

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest that was registered; empty where nobody said it."""
        return self.tags.get(DIGEST_TAG, "")

    @property
    def forced(self) -> bool:
        """Whether a person put it in production although it is worse."""
        return self.tags.get(FORCED_TAG) == "true"


class ModelRegistry(Protocol):
    """A model registry."""

    async def aliases(self, name: str) -> Mapping[str, Registered]:
        """The versions that the aliases of a registered model name; none where there is no such model.

        Raises:
            RegistryUnavailable: the registry cannot be asked.
        """

    async def find(self, name: str, version: str) -> Registered | None:
        """A registered version by the name of its folder, whatever alias names it.

        Raises:
            RegistryUnavailable: the registry cannot be asked.
        """

    async def location(self, registered: Registered) -> str:
        """Where the version's files are, as a path or a URL."""

    async def close(self) -> None:
        """Gives the connections back."""


def open_registry(uri: str, home: Path) -> ModelRegistry:
    """The registry at a tracking server's URL or in a SQLite file, which is `mlflow.db` in the home by default.

    Raises:
        ValueError: it is neither.
    """
    if uri.startswith(("http://", "https://")):
        return HttpRegistry(uri)
    check_registry_uri(uri)
    return FileRegistry(Path(uri.removeprefix(SQLITE)) if uri else home / "mlflow.db")


class FileRegistry:
    """What was written down beside the SQLite file of a registry; nothing there is an empty registry."""

    def __init__(self, store: Path) -> None:
        self._store = store

    async def aliases(self, name: str) -> Mapping[str, Registered]:
        return {alias: each for alias, each in (await self._named(name)).items() if alias in ALIASES}

    async def find(self, name: str, version: str) -> Registered | None:
        # Of what has no alias nothing was written down.
        return next((each for each in (await self._named(name)).values() if each.version == version), None)

    async def _named(self, name: str) -> Mapping[str, Registered]:
        try:
            named = await asyncio.to_thread(read_named, self._store, name)
        except ValueError as error:
            raise RegistryUnavailable(str(error)) from error
        return {alias: Registered(name, each.number, each.source, each.tags) for alias, each in named.items()}

    async def location(self, registered: Registered) -> str:
        return registered.source

    async def close(self) -> None:
        pass


class HttpRegistry:
    """A tracking server's REST API."""

    def __init__(self, url: str) -> None:
        self._api = URL(url.rstrip("/")) / "api/2.0"
        self._session: aiohttp.ClientSession | None = None

    async def aliases(self, name: str) -> Mapping[str, Registered]:
        try:
            model = (await self._get("mlflow/registered-models/get", name=name))["registered_model"]
            numbers = {each["alias"]: each["version"] for each in model.get("aliases", ())}
            return {alias: await self._registered(name, numbers[alias]) for alias in ALIASES if numbers.get(alias)}
        except _NotThere:
            return {}
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryUnavailable("the tracking server's answer cannot be read") from error

    async def find(self, name: str, version: str) -> Registered | None:
        page = ""
        try:
            while True:
                more = {"page_token": page} if page else {}
                answer = await self._get("mlflow/model-versions/search", filter=f"name='{name}'", **more)
                for each in answer.get("model_versions", ()):
                    tags = {tag["key"]: tag.get("value", "") for tag in each.get("tags", ())}
                    if tags.get(VERSION_TAG) == version:
                        return Registered(name, int(each["version"]), each.get("source", ""), tags)
                page = str(answer.get("next_page_token") or "")
                if not page:
                    return None
        except _NotThere:
            return None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RegistryUnavailable("the tracking server's answer cannot be read") from error

    async def location(self, registered: Registered) -> str:
        try:
            found = await self._get(
                "mlflow/model-versions/get-download-uri", name=registered.name, version=registered.number
            )
            uri = str(found["artifact_uri"])
        except (_NotThere, KeyError, TypeError) as error:
            raise RegistryUnavailable("the tracking server does not say where the version's files are") from error
        scheme, _, path = uri.partition(":")
        if scheme != "mlflow-artifacts":
            return uri
        return str(self._api / "mlflow-artifacts/artifacts" / URL(path).path.lstrip("/"))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _registered(self, name: str, number: str) -> Registered:
        found = (await self._get("mlflow/model-versions/get", name=name, version=number))["model_version"]
        tags = {each["key"]: each.get("value", "") for each in found.get("tags", ())}
        return Registered(name, int(found["version"]), found.get("source", ""), tags)

    async def _get(self, path: str, **query: str | int) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=SECONDS)
        try:
            async with self._session.get(self._api / path, params=query) as answer:
                if answer.status == 404:
                    raise _NotThere
                answer.raise_for_status()
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # The address may hold a password, and so may the error's words.
            raise RegistryUnavailable(f"the tracking server cannot be asked: {type(error).__name__}") from error


class _NotThere(Exception):
    """The tracking server knows no such thing."""
