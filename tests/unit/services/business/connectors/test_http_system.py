"""Which systems are reached over HTTP at all, and how."""

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.contextvars import bound_contextvars

from services.business.connectors.http_system import ForbiddenAddress, HttpSystem
from services.business.connectors.outcomes import NothingHappened
from shared.assistants.addresses import Network
from shared.assistants.connectors import Connector
from shared.assistants.plugins import Call, NotSent
from tests.certificates import Certificate
from tests.systems import CompanySystem, company_system, cut
from tests.unit.services.business.connectors.conftest import Make

Ask = Callable[..., Awaitable[dict[str, Any] | None]]

PING = "lookups: {card: {request: {path: /ping}, answer: {ok: boolean}}}"
LOOPBACK = (ip_network("127.0.0.0/8"),)
CALL = Call(method="GET", path="/ping", seconds=2.0)


async def call(url: str, networks: tuple[Network, ...] = (), call: Call = CALL) -> int:
    system = HttpSystem(Connector(connector="core"), url, networks=networks, secret=str)
    try:
        return (await system.call(call)).status
    finally:
        await system.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "[::1]", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254",
        "100.100.100.200", "[fe80::1]", "[fd00:ec2::254]", "[::ffff:127.0.0.1]", "[64:ff9b::a00:1]",
        "0.0.0.0", "224.0.0.1",
    ],
)  # fmt: skip
async def test_what_is_not_public_is_not_reached(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await call(f"http://{host}:9/")


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost."])
async def test_another_way_to_write_an_address_leads_nowhere_else(host: str, system: CompanySystem) -> None:
    with pytest.raises(NotSent):
        await call(f"http://{host}:{system.url.rpartition(':')[2]}/")
    assert not system.asked


async def test_a_name_is_resolved_once_and_what_was_checked_is_connected_to(
    system: CompanySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere the second time would get around the check."""
    port = int(system.url.rpartition(":")[2])
    asked: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"http://bank.example:{port}"
    assert await call(url, LOOPBACK) == 404
    assert asked == ["bank.example"]
    asked.clear()
    with pytest.raises(ForbiddenAddress, match=r"127\.0\.0\.1 is a loopback address"):
        await call(url)


async def test_of_several_addresses_only_those_allowed_are_tried(
    system: CompanySystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(system.url.rpartition(":")[2])
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("10.0.0.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert await call(f"http://bank.example:{port}", (ip_network("127.0.0.1/32"),)) == 404
    assert system.asked[0].headers["Host"] == f"bank.example:{port}"


async def test_loopback_is_reached_while_one_develops_or_where_it_is_allowed(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    system.answers("GET", "/ping", {"ok": True})
    assert await ask(make(PING)) == {"ok": True}
    production: dict[str, Any] = {"environment": "production", "client_id": "business", "client_secret": "s" * 32}
    with pytest.raises(NothingHappened, match=r"'core': 127\.0\.0\.1 is a loopback address"):
        await ask(make(PING, **production))
    allowed = {"bank.core": {"networks": ["127.0.0.0/8"]}}
    assert await ask(make(PING, connectors=allowed, **production)) == {"ok": True}
    others = {"bank.crm": {"networks": ["127.0.0.0/8"]}, "other/bank.core": {"networks": ["127.0.0.0/8"]}}
    with pytest.raises(NothingHappened, match="loopback"):
        await ask(make(PING, connectors=others, **production))


async def test_a_proxy_of_the_environment_is_not_used(system: CompanySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert await call(system.url, LOOPBACK) == 404


async def test_what_is_sent_once_is_sent_once_by_every_method(system: CompanySystem) -> None:
    """The library itself would send a PUT again, on a new connection too."""
    for method in ("PUT", "DELETE", "POST", "GET"):
        for once in (True, False):
            system.asked.clear()
            system.answers(method, "/ping", cut)
            with pytest.raises(ConnectionError):
                await call(system.url, LOOPBACK, Call(method=method, path="/ping", seconds=2, once=once))
            assert len(system.asked) == 1


async def test_a_certificate_that_nobody_vouches_for_is_not_taken(tmp_path: Path) -> None:
    certificate = Certificate.make(tmp_path)
    async with company_system(certificate.server_context()) as system:
        with pytest.raises(NotSent, match="Certificate"):
            await call(system.url.replace("127.0.0.1", "localhost"), LOOPBACK)
        assert not system.asked


async def test_cookies_are_not_kept_and_the_request_names_the_log_entry(
    make: Make, ask: Ask, system: CompanySystem
) -> None:
    system.answers("GET", "/ping", web.json_response({"ok": True}, headers={"Set-Cookie": "session=1"}))
    assistants = make(PING, head="headers: {X-Client: zhiyin}")
    with bound_contextvars(request_id="r-1"):
        await ask(assistants)
        await ask(assistants)
    headers = system.asked[1].headers
    assert "Cookie" not in headers
    assert (headers["X-Client"], headers["X-Request-ID"], headers["User-Agent"]) == ("zhiyin", "r-1", "Zhiyin")
