"""A hostile client of a real Consul: it says where, and nobody believes who."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cli.process import wait_until
from shared.calls.client import ServiceClient
from shared.calls.discovery import ConsulDiscovery, FixedDiscovery, PinnedLogin
from shared.calls.registration import Instance, Registrar
from shared.errors import Unavailable
from tests.externals import Consul
from tests.tokens import TokenFactory

DEADLINE = 60.0


@dataclass
class Process:
    """Something that listens: it answers every call with its name, and its own check only."""

    name: str
    instance: Instance | None = None
    port: int = 0
    heard: list[str] = field(default_factory=list)
    alive: bool = True

    async def answer(self, request: web.Request) -> web.Response:
        if request.path.startswith("/health/ready/"):
            mine = self.alive and self.instance is not None and request.path.endswith(f"/{self.instance.id}")
            return web.Response(status=200 if mine else 404)
        self.heard.append(request.headers.get("Authorization", ""))
        return web.json_response({"name": self.name})


Listen = Callable[..., Awaitable[Process]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    async with AsyncExitStack() as stack:

        async def start(name: str, service: str = "business") -> Process:
            process = Process(name)
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", process.answer)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            process.port = runner.addresses[0][1]
            process.instance = Instance(id=name, service=service, host="127.0.0.1", port=process.port)
            return process

        yield start


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[Consul]:
    async with Consul(tmp_path) as running:
        yield running


def token_of(consul: Consul, service: str) -> str:
    return consul.stack.bootstrap.consul.services[service]


class Installation:
    """Registers instances with proofs of its login, and calls them as another service of it would."""

    def __init__(self, consul: Consul, name: str = "zhiyin", *, token: str | None = None) -> None:
        self.consul, self.name, self.login = consul, name, TokenFactory()
        self.token = token_of(consul, "business") if token is None else token
        self.beats: set[str] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Installation":
        self.discovery = ConsulDiscovery(
            self.consul.url,
            proven=self.login.proofs(installation=self.name).hold,
            installation=self.name,
            token=self.token,
            beat=self.beats.add,
        )
        self._stack.push_async_callback(self.discovery.close)

        async def token(service: str) -> str:
            return f"token-of-{self.name}-for-{service}"

        self.client = ServiceClient(PinnedLogin(FixedDiscovery({}), self.discovery), tokens=token)
        self._stack.push_async_callback(self.client.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def register(self, process: Process) -> Registrar:
        assert process.instance is not None
        instance = process.instance

        async def prove() -> str:
            return self.login.prove(instance, installation=self.name).meta["proof"]

        registrar = Registrar(
            self.consul.url,
            instance,
            installation=self.name,
            token=self.token,
            prove=prove,
            reconcile_seconds=0.2,
        )
        await registrar.start()
        self._stack.push_async_callback(registrar.stop)
        return registrar

    async def answers(self, count: int = 30) -> set[str]:
        return {(await self.client.get("business", "/who"))["name"] for _ in range(count)}

    def finds(self, *names: str) -> Callable[[], Awaitable[bool]]:
        async def look() -> bool:
            return {each.id for each in await self.discovery.instances("business")} == set(names)

        return look


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    assert await wait_until(condition, DEADLINE), "the condition did not come true in time"


def fake(service: str, port: int, **more: Any) -> dict[str, Any]:
    return {"Name": service, "ID": f"evil-{port}", "Address": "127.0.0.1", "Port": port} | more


async def test_without_a_token_nothing_is_registered_read_or_taken_away(consul: Consul, listen: Listen) -> None:
    evil = await listen("evil")
    async with Installation(consul) as installation:
        await installation.register(await listen("real"))
        for name in ("zhiyin-login", "zhiyin-business", "login", "business", "anything"):
            status, _ = await consul.call("PUT", "/v1/agent/service/register", fake(name, evil.port), token="")
            assert status == 403
        assert (await consul.call("PUT", "/v1/agent/service/deregister/real", token=""))[0] == 403
        assert await consul.call("GET", "/v1/health/service/zhiyin-business", token="") == (200, [])
        assert await consul.call("GET", "/v1/agent/services", token="") == (200, {})
        assert await installation.answers() == {"real"}
    assert not evil.heard


async def test_a_services_token_registers_that_service_and_no_other(consul: Consul, listen: Listen) -> None:
    evil = await listen("evil")
    intent = token_of(consul, "intent")
    for name in ("zhiyin-login", "zhiyin-business", "zhiyin-dialogue", "other-intent"):
        status, _ = await consul.call("PUT", "/v1/agent/service/register", fake(name, evil.port), token=intent)
        assert status == 403
    status, _ = await consul.call("PUT", "/v1/agent/service/register", fake("zhiyin-intent", evil.port), token=intent)
    assert status == 200
    status, _ = await consul.call(
        "PUT", "/v1/agent/service/register", fake("zhiyin-status", 1), token=token_of(consul, "status")
    )
    assert status == 403


async def test_who_may_write_to_consul_gets_no_call_and_no_token(consul: Consul, listen: Listen) -> None:
    """ACLs are the first wall; here the intruder has climbed over it, with the management token."""
    evil = await listen("evil")
    async with Installation(consul) as installation:
        real = await listen("real")
        assert real.instance is not None
        await installation.register(real)
        await until(installation.finds("real"))
        stolen = installation.login.prove(real.instance).meta
        for name in ("zhiyin-login", "zhiyin-business", "zhiyin-intent"):
            for entry in (
                fake(name, evil.port),
                fake(name, evil.port, ID="of-a-stranger", Meta=dict(TokenFactory().prove(real.instance).meta)),
                fake(name, evil.port, ID="with-a-stolen-proof", Meta=dict(stolen)),
                fake(name, evil.port, ID="nonsense", Meta={"proof": "x" * 500}, Address=""),
            ):
                assert (await consul.call("PUT", "/v1/agent/service/register", entry))[0] == 200
        assert await installation.answers(100) == {"real"}
        # The same id at another address: taken back by the real one, and believed at no time.
        moved = fake("zhiyin-business", evil.port, ID="real", Meta=dict(stolen))
        assert (await consul.call("PUT", "/v1/agent/service/register", moved))[0] == 200
        assert await installation.answers(100) == {"real"}

        async def back() -> bool:
            _, services = await consul.call("GET", "/v1/agent/services")
            return bool(services["real"]["Port"] == real.port)

        await until(back)
        with pytest.raises(Unavailable):
            await installation.client.post("login", "/v1/token", json={"client_secret": "s"})
        with pytest.raises(Unavailable):
            await installation.client.post("intent", "/v1/understand", json={"text": "question"}, deadline=2.0)
    assert not evil.heard


async def test_an_entry_that_was_taken_away_comes_back_and_calls_go_on(consul: Consul, listen: Listen) -> None:
    async with Installation(consul) as installation:
        await installation.register(await listen("real"))
        await until(installation.finds("real"))
        for _ in range(3):
            await consul.call("PUT", "/v1/agent/service/deregister/real")
            assert await installation.answers() == {"real"}

            async def back() -> bool:
                return "real" in await consul.service_ids()

            await until(back)


async def test_two_installations_on_one_consul_never_meet(consul: Consul, listen: Listen) -> None:
    """Also where somebody gave both the same name: each believes its own login only."""
    management = consul.management
    async with (
        Installation(consul, "shop-a", token=management) as one,
        Installation(consul, "shop-b", token=management) as two,
        Installation(consul, "shop-b", token=management) as namesake,
    ):
        for installation, name in ((one, "one"), (two, "two"), (namesake, "namesake")):
            await installation.register(await listen(name))
        for installation, name in ((one, "one"), (two, "two"), (namesake, "namesake")):
            await until(installation.finds(name))
            assert await installation.answers(100) == {name}


async def test_an_address_that_another_service_answers_now_is_not_called(consul: Consul, listen: Listen) -> None:
    async with Installation(consul) as installation:
        await installation.register(await listen("stays"))
        other = await listen("other")
        assert other.instance is not None
        # What a killed process left, with a proof that is still good; its address has become somebody else's.
        left = replace(other.instance, id="killed")
        check = {"HTTP": f"{left.url}/health/ready/killed", "Interval": "1s", "DeregisterCriticalServiceAfter": "1m"}
        ghost = {
            **fake("zhiyin-business", left.port, ID="killed", Meta=dict(installation.login.prove(left).meta)),
            "Check": check,
        }
        assert (await consul.call("PUT", "/v1/agent/service/register", ghost))[0] == 200
        await until(installation.finds("stays"))
        assert await installation.answers(50) == {"stays"}
    assert not other.heard


async def test_the_last_instance_is_not_kept_when_its_check_says_that_it_is_gone(
    consul: Consul, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.calls.discovery.EMPTY_GRACE_SECONDS", 3600.0)
    async with Installation(consul) as installation:
        only = await listen("only")
        await installation.register(only)
        await until(installation.finds("only"))
        only.alive = False
        await until(installation.finds())


async def test_while_there_are_no_keys_configured_addresses_serve_and_then_the_list(
    consul: Consul, listen: Listen
) -> None:
    login = TokenFactory()
    away = True
    real, configured = await listen("real"), await listen("configured")

    async def proven(instance: Instance) -> bool:
        if away:
            raise Unavailable("no keys")
        return await login.proofs().hold(instance)

    async with Installation(consul) as installation:
        installation.login = login
        await installation.register(real)
        discovery = ConsulDiscovery(
            consul.url,
            FixedDiscovery({"business": f"127.0.0.1:{configured.port}"}),
            proven=proven,
            token=consul.management,
        )
        assert [each.port for each in await discovery.instances("business")] == [configured.port]
        away = False

        async def listed() -> bool:
            return [each.port for each in await discovery.instances("business")] == [real.port]

        await until(listed)
        await discovery.close()


async def test_a_watch_tells_that_it_turns(consul: Consul) -> None:
    async with Installation(consul) as installation:
        await installation.discovery.instances("business")
        assert installation.beats == {"discovery-business"}
        installation.beats.clear()
        await consul.kill()

        async def beats() -> bool:
            return bool(installation.beats)

        await until(beats)
