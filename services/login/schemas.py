"""What login takes and gives over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.base import RequestBody

__all__ = [
    "AccountChange",
    "AccountDetails",
    "AccountList",
    "AuditCheck",
    "AuditList",
    "AuditNote",
    "AuditRecord",
    "AuthorizationServer",
    "ClientCredentials",
    "ClientSecret",
    "Credentials",
    "JwkSet",
    "Me",
    "NewAccount",
    "NewPassword",
    "Nothing",
    "RefreshToken",
    "Registration",
    "Revoked",
    "Role",
    "ServiceToken",
    "SessionDetails",
    "SessionList",
    "TokenPair",
]

Role = Literal["customer", "agent", "supervisor", "operator", "admin"]

# Outer bounds, so that nothing large is normalised or hashed; what a good value is, its own module decides.
Username = Annotated[str, Field(min_length=1, max_length=256, examples=["lilei"])]
Password = Annotated[str, Field(min_length=1, max_length=512, examples=["correct horse battery"])]
DisplayName = Annotated[str, Field(min_length=1, max_length=64, examples=["李雷"])]
Customer = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$", examples=["C1001"])]
Roles = Annotated[list[Role], Field(min_length=1, max_length=5)]


class Body(RequestBody):
    """A request: unknown fields are refused, and an error never repeats what was sent."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Nothing(Body):
    """An empty object, for clients that must send one."""


class Credentials(Body):
    """What a person logs in with."""

    username: Username
    password: Password
    device: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """What an earlier log-in from this device answered."""
    new_password: Password | None = None
    """Takes the place of an initial password; ignored where the password is one's own."""


class Registration(Body):
    """A new account as a person makes it."""

    username: Username
    password: Password
    display_name: DisplayName | None = None


class NewAccount(Registration):
    """A new account as an administrator makes it."""

    roles: Roles = Field(default=["customer"])
    customer: Customer | None = None


class AccountChange(Body):
    """What is to be different; what is left out stays, and `customer: null` takes the customer number away."""

    display_name: DisplayName | None = None
    roles: Roles | None = None
    customer: Customer | None = None
    active: bool | None = None
    password: Password | None = None
    """An initial password, for somebody who has forgotten theirs."""


class NewPassword(Body):
    """A change of one's own password."""

    current: Password
    new: Password


class RefreshToken(Body):
    """A session to continue or to end."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=512)]


class ClientSecret(Body):
    """What a service shows to be known; one of a later release may say more."""

    model_config = ConfigDict(extra="ignore")

    client_id: Annotated[str, Field(min_length=1, max_length=64)]
    client_secret: Annotated[str, Field(min_length=1, max_length=512)]


class ClientCredentials(ClientSecret):
    """A service asking for a token of its own; `audience` is the service that the token is for."""

    grant_type: Literal["client_credentials"]
    audience: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", examples=["intent"])]
    scope: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Scopes with blanks between, where not all of the client's are wanted."""


class TokenPair(BaseModel):
    """An access token (seconds it is good for: `expires_in`) and the refresh token that gets the next one.

    `device` comes with a log-in. Sent with the next one, it keeps failures of others from locking this device out.
    """

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    device: str | None = None


class ServiceToken(BaseModel):
    """A service's access token and the seconds that it is good for."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    scope: str


class SessionDetails(BaseModel):
    """A session of one's own; `current` is the one that asks."""

    id: str
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    current: bool


class SessionList(BaseModel):
    """Sessions that go on, the one used last first."""

    sessions: list[SessionDetails]


class Revoked(BaseModel):
    """Sessions that were ended; each has to be refused for `kept_seconds` from now on. Times in seconds since 1970."""

    now: float
    kept_seconds: float
    sessions: list[str]


class Me(BaseModel):
    """Who is asking, as login knows them."""

    kind: Literal["account", "guest", "service"]
    subject: str
    tenant: str
    roles: list[str]
    scopes: list[str]
    customer: str | None
    username: str | None = None
    display_name: str | None = None


class AccountDetails(BaseModel):
    """An account as administrators see it."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    username: str
    display_name: str
    roles: list[str]
    customer: str | None
    active: bool
    created_at: datetime


class AccountList(BaseModel):
    """Accounts in the order of their user names."""

    accounts: list[AccountDetails]


class AuditRecord(BaseModel):
    """Who did what to whom, when and from which address."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    event: str
    actor: str | None
    target: str | None
    address: str
    detail: dict[str, Any]


class AuditNote(Body):
    """What another service wants to be kept: who did what to whom, without what customers wrote."""

    # A service of a later release may say more.
    model_config = ConfigDict(extra="ignore")

    event: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,31}$", examples=["handoff_claimed"])]
    actor: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    target: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    detail: Annotated[
        dict[str, Annotated[str, Field(max_length=256)] | int | bool | None], Field(max_length=16, default_factory=dict)
    ]


class AuditCheck(BaseModel):
    """How many events have a good seal, and the first place at which something was changed or taken out."""

    checked: int
    broken: int | None


class AuditList(BaseModel):
    """Events, newest first."""

    events: list[AuditRecord]


class AuthorizationServer(BaseModel):
    """What RFC 8414 and OpenID Connect Discovery say about login; nobody is sent here by a browser yet."""

    issuer: str
    token_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str] = ["client_credentials", "refresh_token"]
    response_types_supported: list[str] = []
    subject_types_supported: list[str] = ["public"]
    id_token_signing_alg_values_supported: list[str] = ["EdDSA"]
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic", "client_secret_post", "none"]


class JwkSet(BaseModel):
    """The public keys that access tokens are verified with."""

    keys: list[dict[str, Any]]
