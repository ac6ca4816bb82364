"""What MLflow's registry says, as learning wrote it down and as a tracking server's REST API has it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Response

from services.intent.versions.model_registry import (
    FileRegistry,
    HttpRegistry,
    Registered,
    RegistryUnavailable,
    open_registry,
)
from tests.servers import serve
from tests.versions import Versions


async def test_aliases_are_those_that_learning_set_and_took_away(versions: Versions) -> None:
    folder = versions.add("v2")
    versions.point("canary", "v2", forced=True)
    versions.point("somebody-elses", "v1")
    registry = FileRegistry(versions.home / "mlflow.db")
    found = await registry.aliases("shop")
    assert {alias: (each.version, each.forced) for alias, each in found.items()} == {
        "production": ("v1", False),
        "canary": ("v2", True),
    }
    assert len(found["canary"].digest) == 64
    assert str(folder) in await registry.location(found["canary"])
    assert await registry.aliases("bank") == {}
    versions.tracker.clear("shop", "canary")
    assert set(await registry.aliases("shop")) == {"production"}
    (versions.home / "mlflow.db").unlink()
    assert set(await registry.aliases("shop")) == {"production"}, "its tables are not read"


def test_without_a_file_nothing_is_named_and_none_is_made(tmp_path: Path) -> None:
    assert asyncio.run(FileRegistry(tmp_path / "mlflow.db").aliases("shop")) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no JSON" * 1000, b"", b"{}", b'{"aliases": {"production": {}}}'])
async def test_a_file_that_cannot_be_read_is_unavailable(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.aliases").mkdir()
    (tmp_path / "mlflow.aliases" / "shop.json").write_bytes(content)
    with pytest.raises(RegistryUnavailable, match="cannot be read"):
        await FileRegistry(tmp_path / "mlflow.db").aliases("shop")


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("", FileRegistry), ("sqlite:////srv/mlflow.db", FileRegistry), ("https://host", HttpRegistry)],
)
def test_the_address_says_which_registry_it_is(tmp_path: Path, uri: str, kind: type) -> None:
    assert isinstance(open_registry(uri, tmp_path), kind)


def test_an_address_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tracking server"):
        open_registry("postgresql://host/mlflow", tmp_path)


ALIASES = [{"alias": "production", "version": "7"}, {"alias": "champion", "version": "8"}]
MODEL = {"registered_model": {"name": "shop", "aliases": ALIASES}}
TAGS = [{"key": "zhiyin.version", "value": "v7"}, {"key": "zhiyin.forced"}]
VERSION = {"model_version": {"version": "7", "source": "mlflow-artifacts:/1/x", "tags": TAGS}}


@asynccontextmanager
async def tracking(answers: Mapping[str, Callable[[], Any]]) -> AsyncIterator[HttpRegistry]:
    """A registry at a server that gives these answers below `/api/2.0/mlflow/`."""
    app = FastAPI()
    for path, answer in answers.items():
        app.get(f"/api/2.0/mlflow/{path}")(answer)
    async with serve(app) as server:
        registry = HttpRegistry(server.base_url.replace("//", "//someone:secret@") + "/")
        try:
            yield registry
        finally:
            await registry.close()


async def test_aliases_are_asked_of_a_tracking_server() -> None:
    async with tracking({"registered-models/get": lambda: MODEL, "model-versions/get": lambda: VERSION}) as registry:
        tags = {"zhiyin.version": "v7", "zhiyin.forced": ""}
        registered = Registered("shop", 7, "mlflow-artifacts:/1/x", tags)
        assert await registry.aliases("shop") == {"production": registered}
        assert (registered.version, registered.digest, registered.forced) == ("v7", "", False)


async def test_a_model_that_nobody_registered_has_no_aliases() -> None:
    async with tracking({}) as registry:
        assert await registry.aliases("shop") == {}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("mlflow-artifacts:/1/x", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
        ("mlflow-artifacts://host:1/1/x", "/api/2.0/mlflow-artifacts/artifacts/1/x"),
        ("s3://bucket/x", "s3://bucket/x"),
        ("/srv/models/x", "/srv/models/x"),
    ],
)
async def test_files_that_the_server_keeps_are_fetched_from_itself(told: str, found: str) -> None:
    async with tracking({"model-versions/get-download-uri": lambda: {"artifact_uri": told}}) as registry:
        location = await registry.location(Registered("shop", 7, "", {}))
        assert location.endswith(found)
        assert location.startswith("http://") == told.startswith("mlflow-artifacts")


UNREADABLE: list[Mapping[str, Callable[[], Any]]] = [
    {"registered-models/get": lambda: Response(status_code=500)},
    {"registered-models/get": lambda: Response(status_code=401)},
    {"registered-models/get": lambda: Response("<html>", media_type="text/html")},
    {"registered-models/get": lambda: Response("{", media_type="application/json")},
    {"registered-models/get": list},
    {"registered-models/get": lambda: {"error": "x"}},
    {"registered-models/get": lambda: {"registered_model": {"aliases": [{"alias": "production"}]}}},
    {"registered-models/get": lambda: MODEL, "model-versions/get": lambda: {"model_version": {"version": "x"}}},
]


@pytest.mark.parametrize("answers", UNREADABLE)
async def test_answers_that_say_nothing_are_no_aliases_taken_away(answers: Mapping[str, Callable[[], Any]]) -> None:
    async with tracking(answers) as registry:
        with pytest.raises(RegistryUnavailable) as refused:
            await registry.aliases("shop")
        assert "secret" not in str(refused.value)
        with pytest.raises(RegistryUnavailable, match="does not say where"):
            await registry.location(Registered("shop", 7, "", {}))
