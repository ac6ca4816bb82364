"""What a model says, as tensors: a row for each text."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.intent.api.tensors import Datatype, Tensor
from services.intent.kinds.understanding.embeddings import normalised
from services.intent.kinds.understanding.served import UnderstandingModel
from shared.contracts.understanding import Understanding
from shared.nlu.answers import Answer, Task

__all__ = ["OUTPUTS", "Output"]

Values = NDArray[Any] | list[str]


@dataclass(frozen=True, slots=True)
class Output:
    """An output: what has to be asked of the model for it, how to read it from the answers, and its second size."""

    datatype: Datatype
    task: Task
    read: Callable[[Sequence[Answer]], Values]
    width: Callable[[UnderstandingModel], int] | None = None

    def shape(self, model: UnderstandingModel) -> list[int]:
        """The shape as metadata tell it, with -1 for the number of texts."""
        return [-1] if self.width is None else [-1, self.width(model)]

    def tensor(self, name: str, answers: Sequence[Answer]) -> Tensor:
        """The tensor of some answers, each of which was asked for the task."""
        return Tensor(name, self.datatype, self.read(answers))


def _texts(read: Callable[[Understanding], str]) -> Output:
    return Output("BYTES", "understand", lambda answers: [read(each) for each in _understandings(answers)])


def _numbers(read: Callable[[Understanding], float]) -> Output:
    return Output(
        "FP32", "understand", lambda answers: np.array([read(each) for each in _understandings(answers)], np.float32)
    )


def _understandings(answers: Sequence[Answer]) -> list[Understanding]:
    return [each.understanding for each in answers if each.understanding is not None]


OUTPUTS: Mapping[str, Output] = {
    "intent": _texts(lambda each: each.intent.name),
    "intent_confidence": _numbers(lambda each: each.intent.confidence),
    "probabilities": Output(
        "FP32",
        "embed",
        lambda answers: np.stack([each.probabilities for each in answers]),
        lambda model: len(model.manifest.intents),
    ),
    "out_of_scope": Output(
        "BOOL",
        "understand",
        lambda answers: np.array([each.out_of_scope.detected for each in _understandings(answers)]),
    ),
    "out_of_scope_score": _numbers(lambda each: each.out_of_scope.score),
    "sentiment": _texts(lambda each: each.sentiment.label),
    "sentiment_confidence": _numbers(lambda each: each.sentiment.confidence),
    "language": _texts(lambda each: each.language),
    "intents": _texts(lambda each: json.dumps([intent.model_dump() for intent in each.intents], ensure_ascii=False)),
    "entities": _texts(lambda each: json.dumps([entity.model_dump() for entity in each.entities], ensure_ascii=False)),
    "embedding": Output(
        "FP32",
        "embed",
        lambda answers: normalised([each.embedding for each in answers]),
        lambda model: model.network.dimension,
    ),
}
"""The outputs of every model that understands texts, in the order of its metadata."""
