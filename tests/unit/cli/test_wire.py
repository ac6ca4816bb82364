import aiohttp
import pytest

from cli.recordings import Recorded, Recording
from cli.wire import NotRecorded, Wire
from tests.unit.cli.library import library_system


async def get(url: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_what_is_passed_on_is_kept() -> None:
    with library_system() as system:
        async with Wire(upstream={"core": system}) as wire:
            status, body = await get(f"{wire.url('core')}/members/C1002/loans?b=1&a=2")
    assert (status, body) == (200, {"loans": []})
    (exchange,) = wire.exchanges
    assert (exchange.line, exchange.answer) == ("GET /members/C1002/loans?a=2&b=1", body)


async def test_a_system_that_is_away_cuts_the_line_and_says_why() -> None:
    async with Wire(upstream={"core": "http://127.0.0.1:1"}) as wire:
        with pytest.raises(aiohttp.ClientError):
            await get(f"{wire.url('core')}/a")
    assert "Connect call failed" in wire.exchanges[0].failure
    assert len(wire.exchanges) == 1


async def test_what_was_not_recorded_is_named() -> None:
    entry = Recorded.model_validate({"request": "GET /a", "answer": {"status": 404, "body": {"x": 1}}})
    async with Wire(recording={"core": Recording([entry], "c")}) as wire:
        assert await get(f"{wire.url('core')}/a") == (404, {"x": 1})
        wire.complain()
        assert (await get(f"{wire.url('core')}/b?q=1"))[0] == 501
    with pytest.raises(NotRecorded, match=r"GET /b\?q=1 of connectors/core\.yml; .*--record"):
        wire.complain()


async def test_a_token_is_never_kept() -> None:
    with library_system() as system:
        async with Wire(upstream={"core": system}, tokens={"core": "/members/C1002/loans"}) as wire:
            assert (await get(f"{wire.url('core')}/members/C1002/loans"))[0] == 200
    assert wire.exchanges == []
    async with Wire(recording={}, tokens={"core": "/token"}) as wire:
        assert (await get(f"{wire.url('core')}/token"))[1] == {"access_token": "recorded", "expires_in": 3600}
