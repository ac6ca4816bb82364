import json
from pathlib import Path
from typing import Any

import pytest

from shared.nlu.engines.backends import Backend
from shared.nlu.manifest import Manifest, ModelManifest, ModelRejected, read_manifest, read_source
from shared.nlu.model import Model
from tests.models import INTENTS, write_exported_model, write_model


def test_a_whole_folder_is_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path, version="v1")
    source = read_source(folder)
    assert source.manifest.intents == INTENTS
    assert source.manifest.version == "v1"
    assert source.folder == folder
    assert len(source.digest) == 64


def test_weights_for_training_are_verified_only_where_they_are(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "weights.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelRejected, match=r"weights\.safetensors is not the file"):
        read_source(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_changed_file_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path)
    with (folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelRejected, match="SHA-256 differs"):
        read_source(folder)


def test_without_a_manifest_a_folder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "manifest.json").unlink()
    with pytest.raises(ModelRejected, match=r"manifest\.json cannot be read: No such file"):
        read_source(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ModelRejected, match=f"{name} is missing"):
        Model.load(folder, streams=1, backend="openvino")


def test_a_missing_file_is_named_also_when_another_model_has_the_same_in_memory(tmp_path: Path) -> None:
    loaded = Model.load(write_model(tmp_path, version="v1"), streams=1, backend="onnxruntime")
    folder = write_model(tmp_path, version="v2")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelRejected, match=r"v2/tokenizer\.json is missing"):
        Model.load(folder, streams=1, backend="onnxruntime")
    assert loaded.understand(["hello"])


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_missing_weights_beside_a_network_are_named(tmp_path: Path, backend: Backend) -> None:
    folder = write_exported_model(tmp_path / "models" / "shop" / "v1")
    (folder / "model.onnx.data").unlink()
    with pytest.raises(ModelRejected, match=r"model\.onnx\.data is missing"):
        Model.load(folder, streams=1, backend=backend)


def test_what_a_later_release_adds_is_kept(tmp_path: Path) -> None:
    read_manifest(write_model(tmp_path, version="v1", owner={"team": "north"})).write(tmp_path)
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert (written["owner"], written["kind"]) == ({"team": "north"}, "understanding")
    assert read_manifest(tmp_path).version == "v1"


def test_a_manifest_of_another_kind_is_read_as_far_as_all_kinds_go(tmp_path: Path) -> None:
    described = {"format": 2, "kind": "prices", "name": "rent", "version": "v1", "files": {}, "rooms": 3}
    (tmp_path / "manifest.json").write_text(json.dumps({**described, "created_at": "2026-11-22T15:12:00Z"}))
    source = read_source(tmp_path, Manifest)
    assert (source.manifest.kind, source.manifest.model_extra) == ("prices", {"rooms": 3})
    with pytest.raises(ModelRejected, match="kind"):
        source.described_by(ModelManifest)


def test_what_the_manifest_has_no_digest_of_is_not_used(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "other.onnx").write_bytes(b"not described")
    with pytest.raises(ModelRejected, match=r"no digest of other\.onnx"):
        read_source(folder).file("other.onnx")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"format": 1}, "train it again"),
        ({"version": "../other"}, "version"),
        ({"intents": ["a", "b"]}, "intents lack out_of_scope"),
        ({"intents": ["out_of_scope", "a", "a"]}, "twice"),
        ({"tags": ["B-address"]}, "tags lack O"),
        ({"tags": ["O", "I-address"]}, "tag I-address"),
        ({"tags": ["O", "X-address"]}, "tag X-address"),
        ({"tags": ["O", "B-"]}, "tag B-"),
        ({"sentiments": ["negative", "neutral"]}, "sentiments"),
        ({"temperature": 0}, "temperature"),
        ({"out_of_scope": {"threshold": 2}}, "threshold"),
        ({"out_of_scope": {"threshold": 0.5, "score": "guess"}}, "score"),
        ({"out_of_scope": {"threshold": 0.5, "score": "distance"}}, "files lack the digest of scope.safetensors"),
        ({"out_of_scope": {"threshold": 0.5, "score": "combined"}}, "files lack the digest of scope.safetensors"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"files": {"model.onnx": "0" * 64}}, "files lack the digest of tokenizer.json"),
        ({"files": {"../model.onnx": "0" * 64}}, "files"),
        ({"files": {"model.onnx": "abc"}}, "files"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    folder = write_model(tmp_path, **changes) if "version" not in changes else write_model(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    with pytest.raises(ModelRejected, match=why):
        read_source(folder)


def test_a_manifest_that_is_no_json_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ModelRejected, match="not JSON"):
        read_source(folder)
