"""Calls between services, against real servers on the loopback that answer, refuse, hang and break off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.contextvars import bound_contextvars

from shared.calls.circuit_breaker import BreakerPolicy
from shared.calls.client import MAX_ANSWER_BYTES, ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    NotFound,
    TooManyRequests,
    Unavailable,
    UpstreamError,
)
from tests.unit.shared.calls.servers import Instances, Serve, answering, fine


@asynccontextmanager
async def calling(*ports: int, policy: BreakerPolicy | None = None) -> AsyncIterator[ServiceClient]:
    client = ServiceClient(Instances(*ports), breaker=policy)
    try:
        yield client
    finally:
        await client.close()


async def breaks_off(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def never(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def test_a_call_carries_the_deadline_and_the_request_id(serve: Serve) -> None:
    server = await serve(fine)
    async with calling(server.port) as client:
        with bound_contextvars(request_id="abc"):
            assert await client.post("shop", "/do", json={"a": "b"}, deadline=4) == {"fine": True}
    (request,) = server.requests
    assert request.headers["X-Request-ID"] == "abc"
    assert 0 < float(request.headers["X-Deadline-Seconds"]) <= 4
    assert server.bodies == ['{"a": "b"}']


async def test_no_content_is_none(serve: Serve) -> None:
    async def nothing(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    server = await serve(nothing)
    async with calling(server.port) as client:
        assert await client.get("shop", "/") is None


async def test_a_refused_connection_goes_on_to_another_instance_even_for_a_post(serve: Serve) -> None:
    server = await serve(fine)
    async with calling(1, server.port) as client:
        for _ in range(10):
            assert await client.post("shop", "/", json={}) == {"fine": True}


async def test_a_broken_connection_is_only_tried_again_where_that_is_safe(serve: Serve) -> None:
    bad, good = await serve(breaks_off), await serve(fine)
    many = BreakerPolicy(failures=1000)
    async with calling(bad.port, good.port, policy=many) as client:
        for _ in range(20):
            assert await client.get("shop", "/") == {"fine": True}
    assert bad.requests, "both instances were chosen now and then"
    async with calling(bad.port, policy=many) as client:
        before = len(bad.requests)
        with pytest.raises(Unavailable):
            await client.post("shop", "/", json={})
        assert len(bad.requests) == before + 1


async def test_a_lone_instance_whose_connections_were_cut_is_asked_again_by_a_new_one(serve: Serve) -> None:
    async def once_cut(request: web.Request) -> web.Response:
        return await breaks_off(request) if len(server.requests) == 1 else await fine(request)

    server = await serve(once_cut)
    async with calling(server.port) as client:
        assert await client.post("shop", "/", json={}, retry=True) == {"fine": True}


async def test_an_instance_that_hangs_leaves_time_to_ask_another(serve: Serve) -> None:
    hanging, good = await serve(never), await serve(fine)
    async with calling(hanging.port, good.port, policy=BreakerPolicy(failures=1000)) as client:
        for _ in range(8):
            assert await client.post("shop", "/", json={}, retry=True, deadline=2) == {"fine": True}
    assert hanging.requests, "both instances were chosen now and then"


class Cluster:
    """A cluster's Service: one address that spreads connections over pods, of which some may have died unnoticed."""

    def __init__(self, *pods: int) -> None:
        self.pods = pods
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._spread, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _spread(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod = self.pods[self._next % len(self.pods)]
        self._next += 1
        try:
            ahead, back = await asyncio.open_connection("127.0.0.1", pod)
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, back), (ahead, writer)):
            task = asyncio.create_task(self._pass(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                target.write(data)
        finally:
            target.close()


async def test_a_dead_pod_behind_a_clusters_service_does_not_lock_out_the_others(serve: Serve) -> None:
    hanging, good = await serve(never), await serve(fine)
    for dead in (1, hanging.port):
        async with Cluster(dead, good.port) as address:
            client = ServiceClient(FixedDiscovery({}, address), breaker=BreakerPolicy(failures=1, open_seconds=60))
            try:
                for _ in range(6):
                    assert await client.post("shop", "/", json={}, retry=True, deadline=4) == {"fine": True}
            finally:
                await client.close()


async def test_kept_connections_to_a_pod_that_was_killed_are_replaced(serve: Serve) -> None:
    first, second = await serve(fine), await serve(fine)
    cluster = Cluster(first.port, second.port)
    async with cluster as address:
        client = ServiceClient(FixedDiscovery({}, address))
        try:
            await asyncio.gather(*(client.get("shop", "/") for _ in range(10)))
            assert first.requests
            first.handler = breaks_off
            cluster.pods = (second.port,)
            for _ in range(20):
                assert await client.post("shop", "/", json={}, retry=True) == {"fine": True}
        finally:
            await client.close()


async def test_nobody_there_is_unavailable() -> None:
    async with calling() as client:
        with pytest.raises(Unavailable):
            await client.get("shop", "/")
    async with calling(1) as client:
        with pytest.raises(Unavailable):
            await client.get("shop", "/")


async def test_the_deadline_holds(serve: Serve) -> None:
    server = await serve(never)
    async with calling(server.port) as client:
        with pytest.raises(DeadlineExceeded):
            await client.get("shop", "/", deadline=0.05)


@pytest.mark.parametrize(
    ("status", "problem"),
    [(404, NotFound), (409, Conflict), (429, TooManyRequests), (500, UpstreamError), (502, UpstreamError)],
)
async def test_problems_arrive_as_the_problem_they_describe(
    serve: Serve, status: int, problem: type[Exception]
) -> None:
    server = await serve(answering(status, {"detail": "so it is"}, {"Retry-After": "7"}))
    async with calling(server.port) as client:
        with pytest.raises(problem) as caught:
            await client.get("shop", "/")
    if isinstance(caught.value, TooManyRequests):
        assert caught.value.headers == {"Retry-After": "7"}
        assert caught.value.detail == "so it is"


async def test_field_errors_come_through(serve: Serve) -> None:
    server = await serve(answering(422, {"detail": "no", "errors": [{"field": "text", "message": "no"}]}))
    async with calling(server.port) as client:
        with pytest.raises(InvalidInput) as caught:
            await client.post("shop", "/", json={})
    assert [error.field for error in caught.value.errors] == ["text"]


async def test_errors_of_an_unknown_form_are_left_out(serve: Serve) -> None:
    server = await serve(answering(422, {"detail": "no", "errors": [{"what": "ever"}]}))
    async with calling(server.port) as client:
        with pytest.raises(InvalidInput) as caught:
            await client.post("shop", "/", json={})
    assert caught.value.errors == []


async def test_an_answer_that_is_not_json_is_an_upstream_error(serve: Serve) -> None:
    async def html(_request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    server = await serve(html)
    async with calling(server.port) as client:
        with pytest.raises(UpstreamError):
            await client.get("shop", "/")


async def test_an_answer_that_does_not_say_how_large_it_is_is_not_gathered(serve: Serve) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 100_000)
            sent += 100_000

    server = await serve(endless)
    async with calling(server.port) as client:
        with pytest.raises(UpstreamError, match="too large"):
            await client.get("orders", "/x")
    assert sent < 3 * MAX_ANSWER_BYTES


async def test_an_answer_that_is_too_large_is_refused(serve: Serve) -> None:
    async def huge(_request: web.Request) -> web.Response:
        return web.Response(body=b"1" * 9_000_000)

    server = await serve(huge)
    async with calling(server.port) as client:
        with pytest.raises(UpstreamError):
            await client.get("shop", "/")


async def test_the_breaker_leaves_a_failing_instance_alone_and_tries_it_again_later(serve: Serve) -> None:
    answers = {"status": 503}

    async def moody(_request: web.Request) -> web.Response:
        return web.json_response({"detail": "moody"}, status=answers["status"])

    server = await serve(moody)
    policy = BreakerPolicy(failures=2, open_seconds=0.2)
    async with calling(server.port, policy=policy) as client:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await client.get("shop", "/")
        asked = len(server.requests)
        with pytest.raises(Unavailable):
            await client.get("shop", "/")
        assert len(server.requests) == asked, "an open breaker asks nobody"
        answers["status"] = 200
        async with asyncio.timeout(5):
            while True:
                try:
                    await client.get("shop", "/")
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)
        await client.get("shop", "/")


async def test_an_instance_that_is_gone_is_forgotten_with_its_breaker(serve: Serve) -> None:
    """Addresses are used again: who comes to one later starts with a clean record, and nothing piles up."""
    moody = await serve(answering(503, {"detail": "moody"}))
    good = await serve(fine)
    known = Instances(moody.port)
    client = ServiceClient(known, breaker=BreakerPolicy(failures=1, open_seconds=600))
    with pytest.raises(Unavailable):
        await client.get("shop", "/")
    with pytest.raises(Unavailable, match="no instance of shop is known to work"):
        await client.get("shop", "/")
    for ports in ((), (good.port,)):
        known.ports = ports
        if ports:
            await client.get("shop", "/")
        else:
            with pytest.raises(Unavailable):
                await client.get("shop", "/")
    moody.handler = fine
    known.ports = (moody.port,)
    assert await client.get("shop", "/") == {"fine": True}
    await client.close()


async def test_what_is_away_behind_a_service_is_no_fault_of_it(serve: Serve) -> None:
    """One company's dead system must not open the breaker of a service that works for all of them."""
    server = await serve(answering(503, {"type": "urn:zhiyin:problem:system-away", "detail": "core is away"}))
    async with calling(server.port, policy=BreakerPolicy(failures=1, open_seconds=600)) as client:
        for _ in range(2):
            with pytest.raises(UpstreamError, match="core is away"):
                await client.call("shop", "GET", "/", retry=True)
        server.handler = fine
        assert await client.get("shop", "/") == {"fine": True}


async def test_an_instance_that_hangs_opens_its_breaker(serve: Serve) -> None:
    server = await serve(never)
    async with calling(server.port, policy=BreakerPolicy(failures=1, open_seconds=60)) as client:
        with pytest.raises(DeadlineExceeded):
            await client.get("shop", "/", deadline=0.05)
        with pytest.raises(Unavailable):
            await client.get("shop", "/", deadline=0.05)


async def test_bytes_come_as_they_are_up_to_a_limit(serve: Serve) -> None:
    async def octets(request: web.Request) -> web.Response:
        return web.Response(body=b"\x00\xff" * 100, status=200 if request.path == "/there" else 404)

    server = await serve(octets)
    client = ServiceClient(Instances(server.port))
    assert await client.get_bytes("learning", "/there", most=200, tenant="acme") == b"\x00\xff" * 100
    assert server.requests[0].headers["X-Tenant"] == "acme"
    with pytest.raises(UpstreamError, match="too large"):
        await client.get_bytes("learning", "/there", most=199, tenant="acme")
    with pytest.raises(UpstreamError, match="not JSON"):
        await client.get_bytes("learning", "/gone", most=200, tenant="acme")
    await client.close()
