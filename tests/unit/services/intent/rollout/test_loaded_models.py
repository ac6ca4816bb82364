import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.intent.kinds.understanding.served import understand
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.settings import Settings as AnySettings
from shared.contracts.understanding import Understanding
from shared.errors import NotFound, Unavailable
from shared.nlu.engines.backends import Backend
from tests.models import write_model


class Settings(AnySettings):
    """Without the trials of `auto`: which library computes is nothing to these tests."""

    inference_backend: Backend = "openvino"


async def test_loads_what_the_settings_name(tmp_path: Path) -> None:
    write_model(tmp_path, name="shop", version="v1")
    write_model(tmp_path, name="bank", version="v2")
    models = LoadedModels()
    with pytest.raises(Unavailable):
        await models.check()
    await models.load(Settings(home=tmp_path, models=("shop", "bank"), inference_streams=1))
    await models.check()
    assert [each.manifest.name for each in models] == ["shop", "bank"]
    assert models.get("bank").model.manifest.version == "v2"
    assert models.meta()["model"] == "shop@v1,bank@v2"
    with pytest.raises(NotFound):
        models.get("unknown")
    await models.close()
    assert list(models) == []


async def test_consul_gets_no_more_models_than_it_takes(tmp_path: Path) -> None:
    names = [f"shop-{number:02}-{'x' * 50}" for number in range(10)]
    for name in names:
        write_model(tmp_path, name=name, version="v1")
    models = LoadedModels()
    await models.load(Settings(home=tmp_path, models=tuple(names), inference_streams=1))
    meta = models.meta()
    await models.close()
    assert meta["model"] == ",".join(f"{name}@v1" for name in names[:8])
    assert len(meta["model_digest"].split(",")) == len(names)


class Budgeted:
    """Three models of which two fit into the budget."""

    def __init__(self, models: LoadedModels) -> None:
        self.models = models

    async def ask(self, name: str, *, tenant: str = "default", seconds: float = 30.0) -> Understanding:
        """What `hello` means to a model."""
        deadline = asyncio.get_running_loop().time() + seconds
        async with self.models.use(name, tenant=tenant, deadline=deadline) as served:
            [answer] = await understand(served, ["hello"], deadline=deadline)
            return answer

    @property
    def loaded(self) -> set[str]:
        """The names of the models in memory."""
        return {each.name for each in self.models.deployments}


@pytest.fixture
async def budgeted(tmp_path: Path) -> AsyncIterator[Budgeted]:
    for name in ("shop", "bank", "travel"):
        folder = write_model(tmp_path, name=name)
        # What a model takes is judged by its files before it is measured: about 300 MB each, which dwarfs
        # what libraries take when the first model of a process is loaded. The file has no blocks on the disk.
        with (folder / "ballast.json").open("wb") as ballast:
            ballast.truncate(200_000_000)
    settings = Settings(
        home=tmp_path, models=("shop", "*"), inference_streams=1, inference_backend="openvino", memory_budget_mb=700
    )
    models = LoadedModels(settings)
    await models.load(settings)
    yield Budgeted(models)
    await models.close()


async def test_models_are_loaded_when_they_are_asked_for_and_the_oldest_goes(budgeted: Budgeted) -> None:
    assert budgeted.loaded == {"shop"}
    assert (await budgeted.ask("bank")).model.name == "bank"
    await budgeted.ask("shop")
    await budgeted.ask("travel")
    assert budgeted.loaded == {"shop", "travel"}
    # What was unloaded is loaded again, and everybody who asks meanwhile is answered.
    answers = await asyncio.gather(*(budgeted.ask("bank") for _ in range(8)))
    assert {each.model.name for each in answers} == {"bank"}
    assert budgeted.loaded == {"travel", "bank"}


async def test_a_model_in_use_is_not_unloaded(budgeted: Budgeted) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    async with budgeted.models.use("shop", tenant="default", deadline=deadline) as shop:
        await budgeted.ask("bank")
        await budgeted.ask("travel")
        assert budgeted.loaded == {"shop", "travel"}
        async with budgeted.models.use("travel", tenant="default", deadline=deadline):
            with pytest.raises(Unavailable) as refused:
                await budgeted.ask("bank")
            assert refused.value.retry_after is not None
        assert len(await understand(shop, ["hello"], deadline=deadline)) == 1


async def test_a_caller_that_cannot_wait_for_a_model_may_come_back(budgeted: Budgeted) -> None:
    with pytest.raises(Unavailable, match="is being loaded") as refused:
        await budgeted.ask("bank", seconds=0)
    assert refused.value.retry_after is not None
    assert (await budgeted.ask("bank")).model.name == "bank"


@pytest.mark.parametrize("name", ["unknown", "../shop", "", "default.shop", "SHOP", "a" * 65])
async def test_nothing_is_looked_for_under_a_name_that_there_is_not(budgeted: Budgeted, name: str) -> None:
    with pytest.raises(NotFound):
        await budgeted.ask(name)


async def test_a_model_that_cannot_be_loaded_is_not_tried_by_every_caller(tmp_path: Path) -> None:
    write_model(tmp_path)
    damaged = write_model(tmp_path, name="bank")
    (damaged / "model.onnx").write_bytes(b"damaged")
    settings = Settings(home=tmp_path, models=("shop", "*"), inference_streams=1)
    models = LoadedModels(settings)
    await models.load(settings)
    for _ in range(2):
        with pytest.raises(Unavailable, match="cannot be loaded"):
            await Budgeted(models).ask("bank")
    assert (await Budgeted(models).ask("shop")).model.name == "shop"
    await models.close()


async def test_a_tenant_has_its_own_models_and_no_others(tmp_path: Path) -> None:
    write_model(tmp_path, version="ours")
    folder = write_model(tmp_path, name="shop", version="theirs", production=False)
    write_model(tmp_path, name="bank", version="v1")
    (tmp_path / "models" / "acme.shop").mkdir()
    folder.rename(tmp_path / "models" / "acme.shop" / "theirs")
    (tmp_path / "models" / "acme.shop" / "production").write_text("theirs")
    settings = Settings(home=tmp_path, models=("shop", "bank", "acme.shop"), inference_streams=1)
    models = LoadedModels(settings)
    await models.load(settings)
    tenants = Budgeted(models)
    assert (await tenants.ask("shop")).model.version == "ours"
    assert (await tenants.ask("shop", tenant="acme")).model.version == "theirs"
    assert [each.name for each in models.of_tenant("acme")] == ["acme.shop"]
    assert [each.name for each in models.of_tenant("default")] == ["shop", "bank"]
    for name, tenant in (("bank", "acme"), ("acme.shop", "default"), ("shop", "other"), ("acme.shop", "acme")):
        with pytest.raises(NotFound):
            await tenants.ask(name, tenant=tenant)
    await models.close()
