"""A PostgreSQL with TLS: what an address says of it is what happens."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.errors import ConfigurationError, Unavailable
from shared.storage.database import Database, parse_url, single_connection_engine
from tests.certificates import Certificate
from tests.postgres import Postgres
from tests.postgres import postgres as run_postgres


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
async def server(certificate: Certificate) -> AsyncIterator[Postgres]:
    async with run_postgres(certificate=certificate) as running:
        yield running


async def encrypted(url: str) -> list[bool]:
    """Whether the pool's connections, and those that migrate, are."""
    found = []
    database = Database(url)
    for engine in (database.engine, single_connection_engine(parse_url(url))):
        async with engine.connect() as connection:
            asked = await connection.execute(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"))
            found.append(bool(asked.scalar()))
        await engine.dispose()
    await database.close()
    return found


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=require", "ssl=require", "sslmode=require&sslrootcert=CA", "sslmode=verify-ca&sslrootcert=CA",
        "sslmode=verify-full&sslrootcert=CA",
    ],
)  # fmt: skip
async def test_what_is_asked_for_is_encrypted(query: str, server: Postgres, certificate: Certificate) -> None:
    url = server.url("postgres").replace("127.0.0.1", "localhost")
    assert await encrypted(f"{url}?{query.replace('CA', str(certificate.authority))}") == [True, True]
    assert await encrypted(f"{url}?sslmode=disable") == [False, False]


@pytest.mark.parametrize(
    ("query", "host"),
    [
        # No authority of the system's has signed it.
        ("sslmode=verify-full", "localhost"), ("sslmode=verify-ca", "localhost"),
        ("sslmode=verify-full&sslrootcert=system", "localhost"),
        # It is for another name.
        ("sslmode=verify-full&sslrootcert=CA", "127.0.0.1"),
        # Another authority.
        ("sslmode=require&sslrootcert=CHAIN", "localhost"),
    ],
)  # fmt: skip
async def test_a_server_that_nobody_vouches_for_gets_no_password(
    query: str, host: str, server: Postgres, certificate: Certificate, tmp_path: Path
) -> None:
    other = Certificate.make(tmp_path).authority
    query = query.replace("CA", str(certificate.authority)).replace("CHAIN", str(other))
    with pytest.raises(Unavailable) as refused:
        await encrypted(f"{server.url('postgres').replace('127.0.0.1', host)}?{query}")
    assert "certificate verify failed" in str(refused.value.__cause__)


async def test_the_name_is_not_compared_where_that_was_not_asked_for(
    server: Postgres, certificate: Certificate
) -> None:
    url = f"{server.url('postgres')}?sslmode=verify-ca&sslrootcert={certificate.authority}"
    assert await encrypted(url) == [True, True]


def test_a_file_that_is_none_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sslrootcert"):
        Database(f"postgresql://db/login?sslmode=verify-full&sslrootcert={tmp_path / 'no.crt'}")
