"""Accounts: people with a name, a password and roles."""

import re
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from prometheus_client import Counter
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.login.audit import Origin, record
from services.login.devices import Devices
from services.login.limits import Attempt, Limits, Locked
from services.login.models import Account
from services.login.passwords import Passwords, check_password, normalise_password
from services.login.repository import (
    account_by_id,
    account_for_update,
    account_named,
    accounts_after,
    add_account,
    revoke_families,
)
from services.login.schemas import AccountChange, Credentials, NewAccount, NewPassword, Registration, TokenPair
from services.login.sessions import Sessions
from services.login.settings import Settings
from shared.contracts.texts import is_name
from shared.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem, Unauthenticated, Unavailable
from shared.storage.database import Database

__all__ = ["Accounts", "normalise_display_name", "normalise_username"]

# ASCII and Chinese letters: with more scripts two names could look the same.
HAN = "\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003134f"
USERNAME = re.compile(f"(?=.*[{HAN}].*[{HAN}]|.{{3}})[a-z0-9{HAN}][a-z0-9{HAN}._@-]{{1,63}}")
"""Two Chinese letters are a name; otherwise a name has three."""

T = TypeVar("T")

LOGINS = Counter("zhiyin_login_attempts_total", "Attempts to log in", ["outcome"])
LOCKS = Counter("zhiyin_login_locks_total", "Locks after too many failures, by whose account it was", ["who", "limit"])
for _outcome in ("success", "refused", "locked", "unavailable"):
    LOGINS.labels(_outcome)
for _who in ("staff", "customer", "nobody"):
    for _limit in ("pair", "account", "device", "address", "change"):
        LOCKS.labels(_who, _limit)


def normalise_username(username: str) -> str:
    """The one form of a user name: full and half width, capital and small letters, blanks around it are the same.

    Raises:
        InvalidInput: the name is too short, too long or has other characters than it may.
    """
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold()).strip()
    if not USERNAME.fullmatch(name):
        raise InvalidInput(
            "a user name has 3 to 64 letters (Latin or Chinese; two Chinese ones are enough), digits and . _ - @, "
            "and begins with a letter or digit",
            field="username",
        )
    return name


def normalise_display_name(name: str) -> str:
    """A name as it is shown: trimmed, one form, no characters that cannot be seen.

    Raises:
        InvalidInput: nothing visible is left, or it has characters that a name may not have.
    """
    shown = unicodedata.normalize("NFC", name).strip()
    if len(shown) > 64 or not is_name(shown):
        raise InvalidInput("a display name has 1 to 64 visible characters in one line", field="display_name")
    return shown


class Accounts:
    """Makes accounts, lets people in, and changes what is known about them."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        passwords: Passwords,
        limits: Limits,
        sessions: Sessions,
        devices: Devices,
        clock: Callable[[], datetime],
    ) -> None:
        self._devices = devices
        self._settings = settings
        self._tenant = settings.tenant
        self._database = database
        self._passwords = passwords
        self._limits = limits
        self._sessions = sessions
        self._clock = clock

    async def register(self, registration: Registration, origin: Origin) -> TokenPair:
        """A new account with the role `customer` and no customer number, logged in.

        Raises:
            Forbidden: this installation lets nobody register.
            InvalidInput: the name or the password is not good enough.
            Conflict: the name is taken.
            TooManyRequests: there were too many registrations from that address.
            Unavailable: registrations cannot be counted or passwords not be hashed at the moment.
        """
        if not self._settings.registration:
            raise Forbidden("accounts are made by an administrator here")
        account = self._draft(registration)
        password = self._checked(registration.password, account)
        await self._limits.registration(origin.address)
        account.password_hash = await self._passwords.hash(password)
        try:
            async with self._database.transaction(self._tenant) as session:
                await add_account(session, account)
                record(session, "registered", Origin(address=origin.address, actor=account.id), at=self._clock())
                return await self._opened(session, account)
        except IntegrityError as error:
            raise Conflict("this user name is taken", field="username") from error

    async def provision(self, new: NewAccount, origin: Origin) -> Account:
        """A new account as an administrator wants it; raises as `register`."""
        account = self._draft(new)
        account.roles, account.customer = sorted(set(new.roles)), new.customer
        account.password_hash = await self._passwords.hash(self._checked(new.password, account))
        account.initial_until = self._settings.initial_until(account.roles, self._clock())
        try:
            async with self._database.transaction(self._tenant) as session:
                await add_account(session, account)
                detail = {"roles": account.roles, "customer": account.customer}
                record(session, "account_created", origin, at=self._clock(), target=account.id, detail=detail)
                return account
        except IntegrityError as error:
            raise Conflict("this user name is taken", field="username") from error

    async def login(self, credentials: Credentials, origin: Origin) -> TokenPair:
        """A session for a user name and its password.

        Raises:
            Unauthenticated: the name or the password is wrong, or the account is closed; the answer does not say which.
            Forbidden: the password is an initial one, and no `new_password` came with it or it has expired.
            InvalidInput: the new password is not good enough.
            TooManyRequests: too many failures of the account or from the address.
            Unavailable: attempts cannot be counted at the moment, so none is made.
        """
        username = normalise_username(credentials.username)
        async with self._database.reading(self._tenant) as session:
            account = await account_named(session, username)
        device = self._devices.recognised(account, credentials.device)
        attempt = await self._counted(self._limits.begin(username, origin.address, device=device), account, origin)
        shown = normalise_password(credentials.password)
        while True:
            stored = None if account is None else account.password_hash
            right = await self._trying(attempt, self._passwords.verify(stored, shown))
            if account is None or not account.active or not right:
                await self._refused(account, origin)
                raise Unauthenticated("the user name or the password is wrong")
            fresh, initial_until = account.password_hash, account.initial_until
            if initial_until is not None and self._settings.initial_passwords_change:
                try:
                    password = self._replacement(account, shown, credentials.new_password)
                except Problem:
                    await self._limits.abandoned(attempt)
                    raise
                fresh, initial_until = await self._trying(attempt, self._passwords.hash(password)), None
            elif self._passwords.outdated(fresh):
                fresh = await self._trying(attempt, self._passwords.hash(shown))
            async with self._database.transaction(self._tenant) as session:
                current = await account_for_update(session, account.id)
                if current is not None and current.active and current.password_hash == account.password_hash:
                    current.password_hash, current.initial_until = fresh, initial_until
                    origin = Origin(address=origin.address, actor=account.id)
                    if initial_until is None and account.initial_until is not None:
                        record(session, "password_changed", origin, at=self._clock())
                    record(session, "logged_in", origin, at=self._clock())
                    pair = await self._opened(session, current)
                    break
            # Changed since it was read, so what was verified says nothing any more.
            account = current
        await self._limits.succeeded(attempt)
        LOGINS.labels("success").inc()
        return pair

    async def change_password(self, account_id: str, change: NewPassword, origin: Origin) -> TokenPair:
        """Sets a new password, ends all sessions of the account and opens a new one; raises as `login`, and

        Raises:
            InvalidInput: the new password is not good enough, the old one, or the current one is wrong.
        """
        async with self._database.reading(self._tenant) as session:
            account = await account_by_id(session, account_id)
        if account is None or not account.active:
            raise Unauthenticated("the account is closed")
        password = normalise_password(change.new)
        check_password(password, account.username, account.display_name, field="new")
        if password == normalise_password(change.current):
            raise InvalidInput("the new password must differ from the current one", field="new")
        attempt = await self._counted(self._limits.change(account.id), account, origin)
        shown = normalise_password(change.current)
        if not await self._trying(attempt, self._passwords.verify(account.password_hash, shown)):
            await self._refused(account, origin)
            raise InvalidInput("the current password is wrong", field="current")
        await self._limits.succeeded(attempt)
        hashed = await self._passwords.hash(password)
        async with self._database.transaction(self._tenant) as session:
            current = await account_for_update(session, account_id)
            if current is None or not current.active or current.password_hash != account.password_hash:
                raise Conflict("the account was changed at the same moment; try again")
            current.password_hash, current.initial_until = hashed, None
            await revoke_families(session, account_id, self._clock())
            record(session, "password_changed", origin, at=self._clock())
            return await self._opened(session, current)

    async def find(self, account_id: str) -> Account | None:
        """The account with the id, if it is open."""
        async with self._database.reading(self._tenant) as session:
            account = await account_by_id(session, account_id)
        return account if account is not None and account.active else None

    async def after(self, username: str, limit: int) -> Sequence[Account]:
        """Accounts in the order of their names."""
        async with self._database.reading(self._tenant) as session:
            return await accounts_after(session, username, limit)

    async def change(self, account_id: str, change: AccountChange, origin: Origin) -> Account:
        """Changes what the request names; a change of what access tokens say ends the sessions of the account.

        A password that an administrator sets is an initial one again, also for customers.

        Raises:
            NotFound: there is no such account.
            Conflict: administrators cannot shut themselves out.
        """
        given = change.model_dump(exclude_unset=True)
        changes = {name: given[name] for name in sorted(given) if name == "customer" or given[name] is not None}
        if "roles" in changes:
            changes["roles"] = sorted(set(changes["roles"]))
        if "display_name" in changes:
            changes["display_name"] = normalise_display_name(changes["display_name"])
        if account_id == origin.actor and (
            "admin" not in changes.get("roles", ["admin"]) or changes.get("active") is False
        ):
            raise Conflict("another administrator has to do this")
        password, hashed = changes.pop("password", None), None
        if password is not None:
            hashed = await self._passwords.hash(self._checked(password, await self._known(account_id)))
        async with self._database.transaction(self._tenant) as session:
            account = await account_for_update(session, account_id)
            if account is None:
                raise NotFound("there is no such account")
            if hashed is not None:
                account.password_hash = hashed
                account.initial_until = self._settings.initial_until(["staff"], self._clock())
            # What tokens say about the account would go on being believed until they expire.
            told = any(
                getattr(account, name) != changes[name] for name in ("roles", "customer", "active") if name in changes
            )
            for name, value in changes.items():
                setattr(account, name, value)
            if told or hashed is not None:
                await revoke_families(session, account_id, self._clock())
            noted = {name: value for name, value in changes.items() if name != "display_name"}
            if hashed is not None:
                noted["password"] = "set"
            if changes or hashed is not None:
                record(session, "account_changed", origin, at=self._clock(), target=account_id, detail=noted)
            return account

    async def _opened(self, session: AsyncSession, account: Account) -> TokenPair:
        """A new session, with the proof by which the device is known from now on."""
        pair = await self._sessions.open(session, account)
        return pair.model_copy(update={"device": self._devices.issue(account)})

    def _draft(self, registration: Registration) -> Account:
        username = normalise_username(registration.username)
        return Account(
            username=username,
            display_name=normalise_display_name(registration.display_name or username),
            roles=["customer"],
            customer=None,
            active=True,
        )

    async def _known(self, account_id: str) -> Account:
        async with self._database.reading(self._tenant) as session:
            account = await account_by_id(session, account_id)
        if account is None:
            raise NotFound("there is no such account")
        return account

    def _checked(self, password: str, account: Account) -> str:
        normal = normalise_password(password)
        check_password(normal, account.username, account.display_name)
        return normal

    def _replacement(self, account: Account, initial: str, new: str | None) -> str:
        """The password that takes the place of an initial one, which was just shown."""
        if account.initial_until is not None and account.initial_until <= self._clock():
            raise Forbidden("the initial password has expired; an administrator has to set another one")
        if new is None:
            raise Forbidden("this is an initial password: send `new_password` with it, which takes its place")
        password = normalise_password(new)
        check_password(password, account.username, account.display_name, field="new_password")
        if password == initial:
            raise InvalidInput("the new password must differ from the initial one", field="new_password")
        return password

    async def _counted(self, counting: Awaitable[Attempt], account: Account | None, origin: Origin) -> Attempt:
        try:
            return await counting
        except Locked as locked:
            LOGINS.labels("locked").inc()
            if locked.first:
                LOCKS.labels(_group(account), locked.limit).inc()
                async with self._database.transaction(self._tenant) as session:
                    target = None if account is None else account.id
                    detail = {"limit": locked.limit}
                    record(session, "login_locked", origin, at=self._clock(), target=target, detail=detail)
            raise
        except Unavailable:
            LOGINS.labels("unavailable").inc()
            raise

    async def _trying(self, attempt: Attempt, work: Awaitable[T]) -> T:
        """The work's outcome; an attempt for which there is no time now does not count."""
        try:
            return await work
        except Unavailable:
            LOGINS.labels("unavailable").inc()
            await self._limits.abandoned(attempt)
            raise

    async def _refused(self, account: Account | None, origin: Origin) -> None:
        LOGINS.labels("refused").inc()
        async with self._database.transaction(self._tenant) as session:
            target = None if account is None else account.id
            record(session, "login_failed", origin, at=self._clock(), target=target)


def _group(account: Account | None) -> str:
    if account is None:
        return "nobody"
    return "customer" if set(account.roles) <= {"customer"} else "staff"
