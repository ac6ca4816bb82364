"""What the routes share: the wired objects, where a request comes from, headers."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from services.login.accounts import Accounts
from services.login.audit import Origin
from services.login.clients import Clients
from services.login.keys import Keys
from services.login.sessions import Sessions
from services.login.settings import Settings
from shared.errors import Problem
from shared.http.auth import Principal, TokenVerifier
from shared.http.client_address import (
    CLIENT_ADDRESS_HEADER,
    GATEWAY_SCOPE,
    GATEWAY_TOKEN_HEADER,
    client_address,
)
from shared.storage.database import Database

__all__ = ["NO_STORE", "Login", "LoginDep", "OriginDep", "by", "origin_of"]


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


async def origin_of(request: Request) -> Origin:
    """From where: what the gateway says, and of everybody else only who they are."""
    said = request.headers.get(CLIENT_ADDRESS_HEADER)
    if said is not None and await _from_the_gateway(request):
        return Origin(address=client_address(said, (), ()))
    return Origin(address=client_address(None if request.client is None else request.client.host, (), ()))


async def _from_the_gateway(request: Request) -> bool:
    verifier: TokenVerifier = request.app.state.verifier
    try:
        return GATEWAY_SCOPE in (await verifier.verify(request.headers.get(GATEWAY_TOKEN_HEADER, ""))).scopes
    except Problem:
        return False


OriginDep = Annotated[Origin, Depends(origin_of)]


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


NO_STORE = [Depends(_no_store)]


def by(origin: Origin, principal: Principal) -> Origin:
    """The origin of a request whose caller is known."""
    return Origin(address=origin.address, actor=principal.subject)
