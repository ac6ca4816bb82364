"""What every assistant can look up and do about its customers' own actions, whatever its company's systems are."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from services.business.actions import repository
from services.business.actions.approvals import end_wait
from services.business.actions.repository import Entry
from services.business.actions.results import OUTCOME_UNKNOWN, close
from shared.contracts.actions import ActionRequest, ActionResult
from shared.contracts.built_in import (
    SUBMITTED_ACTIONS,
    WITHDRAW_ACTION,
    SubmittedAction,
    SubmittedActions,
    WithdrawArguments,
    Withdrawn,
)
from shared.contracts.lookups import LookupAnswer, LookupRequest
from shared.storage.statements import Unit

__all__ = ["submitted_actions", "withdraw"]

WITHDRAWN = "withdrawn"
NEWEST = 10
TOO_LATE = {"approve": "already_approved", "reject": "already_rejected", "expired": "already_rejected"}
"""Why an action cannot be withdrawn any more, by how its wait ended."""


def withdraw(unit: Unit, entry: Entry, request: ActionRequest, moment: datetime) -> ActionResult:
    """Takes back an action of the same customer that still waits for a person, and closes both."""
    try:
        wanted = WithdrawArguments.model_validate(request.arguments).action
    except ValidationError:
        return _closed(unit, entry, moment, "failed", {"fields": ["action"]}, "invalid_arguments")
    other = None if wanted == entry.action_id else repository.entry_of(unit, wanted)
    if other is None or entry.customer is None or other.customer != entry.customer:
        return _closed(unit, entry, moment, "rejected", {"action": wanted}, "request_not_found")
    about = Withdrawn(action=wanted, name=other.name).model_dump()
    wait = repository.wait_of(unit, wanted)
    if wait is None or wait.decision is not None or other.status != "awaiting_approval":
        decision = None if wait is None else wait.decision
        code = "already_withdrawn" if decision == WITHDRAWN else TOO_LATE.get(decision or "", "not_open")
        return _closed(unit, entry, moment, "rejected", about, code)
    end_wait(unit, other, wait, "withdrawn", moment, by=f"customer:{entry.customer}")
    return _closed(unit, entry, moment, "succeeded", about, None)


def _closed(
    unit: Unit, entry: Entry, moment: datetime, status: Any, data: dict[str, Any], code: str | None
) -> ActionResult:
    result = close(entry, moment, status=status, data=data, error_code=code)
    repository.save_entry(unit, entry)
    return result


def submitted_actions(unit: Unit, request: LookupRequest) -> LookupAnswer:
    """The customer's newest actions, how far each has come, and which of them are still open."""
    if request.customer is None:
        return LookupAnswer(name=SUBMITTED_ACTIONS, found=False)
    found = repository.submitted(unit, request.customer, request.assistant, without=WITHDRAW_ACTION, most=NEWEST)
    actions = [_action(*row) for row in found]
    still_open = [each for each in actions if each.open]
    answer = SubmittedActions(
        actions=actions,
        count=len(actions),
        open=still_open,
        open_count=len(still_open),
        first=still_open[0] if still_open else None,
    )
    return LookupAnswer(name=SUBMITTED_ACTIONS, found=True, data=answer.model_dump())


def _action(
    action_id: str, name: str, status: str, created_at: datetime, request: Any, result: dict[str, Any] | None
) -> SubmittedAction:
    code = (result or {}).get("error_code")
    return SubmittedAction(
        id=action_id,
        name=name,
        status=status,
        code=code,
        submitted_at=created_at.isoformat(),
        arguments=(request or {}).get("arguments") or {},
        data=(result or {}).get("data") or {},
        open=status in ("started", "awaiting_approval") or code == OUTCOME_UNKNOWN,
    )
