"""The server as it is run: a process of its own, with its keys from a login on another port."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.calls import calling
from tests.integration.services.intent.processes import START_SECONDS, TOKENS, login, ready, running
from tests.models import write_model
from tests.servers import free_port

TOKEN = TOKENS.issue("dialogue", roles=(), scopes={"intent:predict"})


@pytest.fixture
async def keys() -> AsyncIterator[str]:
    async with login() as address:
        yield address


async def test_serves_many_at_once_and_stops_without_dropping_anyone(tmp_path: Path, keys: str) -> None:
    write_model(tmp_path)
    port = free_port()
    # So that there is always somebody waiting when the process is told to stop.
    held = {"intent.understand": 0.3}
    async with (
        running(tmp_path, port, keys, faults=held) as process,
        calling(f"http://127.0.0.1:{port}") as calls,
    ):
        await ready(calls)
        texts = [f"{word} {number}" for number in range(50) for word in ("hello", "退款")]
        asked = [
            asyncio.create_task(calls.post("/v1/understand", json={"text": text, "assistant": "shop"}, token=TOKEN))
            for text in texts
        ]
        answers = await asyncio.gather(*asked)
        assert [answer.body["text"] for answer in answers] == texts
        assert {answer.body["intent"]["name"] for answer in answers} == {"greet", "refund"}

        last = asyncio.create_task(calls.post("/v1/understand", json={"text": "hello"}, token=TOKEN))
        await calls.get("/health/live")
        process.send_signal(signal.SIGTERM)
        assert (await last).status == 200
        async with asyncio.timeout(START_SECONDS):
            # uvicorn ends as the signal asked, once everything is closed.
            assert await process.wait() in (0, -signal.SIGTERM)


async def test_without_a_model_it_says_how_to_get_one_and_ends(tmp_path: Path, keys: str) -> None:
    async with running(tmp_path, free_port(), keys) as process:
        async with asyncio.timeout(START_SECONDS):
            output, _ = await process.communicate()
        assert process.returncode not in (0, None)
        assert "there is no model in production for shop" in output.decode()
        assert "zhiyin train" in output.decode()
