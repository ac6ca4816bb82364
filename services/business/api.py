"""HTTP in and out: look-ups for conversations, decisions for people, and what became of actions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from services.business import repository
from services.business.actions import approvals
from services.business.actions.relay import Relay
from services.business.models import ActionRecord, DeadLetter
from services.business.rules.rule_book import RuleBook
from services.business.shop.arguments import OptionalNote
from services.business.shop.lookups import LOOKUPS, look_up
from shared.contracts.actions import Identifier
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.errors import Forbidden, NotFound, responses
from shared.http.auth import Principal, require
from shared.storage.database import ALL_TENANTS, Database

__all__ = ["Business", "router"]

log = structlog.get_logger(__name__)

LOOKUP_SCOPE = "business:lookup"
MAX_ROW_ID = 2**31 - 1

router = APIRouter()


@dataclass(frozen=True, kw_only=True)
class Business:
    """What the routes work with; found in `app.state.business`."""

    database: Database
    rules: RuleBook
    relay: Relay


# Dependencies are coroutines: a plain function would be run in a thread, which costs more than all of them.
async def _business(request: Request) -> Business:
    business: Business = request.app.state.business
    return business


def _of_one_tenant(principal: Principal) -> Principal:
    # The name that stands for everybody in background sweeps is nobody's name here.
    if principal.tenant == ALL_TENANTS:
        raise Forbidden("this token belongs to no tenant")
    return principal


async def _conversation(principal: Annotated[Principal, Depends(require(scopes={LOOKUP_SCOPE}))]) -> Principal:
    return _of_one_tenant(principal)


async def _reader(
    principal: Annotated[Principal, Depends(require(roles={"agent", "admin"}, scopes={LOOKUP_SCOPE}))],
) -> Principal:
    return _of_one_tenant(principal)


async def _agent(principal: Annotated[Principal, Depends(require(roles={"agent", "admin"}))]) -> Principal:
    return _of_one_tenant(principal)


async def _operator(principal: Annotated[Principal, Depends(require(roles={"operator", "admin"}))]) -> Principal:
    return _of_one_tenant(principal)


TheBusiness = Annotated[Business, Depends(_business)]
Conversation = Annotated[Principal, Depends(_conversation)]
Reader = Annotated[Principal, Depends(_reader)]
Agent = Annotated[Principal, Depends(_agent)]
Operator = Annotated[Principal, Depends(_operator)]

ActionId = Annotated[Identifier, Path(description="The id that the conversation gave the action")]
LetterId = Annotated[int, Path(ge=1, le=MAX_ROW_ID)]
After = Annotated[int, Query(ge=0, le=MAX_ROW_ID, description="Only what follows this; the last page's `next_after`")]
Limit = Annotated[int, Query(ge=1, le=100)]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class LookupView(_View):
    """A look-up that can be asked, and the JSON schema of its arguments."""

    name: str
    description: str
    arguments: dict[str, Any]


class LookupList(_View):
    """Every look-up."""

    lookups: list[LookupView]


class ActionView(_View):
    """An action and what became of it; `version` counts its results, 0 while there is none."""

    id: str
    name: str
    status: str
    customer: str | None
    conversation_id: str
    attempts: int
    version: int
    data: dict[str, Any]
    error_code: str | None
    created_at: datetime
    updated_at: datetime


class ApprovalList(_View):
    """Actions that wait for a person, oldest first; `next_after` is null on the last page."""

    approvals: list[ActionView]
    next_after: int | None


class DecisionRequest(BaseModel):
    """A person's yes or no, and why."""

    model_config = ConfigDict(extra="forbid")

    decision: approvals.Decision
    note: OptionalNote = None


class DeadLetterView(_View):
    """A message that was given up."""

    id: int
    action_id: str | None
    name: str | None
    error: str
    attempts: int
    payload: str
    created_at: datetime
    retried_at: datetime | None
    retried_by: str | None


class DeadLetterList(_View):
    """Messages that were given up, oldest first; `next_after` is null on the last page."""

    dead_letters: list[DeadLetterView]
    next_after: int | None


@router.get("/v1/lookups", tags=["look-ups"])
async def list_lookups(_principal: Reader) -> LookupList:
    """The look-ups that there are."""
    return LookupList(
        lookups=[
            LookupView(name=name, description=lookup.description, arguments=lookup.arguments.model_json_schema())
            for name, lookup in LOOKUPS.items()
        ]
    )


@router.post("/v1/lookups/{name}", tags=["look-ups"], responses=responses(404))
async def answer_lookup(
    name: Annotated[str, Path(pattern=r"^[a-z_]{1,64}$")],
    body: LookupRequest,
    business: TheBusiness,
    principal: Conversation,
) -> LookupAnswer:
    """The answer for a customer; what is another customer's is answered as if it did not exist."""
    return await business.database.read(principal.tenant, lambda unit: look_up(unit, business.rules, name, body))


@router.get("/v1/actions/{action_id}", tags=["actions"], responses=responses(404))
async def read_action(action_id: ActionId, business: TheBusiness, principal: Reader) -> ActionView:
    """How far an action has come."""
    async with business.database.reading(principal.tenant) as session:
        record = await repository.find_action(session, action_id)
    if record is None:
        raise NotFound("there is no such action")
    return _action_view(record)


@router.get("/v1/approvals", tags=["approvals"])
async def list_approvals(business: TheBusiness, principal: Agent, after: After = 0, limit: Limit = 50) -> ApprovalList:
    """Actions that wait for a person's decision."""
    async with business.database.reading(principal.tenant) as session:
        records = await repository.records_after(session, "awaiting_approval", after, limit + 1)
    page = records[:limit]
    return ApprovalList(
        approvals=[_action_view(record) for record in page],
        next_after=page[-1].id if len(records) > limit else None,
    )


@router.post("/v1/approvals/{action_id}", tags=["approvals"], responses=responses(404, 409))
async def decide_approval(
    action_id: ActionId, body: DecisionRequest, business: TheBusiness, principal: Agent
) -> ActionView:
    """Approves or rejects a refund; the conversation is told. The same decision again changes nothing."""
    record = await approvals.decide(
        business.database, principal.tenant, action_id, body.decision, by=principal.subject, note=body.note
    )
    business.relay.kick()
    log.info("refund_decided", action=action_id, decision=body.decision, by=principal.subject)
    return _action_view(record)


@router.get("/v1/dead-letters", tags=["dead letters"])
async def list_dead_letters(
    business: TheBusiness, principal: Operator, after: After = 0, limit: Limit = 50
) -> DeadLetterList:
    """Messages that were given up."""
    async with business.database.reading(principal.tenant) as session:
        letters = await repository.dead_letters_after(session, after, limit + 1)
    page = letters[:limit]
    return DeadLetterList(
        dead_letters=[_letter_view(letter) for letter in page],
        next_after=page[-1].id if len(letters) > limit else None,
    )


@router.post(
    "/v1/dead-letters/{letter_id}/retry", tags=["dead letters"], status_code=202, responses=responses(404, 409)
)
async def retry_dead_letter(letter_id: LetterId, business: TheBusiness, principal: Operator) -> DeadLetterView:
    """Has an action that was given up tried again; its new result follows."""
    letter = await approvals.try_again(business.database, principal.tenant, letter_id, by=principal.subject)
    business.relay.kick()
    log.info("dead_letter_retried", letter=letter_id, by=principal.subject)
    return _letter_view(letter)


def _action_view(record: ActionRecord) -> ActionView:
    result = record.result or {}
    return ActionView(
        id=record.action_id,
        name=record.name,
        status=record.status,
        customer=record.customer,
        conversation_id=record.conversation_id,
        attempts=record.attempts,
        version=record.result_version,
        data=result.get("data") or {},
        error_code=result.get("error_code"),
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def _letter_view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        action_id=letter.action_id,
        name=letter.name,
        error=letter.error,
        attempts=letter.attempts,
        payload=letter.payload,
        created_at=letter.created_at,
        retried_at=letter.retried_at,
        retried_by=letter.retried_by,
    )
