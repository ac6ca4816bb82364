"""Releases of an assistant, what its aliases name, and what services follow and say."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from services.learning import repository
from services.learning.api.dependencies import Assistant, InLearning, Operator, Reader, ReleaseId, Reporter
from services.learning.publishing import aliases
from services.learning.publishing.releases import publish
from shared.contracts.releases import (
    AliasName,
    AssistantList,
    Following,
    MoveAlias,
    NewRelease,
    Release,
    ReleaseAlias,
    ReleaseList,
    ReleaseReport,
)
from shared.errors import Conflict, NotFound, responses
from shared.storage.database import ALL_TENANTS, now

__all__ = ["router"]

MAX_WAIT_SECONDS = 30.0
MAX_NUMBER = 2**31 - 1

router = APIRouter(prefix="/v1")

Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Before = Annotated[Number | SkipJsonSchema[None], Query(description="Only releases before this number")]
Limit = Annotated[int, Query(ge=1, le=100)]
Cursor = Annotated[str, Query(max_length=100, description="The `cursor` of the last answer")]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for something new")]


@router.get("/assistants", tags=["releases"])
async def list_assistants(learning: InLearning, principal: Reader) -> AssistantList:
    """The assistants that were published, and what their aliases name."""
    async with learning.database.reading(principal.tenant) as session:
        return AssistantList(
            assistants=list(await repository.assistants_of(session)), aliases=await repository.every_alias(session)
        )


@router.post("/assistants/{assistant}/releases", status_code=202, tags=["releases"])
async def make_release(assistant: Assistant, body: NewRelease, learning: InLearning, principal: Operator) -> Release:
    """Makes a release of a bundle that was uploaded, or answers with the one that there is of it."""
    row = await publish(learning.database, principal.tenant, assistant, body, principal.subject)
    learning.pipeline.kick()
    learning.changes.kick()
    return repository.release_of(row)


@router.get("/assistants/{assistant}/releases", tags=["releases"])
async def list_releases(
    assistant: Assistant, learning: InLearning, principal: Reader, before: Before = None, limit: Limit = 20
) -> ReleaseList:
    """An assistant's releases, the newest first, what its aliases name, and where a rollback goes."""
    async with learning.database.reading(principal.tenant) as session:
        rows = await repository.releases_before(session, assistant, before, limit + 1)
        named = await repository.aliases_of(session, assistant)
        live = next((each.release.id for each in named if each.alias == "production"), None)
        current = await repository.find_release(session, live) if live is not None else None
        previous = await repository.previous_of(session, current) if current is not None else None
    page = rows[:limit]
    return ReleaseList(
        releases=[repository.release_of(row) for row in page],
        aliases=named,
        previous=None if previous is None else repository.release_of(previous),
        next_before=page[-1].number if len(rows) > limit else None,
    )


@router.get("/assistants/{assistant}/releases/{release_id}", responses=responses(404), tags=["releases"])
async def read_release(assistant: Assistant, release_id: ReleaseId, learning: InLearning, principal: Reader) -> Release:
    """How far a release has come."""
    async with learning.database.reading(principal.tenant) as session:
        row = await repository.find_release(session, release_id, assistant=assistant)
    if row is None:
        raise NotFound("the assistant has no such release")
    return repository.release_of(row)


@router.put("/assistants/{assistant}/aliases/{alias}", responses=responses(404, 409), tags=["aliases"])
async def move_alias(
    assistant: Assistant, alias: AliasName, body: MoveAlias, learning: InLearning, principal: Operator
) -> ReleaseAlias:
    """Points an alias at a release that is ready; production is a rollback where the release is an older one."""
    moved = await aliases.move(learning.database, principal.tenant, assistant, alias, body, principal.subject)
    learning.changes.kick()
    learning.pipeline.kick()
    return moved


@router.delete("/assistants/{assistant}/aliases/{alias}", status_code=204, responses=responses(409), tags=["aliases"])
async def remove_alias(assistant: Assistant, alias: AliasName, learning: InLearning, principal: Operator) -> Response:
    """Takes `canary` or `shadow` away."""
    if alias == "production":
        raise Conflict("production can be moved to another release, and not be taken away")
    await aliases.remove(learning.database, principal.tenant, assistant, alias, principal.subject)
    learning.changes.kick()
    return Response(status_code=204)


@router.get("/following", tags=["following"])
async def follow(learning: InLearning, principal: Reader, after: Cursor = "", wait: Wait = 0) -> Following:
    """What aliases name and what is to be proven, of all tenants for services; waits while it is what `after` was."""
    tenant = ALL_TENANTS if principal.is_service else principal.tenant
    return await learning.changes.following(tenant, after, wait)


@router.post("/releases/{release_id}/reports", status_code=204, responses=responses(404), tags=["following"])
async def report(release_id: ReleaseId, body: ReleaseReport, learning: InLearning, _principal: Reporter) -> Response:
    """What an instance of a service says of a release, in the place of what it said before."""
    async with learning.database.transaction(ALL_TENANTS) as session:
        row = await repository.find_release(session, release_id)
        if row is None:
            raise NotFound("there is no such release")
        await repository.add_report(session, row, body, now())
    await learning.pipeline.reported()
    return Response(status_code=204)
