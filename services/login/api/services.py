"""Tokens of services, and the keys that every service verifies tokens with."""

from fastapi import APIRouter, Response

from services.login.api.dependencies import NO_STORE, LoginDep, OriginDep
from services.login.schemas import ClientCredentials, JwkSet, ServiceToken
from shared.errors import responses

__all__ = ["router"]

JWKS_MAX_AGE_SECONDS = 300

router = APIRouter(tags=["services"])


@router.post("/v1/token", dependencies=NO_STORE, responses=responses(401, 429, 503))
async def token(body: ClientCredentials, login: LoginDep, origin: OriginDep) -> ServiceToken:
    """Gives a service a token of its own (client credentials)."""
    return await login.clients.token(body, origin)


@router.get("/.well-known/jwks.json")
async def jwks(login: LoginDep, response: Response) -> JwkSet:
    """The public keys that access tokens are verified with."""
    response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_SECONDS}"
    return JwkSet.model_validate(login.keys.published())
