"""Which library computes a model; each is imported only where it is the one."""

import ctypes
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from shared.nlu.engines.runtime import Engine, Library, available_cores
from shared.nlu.manifest import WEIGHTS, ModelRejected, NetworkSource

__all__ = ["PACKAGES", "Backend", "cuda_is_here", "libraries", "open_engine"]

Backend = Literal["auto", "openvino", "onnxruntime", "torch"]

PACKAGES: Mapping[Library, tuple[str, str]] = {
    "openvino": ("openvino", "intent"),
    "onnxruntime": ("onnxruntime", "intent"),
    "torch": ("torch", "intent-gpu"),
}
"""The package of each library and the extra that installs it, the most likely to be the fastest on a CPU first."""
CUDA_DRIVER = "libcuda.so.1"


def open_engine(source: NetworkSource, library: Library, *, streams: int | None) -> Engine:
    """A model folder in the hands of a library; without `streams` their number suits the device.

    Raises:
        ModelRejected: the library cannot be loaded, or the folder holds no model that it can serve.
    """
    with _loading(library):
        if library == "torch":
            from shared.nlu.engines.torch_engine import TorchEngine

            return TorchEngine(source, streams=streams)
        if library == "onnxruntime":
            from shared.nlu.engines.onnxruntime_engine import OnnxRuntimeEngine

            return OnnxRuntimeEngine(source, streams=streams or available_cores())
        from shared.nlu.engines.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(source, streams=streams or available_cores())


def libraries(source: NetworkSource) -> tuple[Library, ...]:
    """The libraries that may serve a folder here, without a GPU, the likeliest first.

    PyTorch takes seconds to be imported and is the slowest on a CPU, so it is there only where no other is.
    """
    found: list[Library] = [
        name for name, (package, _extra) in PACKAGES.items() if importlib.util.find_spec(package) is not None
    ]
    if "torch" in found and (len(found) > 1 or WEIGHTS not in source.manifest.files):
        found.remove("torch")
    # Nobody has one: the first then says what to install.
    return tuple(found) or ("openvino",)


def cuda_is_here() -> bool:
    """Whether PyTorch finds a CUDA device; it takes seconds to import, so first the driver has to be there."""
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


@contextmanager
def _loading(library: Library) -> Iterator[None]:
    package, extra = PACKAGES[library]
    try:
        yield
    except ModuleNotFoundError as error:
        others = " or ".join(name for name in PACKAGES if name != library)
        raise ModelRejected(
            f"the package {error.name} is not installed; install zhiyin[{extra}] "
            f"or set ZHIYIN_INFERENCE_BACKEND to {others}"
        ) from error
    except ImportError as error:
        raise ModelRejected(f"the package {package} cannot be loaded on this machine: {error}") from error
