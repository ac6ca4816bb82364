"""What training computes on, and how wide."""

import pytest
import torch

from services.learning.training.devices import fast_arithmetic, training_device


@pytest.mark.parametrize(("there", "name"), [(True, "cuda"), (False, "cpu")])
def test_a_gpu_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch, there: bool, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert training_device().type == name


@pytest.mark.parametrize(
    ("capabilities", "width"),
    [({"amx_bf16": True}, torch.bfloat16), ({"amx_bf16": False, "avx2": True}, torch.float32), ({}, torch.float32)],
)
def test_a_processor_multiplies_half_as_wide_only_where_its_hardware_does(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], width: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    matrix = torch.eye(4)
    with fast_arithmetic(torch.device("cpu")):
        assert (matrix @ matrix).dtype == width
    assert (matrix @ matrix).dtype == torch.float32
