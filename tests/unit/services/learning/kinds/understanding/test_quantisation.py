"""An 8-bit form is made, measured by what serves it, and kept only where it understands as well."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from services.learning.artifacts.folders import digest_of
from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.understanding.quantisation import QuantisationRefused, Understand, quantise
from services.learning.progress import Progress
from shared.nlu.manifest import ModelError, ModelRejected, read_manifest, read_source
from shared.nlu.model import Model
from shared.nlu.training_data import load_training_data
from tests.models import INTENTS, SENTIMENTS, write_model

WORDS = {
    "track_order": ("快 递", "parcel where"),
    "refund": ("退 款", "refund money"),
    "greet": ("你 好", "hello"),
    "out_of_scope": ("雨 股", "weather football"),
}
OUTLIER = 1e6


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


def served(folder: Path, texts: Sequence[str]) -> list[str]:
    model = Model.load(folder, streams=1, precision="f32", backend="openvino")
    return [each.intent.name for each in model.understand(texts)]


ENGINES: Mapping[str, Understand] = {"openvino": served}


@pytest.fixture
def assistant(tmp_path: Path) -> Path:
    """An assistant that the tiny model understands word for word."""
    folder = tmp_path / "assistant"
    (folder / "nlu").mkdir(parents=True)
    (folder / "assistant.yml").write_text(
        "name: shop\ntitle: {zh: 小店, en: Shop}\nlanguages: [zh, en]\ndefault_language: zh\n", encoding="utf-8"
    )
    counted = {
        "zh": ", ".join(f"坏 {number}" for number in range(5)),
        "en": ", ".join(f"the {number}" for number in range(5)),
    }
    moods = [f"  {mood}: {{zh: [{counted['zh']}], en: [{counted['en']}]}}" for mood in SENTIMENTS]
    (folder / "nlu" / "sentiment.yml").write_text("\n".join(["sentiment:", *moods]), encoding="utf-8")
    for intent, (zh, en) in WORDS.items():
        lines = [f"intent: {intent}", "utterances:"]
        for language, words in (("zh", zh), ("en", en)):
            lines += [f"  {language}:", *(f"    - {' '.join([words] * times)}" for times in range(1, 9))]
        (folder / "nlu" / f"{intent}.yml").write_text("\n".join(lines), encoding="utf-8")
    return folder


def write_trained(assistant: Path, home: Path, outlier: float) -> Path:
    """The tiny model with a linear layer below its head, one of whose inputs is always `outlier` and never used."""
    loaded = load_training_data(assistant)
    facts = {"name": "tiny", "layers": 1, "vocabulary": 9, "digest": "0" * 64, "source": "test"}
    folder = write_model(home, encoder=facts, data_hash=loaded.data_hash)
    network = onnx.load(folder / "model.onnx")
    wide = np.eye(len(INTENTS) + 1, dtype=np.float32)
    for name, values in {
        "widen": wide[:-1],
        "outlier": wide[-1] * np.float32(outlier),
        "layer": wide,
        "narrow": wide[:, :-1],
    }.items():
        network.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    [head] = [node for node in network.graph.node if node.output[0] == "intent_logits"]
    network.graph.node.remove(head)
    network.graph.node.extend(
        [
            helper.make_node("MatMul", ["intents_mean", "widen"], ["wide"], name="widen"),
            helper.make_node("Add", ["wide", "outlier"], ["shifted"], name="shift"),
            helper.make_node("MatMul", ["shifted", "layer"], ["hidden"], name="layer"),
            helper.make_node("MatMul", ["hidden", "narrow"], ["intent_logits"], name="head"),
        ]
    )
    onnx.checker.check_model(network)
    onnx.save(network, folder / "model.onnx")
    change(folder, lambda manifest: manifest["files"].update({"model.onnx": digest_of(folder / "model.onnx")}))
    TrainingRecord(
        recipe="ab12cd34",
        settings=loaded.manifest.training.model_dump(mode="json"),
        history=(),
        seconds=1.0,
        libraries={},
    ).write(folder)
    return folder


def change(folder: Path, how: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    how(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_form_that_understands_as_well_becomes_a_version(assistant: Path, tmp_path: Path) -> None:
    folder = write_trained(assistant, tmp_path, outlier=0.0)
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    made = quantise(assistant, folder, engines=ENGINES, progress=quiet)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert made.path.parent == folder.parent
    assert made.version.endswith("-ab12cd34")
    assert {each.name for each in made.path.iterdir()} == {*before, "model.int8.onnx"}
    assert not list(folder.parent.glob(".quantising*"))
    gate = read_manifest(made.path).quantised
    assert gate is not None
    assert (gate.engine, gate.accuracy, gate.reference, gate.utterances) == ("openvino", 1.0, 1.0, 8)
    operators = [node.op_type for node in onnx.load(made.path / "model.int8.onnx").graph.node]
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(operators)
    for backend in ("openvino", "onnxruntime"):
        model = Model.load(made.path, streams=1, precision="int8", backend=backend)
        assert model.precision == "int8"
        assert [each.intent.name for each in model.understand(["refund", "快 递"])] == ["refund", "track_order"]
    assert Model.load(made.path, streams=1, precision="auto").precision in {"f32", "bf16", "int8"}


def test_a_form_that_quantisation_ruins_is_refused_and_nothing_left(assistant: Path, tmp_path: Path) -> None:
    folder = write_trained(assistant, tmp_path, outlier=OUTLIER)
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(QuantisationRefused, match=r"8 validation utterances instead of 100\.00%.*0\.50 are allowed"):
        quantise(assistant, folder, engines=ENGINES, progress=quiet)
    assert sorted(folder.parent.rglob("*")) == before


def test_the_library_that_loses_most_decides(assistant: Path, tmp_path: Path) -> None:
    folder = write_trained(assistant, tmp_path, outlier=0.0)

    def losing(model: Path, texts: Sequence[str]) -> list[str]:
        found = served(model, texts)
        return found if model == folder else ["greet"] * len(found)

    with pytest.raises(QuantisationRefused):
        quantise(assistant, folder, engines={**ENGINES, "other": losing}, progress=quiet)
    made = quantise(assistant, folder, engines={**ENGINES, "other": losing}, progress=quiet, max_drop=1.0)
    assert made.quantised.engine == "other"


def test_a_version_is_quantised_once_and_with_its_own_utterances(assistant: Path, tmp_path: Path) -> None:
    folder = write_trained(assistant, tmp_path, outlier=0.0)
    made = quantise(assistant, folder, engines=ENGINES, progress=quiet)
    with pytest.raises(ModelError, match="has an 8-bit form already"):
        quantise(assistant, made.path, engines=ENGINES, progress=quiet)
    change(folder, lambda manifest: manifest.update(data_hash="other"))
    with pytest.raises(ModelError, match="trained on other utterances"):
        quantise(assistant, folder, engines=ENGINES, progress=quiet)


def test_int8_without_the_gate_or_beyond_it_is_not_served(assistant: Path, tmp_path: Path) -> None:
    folder = write_trained(assistant, tmp_path, outlier=0.0)
    with pytest.raises(ModelRejected, match=r"no digest of model\.int8\.onnx"):
        Model.load(folder, streams=1, precision="int8", backend="openvino")
    made = quantise(assistant, folder, engines=ENGINES, progress=quiet).path
    change(made, lambda manifest: manifest["quantised"].update(accuracy=0.9))
    with pytest.raises(ModelRejected, match="further below the model's than its gate allows"):
        read_source(made)
    change(made, lambda manifest: manifest.pop("quantised"))
    with pytest.raises(ModelRejected, match="the gate that it passed"):
        read_source(made)
