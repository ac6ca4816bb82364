"""HTTP in and out: understand one text, predict for many, list the models."""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from services.intent.registry import ModelRegistry
from services.intent.settings import MAX_BATCH_TEXTS
from shared import faults
from shared.contracts.understanding import MAX_TEXT, Understanding, UnderstandRequest
from shared.errors import DeadlineExceeded, responses
from shared.requests import deadline_of
from shared.tokens import require

__all__ = ["router"]

DEFAULT_SECONDS = 10.0
SCOPE = "intent:predict"
ROLES = ("operator", "admin")

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]


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
    | Annotated[list[Text], Field(min_length=1, max_length=MAX_BATCH_TEXTS), Tag("texts")],
    Discriminator(
        _shape,
        custom_error_type="data_shape",
        custom_error_message="give a text, an object with a text or a list of texts",
    ),
]


class PredictRequest(BaseModel):
    """One text or up to 64 of them for one model."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"model": "shop", "data": "退款多久到账"}]}
    )

    model: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    data: Data

    def texts(self) -> list[str]:
        """The texts, however they were given."""
        if isinstance(self.data, list):
            return self.data
        return [self.data.text if isinstance(self.data, TextObject) else self.data]


class PredictResponse(BaseModel):
    """An understanding for each text, in their order."""

    model: str
    version: str
    predictions: list[Understanding]


class ModelInfo(BaseModel):
    """A model that is served; `digest` is the SHA-256 of its manifest."""

    name: str
    version: str
    digest: str
    languages: tuple[str, ...]
    intents: tuple[str, ...]
    metrics: dict[str, Any]
    backend: str
    device: str
    precision: str
    loaded_at: datetime


class ModelList(BaseModel):
    """All models that are served."""

    models: list[ModelInfo]


router = APIRouter(tags=["intent"], dependencies=[Depends(require(roles=ROLES, scopes={SCOPE}))])


async def _models(request: Request) -> ModelRegistry:
    models: ModelRegistry = request.app.state.models
    return models


Models = Annotated[ModelRegistry, Depends(_models)]


@router.post("/v1/understand", responses=responses(404, 429, 504))
async def understand(body: UnderstandRequest, request: Request, models: Models) -> Understanding:
    """What one text means to an assistant: language, intents, entities, sentiment, out of scope."""
    deadline = deadline_of(request, DEFAULT_SECONDS)
    queue = models.get(body.assistant)
    await faults.point("intent.understand")
    [answer] = await _unless_gone(request, queue.understand([body.text], deadline=deadline))
    return answer


@router.post("/predict", responses=responses(404, 429, 504))
async def predict(body: PredictRequest, request: Request, models: Models) -> PredictResponse:
    """What one or more texts mean to a model."""
    deadline = deadline_of(request, DEFAULT_SECONDS)
    queue = models.get(body.model)
    answers = await _unless_gone(request, queue.understand(body.texts(), deadline=deadline))
    manifest = queue.model.manifest
    return PredictResponse(model=manifest.name, version=manifest.version, predictions=list(answers))


@router.get("/v1/models")
async def list_models(models: Models) -> ModelList:
    """The models that this server has loaded."""
    return ModelList(
        models=[
            ModelInfo(
                name=each.manifest.name,
                version=each.manifest.version,
                digest=each.digest,
                languages=each.manifest.languages,
                intents=each.manifest.intents,
                metrics=dict(each.manifest.metrics),
                backend=each.backend,
                device=each.device,
                precision=each.precision,
                loaded_at=each.loaded_at,
            )
            for each in models
        ]
    )


async def _unless_gone(request: Request, work: Awaitable[Sequence[Understanding]]) -> Sequence[Understanding]:
    """The result of the work, which is given up when the client goes away before."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise DeadlineExceeded("the client went away before the answer")
        return working.result()
    finally:
        gone.cancel()
        working.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
