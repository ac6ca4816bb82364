"""What every service reads: the keys that tokens are verified with, and the sessions that were ended."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.login.api.dependencies import NO_STORE, LoginDep
from services.login.schemas import JwkSet, Revoked

__all__ = ["router"]

JWKS_MAX_AGE_SECONDS = 300
MAX_MOMENT = 2.0**36
"""In the year 4147."""

router = APIRouter(tags=["services"])


@router.get("/v1/revocations", dependencies=NO_STORE)
async def revocations(login: LoginDep, since: Annotated[float, Query(ge=0, le=MAX_MOMENT)] = 0.0) -> Revoked:
    """The sessions that were ended since then, as far as their access tokens may still be good.

    Every service asks this every few seconds; it says nothing about anybody but that a session is over.
    """
    return await login.sessions.ended_since(datetime.fromtimestamp(since, UTC))


@router.get("/.well-known/jwks.json")
async def jwks(login: LoginDep, response: Response) -> JwkSet:
    """The public keys that access tokens are verified with."""
    response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_SECONDS}"
    return JwkSet.model_validate(login.keys.published())
