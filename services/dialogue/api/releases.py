"""The way of operators to learning: bundles, releases and aliases of assistants.

Dialogue is what is reached from outside, on a laptop as on a cluster. The person's own token goes on to learning, which
verifies it, and keeps who published and who moved an alias.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from services.dialogue.api.onward import asked, passed_on
from shared.contracts.releases import (
    AliasName,
    AssistantList,
    AssistantName,
    Digest,
    MoveAlias,
    NewRelease,
    Release,
    ReleaseAlias,
    ReleaseList,
    StoredBundle,
)
from shared.errors import responses
from shared.http.auth import OPERATORS, require

__all__ = ["BUNDLES", "router"]

BUNDLES = "/v1/bundles/"
UPLOAD_SECONDS = 60.0
AWAY = (502, 503, 504)
MAX_NUMBER = 2**31 - 1
OF_BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

router = APIRouter(prefix="/v1", tags=["releases"], dependencies=[Depends(require(roles=OPERATORS))])

Assistant = Annotated[AssistantName, Path(description="The assistant's name, as its `assistant.yml` says")]
ReleaseId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", description="The release's id")]
Number = Annotated[int, Field(ge=1, le=MAX_NUMBER)]
Before = Annotated[Number | SkipJsonSchema[None], Query(description="Only releases before this number")]
Limit = Annotated[int, Query(ge=1, le=100)]


@router.put("/bundles/{digest}", responses=responses(*AWAY), openapi_extra=OF_BYTES)
async def put_bundle(
    digest: Annotated[Digest, Path(description="The SHA-256 of the bundle, in hexadecimal")], request: Request
) -> StoredBundle:
    """Keeps a packed assistant, the body, under its digest; the same again changes nothing."""
    path, content = f"{BUNDLES}{digest}", await request.body()
    return await asked(
        request, "learning", "PUT", path, StoredBundle, content=content, again=True, seconds=UPLOAD_SECONDS
    )


@router.get("/assistants", responses=responses(*AWAY))
async def list_assistants(request: Request) -> AssistantList:
    """The assistants that were published, and what their aliases name."""
    return await asked(request, "learning", "GET", "/v1/assistants", AssistantList)


@router.post("/assistants/{assistant}/releases", status_code=202, responses=responses(*AWAY))
async def make_release(assistant: Assistant, body: NewRelease, request: Request) -> Release:
    """Makes a release of a bundle that was uploaded, or answers with the one that there is of it."""
    path = f"/v1/assistants/{assistant}/releases"
    return await asked(request, "learning", "POST", path, Release, body=body, again=True)


@router.get("/assistants/{assistant}/releases", responses=responses(*AWAY))
async def list_releases(
    assistant: Assistant, request: Request, before: Before = None, limit: Limit = 20
) -> ReleaseList:
    """An assistant's releases, the newest first, what its aliases name, and where a rollback goes."""
    query = f"limit={limit}" + ("" if before is None else f"&before={before}")
    return await asked(request, "learning", "GET", f"/v1/assistants/{assistant}/releases?{query}", ReleaseList)


@router.get("/assistants/{assistant}/releases/{release_id}", responses=responses(404, *AWAY))
async def read_release(assistant: Assistant, release_id: ReleaseId, request: Request) -> Release:
    """How far a release has come."""
    return await asked(request, "learning", "GET", f"/v1/assistants/{assistant}/releases/{release_id}", Release)


@router.put("/assistants/{assistant}/aliases/{alias}", responses=responses(404, 409, *AWAY))
async def move_alias(assistant: Assistant, alias: AliasName, body: MoveAlias, request: Request) -> ReleaseAlias:
    """Points an alias at a release that is ready; production is a rollback where the release is an older one."""
    path = f"/v1/assistants/{assistant}/aliases/{alias}"
    # Told a second time, `expected` may be wrong by what the first time did.
    return await asked(request, "learning", "PUT", path, ReleaseAlias, body=body, again=body.expected is None)


@router.delete("/assistants/{assistant}/aliases/{alias}", status_code=204, responses=responses(409, *AWAY))
async def remove_alias(assistant: Assistant, alias: AliasName, request: Request) -> Response:
    """Takes `canary` or `shadow` away."""
    await passed_on(request, "learning", "DELETE", f"/v1/assistants/{assistant}/aliases/{alias}", again=True)
    return Response(status_code=204)
