"""Look-ups for conversations."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import ValidationError

from services.business.actions.built_in import SUBMITTED_ACTIONS, submitted_actions
from services.business.api.dependencies import LOOKUP_SCOPE, Business, InBusiness, LookupCaller, Reader, View
from services.business.shop.lookups import LOOKUPS, look_up
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import responses
from shared.http.fast_path import DirectRequest, DirectRoute
from shared.storage.database import ALL_TENANTS

__all__ = ["DIRECT", "router"]

NAME = r"^[a-z_]{1,64}$"

router = APIRouter(tags=["look-ups"])


class LookupView(View):
    """A look-up that can be asked, and the JSON schema of its arguments."""

    name: str
    description: str
    arguments: dict[str, Any]


class LookupList(View):
    """Every look-up."""

    lookups: list[LookupView]


@router.get("/v1/lookups")
async def list_lookups(_principal: Reader) -> LookupList:
    """The look-ups that there are."""
    return LookupList(
        lookups=[
            LookupView(name=name, description=lookup.description, arguments=lookup.arguments.model_json_schema())
            for name, lookup in LOOKUPS.items()
        ]
    )


@router.post("/v1/lookups/{name}", responses=responses(404))
async def answer_lookup(
    name: Annotated[str, Path(pattern=NAME)],
    body: LookupRequest,
    business: InBusiness,
    principal: LookupCaller,
) -> LookupAnswer:
    """The answer for a customer; what is another customer's is answered as if it did not exist."""
    if name == SUBMITTED_ACTIONS:
        return await business.database.read(principal.tenant, lambda unit: submitted_actions(unit, body))
    return await business.database.read(principal.tenant, lambda unit: look_up(unit, business.rules, name, body))


async def _answer(request: DirectRequest) -> LookupAnswer | None:
    """The same for a question in good order; any other takes the ordinary route, which says what is wrong with it."""
    name, tenant = request.parameters["name"], request.principal.tenant
    if not re.fullmatch(NAME, name) or name == SUBMITTED_ACTIONS or tenant == ALL_TENANTS:
        return None
    try:
        body = LookupRequest.model_validate_json(request.body)
    except ValidationError:
        return None
    business: Business = request.state.business
    return await business.database.read(tenant, lambda unit: look_up(unit, business.rules, name, body))


DIRECT = DirectRoute("/v1/lookups/{name}", _answer, scopes={LOOKUP_SCOPE})
"""Dialogue asks this in the middle of a turn."""
