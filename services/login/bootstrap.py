"""The first accounts and the services' credentials, from a file that is applied at every start.

Clients are exactly what the file says, so that a secret is changed by changing the file; the one before stays good for
`client_overlap_seconds`, because the pods that use it are not replaced at the same moment. Accounts are made when they
are missing; later only what has changed *in the file* since it was last applied is applied again, so a restart does
not take back what people changed themselves, like their passwords.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy.exc import IntegrityError

from services.login.accounts import normalise_display_name, normalise_username
from services.login.audit import EventName, Origin, record
from services.login.clients import digest_secret
from services.login.models import Account, Client
from services.login.passwords import Passwords, check_password, normalise_password
from services.login.repository import account_named, add_account, add_client, client_named, flush, revoke_families
from services.login.schemas import Customer, Role
from services.login.settings import MIN_SECRET, Settings
from shared.errors import ConfigurationError, InvalidInput, ZhiyinError
from shared.storage.database import Database, now

__all__ = ["apply_bootstrap"]

log = structlog.get_logger(__name__)

ORIGIN = Origin(address="bootstrap")


MAX_BYTES = 1_000_000
ATTEMPTS = 3
"""Replicas that start together may write the same row; the second one reads it and goes on."""


class _Overtaken(ZhiyinError):
    """Another replica has changed the account since it was read."""


class SeedPart(BaseModel):
    """A part of the file; errors never repeat a value, because it may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SeedAccount(SeedPart):
    """One account of the file."""

    username: str
    password: str
    roles: Annotated[tuple[Role, ...], Field(min_length=1)] = ("customer",)
    customer: Customer | None = None
    display_name: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            username = normalise_username(self.username)
            shown = normalise_display_name(self.display_name or username)
            check_password(normalise_password(self.password), username, shown)
        except InvalidInput as error:
            raise ValueError(error.detail) from error
        return self


class SeedClient(SeedPart):
    """One client of the file."""

    client_id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,55}$")]
    client_secret: Annotated[str, Field(min_length=1, max_length=512)]
    scopes: tuple[Annotated[str, Field(pattern=r"^[a-z0-9._:-]{1,64}$")], ...] = ()


class Seed(SeedPart):
    """The whole file."""

    accounts: tuple[SeedAccount, ...] = ()
    clients: tuple[SeedClient, ...] = ()


async def apply_bootstrap(settings: Settings, database: Database, passwords: Passwords) -> None:
    """Applies the file that the settings name, if they name one.

    Raises:
        ConfigurationError: the file cannot be read, is not of the form, or has secrets too short for production.
    """
    if settings.bootstrap_file is None:
        return
    seed = _read(settings.bootstrap_file)
    if settings.environment == "production":
        for client in seed.clients:
            if len(client.client_secret) < MIN_SECRET:
                raise ConfigurationError(
                    f"the secret of client {client.client_id!r} needs {MIN_SECRET} random characters or more"
                )
    for client in seed.clients:
        await _again_when_overtaken(partial(_apply_client, database, settings, client))
    for account in seed.accounts:
        await _again_when_overtaken(partial(_apply_account, database, settings, passwords, account))
    log.info("bootstrap_applied", accounts=len(seed.accounts), clients=len(seed.clients))


def _read(file: Path) -> Seed:
    try:
        with file.open("rb") as stream:
            return Seed.model_validate_json(stream.read(MAX_BYTES))
    except OSError as error:
        raise ConfigurationError(f"ZHIYIN_BOOTSTRAP_FILE {file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:5])
        raise ConfigurationError(f"ZHIYIN_BOOTSTRAP_FILE {file} is not of the form: {wrong}") from None


async def _again_when_overtaken(apply: Callable[[], Awaitable[None]]) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await apply()
        except (IntegrityError, _Overtaken):
            if attempt == ATTEMPTS:
                raise
        else:
            return


async def _apply_client(database: Database, settings: Settings, seed: SeedClient) -> None:
    digest = digest_secret(seed.client_secret)
    async with database.transaction(settings.tenant) as session:
        client = await client_named(session, seed.client_id)
        if client is None:
            client = Client(client_id=seed.client_id)
            add_client(session, client)
        elif client.secret_digest != digest:
            client.previous_digest = client.secret_digest
            client.previous_until = now() + timedelta(seconds=settings.client_overlap_seconds)
        client.secret_digest = digest
        client.scopes = sorted(set(seed.scopes))


async def _apply_account(database: Database, settings: Settings, passwords: Passwords, seed: SeedAccount) -> None:
    tenant = settings.tenant
    username = normalise_username(seed.username)
    password = normalise_password(seed.password)
    wanted: dict[str, Any] = {
        "roles": sorted(set(seed.roles)),
        "customer": seed.customer,
        "display_name": normalise_display_name(seed.display_name or username),
    }
    async with database.reading(tenant) as session:
        known = await account_named(session, username)
    applied = (known.seed if known is not None else None) or {}
    same_password = await passwords.verify(applied.get("password_hash"), password) if applied else False
    hashed = applied["password_hash"] if same_password else await passwords.hash(password)
    async with database.transaction(tenant) as session:
        account = await account_named(session, username, for_update=True)
        if (account is None) != (known is None) or (account and known and account.seed != known.seed):
            # What was decided above was decided about something else.
            raise _Overtaken(username)
        if account is None:
            until = settings.initial_until(wanted["roles"], now())
            account = Account(username=username, password_hash=hashed, initial_until=until, **wanted)
            await add_account(session, account)
            changed = True
        else:
            changes = {name: value for name, value in wanted.items() if name not in applied or applied[name] != value}
            if not same_password:
                changes["password_hash"] = hashed
                changes["initial_until"] = settings.initial_until(wanted["roles"], now())
            if changes.keys() - {"display_name"}:
                await revoke_families(session, account.id, now())
            for name, value in changes.items():
                setattr(account, name, value)
            changed = bool(changes)
        if changed:
            account.seed = {**wanted, "password_hash": hashed}
            await flush(session)
            detail = {"roles": account.roles, "customer": account.customer}
            event: EventName = "account_created" if known is None else "account_changed"
            record(session, event, ORIGIN, at=now(), target=account.id, detail=detail)
