"""Look-ups for conversations."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import ValidationError
from pydantic.json_schema import SkipJsonSchema

from services.business.actions.built_in import submitted_actions
from services.business.api.dependencies import LOOKUP_SCOPE, Business, InBusiness, LookupCaller, Reader, View
from services.business.connectors.arguments import json_schema
from services.business.connectors.lookups import Served
from services.business.connectors.lookups import answer_lookup as ask_system
from services.business.shop.lookups import LOOKUPS, look_up
from shared.calls.client import DEADLINE_HEADER
from shared.contracts.built_in import SUBMITTED_ACTIONS
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.contracts.releases import AssistantName
from shared.errors import NotFound, responses
from shared.http.fast_path import DirectRequest, DirectRoute
from shared.http.middleware import deadline_from, deadline_of
from shared.storage.database import ALL_TENANTS, now

__all__ = ["DIRECT", "router"]

NAME = r"^[a-z][a-z0-9_]{0,63}$"
DEADLINE = DEADLINE_HEADER.lower().encode()
DEADLINE_SECONDS = 10.0
"""For callers that say none."""

router = APIRouter(tags=["look-ups"])


class LookupView(View):
    """A look-up that can be asked, and the JSON schema of its arguments."""

    name: str
    description: str
    arguments: dict[str, Any]


class LookupList(View):
    """Every look-up."""

    lookups: list[LookupView]


@router.get("/v1/lookups", responses=responses(404))
async def list_lookups(
    business: InBusiness,
    principal: Reader,
    assistant: Annotated[AssistantName | SkipJsonSchema[None], Query(description="Whose look-ups")] = None,
) -> LookupList:
    """The look-ups that there are."""
    served = _served(business, principal.tenant, assistant, None)
    if served is not None:
        return LookupList(
            lookups=[
                LookupView(
                    name=name, description=f"{connector.connector}.{name}", arguments=json_schema(lookup.arguments)
                )
                for name, (_, connector, lookup) in served.lookups.items()
            ]
        )
    return LookupList(
        lookups=[
            LookupView(name=name, description=lookup.description, arguments=lookup.arguments.model_json_schema())
            for name, lookup in LOOKUPS.items()
        ]
    )


@router.post("/v1/lookups/{name}", responses=responses(404, 502))
async def answer_lookup(
    name: Annotated[str, Path(pattern=NAME)],
    body: LookupRequest,
    request: Request,
    business: InBusiness,
    principal: LookupCaller,
) -> LookupAnswer:
    """The answer for a customer; what is another customer's is answered as if it did not exist."""
    return await _look_up(business, principal.tenant, name, body, deadline_of(request, DEADLINE_SECONDS))


async def _look_up(business: Business, tenant: str, name: str, body: LookupRequest, until: float) -> LookupAnswer:
    if name == SUBMITTED_ACTIONS:
        return await business.database.read(tenant, lambda unit: submitted_actions(unit, body))
    served = _served(business, tenant, body.assistant, body.release)
    if served is not None:
        return await ask_system(served, name, body, moment=now(), until=until)
    rules = business.rules
    if rules is None:
        raise NotFound("there is no such look-up")
    return await business.database.read(tenant, lambda unit: look_up(unit, rules, name, body))


def _served(business: Business, tenant: str, assistant: str | None, release: str | None) -> Served | None:
    """The release that is asked for; `None` for the installation's own assistant as long as it has no connectors."""
    served = business.assistants.find(tenant, assistant, release)
    if assistant in (None, business.assistants.own):
        return served if served is not None and served.lookups else None
    if served is None:
        raise NotFound("there is no such assistant")
    return served


async def _answer(request: DirectRequest) -> LookupAnswer | None:
    """The same for a question in good order; any other takes the ordinary route, which says what is wrong with it."""
    name, tenant = request.parameters["name"], request.principal.tenant
    if not re.fullmatch(NAME, name) or name == SUBMITTED_ACTIONS or tenant == ALL_TENANTS:
        return None
    try:
        body = LookupRequest.model_validate_json(request.body)
    except ValidationError:
        return None
    until = deadline_from(request.headers.get(DEADLINE, b""), DEADLINE_SECONDS)
    return await _look_up(request.state.business, tenant, name, body, until)


DIRECT = DirectRoute("/v1/lookups/{name}", _answer, scopes={LOOKUP_SCOPE})
"""Dialogue asks this in the middle of a turn."""
