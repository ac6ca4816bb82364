"""Registration and discovery against a real Consul that is stopped, wiped and started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cli.ports import free_ports
from cli.process import wait_until
from shared.calls.discovery import ConsulDiscovery, Discovery, FixedDiscovery
from shared.calls.registration import Instance, Registrar
from shared.errors import Unavailable
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
    app.router.add_get("/health/ready/{instance}", ready)
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


async def anybody(_instance: Instance) -> bool:
    return True


def registrar_of(consul: Consul, instance: Instance, **more: Any) -> Registrar:
    return Registrar(consul.url, instance, token=consul.management, **more)


def finding(consul: Consul, fallback: Discovery | None = None) -> ConsulDiscovery:
    return ConsulDiscovery(consul.url, fallback, proven=anybody, token=consul.management)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    assert await wait_until(condition, DEADLINE), "the condition did not come true in time"


async def test_what_is_registered_is_found_and_what_leaves_is_not(consul: Consul, instances: Pair) -> None:
    discovery = finding(consul)
    first, second = registrar_of(consul, instances[0]), registrar_of(consul, instances[1])
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
    discovery = finding(consul)
    registrar = registrar_of(consul, instances[0], meta=lambda: serving, reconcile_seconds=0.2)
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
    discovery = finding(consul)
    registrar = registrar_of(consul, instances[0], reconcile_seconds=0.2)
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
    registrar = registrar_of(consul, instances[0], reconcile_seconds=0.2)
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
    discovery = finding(consul, FixedDiscovery({}, newer.url))
    registrar = registrar_of(consul, known)
    await registrar.start()
    assert await discovery.instances("shop") == (known,)
    await consul.kill()

    async def found() -> bool:
        return [each.url for each in await discovery.instances("shop")] == [known.url, newer.url]

    await until(found)
    await registrar.stop()
    await discovery.close()


async def test_a_stop_is_not_held_up_by_consul(consul: Consul, instances: Pair) -> None:
    registrar = registrar_of(consul, instances[0])
    await registrar.start()
    await consul.kill()
    await registrar.stop()
    assert not registrar.registered


async def test_one_watch_serves_all_callers(consul: Consul, instances: Pair) -> None:
    registrar = registrar_of(consul, instances[0])
    await registrar.start()
    discovery = finding(consul)
    answers = await asyncio.gather(*(discovery.instances("shop") for _ in range(20)))
    assert set(answers) == {(instances[0],)}
    await registrar.stop()
    await discovery.close()


async def test_what_somebody_else_changed_is_put_right(consul: Consul, instances: Pair) -> None:
    instance, other = instances
    registrar = registrar_of(consul, instance, reconcile_seconds=0.2)
    await registrar.start()
    for change in ({"Name": "other"}, {"Port": other.port}, {"Address": "127.0.0.2"}, {"Meta": {"version": "9"}}):
        entry = {"ID": instance.id, "Name": "zhiyin-shop", "Address": instance.host, "Port": instance.port}
        await consul.call("PUT", "/v1/agent/service/register", {**entry, "Meta": dict(instance.meta), **change})

        async def right() -> bool:
            _, services = await consul.call("GET", "/v1/agent/services")
            found = services.get(instance.id, {})
            return [found.get(key) for key in ("Service", "Port", "Address", "Meta")] == [
                "zhiyin-shop",
                instance.port,
                instance.host,
                dict(instance.meta),
            ]

        await until(right)
    await registrar.stop()


async def test_the_check_is_for_this_very_instance(consul: Consul) -> None:
    asked: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        asked.add(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    instance = Instance(id="shop-1", service="shop", host="127.0.0.1", port=runner.addresses[0][1])
    registrar = registrar_of(consul, instance)
    await registrar.start()

    async def checked() -> bool:
        return bool(asked)

    await until(checked)
    assert asked == {"/health/ready/shop-1"}
    await registrar.stop()
    await runner.cleanup()


async def test_what_cannot_be_proven_is_not_registered_until_it_can(consul: Consul, instances: Pair) -> None:
    away = True

    async def prove() -> str:
        if away:
            raise Unavailable("login is away")
        return "a-proof"

    registrar = registrar_of(consul, instances[0], prove=prove, reconcile_seconds=0.2)
    await registrar.start()
    assert not registrar.registered
    assert await consul.service_ids() == set()
    away = False

    async def registered() -> bool:
        _, services = await consul.call("GET", "/v1/agent/services")
        return "shop-1" in services and services["shop-1"]["Meta"]["proof"] == "a-proof"

    await until(registered)
    await registrar.stop()
