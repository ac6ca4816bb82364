from pathlib import Path

import pytest

from services.intent.manifest import ModelRejected
from services.intent.registry import ModelRegistry, production_folder
from services.intent.settings import Settings
from shared.errors import NotFound, Unavailable
from tests.models import write_model


def test_production_is_the_version_that_the_file_names(home: Path) -> None:
    assert production_folder(home, "shop").parent == home / "models" / "shop"


def test_without_a_model_in_production_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match="zhiyin train"):
        production_folder(tmp_path, "shop")


@pytest.mark.parametrize("content", ["", "../../elsewhere", "/etc", "a b"])
def test_production_names_a_version_and_nothing_else(tmp_path: Path, content: str) -> None:
    pointer = tmp_path / "models" / "shop" / "production"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(content)
    with pytest.raises(ModelRejected, match="does not hold the name of a version"):
        production_folder(tmp_path, "shop")


async def test_loads_what_the_settings_name(tmp_path: Path) -> None:
    write_model(tmp_path, name="shop", version="v1")
    write_model(tmp_path, name="bank", version="v2")
    registry = ModelRegistry()
    with pytest.raises(Unavailable):
        await registry.check()
    await registry.load(Settings(home=tmp_path, models=("shop", "bank"), inference_streams=1))
    await registry.check()
    assert [each.manifest.name for each in registry] == ["shop", "bank"]
    assert registry.get("bank").model.manifest.version == "v2"
    assert registry.meta()["model"] == "shop@v1,bank@v2"
    with pytest.raises(NotFound):
        registry.get("unknown")
    registry.close()
    assert list(registry) == []


async def test_a_model_of_another_assistant_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path, name="bank")
    (tmp_path / "models" / "shop").mkdir()
    folder.rename(tmp_path / "models" / "shop" / folder.name)
    (tmp_path / "models" / "shop" / "production").write_text(folder.name)
    with pytest.raises(ModelRejected, match="a model of bank, not of shop"):
        await ModelRegistry().load(Settings(home=tmp_path, inference_streams=1))
