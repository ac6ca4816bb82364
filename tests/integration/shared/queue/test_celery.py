"""Redis behind TLS: every client encrypts and believes no other server, the worker's too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from shared.contracts.actions import ActionReference
from shared.queue.celery import celery_app
from shared.queue.references import ACTIONS, References
from tests.certificates import Certificate
from tests.externals import Redis


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.make(tmp_path_factory.mktemp("certificate"))


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.fixture
async def address(tmp_path: Path, certificate: Certificate) -> AsyncIterator[str]:
    """A Redis that is reached by TLS alone; where the address ends, more may follow."""
    async with Redis(tmp_path / "redis") as redis:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner = await asyncio.open_connection("127.0.0.1", redis.stack.ports.redis)
            await asyncio.gather(carry(reader, inner[1]), carry(inner[0], writer))

        server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=certificate.server_context())
        port = server.sockets[0].getsockname()[1]
        yield redis.url_of("worker").replace("redis://", "rediss://").rpartition("@")[0] + f"@localhost:{port}/0"
        server.close()


async def consumes(url: str) -> Any:
    """What Celery's side takes off the queue."""

    def take() -> Any:
        with celery_app("test", url, "zhiyin").connection_for_read() as connection:
            queue = connection.SimpleQueue(ACTIONS)
            message = queue.get(timeout=10)
            message.ack()
            queue.close()
            return message.payload

    return await asyncio.to_thread(take)


async def test_the_queue_at_both_ends(address: str, certificate: Certificate) -> None:
    url = f"{address}?ssl_ca_certs={certificate.authority}"
    references = References(url, "zhiyin", ACTIONS)
    await references.push(ActionReference(id="a.0", tenant="default"))
    await references.close()
    assert (await consumes(url))[1] == {"action_id": "a.0", "tenant": "default"}


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=required"])
async def test_a_server_that_no_authority_vouches_for_is_refused(address: str, query: str) -> None:
    references = References(address + query, "zhiyin", ACTIONS)
    with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
        await references.push(ActionReference(id="a.0", tenant="default"))
    await references.close()
    with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
        await consumes(address + query)
