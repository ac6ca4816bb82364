"""Writes a trained model in formats that a service can load safely, and checks that it still says the same."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from shared.errors import ConfigurationError
from shared.nlu.engines.network import INPUTS, OUTPUTS
from shared.nlu.manifest import MODEL, TOKENIZER, WEIGHTS
from shared.nlu.network import HeadOutputs, Understander, write_weights

__all__ = ["NETWORK_FILES", "ExportError", "export_model"]

NETWORK_FILES = (MODEL, f"{MODEL}.data", TOKENIZER, WEIGHTS)
"""What an exported network consists of."""
OPSET = 18
TOLERANCE = 1e-3
ERRORS_ONLY = 3
PROBES = ("好", "我的快递到哪了？", "I would like my money back, please", "寄到 221B Baker Street, London 谢谢")


class ExportError(ConfigurationError):
    """The exported model does not compute what the trained one does."""


class _HalfWords(nn.Module):
    """Word vectors in half precision, made single before they are looked up.

    An engine that knows the pattern keeps them so in memory: the vectors are most of the parameters.
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(vectors.half(), requires_grad=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        return functional.embedding(input_ids, self.weight.float())


class _Plain(nn.Module):
    """The model with a tuple as output, as an exporter wants it."""

    def __init__(self, model: Understander) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        outputs: HeadOutputs = self.model(input_ids, attention_mask)
        return outputs.intents, outputs.tags, outputs.sentiments, outputs.embeddings


def export_model(model: Understander, tokenizer: Tokenizer, folder: Path, *, prefix: str, max_tokens: int) -> float:
    """Writes `model.onnx` with its data, `weights.safetensors` and `tokenizer.json`, and checks them against the model.

    The model's word vectors are rounded to half precision first, so that it and its files stay the same.
    Returns the largest difference of an output; raises ExportError when it is above 1e-3.
    """
    model.eval()
    encoder: Any = model.encoder
    encoder.set_input_embeddings(_HalfWords(encoder.get_input_embeddings().weight))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER))
    write_weights(model, folder / WEIGHTS)
    _write_onnx(_Plain(model).eval(), folder / MODEL)
    tokenizer.enable_truncation(max_tokens)
    tokens = [encoding.ids for encoding in tokenizer.encode_batch([prefix + text for text in PROBES])]
    tokenizer.no_truncation()
    difference = _difference(model, folder / MODEL, tokens)
    if not difference <= TOLERANCE:
        raise ExportError(
            f"the exported model differs from the trained one by {difference:.2g} (at most {TOLERANCE:.0g})"
        )
    return difference


def _write_onnx(model: nn.Module, path: Path) -> None:
    ids = torch.full((2, 6), 5, dtype=torch.int64)
    mask = torch.ones_like(ids)
    axes = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("tokens", min=1, max=512)}
    with _quiet_exporter():
        torch.onnx.export(
            model,
            (ids, mask),
            path,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            dynamo=True,
            # Engines map such a file, where they would read the weights of one whole file into memory.
            external_data=True,
            verbose=False,
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Without what the exporter says about its own insides and about libraries that nobody asked for."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=r".*LeafSpec.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"(torch|onnx|copyreg|copy)")
        warnings.filterwarnings("ignore", category=UserWarning, message=r"# The axis name: .*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@torch.inference_mode()
def _difference(model: Understander, path: Path, tokens: Sequence[Sequence[int]]) -> float:
    """The largest difference of an output between the network that was trained and its file under ONNX Runtime."""
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for text in tokens:
        ids = torch.tensor([text])
        mask = torch.ones_like(ids)
        ours = _Plain(model)(ids, mask)
        theirs = session.run(OUTPUTS, dict(zip(INPUTS, (ids.numpy(), mask.numpy()), strict=True)))
        worst = max(
            worst,
            *(float(np.abs(one.numpy() - other).max(initial=0.0)) for one, other in zip(ours, theirs, strict=True)),
        )
    return worst
