"""Registration, log-in, sessions and passwords."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.login.api.dependencies import NO_STORE, LoginDep, OriginDep, by
from services.login.clients import SERVICE_PREFIX
from services.login.schemas import (
    Credentials,
    Me,
    NewPassword,
    Nothing,
    RefreshToken,
    Registration,
    SessionList,
    TokenPair,
)
from services.login.sessions import GUEST_PREFIX
from shared.errors import Forbidden, Unauthenticated, responses
from shared.http.auth import CurrentPrincipal

__all__ = ["router"]

router = APIRouter(tags=["people"])


@router.post("/v1/register", status_code=201, dependencies=NO_STORE, responses=responses(403, 409, 429, 503))
async def register(body: Registration, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Makes an account with the role `customer` and logs it in."""
    return await login.accounts.register(body, origin)


@router.post("/v1/login", dependencies=NO_STORE, responses=responses(401, 403, 429, 503))
async def log_in(body: Credentials, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Opens a session with user name and password."""
    return await login.accounts.login(body, origin)


@router.post("/v1/logout", status_code=204, response_class=Response)
async def log_out(body: RefreshToken, login: LoginDep, origin: OriginDep) -> None:
    """Ends the session of a refresh token; one that is unknown or over is no error."""
    await login.sessions.logout(body.refresh_token, origin)


@router.post("/v1/guest", dependencies=NO_STORE, responses=responses(429, 503))
async def guest(login: LoginDep, origin: OriginDep, _body: Nothing | None = None) -> TokenPair:
    """Opens a session for a visitor who has not said who they are."""
    return await login.sessions.guest(origin)


@router.get("/v1/sessions", dependencies=NO_STORE)
async def sessions(login: LoginDep, principal: CurrentPrincipal) -> SessionList:
    """The caller's own sessions."""
    return SessionList(sessions=await login.sessions.own(principal))


@router.delete("/v1/sessions/{session_id}", status_code=204, response_class=Response, responses=responses(404))
async def end_session(
    session_id: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
    login: LoginDep,
    principal: CurrentPrincipal,
    origin: OriginDep,
) -> None:
    """Ends one of the caller's sessions: its refresh token at once, its access tokens within seconds."""
    await login.sessions.end(principal, session_id, by(origin, principal))


@router.get("/v1/me", dependencies=NO_STORE)
async def me(login: LoginDep, principal: CurrentPrincipal) -> Me:
    """Who the access token speaks for."""
    known = {
        "subject": principal.subject,
        "tenant": principal.tenant,
        "roles": sorted(principal.roles),
        "scopes": sorted(principal.scopes),
        "customer": principal.customer,
    }
    if principal.subject.startswith(GUEST_PREFIX):
        return Me(kind="guest", **known)
    if principal.subject.startswith(SERVICE_PREFIX):
        return Me(kind="service", **known)
    account = await login.accounts.find(principal.subject)
    if account is None:
        raise Unauthenticated("the account is closed")
    return Me(kind="account", username=account.username, display_name=account.display_name, **known)


@router.post("/v1/password", dependencies=NO_STORE, responses=responses(409, 429))
async def change_password(
    body: NewPassword, login: LoginDep, principal: CurrentPrincipal, origin: OriginDep
) -> TokenPair:
    """Sets a new password; all sessions of the account end, and the answer opens a new one for the caller."""
    if principal.subject.startswith((GUEST_PREFIX, SERVICE_PREFIX)):
        raise Forbidden("only an account has a password")
    return await login.accounts.change_password(principal.subject, body, by(origin, principal))
