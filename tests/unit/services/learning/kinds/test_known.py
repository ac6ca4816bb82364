"""Which kind a folder is of."""

import json
from pathlib import Path

import pytest

from services.learning.kinds.known import KINDS, kind_of_data, kind_of_model
from shared.nlu.manifest import ModelError
from tests.nearest.learned import NEAREST, Nearest, write_table


def model_of(folder: Path, **changes: object) -> Path:
    folder.mkdir()
    manifest = {"name": "a", "version": "b", "created_at": "2026-11-22T15:12:00Z", "files": {}, **changes}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def test_kinds_stand_under_their_names() -> None:
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in KINDS}


def test_data_is_of_the_kind_whose_file_is_there_else_of_the_first(tmp_path: Path) -> None:
    nearest = Nearest()
    kinds = {**KINDS, NEAREST: nearest}
    assert kind_of_data(write_table(tmp_path / "table"), kinds) is nearest
    (tmp_path / "assistant.yml").touch()
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert kind_of_data(folder, kinds) is KINDS["understanding"]


def test_a_model_is_of_the_kind_that_its_manifest_names(tmp_path: Path) -> None:
    nearest = Nearest()
    kinds = {**KINDS, NEAREST: nearest}
    assert kind_of_model(model_of(tmp_path / "one", kind=NEAREST), kinds) is nearest
    # Manifests of earlier releases name none.
    assert kind_of_model(model_of(tmp_path / "two"), kinds) is KINDS["understanding"]


def test_no_model_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no model in .*: manifest\.json is missing"):
        kind_of_model(tmp_path, KINDS)
    with pytest.raises(ModelError, match="of the kind pictures, which is not known here; known: understanding"):
        kind_of_model(model_of(tmp_path / "one", kind="pictures"), KINDS)
