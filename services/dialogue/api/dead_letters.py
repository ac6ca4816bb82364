"""Actions of the outbox that were given up, and what an operator does about them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel

from services.dialogue.actions import dead_letters, repository
from services.dialogue.api.conversations import InDatabase
from services.dialogue.conversation.models import DeadLetter
from shared.contracts.approvals import Dismissal
from shared.errors import responses
from shared.http.auth import OPERATORS, CurrentPrincipal, require

__all__ = ["router"]

log = structlog.get_logger(__name__)

MAX_ROW_ID = 2**31 - 1

router = APIRouter(prefix="/v1/outbox/dead-letters", tags=["outbox"], dependencies=[Depends(require(roles=OPERATORS))])

LetterId = Annotated[int, Path(ge=1, le=MAX_ROW_ID)]


class OutboxLetterView(BaseModel):
    """An action that was given up: business refused it, or its result could not be told."""

    id: int
    action_id: str
    conversation_id: str
    error: str
    attempts: int
    created_at: datetime
    retried_at: datetime | None
    retried_by: str | None
    dismissed_at: datetime | None
    dismissed_by: str | None
    dismissed_because: str | None


class OutboxLetterList(BaseModel):
    """Actions that were given up, oldest first; `next_after` is null on the last page."""

    dead_letters: Sequence[OutboxLetterView]
    next_after: int | None


@router.get("")
async def list_dead_letters(
    principal: CurrentPrincipal,
    database: InDatabase,
    after: Annotated[int, Query(ge=0, le=MAX_ROW_ID)] = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
    waiting: bool = False,
) -> OutboxLetterList:
    """Actions that were given up: those that wait, or all."""
    async with database.reading(principal.tenant) as session:
        letters = await repository.letters_after(session, after, limit + 1, waiting=waiting)
    page = letters[:limit]
    return OutboxLetterList(
        dead_letters=[_view(letter) for letter in page],
        next_after=page[-1].id if len(letters) > limit else None,
    )


@router.post("/{letter_id}/retry", status_code=202, responses=responses(404, 409))
async def retry_dead_letter(
    letter_id: LetterId, principal: CurrentPrincipal, database: InDatabase, request: Request
) -> OutboxLetterView:
    """Gives the action a new set of attempts."""
    letter = await dead_letters.retry(database, principal.tenant, letter_id, by=principal.subject)
    request.app.state.relay.kick()
    log.info("dead_letter_retried", letter=letter_id, by=principal.subject)
    return _view(letter)


@router.post("/{letter_id}/dismiss", responses=responses(404, 409))
async def dismiss_dead_letter(
    letter_id: LetterId, body: Dismissal, principal: CurrentPrincipal, database: InDatabase
) -> OutboxLetterView:
    """Leaves the action as it is; the reason is kept with it."""
    letter = await dead_letters.dismiss(
        database, principal.tenant, letter_id, by=principal.subject, because=body.reason
    )
    log.info("dead_letter_dismissed", letter=letter_id, by=principal.subject)
    return _view(letter)


def _view(letter: DeadLetter) -> OutboxLetterView:
    return OutboxLetterView.model_validate(letter, from_attributes=True)
