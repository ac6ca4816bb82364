"""What the routes share: the wired objects, who may call, paging."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from services.business.actions.ledger import Ledger
from services.business.connectors.assistants import Assistants
from services.business.rules.rule_book import RuleBook
from shared.contracts.actions import Identifier
from shared.errors import Forbidden
from shared.http.auth import DESK, OPERATORS, Principal, require
from shared.queue.outbox import OutboxRelay
from shared.storage.database import ALL_TENANTS, Database

__all__ = [
    "ACTIONS_SCOPE",
    "LOOKUP_SCOPE",
    "MAX_ROW_ID",
    "ActionCaller",
    "ActionId",
    "After",
    "Agent",
    "Business",
    "InBusiness",
    "Limit",
    "LookupCaller",
    "Operator",
    "Reader",
    "View",
]

LOOKUP_SCOPE = "business:lookup"
ACTIONS_SCOPE = "business:actions"
MAX_ROW_ID = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Business:
    """What the routes work with; found in `app.state.business`."""

    database: Database
    rules: RuleBook | None
    ledger: Ledger
    relay: OutboxRelay
    assistants: Assistants


# Dependencies are coroutines: a plain function would be run in a thread, which costs more than all of them.
async def _business(request: Request) -> Business:
    business: Business = request.app.state.business
    return business


def _of_one_tenant(principal: Principal) -> Principal:
    # Background sweeps use this name for all tenants; no caller may have it.
    if principal.tenant == ALL_TENANTS:
        raise Forbidden("this token belongs to no tenant")
    return principal


async def _lookup_caller(principal: Annotated[Principal, Depends(require(scopes={LOOKUP_SCOPE}))]) -> Principal:
    return _of_one_tenant(principal)


async def _action_caller(principal: Annotated[Principal, Depends(require(scopes={ACTIONS_SCOPE}))]) -> Principal:
    return _of_one_tenant(principal)


async def _reader(
    principal: Annotated[Principal, Depends(require(roles=DESK, scopes={LOOKUP_SCOPE}))],
) -> Principal:
    return _of_one_tenant(principal)


async def _agent(principal: Annotated[Principal, Depends(require(roles=DESK))]) -> Principal:
    return _of_one_tenant(principal)


async def _operator(principal: Annotated[Principal, Depends(require(roles=OPERATORS))]) -> Principal:
    return _of_one_tenant(principal)


InBusiness = Annotated[Business, Depends(_business)]
LookupCaller = Annotated[Principal, Depends(_lookup_caller)]
ActionCaller = Annotated[Principal, Depends(_action_caller)]
Reader = Annotated[Principal, Depends(_reader)]
Agent = Annotated[Principal, Depends(_agent)]
Operator = Annotated[Principal, Depends(_operator)]

ActionId = Annotated[Identifier, Path(description="The id that the conversation gave the action")]
After = Annotated[int, Query(ge=0, le=MAX_ROW_ID, description="Only what follows this; the last page's `next_after`")]
Limit = Annotated[int, Query(ge=1, le=100)]


class View(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)
