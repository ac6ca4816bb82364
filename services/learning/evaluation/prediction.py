"""Runs an exported model as a service would: text in, calibrated probabilities and entities out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from shared.nlu.bio_tags import TagDecoder
from shared.nlu.intents import intent_probabilities
from shared.nlu.manifest import ModelManifest
from shared.nlu.out_of_scope import CENTROIDS, NEED_CENTROIDS, SCORES, Centroids, Measures, Score
from shared.nlu.training_data import OUT_OF_SCOPE

__all__ = [
    "OUTPUTS",
    "FoundEntity",
    "Logits",
    "OnnxModel",
    "Prediction",
    "Predictor",
    "ServedModel",
    "entities_of",
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
    """What the model says about one text; probabilities are in the order of the model's labels.

    `scope` has every measure of being out of scope that the model knows, in its own unit.
    """

    intents: Floats
    out_of_scope: float
    sentiments: Floats
    entities: tuple[FoundEntity, ...]
    scope: Mapping[Score, float] = field(default_factory=dict)


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
        self.decoder = TagDecoder(manifest.tags, manifest.neighbours)
        self.centroids = Centroids.read(folder / CENTROIDS) if CENTROIDS in manifest.files else None

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""
        if not texts:
            return []
        logits = self.model.logits(texts)
        several = self.manifest.multi_intent_threshold is not None
        intents = intent_probabilities(logits.intents, self.manifest.temperature, several=several)
        measures = Measures(
            probabilities=intents,
            logits=logits.intents,
            embeddings=logits.embeddings,
            inside=[number for number, name in enumerate(self.manifest.intents) if name != OUT_OF_SCOPE],
            centroids=self.centroids,
        )
        scores = self.manifest.out_of_scope.scores(measures)
        known = [score for score in SCORES if score not in NEED_CENTROIDS or self.centroids is not None]
        scope = {score: measures.raw(score) for score in known}
        sentiments = softmax(logits.sentiments)
        shift = len(self.manifest.prefix)
        return [
            Prediction(
                intents[i],
                float(scores[i]),
                sentiments[i],
                entities_of(texts[i], logits.encodings[i].offsets, logits.tags[i], self.decoder, shift),
                {score: float(raw[i]) for score, raw in scope.items()},
            )
            for i in range(len(texts))
        ]


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True), np.float32)


def entities_of(
    text: str, offsets: Sequence[tuple[int, int]], logits: Floats, decoder: TagDecoder, shift: int
) -> tuple[FoundEntity, ...]:
    """The entities of a text from its tokens' logits [tokens, tags]; `shift` characters of prefix come before it."""
    places = [(max(0, start - shift), max(0, end - shift)) for start, end in offsets]
    entities: list[FoundEntity] = []
    for span in decoder.decode(logits, places):
        value = text[span.start : span.end]
        start = span.start + len(value) - len(value.lstrip())
        if value := value.strip():
            entities.append(FoundEntity(span.name, start, start + len(value), value))
    return tuple(entities)
