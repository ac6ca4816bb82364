"""How an action ends: codes, the next version of its result, and what is kept for an operator."""

import json
import random
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError

from services.business.actions.repository import Entry
from services.business.models import ActionRecord
from shared.contracts.actions import ActionResult, ActionStatus
from shared.errors import ZhiyinError

__all__ = [
    "DEAD",
    "DID_NOT_HAPPEN",
    "GAVE_UP",
    "OUTCOME_UNKNOWN",
    "PUBLISH_GRACE",
    "SYSTEM_REFUSED",
    "UNREADABLE",
    "AttemptFailed",
    "NothingToDo",
    "as_text",
    "close",
    "describe",
    "pause_before",
]

GAVE_UP = "attempts_exhausted"
UNREADABLE = "request_unreadable"
OUTCOME_UNKNOWN = "outcome_unknown"
SYSTEM_REFUSED = "system_refused"
DID_NOT_HAPPEN = "did_not_happen"
"""It was unknown for a while, and turned out not to have happened."""
DEAD = frozenset((GAVE_UP, UNREADABLE, OUTCOME_UNKNOWN, SYSTEM_REFUSED))
"""Codes of results that come with a dead letter."""
PUBLISH_GRACE = timedelta(seconds=2)
MAX_PAUSE_SECONDS = 20.0
MAX_PAYLOAD = 20_000
MAX_ERROR = 200
MAX_DOUBLINGS = 16


class AttemptFailed(ZhiyinError):
    """An attempt came to nothing; another one may succeed, and is made when the row says so."""


class NothingToDo(ZhiyinError):
    """No attempt is to be made now: the action is unknown or done, one is under way, or it is too early for another."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def close(
    record: ActionRecord | Entry,
    moment: datetime,
    *,
    status: ActionStatus,
    data: dict[str, Any],
    error_code: str | None,
) -> ActionResult:
    """Puts what became of an action into its row, as the next version of its result."""
    result = ActionResult(
        action_id=record.action_id,
        tenant=record.tenant,
        name=record.name,
        conversation_id=record.conversation_id,
        status=status,
        version=record.result_version + 1,
        data=data,
        error_code=error_code,
    )
    record.status = result.status
    record.result = result.model_dump(mode="json")
    record.result_version = result.version
    record.running_until = record.running_on = record.not_before = None
    # The worker publishes the result itself right after the commit; the outbox leaves it that long.
    record.resend_at = moment + PUBLISH_GRACE
    record.updated_at = moment
    return result


def pause_before(attempts: int, first_seconds: float, most_seconds: float = MAX_PAUSE_SECONDS) -> timedelta:
    """How long after so many failed attempts the next one is made: doubles, with jitter."""
    longest = min(most_seconds, first_seconds * 2.0 ** min(attempts - 1, MAX_DOUBLINGS))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))


def describe(error: BaseException) -> str:
    """An error in a line for an operator, without the values of a statement, which are a customer's."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    line = f"{type(error).__name__}: {str(cause).splitlines()[0] if str(cause) else ''}".rstrip(": ")
    return "".join(each if each.isprintable() else " " for each in line)[:MAX_ERROR]


def as_text(payload: Any) -> str:
    """What was asked for, as an operator reads it."""
    text = json.dumps(payload, ensure_ascii=False, default=repr)[:MAX_PAYLOAD]
    # Half of a character pair can be in JSON and in no database.
    return text.encode("utf-8", "replace").decode("utf-8")
