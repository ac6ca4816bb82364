"""The script that makes PostgreSQL's roles, on a real server: on an empty volume, on an older one, again and again."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from cli.process import Process, Program
from shared.errors import Unavailable
from shared.settings import ServiceSettings
from shared.storage.migrations import bring_up, migrate
from tests.chart.variants import rendered
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres
from tests.stack import eventually

SERVICES = ("login", "dialogue", "business")
SECONDS = 30


class Roles:
    """The chart's script, as its container runs it, with passwords in a folder."""

    def __init__(self, folder: Path, server: Postgres) -> None:
        self._folder = folder
        self._server = server
        self.passwords = {"superuser": "of the superuser", **{name: f'of {name}\'s "1"' for name in SERVICES}}
        for name, text in rendered("default").get("ConfigMap", "postgresql")["data"].items():
            (folder / name).write_text(text, encoding="utf-8")

    @property
    def made(self) -> Path:
        """What the script leaves once it has done its work."""
        return self._folder / "made"

    def program(self, *arguments: str) -> Program:
        """The script with the passwords of now."""
        for name, password in self.passwords.items():
            (self._folder / f"{name}.new").write_text(password, encoding="utf-8")
            (self._folder / f"{name}.new").rename(self._folder / name)
        variables = {
            "PGHOST": str(self._server.socket),
            "PGPORT": str(self._server.port),
            "PGUSER": "zhiyin",
            "PASSWORD_FILES": str(self._folder),
            "MADE": str(self.made),
        }

        async def ready() -> bool:
            return self.made.exists()

        command = ("sh", str(self._folder / "roles.sh"), *arguments)
        return Program(name="roles", command=command, environment={**os.environ, **variables}, ready=ready)

    async def make(self) -> str:
        """Runs it once; what it said."""
        program = self.program()
        process = await asyncio.create_subprocess_exec(
            *program.command,
            env=program.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 0, said
        return said.decode()

    def url(self, service: str, database: str | None = None) -> str:
        """The address of a service's database, or of another one, with that service's password."""
        url = make_url(self._server.url(database or service, user=service)).set(password=self.passwords[service])
        return url.render_as_string(hide_password=False)

    async def connect(self, service: str, database: str | None = None) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection as that service."""
        return await asyncpg.connect(self.url(service, database).replace("+asyncpg", ""))


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Postgres]:
    async with run_postgres(with_password=SERVICES) as running:
        yield running


@pytest.fixture
async def roles(server: Postgres, tmp_path: Path) -> AsyncIterator[Roles]:
    """The script for a server that has nothing yet."""
    yield Roles(tmp_path, server)
    for name in SERVICES:
        await server.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await server.run(f"DROP ROLE IF EXISTS {name}")


async def test_a_new_volume_has_a_role_and_a_database_a_service_and_nothing_is_shared(roles: Roles) -> None:
    assert await roles.make() == ""
    for service in SERVICES:
        # Each brings its own tables, with nothing but its own role.
        await asyncio.to_thread(migrate, service, roles.url(service))
        mine = await roles.connect(service)
        may = await mine.fetchrow(
            "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
            " WHERE rolname = CURRENT_USER"
        )
        assert may is not None
        assert set(may.values()) == {False}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mine.execute("COPY (SELECT 1) TO PROGRAM 'true'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await mine.execute("CREATE DATABASE mine")
        await mine.close()
        for other in {*SERVICES, "postgres", "template1"} - {service}:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
                await roles.connect(service, other)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(roles.url(service).replace("+asyncpg", ""), password=roles.passwords["superuser"])


async def test_an_older_volume_is_handed_over_while_its_old_pods_go_on(server: Postgres, roles: Roles) -> None:
    """Then every service connected as the superuser, which made all tables."""
    for service in SERVICES:
        await server.run(f"CREATE DATABASE {service}")
        await asyncio.to_thread(migrate, service, server.url(service), "0001")
    old = await asyncpg.connect(server.url("login").replace("+asyncpg", ""))
    await old.execute(
        "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN word AS text; CREATE VIEW names AS SELECT 1 AS one;"
        "CREATE SEQUENCE numbers; CREATE FUNCTION two() RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE SCHEMA more;"
        "CREATE TABLE more.things (id serial, part int) PARTITION BY LIST (part);"
        "CREATE TABLE more.some PARTITION OF more.things FOR VALUES IN (1); CREATE EXTENSION IF NOT EXISTS plpgsql"
    )
    await old.execute("INSERT INTO more.things (part) VALUES (1)")
    count = await old.prepare("SELECT count(*) FROM more.things")
    assert await count.fetchval() == 1

    await roles.make()

    # The old pod's connection and what it has prepared are still good.
    assert await count.fetchval() == 1
    await old.execute("INSERT INTO more.things (part) VALUES (1)")
    left = await old.fetch(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname IN ('public', 'more') AND pg_get_userbyid(relowner) <> 'login'"
    )
    assert left == []
    await old.close()
    for service in SERVICES:
        await asyncio.to_thread(migrate, service, roles.url(service))
    new = await roles.connect("login")
    await new.execute("INSERT INTO more.things (part) VALUES (1); ALTER TABLE more.things ADD COLUMN added int")
    await new.execute(
        "ALTER TYPE mood ADD VALUE 'bad'; DROP FUNCTION two(); DROP VIEW names; DROP SEQUENCE numbers;"
        "DROP DOMAIN word; DROP SCHEMA more CASCADE"
    )
    await new.close()
    assert await roles.make() == ""


async def test_a_changed_password_is_the_next_one_and_open_connections_go_on(server: Postgres, roles: Roles) -> None:
    await roles.make()
    open_one = await roles.connect("login")
    before = roles.url("login")
    roles.passwords["login"] = "another one"
    roles.passwords["superuser"] = "another one as well"
    await roles.make()
    assert await open_one.fetchval("SELECT 1") == 1
    await open_one.close()
    await (await roles.connect("login")).close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(before.replace("+asyncpg", ""))


async def test_beside_the_database_it_follows_passwords_and_restored_backups(server: Postgres, roles: Roles) -> None:
    keeper = await Process.start(roles.program("keep"), roles.made.with_name("log"))
    try:
        await keeper.wait_ready()
        await asyncio.to_thread(migrate, "login", roles.url("login"))
        # As a backup comes back that the superuser reads in.
        await server.run("DROP DATABASE login WITH (FORCE)")
        await server.run("CREATE DATABASE login")
        await asyncio.to_thread(migrate, "login", server.url("login"))
        roles.passwords["login"] = "another one"
        roles.program()

        async def taken_up() -> bool:
            try:
                mine = await roles.connect("login")
                await mine.execute("SELECT FROM accounts")
                await mine.close()
            except asyncpg.PostgresError:
                return False
            return True

        await eventually(taken_up, SECONDS, what="the restored database in the hands of its role")
        # The first process of a container gets no signal that it does not ask for.
        assert await keeper.stop(SECONDS)
    finally:
        await keeper.kill()


async def test_without_a_password_nothing_is_changed(server: Postgres, roles: Roles) -> None:
    await roles.make()
    roles.passwords["dialogue"] = ""
    keeper = await Process.start(roles.program("keep"), roles.made.with_name("log"))

    async def complains() -> bool:
        return "no password" in roles.made.with_name("log").read_text(encoding="utf-8")

    await eventually(complains, SECONDS, what="a word about the missing password")
    await keeper.kill()
    await (await roles.connect("login")).close()


async def test_a_service_that_comes_before_its_role_waits_for_it(roles: Roles) -> None:
    said: list[str] = []
    settings = ServiceSettings(database_url=roles.url("dialogue"), database_wait_seconds=SECONDS)
    waiting = asyncio.create_task(bring_up("dialogue", settings, upgrade=True, say=said.append))

    async def spoke() -> bool:
        return bool(said)

    await eventually(spoke, SECONDS, what="a word about what is waited for")
    await roles.make()
    await waiting
    late = ServiceSettings(database_url=roles.url("dialogue", "login"), database_wait_seconds=0.1)
    with pytest.raises(Unavailable, match="permission denied"):
        await bring_up("login", late, upgrade=True)
