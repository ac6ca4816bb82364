"""Which words of a text made a model choose an intent."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.intent.api.access import AUTHORISED, ModelName, Models, unless_gone
from services.intent.explanation.explainer import Explainer
from services.intent.kinds.understanding.served import understand, understanding_of
from shared.contracts.base import RequestBody
from shared.contracts.understanding import Text
from shared.errors import responses
from shared.http.middleware import deadline_of

__all__ = ["router"]

DEFAULT_SECONDS = 30.0

router = APIRouter(tags=["intent"], dependencies=[AUTHORISED])


class ExplainRequest(RequestBody):
    """A text for a model, and the intent to explain: the one that the model chooses, if none is named."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "shop", "text": "退款多久到账"}]})

    model: ModelName
    text: Text
    intent: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None


class TokenAttribution(BaseModel):
    """What a token adds to the score; `text[start:end]` of the request is what was written."""

    text: str
    start: int
    end: int
    attribution: float


class ExplainResponse(BaseModel):
    """Integrated gradients of the intent's logit.

    `score` is that logit, `baseline_score` the logit without the text's words. The attributions and
    `completeness_gap`, the error of the integration, add up to their difference.
    """

    model: str
    version: str
    intent: str
    score: float
    baseline_score: float
    completeness_gap: float
    tokens: list[TokenAttribution]


@router.post("/v1/explain", responses=responses(404, 429, 504))
async def explain(body: ExplainRequest, request: Request, models: Models) -> ExplainResponse:
    """Which tokens of a text speak for an intent and which against it. One text at a time: it is a lot of work."""
    deadline = deadline_of(request, DEFAULT_SECONDS)
    explainer: Explainer = request.app.state.explainer
    async with models.use(body.model, key=models.caller) as served:
        model = understanding_of(served.model)
        intent = body.intent
        if intent is None:
            [understanding] = await understand(served, [body.text], deadline=deadline)
            intent = understanding.intent.name
        found = await unless_gone(request, explainer.explain(model.network, body.text, intent, deadline=deadline))
        manifest = model.manifest
    return ExplainResponse(
        model=manifest.name,
        version=manifest.version,
        intent=found.intent,
        score=found.score,
        baseline_score=found.baseline_score,
        completeness_gap=found.completeness_gap,
        tokens=[
            TokenAttribution(text=each.text, start=each.start, end=each.end, attribution=each.attribution)
            for each in found.tokens
        ],
    )
