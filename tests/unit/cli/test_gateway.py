"""The client of dialogue's API: tokens that renew themselves, a stream that comes back, answers of something else."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from cli.errors import CommandError, NotReachable
from cli.gateway import Gateway, Refused
from cli.ports import free_ports

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKENS = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 900}


def event(seq: int) -> dict[str, object]:
    moment = "2026-11-22T12:00:00Z"
    return {"seq": seq, "kind": "reply", "sender": "assistant", "text": f"reply {seq}", "created_at": moment}


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[dict[str, Handler]], Awaitable[str]]]:
    runners: list[web.AppRunner] = []

    async def start(routes: dict[str, Handler]) -> str:
        app = web.Application()
        for route, handler in routes.items():
            method, path = route.split(" ")
            app.router.add_route(method, path, handler)
        runner = web.AppRunner(app)
        await runner.setup()
        (port,) = free_ports(1)
        await web.TCPSite(runner, "127.0.0.1", port).start()
        runners.append(runner)
        return f"http://127.0.0.1:{port}/"

    yield start
    for runner in runners:
        await runner.cleanup()


Serve = Callable[[dict[str, Handler]], Awaitable[str]]


async def test_an_expired_token_is_renewed_once(serve: Serve) -> None:
    used: list[str] = []

    async def refresh(request: web.Request) -> web.Response:
        used.append((await request.json())["refresh_token"])
        return web.json_response(TOKENS | {"access_token": "fresh", "refresh_token": "r2"})

    async def open_one(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != "Bearer fresh":
            return web.json_response({"title": "Not authenticated"}, status=401)
        return web.json_response({"id": "c1"}, status=201)

    async def guest(_: web.Request) -> web.Response:
        return web.json_response(TOKENS)

    url = await serve(
        {"POST /v1/auth/guest": guest, "POST /v1/auth/refresh": refresh, "POST /v1/conversations": open_one}
    )
    async with Gateway(url) as gateway:
        await gateway.enter_as_guest()
        assert await gateway.open("zh") == "c1"
        assert gateway.refresh_token == "r2"
    assert used == ["r"]


async def test_a_refusal_says_what_the_service_said(serve: Serve) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"title": "Not authenticated", "detail": "wrong name or password"}, status=401)

    async def broken(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>")

    url = await serve({"POST /v1/auth/login": refuse, "POST /v1/auth/guest": broken})
    async with Gateway(url) as gateway:
        with pytest.raises(Refused, match=r"^Refused \(401\): wrong name or password$"):
            await gateway.log_in("lilei", "no")
        with pytest.raises(Refused, match=r"^Refused \(502\): Bad Gateway$"):
            await gateway.enter_as_guest()


async def test_nobody_there() -> None:
    (port,) = free_ports(1)
    async with Gateway(f"http://127.0.0.1:{port}") as gateway:
        with pytest.raises(NotReachable, match="start it with `zhiyin up`"):
            await gateway.enter_as_guest()


async def test_something_else_is_there(serve: Serve) -> None:
    async def other(_: web.Request) -> web.Response:
        return web.json_response(["hello"])

    url = await serve({"POST /v1/auth/guest": other})
    async with Gateway(url) as gateway:
        with pytest.raises(NotReachable, match="is not Zhiyin"):
            await gateway.enter_as_guest()


async def test_a_long_transcript_is_read_page_by_page(serve: Serve) -> None:
    async def events(request: web.Request) -> web.Response:
        after = int(request.query["after"])
        page = [event(seq) for seq in range(after + 1, min(after + 200, 450) + 1)]
        return web.json_response({"events": page, "last_seq": after + len(page)})

    url = await serve({"GET /v1/conversations/c1/events": events})
    async with Gateway(url) as gateway:
        assert [each.seq for each in await gateway.events("c1", 0)] == list(range(1, 451))


async def test_a_stream_that_is_cut_goes_on_where_it_was(serve: Serve) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        after = int(request.query["after"])
        if after == 1 and request.headers["Authorization"] != "Bearer fresh":
            return web.json_response({"title": "expired"}, status=401)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        line = json.dumps(event(after + 1))
        await response.write(f"retry: 1000\n\nid: {after + 1}\nevent: reply\ndata: {line}\n\n: still here\n\n".encode())
        await response.write(b"event: reconnect\ndata: {}\n\n")
        return response

    async def refresh(_: web.Request) -> web.Response:
        return web.json_response(TOKENS | {"access_token": "fresh"})

    async def guest(_: web.Request) -> web.Response:
        return web.json_response(TOKENS)

    url = await serve(
        {
            "GET /v1/conversations/c1/stream": stream,
            "POST /v1/auth/refresh": refresh,
            "POST /v1/auth/guest": guest,
        }
    )
    seen: list[int] = []
    async with Gateway(url) as gateway, asyncio.timeout(20):
        await gateway.enter_as_guest()
        async for each in gateway.follow("c1", 0):
            seen.append(each.seq)
            if len(seen) == 3:
                break
    assert seen == [1, 2, 3]


async def test_a_stream_of_somebody_elses_conversation(serve: Serve) -> None:
    async def stream(_: web.Request) -> web.Response:
        return web.json_response({"title": "Not found"}, status=404)

    url = await serve({"GET /v1/conversations/c1/stream": stream})
    async with Gateway(url) as gateway:
        with pytest.raises(Refused, match="Not found"):
            await anext(gateway.follow("c1", 0))


async def test_a_stream_of_something_else(serve: Serve) -> None:
    async def stream(_: web.Request) -> web.Response:
        return web.Response(text='data: {"seq": "no"}\n\n')

    url = await serve({"GET /v1/conversations/c1/stream": stream})
    async with Gateway(url) as gateway:
        with pytest.raises(CommandError, match="is it Zhiyin"):
            await anext(gateway.follow("c1", 0))


async def test_a_stream_waits_for_a_server_that_comes_back(serve: Serve) -> None:
    (port,) = free_ports(1)
    async with Gateway(f"http://127.0.0.1:{port}") as gateway:
        following = gateway.follow("c1", 0)
        first = asyncio.ensure_future(anext(following))

        async def stream(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(f"data: {json.dumps(event(1))}\n\n".encode())
            return response

        await asyncio.sleep(0)
        app = web.Application()
        app.router.add_get("/v1/conversations/c1/stream", stream)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            async with asyncio.timeout(20):
                assert (await first).seq == 1
        finally:
            await runner.cleanup()
