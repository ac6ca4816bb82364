"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port of the loopback."""

import asyncio
import os
import pwd
import shutil
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from cli.ports import free_ports
from cli.process import Process, Program, wait_until
from tests.certificates import Certificate

__all__ = ["Postgres", "postgres"]

READY_SECONDS = 30.0
GRACE_SECONDS = 10.0


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert found, "there is no PostgreSQL; on Debian: apt-get install postgresql"
    return found[-1]


def _as_user() -> tuple[str, ...]:
    # PostgreSQL refuses to run as root; Debian's package brings a user of its own.
    return ("runuser", "-u", "postgres", "--") if os.getuid() == 0 else ()


class Postgres:
    """A server that can be stopped and started again on what it kept."""

    def __init__(self, folder: Path, options: tuple[str, ...] = ()) -> None:
        self._folder = folder
        self._options = options
        (self.port,) = free_ports(1)
        self._process: Process | None = None

    @property
    def socket(self) -> Path:
        """The folder of its socket, which everybody here may use without a password."""
        return self._folder

    async def make(self, *, with_password: tuple[str, ...] = ()) -> None:
        """Makes an empty cluster; roles of these names need a password over the network, others none."""
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        arguments = ("-D", str(self._folder / "data"), "-U", "zhiyin", "-A", "trust", "-E", "UTF8", "--no-sync")
        made = await asyncio.create_subprocess_exec(
            *(*_as_user(), str(_programs() / "initdb"), *arguments), stdout=asyncio.subprocess.DEVNULL
        )
        assert await made.wait() == 0
        access = self._folder / "data" / "pg_hba.conf"
        asked = [f"host all {name} 127.0.0.1/32 scram-sha-256\n" for name in with_password]
        access.write_text("".join(asked) + access.read_text(encoding="utf-8"), encoding="utf-8")

    async def start(self) -> None:
        """Starts the server and waits until it answers."""
        server = [str(_programs() / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port)]
        server += ["-h", "127.0.0.1", "-k", str(self._folder), "-c", "fsync=off", *self._options]
        program = Program(
            name="postgres", command=(*_as_user(), *server), environment=dict(os.environ), ready=self.answers
        )
        log = self._folder / "log"
        self._process = await Process.start(program, log)
        assert await wait_until(self.answers, READY_SECONDS), log.read_text()

    async def stop(self) -> None:
        """Stops it as a pod's end would: nobody is waited for."""
        assert self._process is not None
        self._process.send(signal.SIGINT)
        assert await self._process.stop(GRACE_SECONDS)

    async def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            connection = await self._connect()
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def run(self, statement: str) -> None:
        """Runs a statement as the superuser."""
        connection = await self._connect()
        await connection.execute(statement)
        await connection.close()

    async def new_database(self) -> str:
        """The URL of an empty database, as settings want it."""
        name = f"test_{uuid.uuid4().hex}"
        await self.run(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str, user: str = "zhiyin") -> str:
        """The URL of a database that may not be there."""
        return f"postgresql+asyncpg://{user}@127.0.0.1:{self.port}/{name}"

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(host="127.0.0.1", port=self.port, user="zhiyin", database="postgres")


@asynccontextmanager
async def postgres(
    *, with_password: tuple[str, ...] = (), certificate: Certificate | None = None
) -> AsyncIterator[Postgres]:
    """Starts PostgreSQL and stops it in the end; roles `with_password` need one over the network.

    With a certificate it takes connections by TLS too.
    """
    folder = Path(tempfile.mkdtemp(prefix="zhiyin-postgres-"))
    options: tuple[str, ...] = ()
    if certificate is not None:
        for file in (certificate.chain, certificate.key):
            own = shutil.copy(file, folder)
            if os.getuid() == 0:
                shutil.chown(own, "postgres", "postgres")
        files = {"ssl_cert_file": certificate.chain, "ssl_key_file": certificate.key}
        options = ("-c", "ssl=on")
        options += tuple(part for name, file in files.items() for part in ("-c", f"{name}={folder / file.name}"))
    server = Postgres(folder, options)
    await server.make(with_password=with_password)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)
