"""Registration and discovery against a real Consul that is stopped, wiped and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from cli.ports import free_ports
from cli.process import wait_until
from shared.calls.discovery import ConsulDiscovery, FixedDiscovery
from shared.calls.registration import Instance, Registrar
from tests.externals import Consul

DEADLINE = 30.0


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[Consul]:
    async with Consul(tmp_path) as running:
        yield running


@pytest.fixture
async def instances() -> AsyncIterator[tuple[Instance, Instance]]:
    """Two instances of a service that say they are ready when Consul asks them."""

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/health/ready", ready)
    runner = web.AppRunner(app)
    await runner.setup()
    ports = free_ports(2)
    for port in ports:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    first, second = (
        Instance(id=f"shop-{number}", service="shop", host="127.0.0.1", port=port, meta={"version": "1", "zone": ""})
        for number, port in enumerate(ports, start=1)
    )
    yield first, second
    await runner.cleanup()


Pair = tuple[Instance, Instance]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    assert await wait_until(condition, DEADLINE), "the condition did not come true in time"


async def test_what_is_registered_is_found_and_what_leaves_is_not(consul: Consul, instances: Pair) -> None:
    discovery = ConsulDiscovery(consul.url)
    first, second = Registrar(consul.url, instances[0]), Registrar(consul.url, instances[1])
    await first.start()
    await second.start()

    async def both() -> bool:
        return await discovery.instances("shop") == instances

    await until(both)
    await first.stop()

    async def only_second() -> bool:
        return await discovery.instances("shop") == (instances[1],)

    await until(only_second)
    await second.stop()
    await discovery.close()


async def test_what_changes_is_registered_again(consul: Consul, instances: Pair) -> None:
    serving = {"model": "shop@v1"}
    discovery = ConsulDiscovery(consul.url)
    registrar = Registrar(consul.url, instances[0], meta=lambda: serving, reconcile_seconds=0.2)
    await registrar.start()

    def shows(model: str) -> Callable[[], Awaitable[bool]]:
        async def known() -> bool:
            return [each.meta for each in await discovery.instances("shop")] == [
                {"version": "1", "zone": "", "model": model}
            ]

        return known

    await until(shows("shop@v1"))
    serving["model"] = "shop@v2"
    await until(shows("shop@v2"))
    await registrar.stop()
    await discovery.close()


async def test_consul_away_and_back_with_nothing_kept(consul: Consul, instances: Pair) -> None:
    discovery = ConsulDiscovery(consul.url)
    registrar = Registrar(consul.url, instances[0], reconcile_seconds=0.2)
    await registrar.start()
    assert registrar.registered
    assert await discovery.instances("shop") == (instances[0],)

    await consul.kill()

    async def noticed() -> bool:
        return not registrar.registered

    await until(noticed)
    assert await discovery.instances("shop") == (instances[0],), "the last good list serves while Consul is away"

    await consul.start(wipe=True)

    async def registered_again() -> bool:
        return registrar.registered and "shop-1" in await consul.service_ids()

    await until(registered_again)
    assert await discovery.instances("shop") == (instances[0],)
    await registrar.stop()
    await discovery.close()


async def test_consul_away_at_the_start_is_no_reason_not_to_start(consul: Consul, instances: Pair) -> None:
    await consul.kill()
    registrar = Registrar(consul.url, instances[0], reconcile_seconds=0.2)
    beats: list[int] = []
    await registrar.start()
    registrar.on_beat(lambda: beats.append(1))
    assert not registrar.registered
    await consul.start()

    async def registered() -> bool:
        return registrar.registered

    await until(registered)
    assert len(beats) > 1
    await registrar.stop()


async def test_who_came_while_consul_is_away_is_found_by_the_fallback(consul: Consul, instances: Pair) -> None:
    known, newer = instances
    discovery = ConsulDiscovery(consul.url, FixedDiscovery({}, newer.url))
    registrar = Registrar(consul.url, known)
    await registrar.start()
    assert await discovery.instances("shop") == (known,)
    await consul.kill()

    async def found() -> bool:
        return [each.url for each in await discovery.instances("shop")] == [known.url, newer.url]

    await until(found)
    await registrar.stop()
    await discovery.close()


async def test_a_stop_is_not_held_up_by_consul(consul: Consul, instances: Pair) -> None:
    registrar = Registrar(consul.url, instances[0])
    await registrar.start()
    await consul.kill()
    await registrar.stop()
    assert not registrar.registered


async def test_one_watch_serves_all_callers(consul: Consul, instances: Pair) -> None:
    registrar = Registrar(consul.url, instances[0])
    await registrar.start()
    discovery = ConsulDiscovery(consul.url)
    answers = await asyncio.gather(*(discovery.instances("shop") for _ in range(20)))
    assert set(answers) == {(instances[0],)}
    await registrar.stop()
    await discovery.close()
