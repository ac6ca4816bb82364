"""Decisions of people on actions that wait for one."""

import structlog
from fastapi import APIRouter

from services.business import repository
from services.business.actions import approvals
from services.business.api.actions import action_view, read_action
from services.business.api.dependencies import ActionId, After, Agent, InBusiness, Limit
from shared.contracts.approvals import ActionView, ApprovalList, DecisionRequest
from shared.errors import responses

__all__ = ["router"]

log = structlog.get_logger(__name__)


router = APIRouter(tags=["approvals"])


@router.get("/v1/approvals")
async def list_approvals(business: InBusiness, principal: Agent, after: After = 0, limit: Limit = 50) -> ApprovalList:
    """Actions that wait for a person's decision."""
    async with business.database.reading(principal.tenant) as session:
        records = await repository.records_after(session, "awaiting_approval", after, limit + 1)
        page = records[:limit]
        waits = await repository.approvals_of(session, [record.action_id for record in page])
    return ApprovalList(
        approvals=[action_view(record, waits.get(record.action_id)) for record in page],
        next_after=page[-1].id if len(records) > limit else None,
    )


@router.post("/v1/approvals/{action_id}", responses=responses(404, 409))
async def decide_approval(
    action_id: ActionId, body: DecisionRequest, business: InBusiness, principal: Agent
) -> ActionView:
    """Approves or rejects an action; the conversation gets the result. The same decision again changes nothing."""
    await approvals.decide(
        business.database,
        principal.tenant,
        action_id,
        body.decision,
        by=principal.subject,
        note=body.note,
        customer=principal.customer,
    )
    business.relay.kick()
    log.info("action_decided", action=action_id, decision=body.decision, by=principal.subject)
    return await read_action(action_id, business, principal)
