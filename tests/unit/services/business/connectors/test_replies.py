"""What of an answer does not show in a look-up: when it may be asked again, what an error has as a body."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from services.business.connectors.http_system import HttpSystem
from shared.assistants.connectors import Connector
from shared.assistants.plugins import Call, Reply
from tests.systems import CompanySystem

Reader = Callable[[web.Response], Awaitable[Reply]]


@pytest.fixture
def read(system: CompanySystem) -> Reader:
    """Reads one answer of the system."""

    async def reader(response: web.Response) -> Reply:
        system.answers("GET", "/", response)
        connector = Connector(connector="core", largest=1000)
        http = HttpSystem(connector, system.url, networks=[ip_network("127.0.0.0/8")], secret=str)
        try:
            return await http.call(Call(method="GET", path="/", seconds=5))
        finally:
            await http.close()

    return reader


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("7", 7, 7),
        ("99999999999999999999", 3600, 3600),
        (format_datetime(datetime.now(UTC) + timedelta(seconds=900)), 100, 900),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ],
)
async def test_when_it_may_be_asked_again(read: Reader, text: str, least: float, most: float) -> None:
    again_after = (await read(web.Response(status=429, headers={"Retry-After": text}))).again_after
    assert again_after is not None
    assert least <= again_after <= most


@pytest.mark.parametrize("text", ["soon", "-5", "1.5", "", "٧", "Wed, 99 Oct 2015"])
async def test_what_is_no_time_says_nothing(read: Reader, text: str) -> None:
    assert (await read(web.Response(status=503, headers={"Retry-After": text}))).again_after is None


@pytest.mark.parametrize(
    ("response", "body", "garbled"),
    [
        (web.Response(status=204), None, False),
        (web.json_response({"a": 1}, status=409), {"a": 1}, False),
        (web.Response(status=500, text="<p>", content_type="text/html"), None, True),
        (web.Response(text='{"a": 1}', content_type="application/hal+json"), {"a": 1}, False),
        (web.Response(body=b"\xef\xbb\xbf[1]", content_type="application/json"), [1], False),
        (web.Response(text='{"a": 1e999}', content_type="application/json"), None, True),
        (web.Response(text="1" * 5000, content_type="application/json"), None, True),
        (web.Response(body=b"\x00\x01", content_type="application/json"), None, True),
        (web.Response(text='"' + "x" * 998 + '"', content_type="application/json"), "x" * 998, False),
        (web.Response(text='"' + "x" * 999 + '"', content_type="application/json"), None, True),
    ],
)
async def test_json_is_read_and_nothing_else(read: Reader, response: web.Response, body: Any, garbled: bool) -> None:
    reply = await read(response)
    assert (reply.status, reply.body, reply.garbled is not None) == (response.status, body, garbled)


async def test_a_long_answer_is_read_too(system: CompanySystem) -> None:
    system.answers("GET", "/", {"a": ["x" * 300_000]})
    connector = Connector(connector="core")
    http = HttpSystem(connector, system.url, networks=[ip_network("127.0.0.0/8")], secret=str)
    reply = await http.call(Call(method="GET", path="/", seconds=5))
    await http.close()
    assert reply.body == {"a": ["x" * 300_000]}
