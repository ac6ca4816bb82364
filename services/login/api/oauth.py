"""The token endpoint, in our own JSON and as OAuth 2.0 libraries speak (RFC 6749, 8414, 8707): forms and their errors.

Who sends a form is answered as RFC 6749 says, errors too; who sends JSON gets problem documents as everywhere.
"""

import base64
import binascii
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from services.login.api.dependencies import NO_STORE, Login, LoginDep, OriginDep, origin_of
from services.login.audit import Origin
from services.login.schemas import AuthorizationServer, ClientCredentials, RefreshToken, ServiceToken, TokenPair
from shared.errors import Forbidden, Problem, Unauthenticated, responses

__all__ = ["router"]

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 20
NUL = "\0"
"""PostgreSQL stores no text with it, so it is looked for by none."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class _Refused(Exception):
    """An error answer of the token endpoint (RFC 6749, section 5.2)."""

    def __init__(
        self, error: str, description: str, *, status: int = 400, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.error, self.description, self.status, self.headers = error, description, status, dict(headers or {})


class FormOrJson(APIRoute):
    """A route whose JSON is FastAPI's business; a form takes the way of RFC 6749."""

    def get_route_handler(self) -> Handler:
        """The handler of a request, by the type of its body."""
        by_json = super().get_route_handler()

        async def handle(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != FORM or request.method != "POST":
                return await by_json(request)
            headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
            try:
                answer = await _granted(request, refresh=request.url.path.endswith("/refresh"))
                return JSONResponse(answer.model_dump(exclude_none=True), headers=headers)
            except _Refused as refused:
                body = {"error": refused.error, "error_description": refused.description}
                return JSONResponse(body, refused.status, headers={**headers, **refused.headers})

        return handle


router = APIRouter(tags=["services"], route_class=FormOrJson)


@router.post("/v1/token", dependencies=NO_STORE, responses=responses(401, 403, 429, 503))
async def token(body: ClientCredentials, login: LoginDep, origin: OriginDep) -> ServiceToken:
    """Gives a service a token of its own for one other service (client credentials)."""
    return await login.clients.token(body, origin)


@router.post("/v1/refresh", dependencies=NO_STORE, responses=responses(401, 429, 503), tags=["people"])
async def refresh(body: RefreshToken, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Continues a session; the refresh token is used up and replaced, and used again it ends the session."""
    return await login.sessions.refresh(body.refresh_token, origin)


@router.get("/.well-known/openid-configuration")
@router.get("/.well-known/oauth-authorization-server")
async def discovery(request: Request, login: LoginDep) -> AuthorizationServer:
    """Where a library finds the token endpoint and the keys."""
    issuer = login.settings.issuer
    base = (issuer if issuer.startswith(("http://", "https://")) else str(request.base_url)).rstrip("/")
    return AuthorizationServer(
        issuer=issuer, token_endpoint=f"{base}/v1/token", jwks_uri=f"{base}/.well-known/jwks.json"
    )


async def _granted(request: Request, *, refresh: bool) -> BaseModel:
    login: Login = request.app.state.login
    fields = _fields(await request.body())
    origin = await origin_of(request)
    grant = fields.get("grant_type", "refresh_token" if refresh else "")
    if grant == "refresh_token":
        return await _refreshed(login, fields, origin)
    if grant == "client_credentials" and not refresh:
        return await _client_token(login, fields, request.headers.get("authorization"), origin)
    if not grant:
        raise _Refused("invalid_request", "grant_type is missing")
    raise _Refused("unsupported_grant_type", "there are client_credentials and refresh_token")


async def _refreshed(login: Login, fields: Mapping[str, str], origin: Origin) -> TokenPair:
    try:
        body = RefreshToken.model_validate({"refresh_token": fields.get("refresh_token", "")})
        return await login.sessions.refresh(body.refresh_token, origin)
    except ValidationError as error:
        raise _Refused("invalid_request", "refresh_token is missing or too long") from error
    except Unauthenticated as error:
        raise _Refused("invalid_grant", error.detail) from error
    except Problem as error:
        raise _later(error) from error


async def _client_token(
    login: Login, fields: Mapping[str, str], authorization: str | None, origin: Origin
) -> ServiceToken:
    basic = _basic(authorization)
    if basic is not None and "client_secret" in fields:
        raise _Refused("invalid_request", "send the client's secret in one way only")
    client_id, secret = basic or (fields.get("client_id", ""), fields.get("client_secret", ""))
    challenge = {"WWW-Authenticate": 'Basic realm="login"'}
    if not (client_id and secret):
        raise _Refused("invalid_client", "the client does not say who it is", status=401, headers=challenge)
    asked = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        # A library that knows no `audience` says it by the scope: scopes begin with their service's name.
        "audience": fields.get("audience") or fields.get("resource") or fields.get("scope", "").partition(":")[0],
        "scope": fields.get("scope"),
    }
    try:
        return await login.clients.token(ClientCredentials.model_validate(asked), origin)
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors()}
        if wrong == {"audience"}:
            raise _Refused("invalid_target", "name one service in `audience`, `resource` or `scope`") from error
        raise _Refused("invalid_request", f"not good: {', '.join(sorted(wrong))}") from error
    except Unauthenticated as error:
        raise _Refused("invalid_client", error.detail, status=401, headers=challenge) from error
    except Forbidden as error:
        raise _Refused("invalid_scope" if asked["scope"] else "invalid_target", error.detail) from error
    except Problem as error:
        raise _later(error) from error


def _later(error: Problem) -> _Refused:
    return _Refused("temporarily_unavailable", error.detail, status=error.status, headers=error.headers)


def _fields(body: bytes) -> dict[str, str]:
    """The parameters of a form; empty ones are none (RFC 6749, section 3.2)."""
    try:
        pairs = parse_qsl(body.decode("ascii"), encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise _Refused("invalid_request", "the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Refused("invalid_request", "a parameter is there twice")
    if NUL in "".join(fields.values()):
        raise _Refused("invalid_request", "a parameter has the character NUL")
    return fields


def _basic(authorization: str | None) -> tuple[str, str] | None:
    """The client's id and secret of `Authorization: Basic`, which are form-encoded before they are joined."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        found = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (binascii.Error, ValueError) as error:
        raise _Refused("invalid_request", "the Authorization header cannot be read") from error
    if NUL in "".join(found):
        raise _Refused("invalid_request", "the Authorization header has the character NUL")
    return found
