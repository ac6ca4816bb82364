"""Decisions of people: on refunds that wait for approval, and on what becomes of actions that were given up."""

from services.business import repository
from services.business.actions.ledger import GAVE_UP, close
from services.business.models import ActionRecord, DeadLetter
from services.business.shop.actions import Outcome, pay_refund, reject_refund
from services.business.shop.orders import money_of
from services.business.shop.repository import refund_of_action
from shared.contracts.approvals import Verdict
from shared.errors import Conflict, Forbidden, NotFound
from shared.storage.database import Database, now

__all__ = ["Verdict", "decide", "dismiss", "try_again"]

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
) -> ActionRecord:
    """Pays a waiting refund or turns it down; the same decision again changes nothing.

    Args:
        customer: the number under which whoever decides is a customer themselves, if they are one.

    Raises:
        Forbidden: the refund is their own.
        NotFound: no such action ever waited for a decision.
        Conflict: it was decided otherwise before, or the customer has withdrawn it.
    """
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
            return record
        about = money_of(order)
        if decision == "reject":
            reject_refund(refund, moment, by=by, note=note)
            close(record, Outcome(status="rejected", error_code=REJECTED, data=about | {"note": note}), moment)
        else:
            pay_refund(order, refund, moment, by=by, note=note)
            close(record, Outcome(status="succeeded", data=about | {"reason_code": refund.reason_code}), moment)
        # No worker will publish this result, so the outbox need not leave it time to.
        record.resend_at = moment
        return record


async def try_again(database: Database, tenant: str, letter_id: int, *, by: str) -> DeadLetter:
    """Gives an action that was given up a new set of attempts; the relay puts it on the queue.

    Raises:
        NotFound: there is no such dead letter.
        Conflict: it was tried again or dismissed already, or it is not about an action that was given up.
    """
    moment = now()
    async with database.transaction(tenant) as session:
        letter = await repository.LETTERS.undecided(session, letter_id)
        record = (
            None if letter.action_id is None else await repository.find_action(session, letter.action_id, lock=True)
        )
        if record is None or record.status != "failed" or (record.result or {}).get("error_code") != GAVE_UP:
            raise Conflict("this dead letter is not about an action that was given up")
        letter.retried_at, letter.retried_by = moment, by
        record.status, record.attempts, record.sends = "started", 0, 0
        record.running_until = record.running_on = record.not_before = None
        record.resend_at = record.updated_at = moment
        return letter


dismiss = repository.LETTERS.dismiss
