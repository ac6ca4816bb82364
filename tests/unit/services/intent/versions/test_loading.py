"""Which folder a start begins with, and what of it may serve."""

from pathlib import Path

import pytest

from services.intent.settings import Settings
from services.intent.versions.loading import estimate_bytes, load, make_live, production_folder
from shared.nlu.manifest import Manifest, ModelRejected, read_source
from tests.nearest.served import NearestKind, write_nearest

KINDS = {NearestKind.name: NearestKind()}


def test_production_is_the_version_that_the_file_names(home: Path) -> None:
    assert production_folder(home, "shop").parent == home / "models" / "shop"


def test_without_a_model_in_production_the_error_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match="zhiyin train"):
        production_folder(tmp_path, "shop")


@pytest.mark.parametrize("content", ["", "../../elsewhere", "/etc", "a b"])
def test_production_names_a_version_and_nothing_else(tmp_path: Path, content: str) -> None:
    pointer = tmp_path / "models" / "shop" / "production"
    pointer.parent.mkdir(parents=True)
    pointer.write_text(content)
    with pytest.raises(ModelRejected, match="does not hold the name of a version"):
        production_folder(tmp_path, "shop")


def test_a_model_of_another_assistant_is_refused(tmp_path: Path) -> None:
    source = read_source(write_nearest(tmp_path, "t1", name="bank"), Manifest)
    with pytest.raises(ModelRejected, match="a model of bank, not of shop"):
        load(Settings(), KINDS, "shop", source)


def test_a_kind_that_the_server_lacks_is_refused_by_name(tmp_path: Path) -> None:
    source = read_source(write_nearest(tmp_path, "t1"), Manifest)
    with pytest.raises(ModelRejected, match="of the kind nearest; this server loads understanding"):
        load(Settings(), {"understanding": NearestKind()}, "shapes", source)


async def test_a_tenants_model_is_known_by_its_whole_name(tmp_path: Path) -> None:
    source = read_source(write_nearest(tmp_path, "t1"), Manifest)
    live = make_live(Settings(), load(Settings(), KINDS, "acme.shapes", source))
    live.queue.close()
    assert (live.name, live.version, live.digest) == ("acme.shapes", "t1", source.digest)


def test_memory_is_estimated_from_the_largest_file_and_never_less(tmp_path: Path) -> None:
    folder = write_nearest(tmp_path, "t1")
    (folder / "one.json").write_bytes(b" " * 1000)
    (folder / "two.json").write_bytes(b" " * 2000)
    (folder / "folder").mkdir()
    assert estimate_bytes(folder) == 3000
    assert load(Settings(), KINDS, "shapes", read_source(folder, Manifest)).size >= 3000
