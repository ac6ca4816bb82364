"""PyTorch behind the seam: what it computes in, and which folders it refuses."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from shared.nlu.manifest import ModelRejected
from shared.nlu.model import Model
from tests.models import INTENTS, replace_file

TEXTS = ("hello", "退款", "北京市路1号 坏", "where is my parcel, acme inc", "refund " * 40, "", "weather 雨 football")


def test_on_a_cpu_torch_computes_in_single_precision_unless_set_otherwise(exported: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    plain = Model.load(exported, backend="torch", streams=1)
    assert (plain.backend, plain.device, plain.precision) == ("torch", "cpu", "f32")
    half = Model.load(exported, backend="torch", precision="bf16", streams=1)
    assert half.precision == "bf16"
    [one], [other] = plain.understand(["hello"]), half.understand(["hello"])
    assert one.intent.confidence != other.intent.confidence
    assert one.intent.confidence == pytest.approx(other.intent.confidence, abs=0.05)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: this path is not run here")
def test_a_gpu_decides_like_the_cpu(exported: Path) -> None:
    gpu, cpu = Model.load(exported, backend="auto"), Model.load(exported, precision="f32", backend="openvino")
    assert (gpu.backend, gpu.device) == ("torch", "cuda")
    assert gpu.precision in {"bf16", "f16", "f32"}
    for one, other in zip(gpu.understand(TEXTS), cpu.understand(TEXTS), strict=True):
        assert one.intent.confidence == pytest.approx(other.intent.confidence, abs=0.05)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelRejected, match=r"weights\.safetensors is missing"):
        Model.load(folder, streams=1, backend="torch")


def test_weights_that_say_nothing_of_their_encoder_are_left_to_openvino(folder: Path) -> None:
    save_file(load_file(folder / "weights.safetensors"), folder / "older.safetensors")
    replace_file(folder, "weights.safetensors", (folder / "older.safetensors").read_bytes())
    with pytest.raises(ModelRejected, match="which encoder it is for: it is older than that entry; train"):
        Model.load(folder, streams=1, backend="torch")
    assert Model.load(folder, streams=1, backend="openvino").backend == "openvino"


def test_weights_with_other_labels_than_the_manifest_are_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["intents"] = [*INTENTS, "one_more"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelRejected, match="the weights have 4 labels where the manifest has 5"):
        Model.load(folder, streams=1, backend="torch")


def test_eight_bits_are_left_to_the_others(exported: Path) -> None:
    with pytest.raises(ModelRejected, match="PyTorch does not compute in int8 here"):
        Model.load(exported, streams=1, backend="torch", precision="int8")
