import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from services.dialogue.conversation import repository
from services.dialogue.conversation.notifier import Wakes
from services.dialogue.conversation.reader import Reader
from services.dialogue.conversation.stream import Streams
from shared.errors import Unavailable
from shared.storage.database import Database
from shared.storage.migrations import migrate
from shared.storage.statements import Unit
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import Neighbourhood
from tests.stack import eventually

T = TypeVar("T")


async def test_rest_long_poll_and_stream_give_the_same(guest: Customer) -> None:
    async with guest.stream() as live:
        last = (await guest.events())[-1]["seq"]
        poll = asyncio.create_task(guest.calls.get(f"{guest.path}/events?after={last}&wait=20", token=guest.token))
        await guest.say("where is my parcel")
        first = (await poll).body["events"][0]
        events = await guest.events()
        assert first == events[last]
        assert [await asyncio.wait_for(live.get(), 10) for _ in events] == events
    async with guest.stream(after=last) as resumed:
        assert (await asyncio.wait_for(resumed.get(), 10))["seq"] == last + 1


def open_stream(around: Neighbourhood, guest: Customer) -> socket.socket:
    """A client of its own, up to the first words of the stream."""
    client = socket.create_connection(("127.0.0.1", around.dialogue.port), timeout=10)
    head = f"GET {guest.path}/stream HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {guest.token}\r\n\r\n"
    client.sendall(head.encode())
    heard = b""
    while b"retry:" not in heard:
        heard += client.recv(4096)
    return client


async def test_a_client_that_hangs_up_leaves_nothing_behind(
    around: Neighbourhood, guest: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = len(asyncio.all_tasks())
    clients = [await asyncio.to_thread(open_stream, around, guest) for _ in range(10)]
    assert len(asyncio.all_tasks()) > tasks
    for client in clients:
        client.close()

    async def gone() -> bool:
        gc.collect()
        return len(asyncio.all_tasks()) <= tasks

    await eventually(gone, what="the end of the tasks")
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


class Client:
    """What a server gives the application: what it sends is kept, and the client hangs up when told so."""

    def __init__(self) -> None:
        self.heard = ""
        self.gone = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.heard += message["body"].decode()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def seqs(self) -> list[int]:
        return [int(line.removeprefix("id: ")) for line in self.heard.splitlines() if line.startswith("id: ")]


class Counted(Database):
    """A database that counts the units of work that are asked of it."""

    asked = 0
    away = False

    async def read(self, tenant: str, work: Callable[[Unit], T]) -> T:
        self._count()
        return await super().read(tenant, work)

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Any]:
        self._count()
        async with super().reading(tenant) as session:
            yield session

    def _count(self) -> None:
        self.asked += 1
        if self.away:
            raise Unavailable("the database")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Counted]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Counted(url)
    yield database
    await database.close()


@asynccontextmanager
async def following(database: Database, *conversations: str) -> AsyncIterator[tuple[Streams, Reader, list[Client]]]:
    """A client on each conversation, without Redis: nothing is heard of other processes."""
    wakes = Wakes("redis://127.0.0.1:1/0", "zhiyin")
    streams, reader = Streams(database, wakes), Reader(database, wakes)
    clients = [Client() for _ in conversations]
    tasks = [
        asyncio.create_task(
            streams.follow(client.receive, client.send, tenant="default", conversation_id=conversation, after=0)
        )
        for client, conversation in zip(clients, conversations, strict=True)
    ]
    try:
        yield streams, reader, clients
    finally:
        for client in clients:
            client.gone.set()
        await asyncio.gather(*tasks)
        await streams.close()
        await wakes.close()


async def add(database: Database, *conversations: str) -> None:
    def opened(unit: Unit) -> None:
        for each in conversations:
            repository.add_conversation(unit, each, owner="me", customer=None, assistant="shop", language="zh")

    await database.write("default", opened)


async def say(database: Database, conversation: str, name: str) -> None:
    def append(unit: Unit) -> None:
        row = repository.find_conversation(unit, conversation)
        repository.append_message(unit, row, message_id=name, text="hello", choice=None, customer=None)

    await database.write("default", append)


@pytest.mark.parametrize("count", [2, 200])
async def test_what_idle_streams_ask_of_the_database_does_not_grow_with_them(database: Counted, count: int) -> None:
    names = [f"c{number}" for number in range(count)]
    await add(database, *names)
    async with following(database, *names) as (_, reader, clients):

        async def begun() -> bool:
            return database.asked == count

        await eventually(begun, what="the first look of each")
        for _ in range(10):
            await reader.look()
        assert database.asked == count + 10, "one question for all of them at each look"
        await say(database, "c1", "m1")
        await reader.look()

        async def heard() -> bool:
            return clients[1].seqs() == [1]

        await eventually(heard, what="the event")
        assert database.asked <= count + 13, "and only who has news reads"
        await reader.look()
        assert database.asked <= count + 14
        assert all(each.seqs() == [] for number, each in enumerate(clients) if number != 1)


async def test_a_stream_has_every_event_once_and_in_order_whatever_wakes_it(database: Counted) -> None:
    await add(database, "c1")
    async with following(database, "c1", "c1") as (_, reader, clients):
        for number in range(250):
            await say(database, "c1", f"m{number}")
            if number % 50 == 0:
                await reader.look()
        await reader.look()
        for client in clients:

            async def all_heard(client: Client = client) -> bool:
                return len(client.seqs()) == 250

            await eventually(all_heard, what="the events")
            assert client.seqs() == list(range(1, 251))


async def test_a_database_that_was_away_is_read_again(database: Counted) -> None:
    await add(database, "c1")
    async with following(database, "c1") as (_, reader, (client,)):
        await say(database, "c1", "m1")
        database.away = True
        with pytest.raises(Unavailable):
            await reader.look()
        database.away = False
        await reader.look()

        async def heard() -> bool:
            return client.seqs() == [1]

        await eventually(heard, what="the event")


async def test_streams_end_with_the_process_and_say_so(database: Counted) -> None:
    await add(database, "c1", "c2")
    wakes = Wakes("redis://127.0.0.1:1/0", "zhiyin")
    streams = Streams(database, wakes)
    clients = [Client(), Client()]

    def follow(number: int) -> asyncio.Task[None]:
        client = clients[number]
        return asyncio.create_task(
            streams.follow(client.receive, client.send, tenant="default", conversation_id="c1", after=0)
        )

    first = follow(0)

    async def begun() -> bool:
        return "retry:" in clients[0].heard

    await eventually(begun)
    streams.stop()
    await first
    await follow(1)
    assert all(each.heard.endswith("event: reconnect\ndata: {}\n\n") for each in clients)
    await streams.close()
    await wakes.close()
