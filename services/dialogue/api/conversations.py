"""Conversations over HTTP: open one, say something, read on, follow."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError
from pydantic.json_schema import SkipJsonSchema
from starlette.types import Scope

from services.dialogue.conversation import repository
from services.dialogue.conversation.models import Conversation
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.opening import Openings
from services.dialogue.conversation.processor import Answer, Turns
from services.dialogue.conversation.repository import ConversationRow
from services.dialogue.conversation.stream import EventStream, Streams, wait_for_events
from services.dialogue.desk.ownership import DESK, Desk, may_read
from services.dialogue.desk.repository import traces_of
from services.dialogue.limits import Limits, address_of
from shared.contracts.base import RequestBody
from shared.contracts.events import Event
from shared.contracts.texts import PATTERN, legible
from shared.contracts.understanding import MAX_TEXT
from shared.errors import NotFound, Unauthenticated, responses
from shared.http.auth import CurrentPrincipal, Principal, TokenVerifier, require
from shared.http.fast_path import DirectAnswer, DirectRequest, DirectRoute
from shared.storage.database import Database
from shared.storage.statements import Unit

__all__ = ["DIRECT", "MessageText", "limits_of", "router", "view_of"]

router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

ID = r"^[A-Za-z0-9._:-]+$"
MAX_ID = 64
MAX_WAIT_SECONDS = 30.0
MAX_SEQ = 2**31 - 1
MAX_TRACES = 500


MessageText = Annotated[
    str,
    Field(min_length=1, max_length=MAX_TEXT, json_schema_extra={"pattern": PATTERN}),
    AfterValidator(legible),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID, pattern=ID)]
ConversationId = Annotated[str, Path(min_length=1, max_length=MAX_ID, pattern=ID)]
Seq = Annotated[int, Query(ge=0, le=MAX_SEQ)]
EventId = Annotated[int, Field(ge=0, le=MAX_SEQ)]


class NewConversation(RequestBody):
    """Which assistant to talk to, and in which language it should begin."""

    assistant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")] | None = None
    language: Literal["zh", "en"] | None = None


class NewMessage(RequestBody):
    """What the customer says. `message_id` is the client's own: sent again it changes nothing."""

    message_id: Id
    text: MessageText
    choice: Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^\S+$")] | None = None


class ConversationView(BaseModel):
    """A conversation as its customer sees it."""

    id: str
    assistant: str
    title: Mapping[str, str]
    """What the assistant is called, by language."""
    language: str
    status: str
    last_seq: int
    created_at: datetime
    updated_at: datetime


class Transcript(BaseModel):
    """A stretch of the transcript; ask on with `after` = `last_seq`."""

    events: Sequence[Event]
    last_seq: int


class TraceView(BaseModel):
    """Why a turn went as it did."""

    trigger: str
    release: str | None
    """The release that the assistant went by; empty is the one of the settings, null is not known."""
    understanding: dict[str, Any] | None
    steps: Sequence[str]
    seconds: dict[str, float]
    created_at: datetime


# Dependencies are coroutines: a plain function would be run in a thread, which costs more than all of them.
async def _turns(request: Request) -> Turns:
    turns: Turns = request.app.state.turns
    return turns


async def _openings(request: Request) -> Openings:
    openings: Openings = request.app.state.openings
    return openings


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


async def _wakes(request: Request) -> Wakes:
    wakes: Wakes = request.app.state.wakes
    return wakes


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


async def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


InOpenings = Annotated[Openings, Depends(_openings)]
InTurns = Annotated[Turns, Depends(_turns)]
InDatabase = Annotated[Database, Depends(_database)]
InWakes = Annotated[Wakes, Depends(_wakes)]
InDesk = Annotated[Desk, Depends(_desk)]
InStreams = Annotated[Streams, Depends(_streams)]


def limits_of(state: Any) -> Limits:
    """What one person and one address may ask for."""
    limits: Limits = state.limits
    return limits


def _address(scope: Scope, state: Any) -> str:
    return address_of(scope, state.settings)


def _place(request: Request, principal: Principal) -> AbstractContextManager[None]:
    """A place among the streams that a reader may have open."""
    return limits_of(request.app.state).stream(principal, _address(request.scope, request.app.state))


@dataclass(frozen=True)
class Readable:
    """A conversation that the caller may read: for good as its owner, or as an agent while they have the floor."""

    conversation: ConversationRow
    holder: str | None


async def readable(database: Database, desk: Desk, principal: Principal, conversation_id: str, what: str) -> Readable:
    """The conversation, if the caller may read it; what an agent reads of it is written down.

    Raises:
        NotFound: anything else.
    """

    def look(unit: Unit) -> ConversationRow:
        conversation = repository.find_conversation(unit, conversation_id)
        if not may_read(principal, conversation):
            raise NotFound("there is no such conversation")
        return conversation

    conversation = await database.read(principal.tenant, look)
    if conversation.owner == principal.subject:
        return Readable(conversation, None)
    await desk.read(principal, conversation_id, what)
    return Readable(conversation, principal.subject)


def view_of(row: ConversationRow | Conversation, openings: Openings) -> ConversationView:
    """A conversation with what its assistant is called."""
    return ConversationView(
        id=row.id,
        assistant=row.assistant,
        title=openings.title(row.tenant, row.assistant, row.id),
        language=row.language,
        status=row.status,
        last_seq=row.last_seq,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


@router.post("", status_code=201, responses=responses(429))
async def open_conversation(
    principal: CurrentPrincipal, openings: InOpenings, request: Request, body: NewConversation | None = None
) -> ConversationView:
    """Opens a conversation."""
    await limits_of(request.app.state).conversation(principal, _address(request.scope, request.app.state))
    wanted = body or NewConversation()
    row = await openings.open(principal, assistant=wanted.assistant, language=wanted.language)
    return view_of(row, openings)


@router.get("")
async def own_conversations(
    principal: CurrentPrincipal,
    database: InDatabase,
    openings: InOpenings,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[ConversationView]:
    """The caller's own conversations, the newest first."""
    async with database.reading(principal.tenant) as session:
        rows = await repository.own_conversations(session, principal.subject, limit)
        return [view_of(row, openings) for row in rows]


@router.get("/{conversation_id}", responses=responses(404))
async def one_conversation(
    conversation_id: ConversationId,
    principal: CurrentPrincipal,
    database: InDatabase,
    desk: InDesk,
    openings: InOpenings,
) -> ConversationView:
    """One conversation."""
    found = await readable(database, desk, principal, conversation_id, "transcript")
    return view_of(found.conversation, openings)


@router.post(
    "/{conversation_id}/messages",
    responses={
        202: {"model": Answer, "description": "Stored; the replies will come by stream or by reading on"},
        **responses(404, 409, 429, 503),
    },
)
async def say(
    conversation_id: ConversationId,
    body: NewMessage,
    principal: CurrentPrincipal,
    turns: InTurns,
    request: Request,
    response: Response,
) -> Answer:
    """Says something and waits for the replies."""
    await limits_of(request.app.state).message(principal, _address(request.scope, request.app.state))
    answer = await turns.say(principal, conversation_id, message_id=body.message_id, text=body.text, choice=body.choice)
    if not answer.complete:
        response.status_code = 202
    return answer


async def _say(request: DirectRequest) -> DirectAnswer | None:
    """The same for a message in good order; any other takes the ordinary route, which says what is wrong with it."""
    conversation_id = request.parameters["conversation_id"]
    if len(conversation_id) > MAX_ID or not re.fullmatch(ID, conversation_id):
        return None
    try:
        body = NewMessage.model_validate_json(request.body)
    except ValidationError:
        return None
    await limits_of(request.state).message(request.principal, _address(request.scope, request.state))
    turns: Turns = request.state.turns
    answer = await turns.say(
        request.principal, conversation_id, message_id=body.message_id, text=body.text, choice=body.choice
    )
    return DirectAnswer(answer, 200 if answer.complete else 202)


DIRECT = DirectRoute("/v1/conversations/{conversation_id}/messages", _say, anyone=True)
"""Customers do little else."""


@router.get("/{conversation_id}/events", responses=responses(404, 429))
async def events(
    conversation_id: ConversationId,
    principal: CurrentPrincipal,
    database: InDatabase,
    wakes: InWakes,
    desk: InDesk,
    request: Request,
    after: Seq = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    wait: Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS)] = 0,
) -> Transcript:
    """The transcript behind `after`, in order and without gaps; `wait` seconds for the first event at most."""
    reader = await readable(database, desk, principal, conversation_id, "transcript")
    # Who waits holds as much as who follows a stream.
    with _place(request, principal) if wait else nullcontext():
        found = await wait_for_events(
            database, wakes, tenant=principal.tenant, conversation_id=conversation_id, after=after, limit=limit,
            seconds=wait, holder=reader.holder,
        )  # fmt: skip
    verifier: TokenVerifier = request.app.state.verifier
    if not verifier.good(principal):
        raise Unauthenticated("the session was ended; log in again")
    return Transcript(events=found, last_seq=found[-1].seq if found else after)


@router.get(
    "/{conversation_id}/stream",
    response_class=Response,
    responses={
        200: {"content": {"text/event-stream": {}}, "description": "Server-sent events; the id is the `seq`"},
        **responses(404, 429),
    },
)
async def stream(
    conversation_id: ConversationId,
    principal: CurrentPrincipal,
    database: InDatabase,
    streams: InStreams,
    desk: InDesk,
    request: Request,
    after: Seq = 0,
    last_event_id: Annotated[EventId | SkipJsonSchema[None], Header()] = None,
) -> EventStream:
    """Follows the conversation from behind `after` (or `Last-Event-ID`, which a reconnecting client sends).

    An agent's stream ends with the event `end` when they no longer have the conversation.
    """
    reader = await readable(database, desk, principal, conversation_id, "transcript")
    verifier: TokenVerifier = request.app.state.verifier
    return EventStream(
        streams,
        place=_place(request, principal),
        tenant=principal.tenant,
        conversation_id=conversation_id,
        after=after if last_event_id is None else last_event_id,
        holder=reader.holder,
        good=partial(verifier.good, principal),
    )


@router.get("/{conversation_id}/traces", responses=responses(404), dependencies=[Depends(require(roles=DESK))])
async def traces(
    conversation_id: ConversationId, principal: CurrentPrincipal, database: InDatabase, desk: InDesk
) -> list[TraceView]:
    """Why the conversation went as it did, turn by turn (for the desk)."""
    await readable(database, desk, principal, conversation_id, "traces")
    async with database.reading(principal.tenant) as session:
        rows = await traces_of(session, conversation_id, MAX_TRACES)
        return [TraceView.model_validate(row, from_attributes=True) for row in rows]
