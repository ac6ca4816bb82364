"""What training computes on, and in which precision."""

from contextlib import AbstractContextManager
from typing import Any

import torch

__all__ = ["fast_arithmetic", "training_device"]


def training_device() -> torch.device:
    """A CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_arithmetic(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 where the hardware multiplies such matrices (more than twice as fast), else plain float32."""
    fast = (
        torch.cuda.is_bf16_supported() if device.type == "cuda" else bool(torch.cpu.get_capabilities().get("amx_bf16"))
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)
