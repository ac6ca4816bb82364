"""Runs an exported model as a service would: text in, calibrated probabilities and entities out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from services.learning.manifest import ModelManifest
from shared.assistants import OUT_OF_SCOPE

__all__ = [
    "OUTPUTS",
    "FoundEntity",
    "Logits",
    "OnnxModel",
    "Prediction",
    "Predictor",
    "ServedModel",
    "entities_of",
    "rejection_scores",
    "softmax",
]

BATCH = 64
OUTPUTS = ("intent_logits", "tag_logits", "sentiment_logits", "text_embedding")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FoundEntity:
    """An entity that the model tagged: `text[start:end]`."""

    label: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Prediction:
    """What the model says about one text; probabilities are in the order of the model's labels."""

    intents: Floats
    out_of_scope: float
    sentiments: Floats
    entities: tuple[FoundEntity, ...]


class Predictor(Protocol):
    """Anything that says what texts mean."""

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""
        ...


@dataclass(frozen=True)
class Logits:
    """The model's raw outputs for texts in order; tags only for the tokens of each text; embeddings [texts, width]."""

    intents: Floats
    sentiments: Floats
    embeddings: Floats
    tags: tuple[Floats, ...]
    encodings: tuple[Encoding, ...]


class OnnxModel:
    """`model.onnx` and `tokenizer.json` of a folder under ONNX Runtime."""

    def __init__(self, folder: Path, *, prefix: str, max_tokens: int) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(max_tokens)
        self.prefix = prefix

    def logits(self, texts: Sequence[str]) -> Logits:
        """The raw outputs, computed in batches of similar length."""
        encodings = self.tokenizer.encode_batch([self.prefix + text for text in texts])
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        rows: dict[int, tuple[Floats, Floats, Floats, Floats]] = {}
        for at in range(0, len(order), BATCH):
            chunk = order[at : at + BATCH]
            longest = len(encodings[chunk[-1]].ids)
            ids = np.zeros((len(chunk), longest), np.int64)
            mask = np.zeros_like(ids)
            for row, i in enumerate(chunk):
                length = len(encodings[i].ids)
                ids[row, :length] = encodings[i].ids
                mask[row, :length] = 1
            outputs: Any = self.session.run(list(OUTPUTS), {"input_ids": ids, "attention_mask": mask})
            for row, i in enumerate(chunk):
                tags = outputs[1][row][: len(encodings[i].ids)]
                rows[i] = (outputs[0][row], tags, outputs[2][row], outputs[3][row])
        return Logits(
            intents=np.stack([rows[i][0] for i in range(len(texts))]),
            sentiments=np.stack([rows[i][2] for i in range(len(texts))]),
            embeddings=np.stack([rows[i][3] for i in range(len(texts))]),
            tags=tuple(rows[i][1] for i in range(len(texts))),
            encodings=tuple(encodings),
        )


class ServedModel:
    """A model folder with its calibration and labels."""

    def __init__(self, folder: Path, manifest: ModelManifest) -> None:
        self.manifest = manifest
        self.model = OnnxModel(folder, prefix=manifest.prefix, max_tokens=manifest.max_tokens)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""
        if not texts:
            return []
        logits = self.model.logits(texts)
        intents = softmax(logits.intents / self.manifest.temperature)
        scores = rejection_scores(intents, self.manifest.intents.index(OUT_OF_SCOPE))
        sentiments = softmax(logits.sentiments)
        shift = len(self.manifest.prefix)
        return [
            Prediction(
                intents[i],
                float(scores[i]),
                sentiments[i],
                entities_of(texts[i], logits.encodings[i].offsets, logits.tags[i], self.manifest.tags, shift),
            )
            for i in range(len(texts))
        ]


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def rejection_scores(intents: Floats, out_of_scope: int) -> Floats:
    """How much each text looks out of scope: one minus the best probability of an in-scope intent."""
    return np.asarray(1.0 - np.delete(intents, out_of_scope, axis=1).max(1), np.float32)


def entities_of(
    text: str, offsets: Sequence[tuple[int, int]], logits: Floats, tags: Sequence[str], shift: int
) -> tuple[FoundEntity, ...]:
    """Joins tagged tokens into entities; `shift` characters of prefix come before the text."""
    found: list[tuple[str, int, int]] = []
    open_label = ""
    for (start, end), best in zip(offsets, logits.argmax(-1), strict=True):
        mark, _, label = tags[int(best)].partition("-")
        start, end = max(0, start - shift), end - shift
        if end <= start or not label:
            open_label = ""
            continue
        if mark == "I" and label == open_label:
            found[-1] = (label, found[-1][1], end)
        else:
            found.append((label, start, end))
        open_label = label
    entities: list[FoundEntity] = []
    for label, start, end in found:
        value = text[start:end]
        start += len(value) - len(value.lstrip())
        if value := value.strip():
            entities.append(FoundEntity(label, start, start + len(value), value))
    return tuple(entities)
