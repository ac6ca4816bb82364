"""Decisions on refunds of the demo shop, whose tables are business' own: paid or turned down in one unit of work."""

from services.business import repository
from services.business.actions.results import close
from services.business.shop.actions import pay_refund, reject_refund
from services.business.shop.orders import money_of
from services.business.shop.repository import refund_of_action
from shared.contracts.approvals import Verdict
from shared.errors import Conflict, Forbidden, NotFound
from shared.storage.database import Database, now

__all__ = ["decide"]

REJECTED = "approval_rejected"
DECIDED: dict[str, Verdict] = {"done": "approve", "rejected": "reject"}


async def decide(
    database: Database,
    tenant: str,
    action_id: str,
    decision: Verdict,
    *,
    by: str,
    note: str | None,
    customer: str | None = None,
) -> None:
    """Pays a waiting refund or turns it down; as `approvals.decide`."""
    moment = now()
    async with database.transaction(tenant) as session:
        record = await repository.find_action(session, action_id, lock=True)
        found = await refund_of_action(session, action_id)
        if record is None or found is None or record.result_version == 0:
            raise NotFound("no action with this id waits for approval")
        if customer is not None and customer == record.customer:
            raise Forbidden("this refund is your own; another person has to decide on it")
        refund, order = found
        if record.status != "awaiting_approval":
            if refund.withdrawn_at is not None:
                raise Conflict("the customer has withdrawn this refund")
            if refund.decided_by is None:
                raise NotFound("no action with this id waits for approval")
            if DECIDED.get(refund.status) != decision:
                raise Conflict(f"the refund was decided otherwise by {refund.decided_by}")
            return
        about = money_of(order)
        if decision == "reject":
            reject_refund(refund, moment, by=by, note=note)
            close(record, moment, status="rejected", data=about | {"note": note}, error_code=REJECTED)
        else:
            pay_refund(order, refund, moment, by=by, note=note)
            data = about | {"reason_code": refund.reason_code}
            close(record, moment, status="succeeded", data=data, error_code=None)
        # No worker will publish this result, so the outbox need not leave it time to.
        record.resend_at = moment
