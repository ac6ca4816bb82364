"""What every engine gets alike: padding, a precision that does not change decisions, and a word for lost memory."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from onnx import numpy_helper

from shared.nlu.engines.runtime import LENGTH_STEP, Integers, Library, OutOfMemory, Outputs, Precision, Runtime, softmax
from shared.nlu.engines.torch_engine import TorchEngine
from shared.nlu.manifest import ModelRejected, NetworkManifest, read_source
from shared.nlu.model import Model
from shared.nlu.network import write_weights
from tests.models import INTENTS, SENTIMENTS, TAGS, random_network, replace_file, write_model
from tests.unit.shared.nlu.engines.computing import LIBRARIES, TOKENS, without


class Recording:
    """An engine that remembers what it was given, and computes nothing or fails."""

    backend: Library = "onnxruntime"
    device = "cpu"
    streams = 1
    lower: tuple[Precision, ...] = ()

    def __init__(self) -> None:
        self.batches: list[tuple[Integers, Integers]] = []
        self.failure: Exception | None = None

    def compile(self, precision: Precision) -> None:
        """Nothing to be done."""

    def settle(self) -> None:
        """Nothing to be given back."""

    def infer(self, ids: Integers, mask: Integers) -> Outputs:
        self.batches.append((ids, mask))
        if self.failure is not None:
            raise self.failure
        heads = (len(INTENTS), len(SENTIMENTS), 8)
        intents, sentiments, embeddings = (np.zeros((len(ids), width), np.float32) for width in heads)
        return Outputs(intents, np.zeros((*ids.shape, len(TAGS)), np.float32), sentiments, embeddings)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> NetworkManifest:
    return read_source(write_model(tmp_path_factory.mktemp("home"))).manifest


def recorded(manifest: NetworkManifest) -> tuple[Recording, Runtime]:
    engine = Recording()
    runtime = Runtime(engine, manifest, precision="f32", padding_id=1, probes=TOKENS)
    engine.batches.clear()
    return engine, runtime


@given(st.lists(st.lists(st.integers(2, 99), max_size=32), min_size=1, max_size=8))
def test_texts_are_padded_to_one_of_few_widths_and_nothing_of_them_is_lost(
    manifest: NetworkManifest, texts: list[list[int]]
) -> None:
    engine, runtime = recorded(manifest)
    runtime.infer(texts)
    [(ids, mask)] = engine.batches
    width = ids.shape[1]
    assert ids.shape == mask.shape == (len(texts), runtime.width(max(map(len, texts))))
    assert width % LENGTH_STEP == 0
    assert max(1, *map(len, texts)) <= width <= manifest.max_tokens
    for row, text in enumerate(texts):
        assert ids[row].tolist() == text + [1] * (width - len(text))
        assert mask[row].sum() == max(len(text), 1), "a mean over nothing is no number"


def test_the_width_never_exceeds_what_the_model_has_positions_for(manifest: NetworkManifest) -> None:
    _engine, runtime = recorded(manifest.model_copy(update={"max_tokens": 30}))
    assert [runtime.width(longest) for longest in (0, 1, 8, 9, 30)] == [8, 8, 8, 16, 30]


def test_warming_computes_each_shape_that_most_batches_have_once(manifest: NetworkManifest) -> None:
    engine, runtime = recorded(manifest)
    runtime.warm()
    shapes = [ids.shape for ids, _mask in engine.batches]
    assert len(set(shapes)) == len(shapes)
    assert {(1, 8), (1, 32), (8, 8), (8, 32)} <= set(shapes)
    assert all(width <= manifest.max_tokens for _texts, width in shapes)


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("Failed to allocate memory for requested buffer of size 409600000"),
        RuntimeError("[CPU] could not allocate 8 bytes"),
    ],
)
def test_lost_memory_has_one_name_whatever_the_library_calls_it(manifest: NetworkManifest, failure: Exception) -> None:
    engine, runtime = recorded(manifest)
    engine.failure = failure
    with pytest.raises(OutOfMemory, match="2 texts of up to 3 tokens"):
        runtime.infer([[5], [5, 6, 7]])


def test_any_other_failure_keeps_its_own_name(manifest: NetworkManifest) -> None:
    engine, runtime = recorded(manifest)
    engine.failure = RuntimeError("the axis 3 is out of bounds")
    with pytest.raises(RuntimeError, match="out of bounds"):
        runtime.infer([[5]])


@given(
    arrays(
        np.float32, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.integers(-(2**20), 2**20).map(float)
    )
)
def test_probabilities_lie_between_none_and_one_and_sum_to_one(logits: NDArray[np.float32]) -> None:
    found = softmax(logits)
    assert ((found >= 0) & (found <= 1)).all()
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-5)
    assert (np.take_along_axis(found, logits.argmax(-1)[..., None], -1)[..., 0] == found.max(-1)).all()


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
    replace_file(folder, "weights.safetensors", (folder / "other.safetensors").read_bytes())
    source = read_source(folder)
    engine = TorchEngine(source, streams=1)
    engine.lower = ("bf16",)
    runtime = Runtime(engine, source.manifest, precision="auto", padding_id=1, probes=TOKENS)
    assert runtime.precision == "f32"
    assert runtime.measured.keys() == {"f32"}
    assert set(runtime.infer(TOKENS).intents.argmax(1)) == {1}


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


def test_a_network_that_computes_no_numbers_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    for table in network.graph.initializer:
        if table.name == "intents_table":
            table.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(table) * float("nan"), table.name))
    replace_file(folder, "model.onnx", network.SerializeToString())
    with pytest.raises(ModelRejected, match="no numbers"):
        Model.load(folder, streams=1)
