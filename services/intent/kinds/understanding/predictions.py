"""What `/predict` takes for a model that understands texts, and the parts of an answer that it gives."""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Tag, TypeAdapter

from services.intent.kinds.understanding.embeddings import normalised
from shared.contracts.base import RequestBody
from shared.contracts.understanding import (
    MAX_TEXTS,
    Entity,
    IntentScore,
    OutOfScope,
    Sentiment,
    Text,
    Understanding,
)
from shared.nlu.answers import Answer

__all__ = ["DATA", "EMBEDDING", "PREDICTION", "TASKS", "predictions", "texts_of"]

TASKS = ("understand", "intent", "entities", "sentiment", "embedding")
EMBEDDING = "embedding"


class TextObject(RequestBody):
    """A text as an object."""

    text: Text


def _shape(data: Any) -> str | None:
    if isinstance(data, str):
        return "text"
    if isinstance(data, list):
        return "texts"
    return "object" if isinstance(data, dict | TextObject) else None


Data = Annotated[
    Annotated[Text, Tag("text")]
    | Annotated[TextObject, Tag("object")]
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS), Tag("texts")],
    Discriminator(
        _shape,
        custom_error_type="data_shape",
        custom_error_message="give a text, an object with a text or a list of texts",
    ),
]


class IntentPrediction(BaseModel):
    """The part of an understanding that `intent` asks for."""

    intent: IntentScore
    ranking: tuple[IntentScore, ...]
    intents: tuple[IntentScore, ...]
    out_of_scope: OutOfScope


class EntitiesPrediction(BaseModel):
    """The part of an understanding that `entities` asks for."""

    entities: tuple[Entity, ...]


class SentimentPrediction(BaseModel):
    """The part of an understanding that `sentiment` asks for."""

    sentiment: Sentiment


class EmbeddingPrediction(BaseModel):
    """A vector of length one."""

    embedding: list[float]


Prediction: TypeAlias = (
    Understanding | IntentPrediction | EntitiesPrediction | SentimentPrediction | EmbeddingPrediction
)

DATA: TypeAdapter[Any] = TypeAdapter(Data)
PREDICTION: TypeAdapter[Any] = TypeAdapter(Prediction)


def texts_of(data: str | TextObject | list[str]) -> list[str]:
    """The texts, however they were given."""
    if isinstance(data, list):
        return data
    return [data.text if isinstance(data, TextObject) else data]


def predictions(task: str, answers: Sequence[Answer]) -> list[Prediction]:
    """The part of each answer that the task asks for."""
    if task == EMBEDDING:
        vectors = normalised([each.embedding for each in answers])
        return [EmbeddingPrediction(embedding=vector) for vector in vectors.tolist()]
    return [_part(task, each.understanding) for each in answers if each.understanding is not None]


def _part(task: str, whole: Understanding) -> Prediction:
    if task == "intent":
        return IntentPrediction(
            intent=whole.intent, ranking=whole.ranking, intents=whole.intents, out_of_scope=whole.out_of_scope
        )
    if task == "entities":
        return EntitiesPrediction(entities=whole.entities)
    if task == "sentiment":
        return SentimentPrediction(sentiment=whole.sentiment)
    return whole
