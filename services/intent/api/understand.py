"""What texts mean to an assistant: for dialogue, and for callers with many texts."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import PlainValidator, ValidationError
from starlette.types import Receive

from services.intent.api.access import AUTHORISED, DEFAULT_SECONDS, ROLES, SCOPE, Models, TenantModels, caller_of
from services.intent.kinds.understanding.served import understand as understand_texts
from shared import faults
from shared.calls.client import DEADLINE_HEADER, ON_BEHALF_HEADER
from shared.contracts.understanding import UnderstandBatchRequest, Understanding, UnderstandingList, UnderstandRequest
from shared.errors import responses
from shared.http.fast_path import DirectRequest, DirectRoute
from shared.http.middleware import CancelledWhenGone, deadline_from

__all__ = ["DIRECT", "router"]

DEADLINE = DEADLINE_HEADER.lower().encode()
ON_BEHALF = ON_BEHALF_HEADER.lower().encode()

router = APIRouter(tags=["intent"], dependencies=[AUTHORISED])


def _one_or_many(body: Any) -> UnderstandRequest | UnderstandBatchRequest:
    # Chosen by hand, so that an error names `text` or `texts` and not the alternatives of a union.
    many = isinstance(body, dict) and "texts" in body
    return UnderstandBatchRequest.model_validate(body) if many else UnderstandRequest.model_validate(body)


Body = Annotated[
    UnderstandRequest | UnderstandBatchRequest,
    PlainValidator(_one_or_many, json_schema_input_type=UnderstandRequest | UnderstandBatchRequest),
]


@router.post("/v1/understand", responses=responses(404, 429, 504))
async def understand(body: Body, request: Request, models: Models) -> Understanding | UnderstandingList:
    """What a text, or each of up to 64, means to an assistant.

    Language, intents, entities, sentiment and whether it is out of scope.
    """
    texts = [body.text] if isinstance(body, UnderstandRequest) else body.texts
    answers = await _understandings(texts, body, models, request.receive)
    return answers[0] if isinstance(body, UnderstandRequest) else UnderstandingList(understandings=tuple(answers))


async def _understand_one(request: DirectRequest) -> Understanding | None:
    """What one text means; requests of any other kind take the ordinary route."""
    try:
        body = UnderstandRequest.model_validate_json(request.body)
    except ValidationError:
        return None
    models = TenantModels(
        request.state.models,
        request.principal.tenant,
        caller_of(request.principal, request.headers.get(ON_BEHALF, b"")),
        deadline_from(request.headers.get(DEADLINE, b""), DEFAULT_SECONDS),
        request.principal.is_service,
    )
    [answer] = await _understandings([body.text], body, models, request.receive)
    return answer


DIRECT = DirectRoute("/v1/understand", _understand_one, roles=ROLES, scopes={SCOPE})
"""Dialogue asks this with every turn."""


async def _understandings(
    texts: Sequence[str], asked: UnderstandRequest | UnderstandBatchRequest, models: TenantModels, receive: Receive
) -> list[Understanding]:
    key = asked.key or models.caller
    use = (
        models.use_for_release(asked.model, asked.version, assistant=asked.assistant, key=key)
        if asked.model
        else models.use_for_assistant(asked.assistant, key=key)
    )
    async with use as served:
        await faults.point("intent.understand")
        with CancelledWhenGone(receive):
            return await understand_texts(served, texts, deadline=models.deadline, timezone=asked.timezone)
