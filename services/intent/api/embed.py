"""Texts as vectors, whose products say how near they are in meaning."""

import base64
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from services.intent.api.access import AUTHORISED, Deadline, ModelName, Models, unless_gone
from services.intent.kinds.understanding.embeddings import normalised
from services.intent.kinds.understanding.served import understanding_of
from shared.contracts.base import RequestBody
from shared.contracts.understanding import MAX_TEXTS, Text
from shared.errors import responses

__all__ = ["router"]

router = APIRouter(tags=["intent"], dependencies=[AUTHORISED])


class EmbedRequest(RequestBody):
    """Texts for a model; `base64` answers with little-endian single-precision numbers, a quarter of the size."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "shop", "texts": ["退款多久到账", "refund"]}]})

    model: ModelName
    texts: Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)]
    encoding: Literal["float", "base64"] = "float"


class EmbedResponse(BaseModel):
    """A vector of length one for each text, in their order."""

    model: str
    version: str
    dimension: int
    embeddings: Sequence[list[float] | str]


@router.post("/v1/embed", responses=responses(404, 429, 504))
async def embed(body: EmbedRequest, request: Request, models: Models, deadline: Deadline) -> EmbedResponse:
    """Each text as a vector."""
    async with models.use(body.model) as served:
        model = understanding_of(served.model)
        answers = await unless_gone(request, served.submit(model.ask(body.texts, "embed"), deadline=deadline))
        manifest = model.manifest
    vectors = normalised([each.embedding for each in answers])
    return EmbedResponse(
        model=manifest.name,
        version=manifest.version,
        dimension=vectors.shape[1],
        embeddings=[base64.b64encode(each.astype(np.dtype("<f4")).tobytes()).decode() for each in vectors]
        if body.encoding == "base64"
        else vectors.tolist(),
    )
