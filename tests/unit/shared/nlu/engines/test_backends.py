"""The libraries behind the one seam: the same answers, and a plain word where one of them cannot be had."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.contracts.understanding import Understanding
from shared.nlu.engines import choice
from shared.nlu.engines.backends import libraries, open_engine
from shared.nlu.engines.runtime import Library, Outputs, Precision, Runtime
from shared.nlu.engines.torch_engine import TorchEngine
from shared.nlu.manifest import ModelRejected, read_source
from shared.nlu.model import Model
from shared.nlu.network import write_weights
from tests.models import INTENTS, random_network, write_exported_model, write_model

TODAY = date(2026, 11, 22)
TEXTS = ("hello", "退款", "北京市路1号 坏", "where is my parcel, acme inc", "refund " * 40, "", "weather 雨 football")
TOKENS = ((0, 9, 10, 2), (0, 12, 2), tuple(range(30)), (0, 7, 8, 9, 20, 21, 22, 23, 2), (5,))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exported_model(tmp_path_factory.mktemp("models") / "shop" / "v1")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(exported, tmp_path / "v1")


LIBRARIES: tuple[Library, ...] = ("openvino", "onnxruntime", "torch")


def computed(folder: Path, library: Library, precision: Precision = "f32") -> Outputs:
    source = read_source(folder)
    engine = open_engine(source, library, streams=1)
    runtime = Runtime(engine, source.manifest, precision=precision, padding_id=1, probes=TOKENS)
    return runtime.infer(TOKENS)


def decisions(of: Understanding) -> tuple[object, ...]:
    """Everything that is said but how sure the model is of it."""
    entities = [(each.name, each.start, each.end, each.value) for each in of.entities]
    return of.language, of.intent.name, of.sentiment.label, of.out_of_scope.detected, entities


def replace_weights(folder: Path, content: bytes) -> None:
    (folder / "weights.safetensors").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["weights.safetensors"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def without(packages: Sequence[str], statement: str) -> str:
    """What a Python without some packages prints when it runs a statement."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))"
    # Coverage has words of its own on standard error.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", f"{hide}\n{statement}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr


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


def test_on_a_cpu_torch_computes_in_single_precision_unless_told_otherwise(exported: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    plain = Model.load(exported, backend="torch", streams=1)
    assert (plain.backend, plain.device, plain.precision) == ("torch", "cpu", "f32")
    half = Model.load(exported, backend="torch", precision="bf16", streams=1)
    assert half.precision == "bf16"
    [one], [other] = plain.understand(["hello"]), half.understand(["hello"])
    assert one.intent.confidence != other.intent.confidence
    assert one.intent.confidence == pytest.approx(other.intent.confidence, abs=0.05)


@pytest.mark.parametrize("fast", ["bf16", "f16"])
def test_half_the_width_is_tried_where_it_decides_alike_and_taken_unless_it_is_clearly_slower(
    exported: Path, fast: Precision
) -> None:
    source = read_source(exported)
    engine = TorchEngine(source, streams=1)
    engine.lower = (fast,)
    runtime = Runtime(engine, source.manifest, precision="auto", padding_id=1, probes=TOKENS)
    assert runtime.measured.keys() == {"f32", fast}
    assert runtime.precision == (fast if runtime.measured[fast] > 0.8 * runtime.measured["f32"] else "f32")


def test_a_fast_precision_that_changes_decisions_is_not_taken(folder: Path) -> None:
    network = random_network()
    with torch.no_grad():
        network.intent_head.weight.zero_()
        # Two intents that eight bits of fraction cannot tell apart.
        network.intent_head.bias.copy_(torch.tensor([1000.0, 1001.0, 0.0, 0.0]))
    write_weights(network, folder / "other.safetensors")
    replace_weights(folder, (folder / "other.safetensors").read_bytes())
    source = read_source(folder)
    engine = TorchEngine(source, streams=1)
    engine.lower = ("bf16",)
    runtime = Runtime(engine, source.manifest, precision="auto", padding_id=1, probes=TOKENS)
    assert runtime.precision == "f32"
    assert runtime.measured.keys() == {"f32"}
    assert set(runtime.infer(TOKENS).intents.argmax(1)) == {1}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: this path is not run here")
def test_a_gpu_decides_like_the_cpu(exported: Path) -> None:
    gpu, cpu = Model.load(exported, backend="auto"), Model.load(exported, precision="f32", backend="openvino")
    assert (gpu.backend, gpu.device) == ("torch", "cuda")
    assert gpu.precision in {"bf16", "f16", "f32"}
    for one, other in zip(gpu.understand(TEXTS), cpu.understand(TEXTS), strict=True):
        assert one.intent.confidence == pytest.approx(other.intent.confidence, abs=0.05)


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


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelRejected, match=r"weights\.safetensors is missing"):
        Model.load(folder, streams=1, backend="torch")


def test_weights_that_say_nothing_of_their_encoder_are_left_to_openvino(folder: Path) -> None:
    save_file(load_file(folder / "weights.safetensors"), folder / "older.safetensors")
    replace_weights(folder, (folder / "older.safetensors").read_bytes())
    with pytest.raises(ModelRejected, match="which encoder it is for: it is older than that entry; train"):
        Model.load(folder, streams=1, backend="torch")
    assert Model.load(folder, streams=1, backend="openvino").backend == "openvino"


def test_a_pickle_is_not_read(folder: Path) -> None:
    torch.save({"harmless": torch.zeros(1)}, folder / "pickle.pt")
    replace_weights(folder, (folder / "pickle.pt").read_bytes())
    with pytest.raises(ModelRejected, match="cannot be read as safetensors"):
        Model.load(folder, streams=1, backend="torch")


@pytest.mark.parametrize(
    "encoder", ["{", "[]", '{"model_type": "unheard-of"}', '{"model_type": "bert", "hidden_size": 16}']
)
def test_weights_of_another_encoder_are_refused(folder: Path, encoder: str) -> None:
    save_file(load_file(folder / "weights.safetensors"), folder / "other.safetensors", metadata={"encoder": encoder})
    replace_weights(folder, (folder / "other.safetensors").read_bytes())
    with pytest.raises(ModelRejected, match="does not hold the weights that its encoder needs"):
        Model.load(folder, streams=1, backend="torch")


def test_weights_with_other_labels_than_the_manifest_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["intents"] = [*INTENTS, "one_more"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="the weights have 4 labels where the manifest has 5"):
        Model.load(folder, streams=1, backend="torch")


@pytest.mark.parametrize("library", ["openvino", "onnxruntime"])
def test_what_is_no_onnx_is_refused(folder: Path, library: Library) -> None:
    content = b"a text is no network"
    (folder / "model.onnx").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["model.onnx"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="no ONNX model that can be read"):
        Model.load(folder, streams=1, backend=library)


@pytest.mark.parametrize("library", ["openvino", "onnxruntime"])
def test_a_network_with_other_labels_than_the_manifest_is_refused(folder: Path, library: Library) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["intents"] = [*INTENTS, "one_more"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="intent_logits does not have the 5 labels of the manifest"):
        Model.load(folder, streams=1, backend=library)


@pytest.mark.parametrize(("library", "precision"), [("onnxruntime", "bf16"), ("torch", "int8")])
def test_a_precision_that_a_library_lacks_is_refused(exported: Path, library: Library, precision: Precision) -> None:
    with pytest.raises(ModelRejected, match="comput"):
        Model.load(exported, streams=1, backend=library, precision=precision)


def limited(library: Library, folder: Path) -> str:
    """What a process of little memory says of a batch that is far too large, and then of a small one."""
    statement = f"""
import resource
from pathlib import Path
from shared.nlu.engines.backends import open_engine
from shared.nlu.manifest import read_source
from shared.nlu.engines.runtime import OutOfMemory, Runtime
source = read_source(Path({str(folder)!r}))
runtime = Runtime(
    open_engine(source, {library!r}, streams=1), source.manifest, precision="f32", padding_id=1, probes=[[5, 6]]
)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 28), resource.RLIM_INFINITY))
try:
    runtime.infer([[5] * 32] * 100_000)
except OutOfMemory as error:
    print(error, runtime.infer([[5, 6]]).intents.shape)
"""
    return without([], statement).partition("\n")[0]


@pytest.mark.parametrize(
    "library", [pytest.param(each, marks=pytest.mark.long if each == "torch" else ()) for each in LIBRARIES]
)
def test_memory_that_ran_out_has_a_name_and_the_next_batch_is_computed(exported: Path, library: Library) -> None:
    assert limited(library, exported) == f"100000 texts of up to 32 tokens (1, {len(INTENTS)})"
