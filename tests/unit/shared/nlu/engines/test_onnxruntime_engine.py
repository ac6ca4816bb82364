"""ONNX Runtime behind the seam."""

from pathlib import Path

import numpy as np
import pytest

from shared.nlu.engines.onnxruntime_engine import OnnxRuntimeEngine
from shared.nlu.manifest import ModelRejected, read_source

IDS = np.array([[0, 9, 10, 2]], np.int64)
MASK = np.ones_like(IDS)


@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_half_the_width_is_refused_and_what_was_compiled_goes_on_computing(exported: Path, precision: str) -> None:
    engine = OnnxRuntimeEngine(read_source(exported), streams=1)
    assert engine.lower == ()
    engine.compile("f32")
    before = engine.infer(IDS, MASK).intents
    with pytest.raises(ModelRejected, match=f"computes in f32 and int8 on a CPU, not in {precision}"):
        engine.compile(precision)  # type: ignore[arg-type]
    np.testing.assert_array_equal(engine.infer(IDS, MASK).intents, before)


def test_eight_bits_that_the_folder_lacks_are_refused(exported: Path) -> None:
    engine = OnnxRuntimeEngine(read_source(exported), streams=1)
    with pytest.raises(ModelRejected, match=r"no digest of model\.int8\.onnx"):
        engine.compile("int8")
