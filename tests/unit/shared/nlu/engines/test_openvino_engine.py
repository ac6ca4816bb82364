"""OpenVINO behind the seam."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from shared.nlu.engines.runtime import Precision
from shared.nlu.model import Model
from tests.models import INTENTS, replace_file, write_model
from tests.unit.shared.nlu.engines.computing import TOKENS, opened


@pytest.mark.parametrize("precision", ["f32", "bf16", "auto"])
def test_each_precision_decides_alike(home: Path, model: Model, precision: Precision) -> None:
    folder = next((home / "models" / "shop").glob("*/"))
    other = Model.load(folder, streams=1, precision=precision, backend="openvino")
    assert other.precision in {"f32", "bf16"}
    [ours], [theirs] = model.understand(["refund"]), other.understand(["refund"])
    assert theirs.intent.name == ours.intent.name


def test_a_precision_that_changes_decisions_is_not_taken(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    network = onnx.load_from_string((folder / "model.onnx").read_bytes())
    for table in network.graph.initializer:
        if table.name == "intents_table":
            # Two intents that eight bits of fraction cannot tell apart.
            votes = numpy_helper.to_array(table) * 0 + [1000, 1001, 0, 0]
            table.CopyFrom(numpy_helper.from_array(votes.astype(np.float32), table.name))
    replace_file(folder, "model.onnx", network.SerializeToString())
    model = Model.load(folder, streams=1, backend="openvino")
    assert model.precision == "f32"
    [understanding] = model.understand(["hello"])
    assert understanding.intent.name == INTENTS[1]


def test_an_answer_stays_what_it_was_while_the_same_stream_computes_the_next(exported: Path) -> None:
    runtime = opened(exported, "openvino")
    first = runtime.infer(TOKENS[:1])
    kept = first.intents.copy(), first.embeddings.copy()
    second = runtime.infer(TOKENS[1:2])
    assert not np.array_equal(second.intents, kept[0])
    np.testing.assert_array_equal(first.intents, kept[0])
    np.testing.assert_array_equal(first.embeddings, kept[1])


def test_more_callers_than_streams_all_get_their_own_answer(exported: Path) -> None:
    runtime = opened(exported, "openvino")
    alone = [runtime.infer([text]).intents for text in TOKENS]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: runtime.infer([TOKENS[number % len(TOKENS)]]).intents, range(40)))
    for number, found in enumerate(answers):
        np.testing.assert_array_equal(found, alone[number % len(TOKENS)])
