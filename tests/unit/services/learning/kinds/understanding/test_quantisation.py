"""An 8-bit form is made, measured by what serves it, and kept only where it understands as well."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import pytest

from services.learning.kinds.understanding.quantisation import QuantisationRefused, Understand, quantise
from services.learning.progress import Progress
from shared.nlu.manifest import ModelError, ModelRejected, read_manifest, read_source
from shared.nlu.model import Model
from tests.unit.services.learning.kinds.understanding.word_for_word import change, write_assistant, write_trained

OUTLIER = 1e6


@pytest.fixture
def assistant(tmp_path: Path) -> Path:
    return write_assistant(tmp_path / "assistant")


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


def served(folder: Path, texts: Sequence[str]) -> list[str]:
    model = Model.load(folder, streams=1, precision="f32", backend="openvino")
    return [each.intent.name for each in model.understand(texts)]


ENGINES: Mapping[str, Understand] = {"openvino": served}


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
