"""The way of staff to what business keeps for them: refunds that wait for a yes, and actions that were given up.

Dialogue is what is reached from outside. The person's own token goes on to business, which verifies it itself, so it
knows who decides and needs to believe nobody; what was decided is in the desk's audit log too.
"""

from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ValidationError

from services.dialogue.api.conversations import InDatabase
from services.dialogue.desk import repository
from shared.contracts.actions import Identifier
from shared.contracts.approvals import (
    ActionView,
    ApprovalList,
    DeadLetterList,
    DeadLetterView,
    DecisionRequest,
    Dismissal,
    Resolution,
)
from shared.errors import UpstreamError, responses
from shared.http.auth import DESK, OPERATORS, CurrentPrincipal, Principal, require
from shared.http.service import ServiceContext
from shared.storage.database import Database

__all__ = ["router"]

log = structlog.get_logger(__name__)

SECONDS = 5.0
MAX_ROW_ID = 2**31 - 1
AWAY = (502, 503, 504)
EVENTS = {"approve": "approved", "reject": "rejected"}
RETRIED, DISMISSED, RESOLVED = "letter_retried", "letter_dismissed", "letter_resolved"

V = TypeVar("V", bound=BaseModel)

router = APIRouter(prefix="/v1")
for_desk: dict[str, Any] = {"tags": ["approvals"], "dependencies": [Depends(require(roles=DESK))]}
for_operators: dict[str, Any] = {"tags": ["dead letters"], "dependencies": [Depends(require(roles=OPERATORS))]}

ActionId = Annotated[Identifier, Path(description="The action's id, as in the list")]
LetterId = Annotated[int, Path(ge=1, le=MAX_ROW_ID)]
After = Annotated[int, Query(ge=0, le=MAX_ROW_ID, description="Only what follows this; the last page's `next_after`")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.get("/approvals", responses=responses(*AWAY), **for_desk)
async def list_approvals(request: Request, after: After = 0, limit: Limit = 50) -> ApprovalList:
    """Actions that wait for a person's decision, oldest first."""
    return await _asked(request, "GET", f"/v1/approvals?after={after}&limit={limit}", ApprovalList)


@router.post("/approvals/{action_id}", responses=responses(404, 409, *AWAY), **for_desk)
async def decide_approval(
    action_id: ActionId, body: DecisionRequest, principal: CurrentPrincipal, database: InDatabase, request: Request
) -> ActionView:
    """Approves or rejects; the customer gets the result. The same decision again changes nothing."""
    action = await _asked(request, "POST", f"/v1/approvals/{action_id}", ActionView, body, again=True)
    details = {"action": action_id, "name": action.name, "status": action.status}
    await _note(database, principal, EVENTS[body.decision], details, conversation=action.conversation_id)
    return action


@router.get("/dead-letters", responses=responses(*AWAY), **for_operators)
async def list_dead_letters(
    request: Request, after: After = 0, limit: Limit = 50, waiting: bool = False
) -> DeadLetterList:
    """Actions that business has given up, oldest first: those that wait, or all."""
    path = f"/v1/dead-letters?after={after}&limit={limit}&waiting={str(waiting).lower()}"
    return await _asked(request, "GET", path, DeadLetterList)


@router.post("/dead-letters/{letter_id}/retry", status_code=202, responses=responses(404, 409, *AWAY), **for_operators)
async def retry_dead_letter(
    letter_id: LetterId, principal: CurrentPrincipal, database: InDatabase, request: Request
) -> DeadLetterView:
    """Has an action that was given up tried again; its new result follows."""
    letter = await _asked(request, "POST", f"/v1/dead-letters/{letter_id}/retry", DeadLetterView)
    await _note(database, principal, RETRIED, {"letter": letter_id, "action": letter.action_id})
    return letter


@router.post("/dead-letters/{letter_id}/dismiss", responses=responses(404, 409, *AWAY), **for_operators)
async def dismiss_dead_letter(
    letter_id: LetterId, body: Dismissal, principal: CurrentPrincipal, database: InDatabase, request: Request
) -> DeadLetterView:
    """Leaves an action that was given up as it is; the reason is kept with it."""
    letter = await _asked(request, "POST", f"/v1/dead-letters/{letter_id}/dismiss", DeadLetterView, body)
    details = {"letter": letter_id, "action": letter.action_id, "reason": body.reason}
    await _note(database, principal, DISMISSED, details)
    return letter


@router.post("/dead-letters/{letter_id}/resolve", responses=responses(404, 409, *AWAY), **for_operators)
async def resolve_dead_letter(
    letter_id: LetterId, body: Resolution, principal: CurrentPrincipal, database: InDatabase, request: Request
) -> DeadLetterView:
    """Says whether an action happened of which that was unknown; the same again changes nothing."""
    path = f"/v1/dead-letters/{letter_id}/resolve"
    letter = await _asked(request, "POST", path, DeadLetterView, body, again=True)
    details = {"letter": letter_id, "action": letter.action_id, "happened": body.happened, "note": body.note}
    await _note(database, principal, RESOLVED, details)
    return letter


async def _asked(
    request: Request, method: str, path: str, answer: type[V], body: BaseModel | None = None, *, again: bool = False
) -> V:
    """Business's answer to this person; `again` says that repeating what is not a GET does no harm."""
    context: ServiceContext = request.app.state.context
    found: Any = await context.client.call(
        "business",
        method,
        path,
        json=None if body is None else body.model_dump(mode="json"),
        deadline=SECONDS,
        retry=again or method == "GET",
        headers={"Authorization": request.headers["Authorization"]},
        authenticated=False,
    )
    try:
        return answer.model_validate(found)
    except ValidationError as error:
        raise UpstreamError("the answer of business is not what it should be") from error


async def _note(
    database: Database, principal: Principal, event: str, details: dict[str, Any], *, conversation: str | None = None
) -> None:
    """Writes down what business has done for this person; business itself keeps who decided, whatever happens here."""
    await database.write(
        principal.tenant,
        lambda unit: repository.add_event(
            unit, event, actor=principal.subject, conversation=conversation, details=details
        ),
    )
    log.info("decided_at_business", decision=event, by=principal.subject, action=details["action"])
