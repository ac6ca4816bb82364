"""Models of releases: real models in a real MLflow store, each version asked for by name while another takes over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.intent.api.access import TenantModels
from services.intent.kinds.understanding.served import understand
from services.intent.rollout.controller import Rollout
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.rollout.releases import ReleasedModels
from services.intent.settings import Settings
from services.intent.versions.model_registry import FileRegistry
from shared.contracts.releases import AliasName, Release, ReleaseAlias
from shared.errors import NotFound
from shared.nlu.manifest import ModelRejected
from tests.versions import Versions, damage

FOLDER = Path("a folder that holds no model")
DEADLINE_SECONDS = 20.0


class Server:
    """Models, what follows the registry, and what follows releases; stepped by the test."""

    def __init__(self, settings: Settings) -> None:
        self.registry = FileRegistry(settings.home / "mlflow.db")
        self.models = LoadedModels(settings, self.registry)
        self.rollout = Rollout(self.models, self.registry, settings)
        self.released = ReleasedModels(self.models, self.registry, self.rollout, settings)
        self.count = 0

    async def load(self, version: str, model: str = "shop", tenant: str = "default") -> Release:
        self.count += 1
        release = Release(
            id=f"r{self.count}", tenant=tenant, assistant="shop", number=self.count, bundle="0" * 64, state="ready",
            model=model, model_version=version, created_at=datetime.now(UTC),
        )  # fmt: skip
        await self.released.load(release, FOLDER)
        return release

    def serve(self, *releases: Release, alias: AliasName = "production") -> None:
        self.released.serve([ReleaseAlias(alias=alias, release=release) for release in releases])

    async def answers(
        self, version: str, *, model: str = "shop", tenant: str = "default", service: bool = True
    ) -> tuple[str, str]:
        """Which model and version answer a turn of a release."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        models = TenantModels(self.models, tenant, "dialogue", deadline, service)
        async with models.use_for_release(model, version, assistant="shop", key="c1") as served:
            [understanding] = await understand(served, ["hello"], deadline=deadline)
        return understanding.model.name, understanding.model.version


@asynccontextmanager
async def running(home: Path, **changes: Any) -> AsyncIterator[Server]:
    settings = Settings(
        home=home, inference_streams=1, inference_backend="openvino", inference_precision="f32", **changes
    )
    server = Server(settings)
    await server.models.load(settings)
    try:
        yield server
    finally:
        await server.models.close()


async def test_both_versions_answer_while_one_takes_over(versions: Versions) -> None:
    versions.add("v2")
    async with running(versions.home, watch_seconds=0) as server:
        old = await server.load("v1")
        server.serve(old)
        new = await server.load("v2")
        assert await server.answers("v2") == ("shop", "v2")
        assert (await server.answers("v1"))[1] == (await server.answers(""))[1] == "v1"
        server.serve(new)
        assert (await server.answers("v1"))[1] == "v1", "a turn of the release before has its own"
        assert (await server.answers(""))[1] == "v2"
        server.released.forget(old)
        assert (await server.answers("v1"))[1] == "v2", "what is gone is answered by what is there"
        # The registry still names nothing, or something else; a release has the last word.
        versions.point("production", "v1")
        await server.rollout.follow()
        assert (await server.answers(""))[1] == "v2"
        again = await server.load("v1")
        server.serve(again)
        server.released.forget(new)
        assert (await server.answers("v2"))[1] == "v1"
        [deployment] = server.models.deployments
        assert [each.version for each in deployment.loaded()] == ["v1"]


async def test_what_is_worse_damaged_or_not_there_is_refused(versions: Versions) -> None:
    versions.add("worse", worse=True)
    damage(versions.add("damaged") / "model.onnx")
    async with running(versions.home) as server:
        for version in ("worse", "damaged", "nowhere", "../v1"):
            with pytest.raises(ModelRejected):
                await server.load(version)
        [deployment] = server.models.deployments
        assert [each.version for each in deployment.loaded()] == ["v1"]


async def test_a_tenants_own_model_answers_for_that_tenant_alone(versions: Versions) -> None:
    versions.add("a1", name="acme.shop")
    async with running(versions.home) as server:
        server.serve(await server.load("a1", model="acme.shop", tenant="acme"))
        assert await server.answers("a1", model="acme.shop", tenant="acme") == ("acme.shop", "a1")
        for tenant, service in (("beta", True), ("default", True)):
            found = await server.answers("a1", model="acme.shop", tenant=tenant, service=service)
            assert found == ("shop", "v1"), "another tenant's model is as one that does not exist"
        with pytest.raises(NotFound):
            await server.answers("a1", model="acme.shop", tenant="beta", service=False)


async def test_a_release_without_a_model_leaves_everything_as_it_is(versions: Versions) -> None:
    async with running(versions.home) as server:
        release = await server.load("", model="")
        server.serve(release)
        server.released.forget(release)
        versions.add("v2")
        versions.point("production", "v2")
        await server.rollout.follow()
        assert (await server.answers("", model="nobody"))[1] == "v2"


async def test_what_made_room_comes_back_as_the_release_has_it(versions: Versions) -> None:
    versions.add("v2")
    async with running(versions.home, watch_seconds=0) as server:
        server.serve(await server.load("v2"))
        [deployment] = server.models.deployments
        deployment.unload()
        assert (await server.answers("v2"))[1] == "v2"
