"""Bundles in and out."""

from fastapi import APIRouter, Request, Response

from services.learning import repository
from services.learning.api.dependencies import BundleDigest, InLearning, Operator, Reader
from services.learning.publishing.releases import keep_bundle
from services.learning.publishing.store import DamagedBundle
from shared.contracts.releases import StoredBundle
from shared.errors import NotFound, Unavailable, responses
from shared.storage.database import ALL_TENANTS

__all__ = ["router"]

BINARY = {"schema": {"type": "string", "format": "binary"}}
OF_BYTES = {"requestBody": {"required": True, "content": {"application/octet-stream": BINARY}}}

router = APIRouter(tags=["bundles"])


@router.put("/v1/bundles/{digest}", responses=responses(503), openapi_extra=OF_BYTES)
async def put_bundle(digest: BundleDigest, request: Request, learning: InLearning, principal: Operator) -> StoredBundle:
    """Keeps a packed assistant, the body, under its digest; the same again changes nothing."""
    # Read here and not by a parameter: strangers are turned away before their body is.
    data = await request.body()
    await keep_bundle(learning.database, learning.store, principal.tenant, digest, data, principal.subject)
    return StoredBundle(digest=digest, bytes=len(data))


@router.get(
    "/v1/bundles/{digest}",
    response_class=Response,
    responses=responses(404, 503) | {200: {"content": {"application/octet-stream": BINARY}}},
)
async def get_bundle(digest: BundleDigest, learning: InLearning, principal: Reader) -> Response:
    """A packed assistant; services get those of every tenant."""
    tenant = ALL_TENANTS if principal.is_service else principal.tenant
    async with learning.database.reading(tenant) as session:
        if await repository.bundle_of(session, digest) is None:
            raise NotFound("there is no such bundle")
    try:
        data = await learning.store.get(digest)
    except DamagedBundle as error:
        raise Unavailable(f"{error}; have it uploaded again") from None
    return Response(data, media_type="application/octet-stream")
