"""Actions that wait for a person before their effect: decided on, reminded of, expired, withdrawn; one of these wins.

Whoever ends the wait holds the action's row in the ledger, then that of the approval.
"""

from datetime import datetime, timedelta
from typing import Literal

import structlog
from prometheus_client import Counter

from services.business.actions import refunds, repository
from services.business.actions.effects import Prepared
from services.business.actions.repository import TIMERS, Entry, Wait
from services.business.actions.results import close
from services.business.actions.unknown import reopen
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.approvals import Verdict
from shared.errors import Conflict, Forbidden
from shared.storage.database import Database, now
from shared.storage.statements import Unit
from shared.storage.timers import DueTimer

__all__ = ["EXPIRED", "EXPIRY", "REMINDER", "ApprovalTimers", "await_approval", "decide", "end_wait"]

log = structlog.get_logger(__name__)

EXPIRY, REMINDER = "approval_expiry", "approval_reminder"
REJECTED, EXPIRED = "approval_rejected", "approval_expired"
KNOWN = frozenset(("customer", "tenant", "conversation", "action", "language", "now"))
"""What every expression may use; beside it and the arguments stand the facts of this action."""

REMINDERS = Counter("zhiyin_business_approval_reminders_total", "Times that an action waited so long for a person")
EXPIRIES = Counter("zhiyin_business_approvals_expired_total", "Actions that nobody has decided on in time")


def await_approval(
    unit: Unit, entry: Entry, request: ActionRequest, prepared: Prepared, moment: datetime
) -> ActionResult | None:
    """Has an action wait for a person, and says so as its result; `None` where one has agreed to it."""
    wait = repository.wait_of(unit, entry.action_id)
    if wait is not None and wait.decision == "approve":
        return None
    approval = prepared.approval
    assert approval is not None
    wait = Wait(
        action_id=entry.action_id,
        title=prepared.title,
        arguments=prepared.arguments,
        facts={
            name: value
            for name, value in prepared.scope.items()
            if name not in KNOWN and name not in prepared.arguments and name not in request.arguments
        },
        created_at=moment,
        expires_at=moment + approval.within,
        remind_seconds=None if approval.remind is None else round(approval.remind.total_seconds()),
    )
    repository.save_wait(unit, wait)
    TIMERS.set(unit, EXPIRY, f"{EXPIRY}:{entry.action_id}", wait.expires_at, {"action": entry.action_id})
    if approval.remind is not None:
        _remind_at(unit, wait, moment)
    data = prepared.arguments | prepared.known
    result = close(entry, moment, status="awaiting_approval", data=data, error_code=None)
    repository.save_entry(unit, entry)
    return result


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
    """Lets a waiting action go on, or turns it down; the same decision again changes nothing.

    Args:
        customer: the number under which whoever decides is a customer themselves, if they are one.

    Raises:
        Forbidden: the action is their own.
        NotFound: no such action ever waited for a decision.
        Conflict: it was decided otherwise before, the customer has withdrawn it, or it has expired.
    """

    def work(unit: Unit) -> bool:
        moment = now()
        entry = repository.entry_of(unit, action_id)
        wait = repository.wait_of(unit, action_id)
        if entry is None or wait is None:
            return False
        if customer is not None and customer == entry.customer:
            raise Forbidden("this action is your own; another person has to decide on it")
        if wait.decision is None:
            end_wait(unit, entry, wait, decision, moment, by=by, note=note)
        elif wait.decision == "withdrawn":
            raise Conflict("the customer has withdrawn this action")
        elif wait.decision == "expired":
            raise Conflict("nobody has decided on this action in time, so it was rejected")
        elif wait.decision != decision:
            raise Conflict(f"the action was decided otherwise by {wait.decided_by}")
        return True

    if not await database.write(tenant, work):
        await refunds.decide(database, tenant, action_id, decision, by=by, note=note, customer=customer)


def end_wait(
    unit: Unit,
    entry: Entry,
    wait: Wait,
    decision: Literal["approve", "reject", "expired", "withdrawn"],
    moment: datetime,
    *,
    by: str,
    note: str | None = None,
) -> None:
    """Stores how a wait ended, and what follows for the action: it is performed, or rejected."""
    wait.decision, wait.decided_at, wait.decided_by, wait.note = decision, moment, by, note
    repository.save_wait(unit, wait)
    TIMERS.cancel(unit, f"{EXPIRY}:{entry.action_id}")
    TIMERS.cancel(unit, f"{REMINDER}:{entry.action_id}")
    if decision == "approve":
        reopen(unit, entry, moment)
        return
    code = {"reject": REJECTED, "expired": EXPIRED}.get(decision, decision)
    # What was said of it while it waited stays.
    data = ((entry.result or {}).get("data") or wait.arguments) | ({} if note is None else {"note": note})
    close(entry, moment, status="rejected", data=data, error_code=code)
    # No worker will publish this result, so the outbox need not leave it time to.
    entry.resend_at = moment
    repository.save_entry(unit, entry)


class ApprovalTimers:
    """What happens to an action that waits when nobody decides."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def on_expiry(self, timer: DueTimer) -> None:
        """Rejects an action on which nobody has decided in time.

        Raises:
            TimerGone: somebody has.
        """

        def work(unit: Unit) -> bool:
            entry = repository.entry_of(unit, timer.payload["action"])
            wait = repository.wait_of(unit, timer.payload["action"])
            TIMERS.take(unit, timer)
            if entry is None or wait is None or wait.decision is not None:
                return False
            end_wait(unit, entry, wait, "expired", now(), by="nobody")
            return True

        if await self._database.write(timer.tenant, work):
            EXPIRIES.inc()
            log.warning("approval_expired", action=timer.payload["action"])

    async def on_reminder(self, timer: DueTimer) -> None:
        """Notes that an action still waits; the list of approvals and the metrics show it.

        Raises:
            TimerGone: it waits no more.
        """

        def work(unit: Unit) -> bool:
            moment = now()
            wait = repository.wait_of(unit, timer.payload["action"])
            TIMERS.take(unit, timer)
            if wait is None or wait.decision is not None:
                return False
            wait.reminders, wait.reminded_at = wait.reminders + 1, moment
            repository.save_wait(unit, wait)
            _remind_at(unit, wait, moment)
            return True

        if await self._database.write(timer.tenant, work):
            REMINDERS.inc()
            log.warning("approval_still_waits", action=timer.payload["action"])


def _remind_at(unit: Unit, wait: Wait, moment: datetime) -> None:
    assert wait.remind_seconds is not None
    at = moment + timedelta(seconds=wait.remind_seconds)
    if at < wait.expires_at:
        TIMERS.set(unit, REMINDER, f"{REMINDER}:{wait.action_id}", at, {"action": wait.action_id})
