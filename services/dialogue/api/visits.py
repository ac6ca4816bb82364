"""The first request of a page: a session, a conversation and what was said in it so far, in one round trip."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from services.dialogue.api.auth import ask_login
from services.dialogue.api.conversations import (
    ID,
    MAX_ID,
    ConversationView,
    Id,
    InDatabase,
    InOpenings,
    NewConversation,
    limits_of,
    view_of,
)
from services.dialogue.conversation import repository
from services.dialogue.conversation.repository import ConversationRow
from services.dialogue.limits import address_of
from shared.contracts.events import Event
from shared.errors import Conflict, NotFound, Problem, UpstreamError, responses
from shared.http.auth import TokenVerifier
from shared.storage.statements import Unit

__all__ = ["router"]

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/visits", tags=["conversations"])

MOST_EVENTS = 200
MIN_VISIT_ID = 22
"""128 random bits as the shortest usual writing has them: nobody else can name the visit."""


class NewVisit(NewConversation):
    """Who comes, and with which conversation to go on.

    `visit_id` is the client's own and random. Sent again because the answer was lost, it opens nothing twice.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    visit_id: Annotated[str, StringConstraints(min_length=MIN_VISIT_ID, max_length=MAX_ID, pattern=ID)]
    refresh_token: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Continues a session; without one, a guest's begins."""
    conversation_id: Id | None = None
    """Is gone on with where it is the caller's, and the assistant's that is asked for; else a new one is opened."""


class Session(BaseModel):
    """What login gives, as far as a visit needs it; seconds until the access token ends: `expires_in`."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int


class Visit(Session):
    """The session, the conversation and its transcript up to `last_seq`.

    `conversation` is null where a session was continued and no conversation could be opened; open one later.
    """

    conversation: ConversationView | None
    events: Sequence[Event]
    last_seq: int


@router.post("", status_code=201, responses=responses(401, 409, 429, 502, 503, 504))
async def visit(body: NewVisit, request: Request, database: InDatabase, openings: InOpenings) -> Visit:
    """Begins or continues a session, and opens a conversation or goes on with one."""
    openings.check(None, assistant=body.assistant, language=body.language)
    session = await _session(request, body)
    verifier: TokenVerifier = request.app.state.verifier
    try:
        principal = await verifier.verify(session.access_token)
        found = await database.read(principal.tenant, partial(_own, body.conversation_id, principal.subject))
        if found is None or body.assistant not in (None, found[0].assistant):
            openings.check(principal.tenant, assistant=body.assistant, language=body.language)
            address = address_of(request.scope, request.app.state.settings)
            await limits_of(request.app.state).conversation(principal, address)
            opened = await openings.open(
                principal, assistant=body.assistant, language=body.language, visit=body.visit_id
            )
            found = await database.read(principal.tenant, partial(_own, opened.id, principal.subject))
            if found is None:
                raise Conflict("this visit has gone on in another session", field="visit_id")
    except Problem as error:
        if body.refresh_token is None:
            raise
        # The refresh token is used up by now, so what it was exchanged for has to reach the client.
        log.warning("visit_without_conversation", error=error.detail)
        return Visit(**session.model_dump(), conversation=None, events=[], last_seq=0)
    conversation, events = found
    return Visit(
        **session.model_dump(),
        conversation=view_of(conversation, openings),
        events=events,
        last_seq=events[-1].seq if events else 0,
    )


async def _session(request: Request, visit: NewVisit) -> Session:
    known = {} if visit.refresh_token is None else {"refresh_token": visit.refresh_token}
    answer = await ask_login(request, "POST", "/v1/refresh" if known else "/v1/guest", known)
    try:
        return Session.model_validate(answer)
    except ValidationError as error:
        raise UpstreamError("login answered something else than a session") from error


def _own(conversation_id: str | None, owner: str, unit: Unit) -> tuple[ConversationRow, list[Event]] | None:
    """The conversation and what was said in it, where there is one of this owner's."""
    if conversation_id is None:
        return None
    with suppress(NotFound):
        conversation = repository.find_conversation(unit, conversation_id, owner=owner)
        return conversation, repository.events_after(unit, conversation_id, 0, MOST_EVENTS)
    return None
