"""Actions that conversations ask for, and what became of them."""

from fastapi import APIRouter

from services.business import repository
from services.business.api.dependencies import ActionCaller, ActionId, InBusiness, Reader
from services.business.models import ActionRecord, ApprovalRecord
from shared.contracts.actions import ActionReceipt, ActionRequest
from shared.contracts.approvals import ActionView, ApprovalView
from shared.errors import Forbidden, NotFound, responses

__all__ = ["action_view", "router"]


router = APIRouter(tags=["actions"])


@router.post("/v1/actions", status_code=202, responses=responses(403, 409))
async def accept_action(body: ActionRequest, business: InBusiness, principal: ActionCaller) -> ActionReceipt:
    """Takes an action into the ledger, to be performed once; asked again, answers with its newest result."""
    if body.tenant != principal.tenant:
        raise Forbidden("this token belongs to another tenant")
    receipt = await business.ledger.accept(body)
    if receipt.result is None:
        business.relay.kick()
    return receipt


@router.get("/v1/actions/{action_id}", responses=responses(404))
async def read_action(action_id: ActionId, business: InBusiness, principal: Reader) -> ActionView:
    """How far an action has come."""
    async with business.database.reading(principal.tenant) as session:
        record = await repository.find_action(session, action_id)
        approvals = await repository.approvals_of(session, [action_id])
    if record is None:
        raise NotFound("there is no such action")
    return action_view(record, approvals.get(action_id))


def action_view(record: ActionRecord, approval: ApprovalRecord | None = None) -> ActionView:
    """A ledger row as callers see it, with what there is to decide on."""
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
        approval=None if approval is None else ApprovalView.model_validate(approval, from_attributes=True),
    )
