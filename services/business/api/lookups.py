"""Look-ups for conversations."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from services.business.api.dependencies import InBusiness, LookupCaller, Reader, View
from services.business.shop.lookups import LOOKUPS, look_up
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import responses

__all__ = ["router"]


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
    name: Annotated[str, Path(pattern=r"^[a-z_]{1,64}$")],
    body: LookupRequest,
    business: InBusiness,
    principal: LookupCaller,
) -> LookupAnswer:
    """The answer for a customer; what is another customer's is answered as if it did not exist."""
    return await business.database.read(principal.tenant, lambda unit: look_up(unit, business.rules, name, body))
