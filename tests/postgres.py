"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, on a free port of the loopback."""

import asyncio
import os
import pwd
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from cli.ports import free_ports
from cli.process import Process, Program, wait_until

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
    """A running server."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def new_database(self) -> str:
        """The URL of an empty database, as settings want it."""
        name = f"test_{uuid.uuid4().hex}"
        connection = await asyncpg.connect(host="127.0.0.1", port=self._port, user="zhiyin", database="postgres")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        return f"postgresql+asyncpg://zhiyin@127.0.0.1:{self._port}/{name}"


@asynccontextmanager
async def postgres() -> AsyncIterator[Postgres]:
    """Starts PostgreSQL and stops it in the end."""
    folder = Path(tempfile.mkdtemp(prefix="zhiyin-postgres-"))
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
    data, (port,) = folder / "data", free_ports(1)
    initdb = (*_as_user(), str(_programs() / "initdb"), "-D", str(data), "-U", "zhiyin", "-A", "trust", "-E", "UTF8")
    made = await asyncio.create_subprocess_exec(*initdb, "--no-sync", stdout=asyncio.subprocess.DEVNULL)
    assert await made.wait() == 0

    async def answers() -> bool:
        try:
            connection = await asyncpg.connect(host="127.0.0.1", port=port, user="zhiyin", database="postgres")
        except (OSError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    server = [str(_programs() / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    server += ["-c", "fsync=off"]
    program = Program(name="postgres", command=(*_as_user(), *server), environment=dict(os.environ), ready=answers)
    process = await Process.start(program, folder / "log")
    try:
        assert await wait_until(answers, READY_SECONDS), (folder / "log").read_text()
        yield Postgres(port)
    finally:
        await process.stop(GRACE_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
