"""The server as it is run: a process of its own, with its keys from a login on another port."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI

from tests.calls import Calls, calling
from tests.models import write_model
from tests.servers import free_port, serve
from tests.tokens import TokenFactory

TOKENS = TokenFactory()
TOKEN = TOKENS.issue("dialogue", roles=(), scopes={"intent:predict"})
START_SECONDS = 60.0


@pytest.fixture
async def login() -> AsyncIterator[str]:
    """The address of what publishes login's keys."""
    app = FastAPI()

    @app.get("/.well-known/jwks.json")
    async def jwks() -> Mapping[str, Any]:
        return TOKENS.jwks()

    async with serve(app) as server:
        yield server.address


@asynccontextmanager
async def running(home: Path, port: int, login: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "ZHIYIN_HOME": str(home),
        "ZHIYIN_REGISTRY": "static",
        "ZHIYIN_STATIC_SERVICES": json.dumps({"login": login}),
        "ZHIYIN_INFERENCE_STREAMS": "2",
        # So that there is always somebody waiting when the process is told to stop.
        "ZHIYIN_FAULTS": json.dumps({"intent.understand": 0.3}),
    }
    command = ["-m", "uvicorn", "--factory", "services.intent.app:create_app", "--port", str(port), "--no-access-log"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=2**24,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _ready(calls: Calls) -> None:
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                if (await calls.get("/health/ready")).status == 200:
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_serves_many_at_once_and_stops_without_dropping_anyone(tmp_path: Path, login: str) -> None:
    write_model(tmp_path)
    port = free_port()
    async with running(tmp_path, port, login) as process, calling(f"http://127.0.0.1:{port}") as calls:
        await _ready(calls)
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


async def test_without_a_model_it_says_how_to_get_one_and_ends(tmp_path: Path, login: str) -> None:
    async with running(tmp_path, free_port(), login) as process:
        async with asyncio.timeout(START_SECONDS):
            output, _ = await process.communicate()
        assert process.returncode not in (0, None)
        assert "there is no model in production for shop" in output.decode()
        assert "zhiyin train" in output.decode()
