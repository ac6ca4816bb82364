"""Turns that were given up, for operators: what happened, and to have it tried again or dismissed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AfterValidator, BaseModel, StringConstraints

from services.dialogue.api.conversations import MAX_SEQ, InDatabase, InTurns, Seq
from services.dialogue.conversation.failures import repository
from services.dialogue.conversation.models import DeadTurn
from shared.contracts.base import RequestBody
from shared.contracts.texts import legible
from shared.errors import responses
from shared.http.auth import OPERATORS, CurrentPrincipal, require
from shared.storage.database import Database
from shared.storage.statements import Unit

__all__ = ["router"]

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/dead-turns", tags=["dead turns"], dependencies=[Depends(require(roles=OPERATORS))])

LetterId = Annotated[int, Path(ge=1, le=MAX_SEQ)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S"), AfterValidator(legible)]


class DeadTurnView(BaseModel):
    """A turn that was given up: on which message, why, and what an operator did about it."""

    id: int
    conversation_id: str
    seq: int
    attempts: int
    error: str
    status: str
    reason: str | None
    settled_by: str | None
    settled_at: datetime | None
    created_at: datetime


class DeadTurnList(BaseModel):
    """Turns that were given up, oldest first; `next_after` is null on the last page."""

    dead_turns: Sequence[DeadTurnView]
    next_after: int | None


class TurnDismissal(RequestBody):
    """Why nothing more is to be done about it."""

    reason: Reason


@router.get("")
async def list_dead_turns(
    principal: CurrentPrincipal,
    database: InDatabase,
    after: Seq = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> DeadTurnList:
    """Turns that were given up; those that were retried or dismissed stay as the record of it."""
    async with database.reading(principal.tenant) as session:
        letters = await repository.dead_turns_after(session, after, limit + 1)
        page = [_view(letter) for letter in letters[:limit]]
    return DeadTurnList(dead_turns=page, next_after=page[-1].id if len(letters) > limit else None)


@router.post("/{letter_id}/retry", status_code=202, responses=responses(404, 409))
async def retry_dead_turn(
    letter_id: LetterId, principal: CurrentPrincipal, database: InDatabase, turns: InTurns
) -> DeadTurnView:
    """Has the message answered after all; only as long as nothing has happened in the conversation since."""
    letter = await _letter(database, principal.tenant, letter_id)

    def retry(unit: Unit) -> None:
        repository.settle(unit, letter_id, status="retried", by=principal.subject)
        repository.reopen(unit, letter, by=principal.subject)

    await database.write(principal.tenant, retry)
    log.info("dead_turn_retried", letter=letter_id, conversation=letter.conversation_id, by=principal.subject)
    turns.pick_up(principal.tenant, letter.conversation_id)
    return _view(await _letter(database, principal.tenant, letter_id))


@router.post("/{letter_id}/dismiss", responses=responses(404, 409))
async def dismiss_dead_turn(
    letter_id: LetterId, body: TurnDismissal, principal: CurrentPrincipal, database: InDatabase
) -> DeadTurnView:
    """Settles it without another attempt; who did so and why is kept."""
    await _letter(database, principal.tenant, letter_id)

    def dismiss(unit: Unit) -> None:
        repository.settle(unit, letter_id, status="dismissed", by=principal.subject, reason=body.reason)

    await database.write(principal.tenant, dismiss)
    log.info("dead_turn_dismissed", letter=letter_id, by=principal.subject)
    return _view(await _letter(database, principal.tenant, letter_id))


async def _letter(database: Database, tenant: str, letter_id: int) -> DeadTurn:
    async with database.reading(tenant) as session:
        return await repository.dead_turn(session, letter_id)


def _view(letter: DeadTurn) -> DeadTurnView:
    return DeadTurnView.model_validate(letter, from_attributes=True)
