"""What the tests of the libraries share: token ids to compute, and a Python that lacks some packages."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.nlu.engines.backends import open_engine
from shared.nlu.engines.runtime import Library, Outputs, Precision, Runtime
from shared.nlu.manifest import read_source

__all__ = ["LIBRARIES", "TOKENS", "computed", "opened", "without"]

LIBRARIES: tuple[Library, ...] = ("openvino", "onnxruntime", "torch")
TOKENS = ((0, 9, 10, 2), (0, 12, 2), tuple(range(30)), (0, 7, 8, 9, 20, 21, 22, 23, 2), (5,))


def opened(folder: Path, library: Library, precision: Precision = "f32") -> Runtime:
    """A folder in the hands of one library."""
    source = read_source(folder)
    engine = open_engine(source, library, streams=1)
    return Runtime(engine, source.manifest, precision=precision, padding_id=1, probes=TOKENS)


def computed(folder: Path, library: Library, precision: Precision = "f32") -> Outputs:
    """What a library computes of `TOKENS`."""
    return opened(folder, library, precision).infer(TOKENS)


def without(packages: Sequence[str], statement: str) -> str:
    """What a Python without some packages prints when it runs a statement."""
    hide = f"import sys; sys.modules.update(dict.fromkeys({packages!r}))"
    # Coverage has words of its own on standard error.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", f"{hide}\n{statement}"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return run.stdout + run.stderr
