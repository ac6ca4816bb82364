"""The bootstrap file: applied at every start, without taking back what people did since."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from services.login.bootstrap import apply_bootstrap
from services.login.clients import digest_secret
from services.login.families import Families, Renewed
from services.login.models import Account, AuditEvent, Client
from services.login.passwords import Passwords
from services.login.repository import account_named, client_named, events_before
from services.login.settings import Settings
from shared.errors import ConfigurationError
from shared.storage.database import Database
from tests.clocks import Clock

ACCOUNT = {
    "username": "Admin",
    "password": "a good password",
    "roles": ["admin"],
    "customer": None,
    "display_name": "Admin",
}
CLIENT = {"client_id": "dialogue", "client_secret": "s" * 40, "scopes": ["business:lookup"]}


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=8, iterations=1, parallelism=1, threads=1, queue=9)
    yield made
    made.close()


class Bootstrap:
    """Applies a file as a start of login does, and looks at the outcome."""

    def __init__(self, folder: Path, database: Database, passwords: Passwords) -> None:
        self.file = folder / "bootstrap.json"
        self.database = database
        self.passwords = passwords

    async def apply(self, content: Any, **settings: Any) -> None:
        self.file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        await apply_bootstrap(Settings(bootstrap_file=self.file, **settings), self.database, self.passwords)

    async def account(self, username: str) -> Account | None:
        async with self.database.reading("default") as session:
            return await account_named(session, username)

    async def client(self, client_id: str) -> Client | None:
        async with self.database.reading("default") as session:
            return await client_named(session, client_id)

    async def knows(self, username: str, password: str) -> bool:
        account = await self.account(username)
        return account is not None and await self.passwords.verify(account.password_hash, password)


@pytest.fixture
def bootstrap(tmp_path: Path, database: Database, passwords: Passwords) -> Bootstrap:
    return Bootstrap(tmp_path, database, passwords)


async def test_without_a_file_nothing_happens(database: Database, passwords: Passwords) -> None:
    await apply_bootstrap(Settings(), database, passwords)


async def test_accounts_and_clients_are_made_once(bootstrap: Bootstrap) -> None:
    for _ in range(2):
        await bootstrap.apply({"accounts": [ACCOUNT], "clients": [CLIENT]})
    account = await bootstrap.account("admin")
    assert account is not None
    assert (account.roles, account.customer, account.display_name) == (["admin"], None, "Admin")
    assert await bootstrap.knows("admin", "a good password")
    client = await bootstrap.client("dialogue")
    assert client is not None
    assert (client.scopes, client.secret_digest) == (["business:lookup"], digest_secret("s" * 40))
    async with bootstrap.database.reading("default") as session:
        events = await events_before(session, None, 10)
    assert [(each.event, each.address, each.target) for each in events] == [
        ("account_created", "bootstrap", account.id)
    ], "the second time nothing changed"


async def test_nothing_secret_is_stored_as_it_is(bootstrap: Bootstrap) -> None:
    await bootstrap.apply({"accounts": [ACCOUNT], "clients": [CLIENT]})
    await bootstrap.database.close()
    for file in bootstrap.file.parent.glob("login.sqlite*"):
        content = file.read_bytes()
        assert b"a good password" not in content
        assert b"s" * 40 not in content


async def test_what_people_changed_stays(bootstrap: Bootstrap) -> None:
    await bootstrap.apply({"accounts": [ACCOUNT]})
    async with bootstrap.database.transaction("default") as session:
        account = await account_named(session, "admin")
        assert account is not None
        account.password_hash = await bootstrap.passwords.hash("their own one")
        account.roles = ["admin", "agent"]
    await bootstrap.apply({"accounts": [ACCOUNT]})
    account = await bootstrap.account("admin")
    assert account is not None
    assert account.roles == ["admin", "agent"]
    assert await bootstrap.knows("admin", "their own one")


async def test_what_changed_in_the_file_is_applied(bootstrap: Bootstrap, clock: Clock) -> None:
    families = Families(Settings(), clock)
    await bootstrap.apply({"accounts": [ACCOUNT], "clients": [CLIENT]})
    async with bootstrap.database.transaction("default") as session:
        account = await account_named(session, "admin")
        assert account is not None
        account.display_name = "The Boss"
        token = (await families.open(session, subject=account.id, account=account)).token

    await bootstrap.apply({"accounts": [ACCOUNT], "clients": [{**CLIENT, "scopes": []}]})
    async with bootstrap.database.transaction("default") as session:
        assert isinstance(outcome := await families.renew(session, token), Renewed)
    await bootstrap.apply({"accounts": [{**ACCOUNT, "customer": "C1"}], "clients": [{**CLIENT, "scopes": []}]})
    async with bootstrap.database.transaction("default") as session:
        assert await families.renew(session, outcome.token) is None, "its access tokens say the old number"
    await bootstrap.apply(
        {
            "accounts": [{**ACCOUNT, "customer": "C1", "password": "a new password"}],
            "clients": [{**CLIENT, "scopes": [], "client_secret": "t" * 40}],
        }
    )
    account = await bootstrap.account("admin")
    assert account is not None
    assert (account.customer, account.display_name) == ("C1", "The Boss")
    assert await bootstrap.knows("admin", "a new password")
    async with bootstrap.database.transaction("default") as session:
        assert await families.renew(session, outcome.token) is None, "whoever knew the old password is out"
    client = await bootstrap.client("dialogue")
    assert client is not None
    assert (client.scopes, client.secret_digest) == ([], digest_secret("t" * 40))


async def test_a_name_that_somebody_registered_first_is_taken_over(bootstrap: Bootstrap) -> None:
    async with bootstrap.database.transaction("default") as session:
        stored = await bootstrap.passwords.hash("a stranger's own")
        session.add(Account(username="admin", display_name="x", password_hash=stored, roles=["customer"]))
    await bootstrap.apply({"accounts": [ACCOUNT]})
    account = await bootstrap.account("admin")
    assert account is not None
    assert account.roles == ["admin"]
    assert await bootstrap.knows("admin", "a good password")
    assert not await bootstrap.knows("admin", "a stranger's own")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        {"accounts": {}},
        {"accounts": [{"username": "admin"}]},
        {"accounts": [{**ACCOUNT, "roles": ["emperor"]}]},
        {"accounts": [{**ACCOUNT, "password": "s3cr3t"}]},
        {"accounts": [{**ACCOUNT, "username": "x"}]},
        {"accounts": [{**ACCOUNT, "surprise": 1}]},
        {"accounts": [{**ACCOUNT, "customer": "no such form"}]},
        {"clients": [{**CLIENT, "client_id": "Not Good"}]},
        {"clients": [{**CLIENT, "client_secret": ""}]},
        {"clients": [{**CLIENT, "scopes": ["two words"]}]},
    ],
)
async def test_a_file_of_another_form_stops_the_start_and_tells_no_secret(bootstrap: Bootstrap, content: Any) -> None:
    with pytest.raises(ConfigurationError, match="ZHIYIN_BOOTSTRAP_FILE") as raised:
        await bootstrap.apply(content)
    for secret in ("s3cr3t", "s" * 40, "a good password"):
        assert secret not in str(raised.value)
    assert await bootstrap.account("admin") is None


async def test_a_file_that_is_not_there_stops_the_start(
    tmp_path: Path, database: Database, passwords: Passwords
) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        await apply_bootstrap(Settings(bootstrap_file=tmp_path / "nothing.json"), database, passwords)


class Contended(Database):
    """A database in which another replica is always a little faster."""

    conflicts = 0

    @asynccontextmanager
    async def transaction(self, tenant: str) -> AsyncIterator[AsyncSession]:
        async with super().transaction(tenant) as session:
            yield session
            if self.conflicts:
                self.conflicts -= 1
                raise IntegrityError("insert", None, Exception("it is there already"))


async def test_replicas_that_start_together_do_not_stop_each_other(
    tmp_path: Path, database: Database, passwords: Passwords
) -> None:
    contended = Contended(database.url)
    bootstrap = Bootstrap(tmp_path, contended, passwords)
    contended.conflicts = 2
    await bootstrap.apply({"accounts": [ACCOUNT], "clients": [CLIENT]})
    assert await bootstrap.knows("admin", "a good password")
    contended.conflicts = 3
    with pytest.raises(IntegrityError):
        await bootstrap.apply({"accounts": [ACCOUNT], "clients": [CLIENT]})
    await contended.close()


async def test_an_account_is_announced_once_however_many_replicas_make_it(
    tmp_path: Path, database: Database, passwords: Passwords
) -> None:
    databases = [Database(database.url) for _ in range(4)]
    for number in range(8):
        seed = {"accounts": [{**ACCOUNT, "username": f"admin{number}"}]}
        await asyncio.gather(*(Bootstrap(tmp_path, each, passwords).apply(seed) for each in databases))
    async with database.reading("default") as session:
        events = (await session.scalars(select(AuditEvent))).all()
    assert [each.event for each in events] == ["account_created"] * 8
    for each in databases:
        await each.close()


async def test_production_wants_long_secrets(bootstrap: Bootstrap) -> None:
    production: dict[str, Any] = {"environment": "production", "login_secret": SecretStr("x" * 32)}
    with pytest.raises(ConfigurationError, match="dialogue"):
        await bootstrap.apply({"clients": [{**CLIENT, "client_secret": "too short"}]}, **production)
    await bootstrap.apply({"clients": [CLIENT]}, **production)
    assert await bootstrap.client("dialogue") is not None
