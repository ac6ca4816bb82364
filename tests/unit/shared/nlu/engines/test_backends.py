"""The libraries behind the one seam: the same answers, and a plain word where one of them cannot be had."""

import json
import os
import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.contracts.understanding import Understanding
from shared.nlu.engines import choice
from shared.nlu.engines.backends import libraries
from shared.nlu.engines.runtime import Library
from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.model import Model
from tests.models import INTENTS, replace_file, write_model
from tests.unit.shared.nlu.engines.computing import LIBRARIES, TOKENS, computed, without

TODAY = date(2026, 11, 22)
TEXTS = ("hello", "退款", "北京市路1号 坏", "where is my parcel, acme inc", "refund " * 40, "", "weather 雨 football")


def decisions(of: Understanding) -> tuple[object, ...]:
    """Everything that is said but how sure the model is of it."""
    entities = [(each.name, each.start, each.end, each.value) for each in of.entities]
    return of.language, of.intent.name, of.sentiment.label, of.out_of_scope.detected, entities


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_all_compute_the_same(exported: Path, library: Library) -> None:
    ours, theirs = computed(exported, "openvino"), computed(exported, library)
    for one, other in (
        (ours.intents, theirs.intents),
        (ours.sentiments, theirs.sentiments),
        (ours.embeddings, theirs.embeddings),
        *((ours.tags[row, : len(ids)], theirs.tags[row, : len(ids)]) for row, ids in enumerate(TOKENS)),
    ):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert np.ptp(ours.intents, axis=0).max() > 0.1


@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_all_understand_alike(exported: Path, library: Library) -> None:
    ours = Model.load(exported, streams=2, precision="f32", backend="openvino").understand(TEXTS, today=TODAY)
    theirs = Model.load(exported, streams=2, precision="f32", backend=library).understand(TEXTS, today=TODAY)
    for one, other in zip(ours, theirs, strict=True):
        assert decisions(one) == decisions(other)
        assert one.intent.confidence == pytest.approx(other.intent.confidence, abs=1e-4)
        assert one.out_of_scope.score == pytest.approx(other.out_of_scope.score, abs=1e-4)


def test_without_a_gpu_torch_is_never_imported(exported: Path) -> None:
    statement = (
        "from pathlib import Path; from shared.nlu.model import Model\n"
        f"model = Model.load(Path({str(exported)!r}), backend='auto')\n"
        "print(model.backend, model.device, sys.modules.get('torch'))"
    )
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    for missing in ([], ["torch", "transformers", "safetensors"]):
        library, device, imported = without(missing, statement).split()[-3:]
        assert (library in {"openvino", "onnxruntime"}, device, imported) == (True, "cpu", "None")


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (["openvino"], "onnxruntime"),
        pytest.param(["onnxruntime"], "openvino", marks=pytest.mark.long),
        pytest.param(["openvino", "onnxruntime"], "torch", marks=pytest.mark.long),
    ],
)
def test_auto_does_without_what_is_not_installed(exported: Path, missing: list[str], left: str) -> None:
    statement = (
        "from pathlib import Path; from shared.nlu.model import Model\n"
        f"print(Model.load(Path({str(exported)!r}), backend='auto', precision='f32').backend)"
    )
    assert without(missing, statement).split()[-1] == left


def test_torch_is_no_candidate_on_a_cpu_for_a_folder_without_its_weights(exported: Path) -> None:
    assert libraries(read_source(exported)) == ("openvino", "onnxruntime")


def test_with_a_gpu_auto_is_torch_where_the_folder_has_weights_for_it(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "cuda_is_here", lambda: True)
    assert Model.load(exported, streams=1, backend="auto").backend == "torch"
    assert Model.load(write_model(tmp_path), streams=1, backend="auto").backend in {"openvino", "onnxruntime"}


def test_torch_serves_where_openvino_is_not_installed(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    statement = (
        "from pathlib import Path; from shared.nlu.model import Model\n"
        f"model = Model.load(Path({str(folder)!r}), backend='torch')\n"
        "print(model.backend, len(model.understand(['hello', '退款'])))"
    )
    assert without(["openvino", "onnxruntime", "onnx"], statement).split()[-2:] == ["torch", "2"]


@pytest.mark.parametrize(
    ("backend", "package", "extra", "other"),
    [
        ("torch", "torch", "intent-gpu", "openvino or onnxruntime"),
        ("openvino", "openvino", "intent", "onnxruntime or torch"),
        ("onnxruntime", "onnxruntime", "intent", "openvino or torch"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    exported: Path, backend: str, package: str, extra: str, other: str
) -> None:
    statement = (
        "from pathlib import Path; from shared.nlu.model import Model\n"
        f"Model.load(Path({str(exported)!r}), backend={backend!r})"
    )
    told = without([package], statement).splitlines()[-1]
    assert told == (
        f"shared.nlu.manifest.ModelRejected: the package {package} is not installed; "
        f"install zhiyin[{extra}] or set ZHIYIN_INFERENCE_BACKEND to {other}"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_folder_of_links_is_read(exported: Path, tmp_path: Path, library: Library) -> None:
    """As Kubernetes mounts files; the weights beside the network are in another folder then."""
    assert (exported / "model.onnx.data").exists()
    linked = tmp_path / exported.parent.name / exported.name
    shutil.copytree(exported, linked, copy_function=os.symlink)
    understood = [Model.load(each, streams=1, backend=library) for each in (exported, linked)]
    ours, theirs = (model.understand(TEXTS, today=TODAY) for model in understood)
    assert [decisions(each) for each in ours] == [decisions(each) for each in theirs]


@pytest.mark.parametrize("library", ["openvino", "onnxruntime"])
def test_what_is_no_onnx_is_refused(folder: Path, library: Library) -> None:
    replace_file(folder, "model.onnx", b"a text is no network")
    with pytest.raises(ModelRejected, match="no ONNX model that can be read"):
        Model.load(folder, streams=1, backend=library)


@pytest.mark.parametrize("library", ["openvino", "onnxruntime"])
def test_a_network_with_other_labels_than_the_manifest_is_refused(folder: Path, library: Library) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["intents"] = [*INTENTS, "one_more"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="intent_logits does not have the 5 labels of the manifest"):
        Model.load(folder, streams=1, backend=library)
