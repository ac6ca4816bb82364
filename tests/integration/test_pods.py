"""Real processes as pods have them: stores that come late or go away, neighbours that are killed, orderly stops."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from cli.consul_process import registered
from cli.ports import free_ports
from cli.stack import SERVICES
from tests.customers import Customer, customer, texts
from tests.models import write_model
from tests.postgres import Postgres, postgres
from tests.stack import RunningStack, eventually

WITH_TABLES = {"login": "login", "dialogue": "dialogue", "business": "business", "worker": "business"}
PODS: Mapping[str, str] = {
    "ZHIYIN_HOST": "0.0.0.0",
    "ZHIYIN_RESEND_FIRST_SECONDS": "1",
    "ZHIYIN_RESEND_SECONDS": "2",
    "ZHIYIN_DRAIN_SECONDS": "1",
}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Postgres]:
    """A PostgreSQL that these tests may stop."""
    async with postgres() as running:
        yield running


def on_postgres(folder: Path, server: Postgres, **variables: str) -> RunningStack:
    """A stack whose services have a database each, as in a cluster; none of them is there yet."""
    stack = RunningStack(folder / "home", write_model(folder), environment={**PODS, **variables})
    mark = uuid.uuid4().hex
    for name, database in WITH_TABLES.items():
        program = stack.programs[name]
        url = server.url(f"{database}_{mark}").replace("postgresql+asyncpg://zhiyin@", "postgresql://zhiyin:p%40%25@")
        stack.programs[name] = replace(program, environment={**program.environment, "ZHIYIN_DATABASE_URL": url})
    return stack


@pytest.fixture(scope="module")
async def stack(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningStack]:
    async with on_postgres(tmp_path_factory.mktemp("pods"), server) as running:
        yield running


async def status_of(url: str) -> int | None:
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session, session.get(url) as answer:
            return answer.status
    except (aiohttp.ClientConnectionError, TimeoutError):
        return None


async def until_status(url: str, status: int | None, seconds: float = 60) -> None:
    async def look() -> bool:
        return await status_of(url) == status

    await eventually(look, seconds, what=f"{status} from {url}")


async def until_answered(guest: Customer, text: str, *, message_id: str) -> None:
    """Says it as a client does: again with the same id until it is answered."""

    async def look() -> bool:
        try:
            return (await guest.post(text, message_id=message_id)).status == 200
        except aiohttp.ClientConnectionError:
            return False

    await eventually(look, 60, what=f"an answer to {text!r}")


async def ask_for_a_refund(guest: Customer, order: str) -> None:
    await guest.say("refund money")
    await guest.say(order)
    await guest.say("the keys stick")
    options = (await guest.events())[-1]["options"]
    await guest.say(options[0]["title"], choice=options[0]["id"])


async def test_the_database_stops_and_comes_back(stack: RunningStack, server: Postgres) -> None:
    pids = {name: stack.pid(name) for name in SERVICES}
    async with customer(stack, language="en") as guest, guest.stream() as live:
        await guest.say("hello")
        await server.stop()
        answer = await guest.post("where is my parcel")
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert answer.headers["Retry-After"]
        assert (await guest.calls.post("/v1/auth/guest", json={})).status == 503
        for name in ("login", "dialogue", "business"):
            await until_status(f"{stack.url_of(name)}/health/ready", 503)
        for name in SERVICES:
            assert await status_of(f"{stack.url_of(name)}/health/live") == 200
        message = uuid.uuid4().hex
        asking = asyncio.create_task(until_answered(guest, "where is 20261103001", message_id=message))
        await server.start()
        await asking
        for name in SERVICES:
            await until_status(f"{stack.url_of(name)}/health/ready", 200)
        events = await guest.events()
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["message_id"] for event in events].count(message) == 1
        assert [(await asyncio.wait_for(live.get(), 20))["seq"] for _ in events] == [each["seq"] for each in events]
    assert {name: stack.pid(name) for name in SERVICES} == pids
    assert all("Traceback" not in stack.log(name) for name in SERVICES), "nobody was surprised"


@pytest.mark.long
async def test_an_action_that_was_accepted_survives_the_database(stack: RunningStack, server: Postgres) -> None:
    async with customer(stack, language="en") as guest:
        await stack.stop("worker")
        await ask_for_a_refund(guest, "20261103004")
        said = len(await guest.events())
        await server.stop()
        starting = asyncio.create_task(stack.start("worker"))
        await until_status(f"{stack.url_of('dialogue')}/health/ready", 503)
        await server.start()
        await starting
        events = await guest.until(lambda seen: len(seen) > said)
        await guest.say("hello")
        assert len(await guest.events()) == len(events) + 2, "it was told once"


@pytest.mark.parametrize("gone_without_a_word", [False, True])
async def test_one_of_two_dies_and_every_turn_is_answered_by_the_other(
    stack: RunningStack, *, gone_without_a_word: bool
) -> None:
    """Its connections are cut, or nothing comes back on them: the node of the pod has vanished."""
    (port,) = free_ports(1)
    uid = uuid.uuid4().hex
    stack.programs["intent-2"] = replace(
        stack.stack.service_program("intent", name="intent-2", port=port),
        environment={**stack.programs["intent"].environment, "ZHIYIN_PORT": str(port), "ZHIYIN_INSTANCE": uid},
    )
    await stack.start("intent-2")

    async def both() -> bool:
        found = await registered(stack.stack.registry)
        return f"zhiyin-intent-{uid}" in {each.id for each in found if each.health == "passing"}

    await eventually(both)
    async with customer(stack, language="en") as guest:
        for number in range(20):
            if number == 5 and gone_without_a_word:
                stack.pause("intent-2")
            elif number == 5:
                await stack.kill("intent-2")
            assert "SF1234567890" in texts(await guest.say("where is 20261103001"))
    await stack.kill("intent-2")


@asynccontextmanager
async def spread(ports: list[int]) -> AsyncIterator[int]:
    """A port that spreads its connections over others, as a cluster's Service does."""
    tasks: set[asyncio.Task[None]] = set()
    number = 0

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                target.write(data)
        except OSError:
            target.transport.abort()
        finally:
            target.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal number
        number += 1
        try:
            ahead, back = await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, back), (ahead, writer)):
            task = asyncio.create_task(pump(source, target))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()


@pytest.mark.long
async def test_behind_a_clusters_service_too(stack: RunningStack) -> None:
    (port,) = free_ports(1)
    intent = stack.programs["intent"]
    assert intent.address is not None
    stack.programs["intent-3"] = replace(
        stack.stack.service_program("intent", name="intent-3", port=port),
        environment={**intent.environment, "ZHIYIN_PORT": str(port), "ZHIYIN_REGISTRY": "kubernetes"},
    )
    await stack.start("intent-3")
    async with spread([int(intent.address.rpartition(":")[2]), port]) as service:
        known = {name: address for name in ("login", "business") if (address := stack.programs[name].address)}
        (own,) = free_ports(1)
        program = stack.stack.service_program("dialogue", name="dialogue-2", port=own)
        stack.programs["dialogue-2"] = replace(
            program,
            environment={
                **stack.programs["dialogue"].environment,
                "ZHIYIN_PORT": str(own),
                "ZHIYIN_REGISTRY": "kubernetes",
                "ZHIYIN_KUBERNETES_SERVICE": f"http://127.0.0.1:{service}",
                "ZHIYIN_STATIC_SERVICES": str(known).replace("'", '"'),
            },
        )
        await stack.start("dialogue-2")
        async with customer(stack, language="en", url=stack.url_of("dialogue-2")) as guest:
            for number in range(30):
                if number == 5:
                    await stack.kill("intent-3")
                assert "SF1234567890" in texts(await guest.say("where is 20261103001"))
        await stack.stop("dialogue-2")


async def services_of(stack: RunningStack) -> set[str]:
    return {each.service for each in await registered(stack.stack.registry)}


async def test_a_stop_is_announced_before_it_happens(stack: RunningStack) -> None:
    """Unready and out of the registry first; who is still there is answered and sent elsewhere; then the end."""
    url = stack.url_of("dialogue")
    async with customer(stack, language="en") as guest, guest.stream() as live:
        await guest.say("hello")
        seen = [await asyncio.wait_for(live.get(), 10) for _ in await guest.events()]
        stack.send("dialogue", signal.SIGTERM)
        await until_status(f"{url}/health/ready", 503)
        assert await status_of(f"{url}/health/live") == 200
        assert "dialogue" not in await services_of(stack)
        answer = await guest.post("hello")
        assert (answer.status, answer.headers.get("Connection")) == (200, "close")
        assert await stack.ended("dialogue") == 0
        await stack.start("dialogue")
        async with guest.stream(after=seen[-1]["seq"]) as again:
            assert (await asyncio.wait_for(again.get(), 10))["seq"] == seen[-1]["seq"] + 1


@pytest.mark.long
async def test_a_worker_that_is_stopped_answers_for_itself_until_its_action_is_done(stack: RunningStack) -> None:
    await stack.restart("worker", extra={"ZHIYIN_FAULTS": '{"business.perform.before_commit": 4}'})
    async with customer(stack, username="hanmeimei", language="en") as guest:
        await ask_for_a_refund(guest, "20261104002")
        said = len(await guest.events())

        async def in_hand() -> bool:
            return "fault_point_reached" in stack.log("worker")

        await eventually(in_hand)
        stack.send("worker", signal.SIGTERM)
        ready = f"{stack.url_of('worker')}/health/ready"
        await until_status(ready, 503)
        assert await status_of(f"{stack.url_of('worker')}/health/live") == 200
        assert "worker" not in await services_of(stack)
        events = await guest.until(lambda seen: len(seen) > said)
        assert "attempt" not in texts(events)
        assert await stack.ended("worker") == 0
        assert stack.log("worker").count("action_closed") >= 1
    await stack.start("worker")


@pytest.mark.long
async def test_stores_that_come_late_are_waited_for(server: Postgres, tmp_path: Path) -> None:
    """All pods start at once and the stores last."""
    stack = on_postgres(tmp_path, server, ZHIYIN_RECONCILE_SECONDS="1")
    stack.stack.prepare()
    for name in SERVICES:
        stack.programs[name] = replace(stack.programs[name], ready_seconds=180)
    await server.stop()
    starting = [asyncio.create_task(stack.start(name)) for name in SERVICES]
    try:
        for name in ("login", "dialogue", "business", "worker"):

            async def waits(name: str = name) -> bool:
                return "database_awaited" in stack.log(name)

            await eventually(waits)
        await server.start()
        # Consul and Redis come later still.
        await until_status(f"{stack.url_of('dialogue')}/health/ready", 200)
        await until_status(f"{stack.url_of('login')}/health/ready", 200)
        assert await status_of(f"{stack.url_of('worker')}/health/ready") == 503, "it has no queue"
        await asyncio.gather(stack.start("redis"), stack.start("consul"))
        await asyncio.gather(*starting)
        await stack.until_passing(SERVICES)
        async with customer(stack, language="en") as guest:
            assert "SF1234567890" in texts(await guest.say("where is 20261103001"))
        assert all("Traceback" not in stack.log(name) for name in SERVICES)
    finally:
        await asyncio.gather(*starting, return_exceptions=True)
        await stack.kill_all()


@pytest.mark.long
async def test_who_must_not_migrate_waits_for_the_schema(server: Postgres, tmp_path: Path) -> None:
    stack = on_postgres(tmp_path, server, ZHIYIN_MIGRATE_ON_START="false", ZHIYIN_DATABASE_WAIT_SECONDS="2")
    with pytest.raises(AssertionError, match="login ended with exit code 3 before it was ready"):
        await stack.start("login")
    assert "the service cannot start: the database of login was waited for in vain" in stack.log("login")
    assert "Traceback" not in stack.log("login")
