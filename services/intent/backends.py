"""Which library computes a model; each is imported only where it is the one."""

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import structlog

from services.intent.manifest import ModelRejected, ModelSource
from services.intent.runtime import Engine, available_cores

__all__ = ["Backend", "open_engine"]

log = structlog.get_logger(__name__)

Backend = Literal["auto", "openvino", "torch"]

CUDA_DRIVER = "libcuda.so.1"


def open_engine(source: ModelSource, backend: Backend, *, streams: int | None) -> Engine:
    """A model folder in the hands of a library.

    `auto` is PyTorch where it is installed, there is a CUDA device and the folder holds weights for it, else OpenVINO.
    Without `streams` their number suits the device.

    Raises:
        ModelRejected: the library is not installed, or the folder holds no model that it can serve.
    """
    if backend == "torch":
        return _torch(source, streams)
    if backend == "auto" and _cuda_is_here():
        try:
            return _torch(source, streams)
        except ModelRejected as error:
            log.warning("gpu_left_unused", reason=str(error))
    return _openvino(source, streams)


def _openvino(source: ModelSource, streams: int | None) -> Engine:
    with _from_extra("intent", other="torch"):
        from services.intent.openvino_engine import OpenVinoEngine
    return OpenVinoEngine(source, streams=streams or available_cores())


def _torch(source: ModelSource, streams: int | None) -> Engine:
    with _from_extra("intent-gpu", other="openvino"):
        from services.intent.torch_engine import TorchEngine

        return TorchEngine(source, streams=streams)


@contextmanager
def _from_extra(extra: str, *, other: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModelRejected(
            f"the package {error.name} is not installed; install zhiyin[{extra}] "
            f"or set ZHIYIN_INFERENCE_BACKEND={other}"
        ) from error


def _cuda_is_here() -> bool:
    """Whether PyTorch finds a CUDA device; it takes seconds to import, so first the driver has to be there."""
    if importlib.util.find_spec("torch") is None:
        return False
    try:
        ctypes.CDLL(CUDA_DRIVER)
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()
