"""What a peer computes of a text: the same as Zhiyin's service, from the same files.

Tokens, entities, the calibrated ranking and the JSON are made by the same code, so that peers differ from the service,
and from each other, in the server and in the engine alone.
"""

import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Protocol

import numpy as np

from shared.nlu.answers import Answer
from shared.nlu.engines.runtime import Outputs
from shared.nlu.interpretation import Interpreter
from shared.nlu.manifest import WEIGHTS, ModelManifest, ModelSource, read_source
from shared.nlu.model import Model
from shared.nlu.tokenizer import Encoded, load_tokenizer

__all__ = ["Assistant"]


class Engine(Protocol):
    """A model that computes a batch."""

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """The texts as tokens."""

    def answer(self, batch: Sequence[Encoded]) -> list[Answer]:
        """What each of them means."""


class OurEngine:
    """The engine of the service, one batch at a time."""

    def __init__(self, source: ModelSource[ModelManifest], precision: str) -> None:
        self._model = Model(source, streams=1, precision="bf16" if precision == "bf16" else "f32", backend="openvino")
        self.encode = self._model.encode

    def answer(self, batch: Sequence[Encoded]) -> list[Answer]:
        """What each text means."""
        return self._model.answer_batch(batch, ["understand"] * len(batch), today=date.today())


class TorchEngine:
    """PyTorch as one uses it on a CPU: weights in the precision, padding to the longest text, threads in a batch."""

    def __init__(self, source: ModelSource[ModelManifest], precision: str, threads: int) -> None:
        import torch

        from shared.nlu.network import read_weights

        manifest = source.manifest
        torch.set_num_threads(threads)
        self._torch = torch
        self._network = read_weights(source.file(WEIGHTS)).to(torch.bfloat16 if precision == "bf16" else torch.float32)
        self._tokenizer = load_tokenizer(source)
        self._interpreter = Interpreter(manifest, None)
        self.encode = self._tokenizer.encode

    def answer(self, batch: Sequence[Encoded]) -> list[Answer]:
        """What each text means."""
        torch = self._torch
        width = max(map(len, batch))
        ids = np.full((len(batch), width), self._tokenizer.padding_id, np.int64)
        mask = np.zeros((len(batch), width), np.int64)
        for row, each in enumerate(batch):
            ids[row, : len(each)] = each.ids
            mask[row, : len(each)] = 1
        with torch.inference_mode():
            found = self._network(torch.from_numpy(ids), torch.from_numpy(mask))
        every = (found.intents, found.tags, found.sentiments, found.embeddings)
        outputs = Outputs(*(each.float().numpy() for each in every))
        return self._interpreter.answers(batch, ["understand"] * len(batch), outputs, today=date.today())


class Assistant:
    """The model that the benchmark names in the environment, on the engine that it names."""

    def __init__(self) -> None:
        source = read_source(Path(os.environ["BENCH_MODEL"]))
        precision = os.environ["BENCH_PRECISION"]
        self._engine: Engine = (
            TorchEngine(source, precision, int(os.environ["BENCH_THREADS"]))
            if os.environ["BENCH_ENGINE"] == "torch"
            else OurEngine(source, precision)
        )
        self.answer(["hello"])

    def answer(self, texts: Sequence[str]) -> list[str]:
        """The JSON of what each text means, computed as one batch."""
        found = self._engine.answer(self._engine.encode(texts))
        return [each.understanding.model_dump_json() for each in found if each.understanding is not None]
