"""Actions that were given up, and what an operator does about them."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Path

from services.business import repository
from services.business.actions import letters
from services.business.api.dependencies import MAX_ROW_ID, After, Business, InBusiness, Limit, Operator
from services.business.models import DeadLetter
from shared.contracts.approvals import DeadLetterList, DeadLetterView, Dismissal, Resolution
from shared.errors import NotFound, responses
from shared.http.auth import Principal

__all__ = ["router"]

log = structlog.get_logger(__name__)


router = APIRouter(tags=["dead letters"])

LetterId = Annotated[int, Path(ge=1, le=MAX_ROW_ID)]


@router.get("/v1/dead-letters")
async def list_dead_letters(
    business: InBusiness, principal: Operator, after: After = 0, limit: Limit = 50, waiting: bool = False
) -> DeadLetterList:
    """Actions that were given up: those that wait, or all."""
    async with business.database.reading(principal.tenant) as session:
        letters = await repository.dead_letters_after(session, after, limit + 1, waiting=waiting)
    page = letters[:limit]
    return DeadLetterList(
        dead_letters=[_letter_view(letter) for letter in page],
        next_after=page[-1].id if len(letters) > limit else None,
    )


@router.post("/v1/dead-letters/{letter_id}/retry", status_code=202, responses=responses(404, 409))
async def retry_dead_letter(letter_id: LetterId, business: InBusiness, principal: Operator) -> DeadLetterView:
    """Has an action that was given up tried again; its new result follows."""
    await letters.try_again(business.database, principal.tenant, letter_id, by=principal.subject)
    business.relay.kick()
    log.info("dead_letter_retried", letter=letter_id, by=principal.subject)
    return await _view(business, principal, letter_id)


@router.post("/v1/dead-letters/{letter_id}/dismiss", responses=responses(404, 409))
async def dismiss_dead_letter(
    letter_id: LetterId, body: Dismissal, business: InBusiness, principal: Operator
) -> DeadLetterView:
    """Leaves an action that was given up as it is; the reason is kept with it."""
    await letters.dismiss(business.database, principal.tenant, letter_id, by=principal.subject, because=body.reason)
    log.info("dead_letter_dismissed", letter=letter_id, by=principal.subject)
    return await _view(business, principal, letter_id)


@router.post("/v1/dead-letters/{letter_id}/resolve", responses=responses(404, 409))
async def resolve_dead_letter(
    letter_id: LetterId, body: Resolution, business: InBusiness, principal: Operator
) -> DeadLetterView:
    """Says whether an action happened of which that was unknown; the same again changes nothing."""
    await letters.resolve(
        business.database, principal.tenant, letter_id, happened=body.happened, note=body.note, by=principal.subject
    )
    business.relay.kick()
    log.info("dead_letter_resolved", letter=letter_id, happened=body.happened, by=principal.subject)
    return await _view(business, principal, letter_id)


async def _view(business: Business, principal: Principal, letter_id: int) -> DeadLetterView:
    async with business.database.reading(principal.tenant) as session:
        letter = await repository.dead_letter_by_id(session, letter_id)
    if letter is None:
        raise NotFound("there is no such dead letter")
    return _letter_view(letter)


def _letter_view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView(
        id=letter.id,
        action_id=letter.action_id,
        name=letter.name,
        error=letter.error,
        attempts=letter.attempts,
        payload=letter.payload,
        created_at=letter.created_at,
        retried_at=letter.retried_at,
        retried_by=letter.retried_by,
        dismissed_at=letter.dismissed_at,
        dismissed_by=letter.dismissed_by,
        dismissed_because=letter.dismissed_because,
        step=letter.step,
        undo=letter.undo,
        happened=letter.happened,
    )
