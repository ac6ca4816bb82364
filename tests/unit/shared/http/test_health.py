"""Alive and ready: two questions, and what their answers tell."""

import asyncio

from shared.http.health import Health
from tests.calls import calling
from tests.servers import serve
from tests.unit.shared.http.shop import application


async def test_alive_and_ready_are_two_questions() -> None:
    outcome: Exception | None = None

    async def check() -> None:
        if outcome is not None:
            raise outcome

    async with serve(application(ready_checks={"database": check})) as server, calling(server.base_url) as service:
        assert (await service.get("/health/ready")).body == {"status": "ready"}
        outcome = ConnectionError("postgresql://user:password@db")
        answer = await service.get("/health/ready")
        assert (answer.status, answer.content_type) == (503, "application/problem+json")
        assert answer.body["detail"] == "database: ConnectionError", "what failed, and no more than that"
        assert (await service.get("/health/live")).body == {"status": "alive"}
        outcome = None
        assert (await service.get("/health/ready")).status == 200
        server.app.state.context.health.stopping.set()
        assert (await service.get("/health/ready")).status == 503
        assert (await service.get("/health/live")).status == 200


async def test_a_loop_that_stands_still_makes_the_process_neither_alive_nor_ready() -> None:
    async with serve(application()) as server, calling(server.base_url) as service:
        health: Health = server.app.state.context.health
        health.beat("relay", max_age=60)
        assert (await service.get("/health/live")).status == 200
        health.beat("relay", max_age=-1)
        answer = await service.get("/health/live")
        assert (answer.status, answer.body["detail"]) == (503, "stalled: relay")
        answer = await service.get("/health/ready")
        assert (answer.status, answer.body["detail"]) == (503, "relay: stalled")
        health.stopping.set()
        assert (await service.get("/health/live")).status == 200, "its loops are meant to end"


async def test_a_check_that_hangs_is_a_check_that_fails() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        return None

    problems = await Health({"redis": hang, "database": work}).problems()
    assert problems == {"redis": "no answer in time"}
