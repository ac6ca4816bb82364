"""One endpoint for every model and task."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from services.intent.api.access import AUTHORISED, Deadline, ModelName, Models, unless_gone
from services.intent.api.embeddings import normalised
from shared.contracts.understanding import (
    MAX_TEXTS,
    Entity,
    IntentScore,
    OutOfScope,
    Sentiment,
    Text,
    Understanding,
)
from shared.errors import responses
from shared.nlu.answers import Answer

__all__ = ["router"]

router = APIRouter(tags=["intent"], dependencies=[AUTHORISED])

Task = Literal["understand", "intent", "entities", "sentiment", "embedding"]


class TextObject(BaseModel):
    """A text as an object."""

    model_config = ConfigDict(extra="forbid")

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


class PredictRequest(BaseModel):
    """One text or up to 64 of them for one model; `task` says which part of its answer is wanted."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"model": "shop", "data": "退款多久到账", "task": "intent"}]},
    )

    model: ModelName
    data: Data
    task: Task = "understand"

    def texts(self) -> list[str]:
        """The texts, however they were given."""
        if isinstance(self.data, list):
            return self.data
        return [self.data.text if isinstance(self.data, TextObject) else self.data]


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


Prediction = Understanding | IntentPrediction | EntitiesPrediction | SentimentPrediction | EmbeddingPrediction


class PredictResponse(BaseModel):
    """A prediction for each text, in their order, of the kind that the task asks for."""

    model: str
    version: str
    task: Task
    predictions: list[Prediction]


@router.post("/predict", responses=responses(404, 429, 504))
async def predict(body: PredictRequest, request: Request, models: Models, deadline: Deadline) -> PredictResponse:
    """What a model says of one or more texts."""
    asked: Literal["understand", "embed"] = "embed" if body.task == "embedding" else "understand"
    texts = body.texts()
    async with models.use(body.model, key=texts[0]) as served:
        answers = await unless_gone(request, served.submit(texts, deadline=deadline, task=asked))
        manifest = served.model.manifest
    return PredictResponse(
        model=manifest.name, version=manifest.version, task=body.task, predictions=_predictions(body.task, answers)
    )


def _predictions(task: Task, answers: Sequence[Answer]) -> list[Prediction]:
    if task == "embedding":
        vectors = normalised([each.embedding for each in answers])
        return [EmbeddingPrediction(embedding=vector) for vector in vectors.tolist()]
    return [_part(task, each.understanding) for each in answers if each.understanding is not None]


def _part(task: Task, whole: Understanding) -> Prediction:
    if task == "intent":
        return IntentPrediction(
            intent=whole.intent, ranking=whole.ranking, intents=whole.intents, out_of_scope=whole.out_of_scope
        )
    if task == "entities":
        return EntitiesPrediction(entities=whole.entities)
    if task == "sentiment":
        return SentimentPrediction(sentiment=whole.sentiment)
    return whole
