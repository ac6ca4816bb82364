"""Login over HTTP: reads requests, asks the domain, writes answers."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.login.accounts import Accounts
from services.login.addresses import client_address
from services.login.audit import Origin
from services.login.clients import SERVICE_PREFIX, Clients
from services.login.keys import Keys
from services.login.repository import events_before
from services.login.schemas import (
    AccountChange,
    AccountDetails,
    AccountList,
    AuditList,
    AuditRecord,
    ClientCredentials,
    Credentials,
    JwkSet,
    Me,
    NewAccount,
    NewPassword,
    Nothing,
    RefreshToken,
    Registration,
    ServiceToken,
    TokenPair,
)
from services.login.sessions import GUEST_PREFIX, Sessions
from services.login.settings import Settings
from shared.errors import Forbidden, Unauthenticated, responses
from shared.http.auth import CurrentPrincipal, Principal, require
from shared.storage.database import Database

__all__ = ["Login", "router"]

JWKS_MAX_AGE_SECONDS = 300

router = APIRouter()


@dataclass(frozen=True, kw_only=True)
class Login:
    """What the routes need, hung on the application by `app.py`."""

    settings: Settings
    database: Database
    accounts: Accounts
    sessions: Sessions
    clients: Clients
    keys: Keys


def _login(request: Request) -> Login:
    login: Login = request.app.state.login
    return login


LoginDep = Annotated[Login, Depends(_login)]


def _origin(request: Request, login: LoginDep) -> Origin:
    peer = None if request.client is None else request.client.host
    forwarded = request.headers.getlist("x-forwarded-for")
    return Origin(address=client_address(peer, forwarded, login.settings.proxies))


OriginDep = Annotated[Origin, Depends(_origin)]
Admin = Annotated[Principal, Depends(require(roles={"admin"}))]
Limit = Annotated[int, Query(ge=1, le=200)]


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


NO_STORE = [Depends(_no_store)]


@router.post(
    "/v1/register", status_code=201, tags=["people"], dependencies=NO_STORE, responses=responses(409, 429, 503)
)
async def register(body: Registration, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Makes an account with the role `customer` and logs it in."""
    return await login.accounts.register(body, origin)


@router.post("/v1/login", tags=["people"], dependencies=NO_STORE, responses=responses(401, 429, 503))
async def log_in(body: Credentials, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Opens a session with user name and password."""
    return await login.accounts.login(body, origin)


@router.post("/v1/refresh", tags=["people"], dependencies=NO_STORE, responses=responses(401, 503))
async def refresh(body: RefreshToken, login: LoginDep, origin: OriginDep) -> TokenPair:
    """Continues a session; the refresh token is used up and replaced, and used again it ends the session."""
    return await login.sessions.refresh(body.refresh_token, origin)


@router.post("/v1/logout", status_code=204, tags=["people"], response_class=Response)
async def log_out(body: RefreshToken, login: LoginDep, origin: OriginDep) -> None:
    """Ends the session of a refresh token; one that is unknown or over is no error."""
    await login.sessions.logout(body.refresh_token, origin)


@router.post("/v1/guest", tags=["people"], dependencies=NO_STORE, responses=responses(429, 503))
async def guest(login: LoginDep, origin: OriginDep, _body: Nothing | None = None) -> TokenPair:
    """Opens a session for a visitor who has not said who they are."""
    return await login.sessions.guest(origin)


@router.post("/v1/token", tags=["services"], dependencies=NO_STORE, responses=responses(401, 429, 503))
async def token(body: ClientCredentials, login: LoginDep, origin: OriginDep) -> ServiceToken:
    """Gives a service a token of its own (client credentials)."""
    return await login.clients.token(body, origin)


@router.get("/.well-known/jwks.json", tags=["services"])
async def jwks(login: LoginDep, response: Response) -> JwkSet:
    """The public keys that access tokens are verified with."""
    response.headers["Cache-Control"] = f"public, max-age={JWKS_MAX_AGE_SECONDS}"
    return JwkSet.model_validate(login.keys.published())


@router.get("/v1/me", tags=["people"], dependencies=NO_STORE)
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


@router.post("/v1/password", tags=["people"], dependencies=NO_STORE, responses=responses(409, 429))
async def change_password(
    body: NewPassword, login: LoginDep, principal: CurrentPrincipal, origin: OriginDep
) -> TokenPair:
    """Sets a new password; all sessions of the account end, and the answer opens a new one for the caller."""
    if principal.subject.startswith((GUEST_PREFIX, SERVICE_PREFIX)):
        raise Forbidden("only an account has a password")
    return await login.accounts.change_password(principal.subject, body, _by(origin, principal))


@router.post("/v1/accounts", status_code=201, tags=["administration"], responses=responses(409))
async def provision(body: NewAccount, login: LoginDep, admin: Admin, origin: OriginDep) -> AccountDetails:
    """Makes an account with roles and a customer number."""
    return AccountDetails.model_validate(await login.accounts.provision(body, _by(origin, admin)))


@router.get("/v1/accounts", tags=["administration"])
async def accounts(
    login: LoginDep, _admin: Admin, after: Annotated[str, Query(max_length=64)] = "", limit: Limit = 50
) -> AccountList:
    """Accounts in the order of their user names, after the given one."""
    found = await login.accounts.after(after, limit)
    return AccountList(accounts=[AccountDetails.model_validate(each) for each in found])


@router.patch("/v1/accounts/{account_id}", tags=["administration"], responses=responses(404, 409))
async def change_account(
    account_id: Annotated[str, Path(max_length=64)],
    body: AccountChange,
    login: LoginDep,
    admin: Admin,
    origin: OriginDep,
) -> AccountDetails:
    """Changes roles, customer number or display name of an account, or closes and reopens it."""
    return AccountDetails.model_validate(await login.accounts.change(account_id, body, _by(origin, admin)))


@router.get("/v1/audit", tags=["administration"])
async def audit(
    login: LoginDep, admin: Admin, before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None, limit: Limit = 50
) -> AuditList:
    """What happened, newest first; `before` continues after the last event of the page before."""
    async with login.database.reading(admin.tenant) as session:
        events = await events_before(session, before, limit)
    return AuditList(events=[AuditRecord.model_validate(each) for each in events])


def _by(origin: Origin, principal: Principal) -> Origin:
    return Origin(address=origin.address, actor=principal.subject)
