"""What the routes share: the wired objects, where a request comes from, headers."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from services.login.accounts import Accounts
from services.login.audit import Origin
from services.login.client_address import client_address
from services.login.clients import Clients
from services.login.keys import Keys
from services.login.sessions import Sessions
from services.login.settings import Settings
from shared.http.auth import Principal
from shared.storage.database import Database

__all__ = ["NO_STORE", "Login", "LoginDep", "OriginDep", "by"]


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


def _no_store(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


NO_STORE = [Depends(_no_store)]


def by(origin: Origin, principal: Principal) -> Origin:
    """The origin of a request whose caller is known."""
    return Origin(address=origin.address, actor=principal.subject)
