"""The server as it is run: a process of its own, with its keys from a login on another port."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from fastapi import FastAPI

from tests.calls import Calls
from tests.servers import serve
from tests.tokens import TokenFactory

__all__ = ["START_SECONDS", "TOKENS", "login", "ready", "running"]

TOKENS = TokenFactory()
START_SECONDS = 60.0


@asynccontextmanager
async def login() -> AsyncIterator[str]:
    """The address of what publishes login's keys."""
    app = FastAPI()

    @app.get("/.well-known/jwks.json")
    async def jwks() -> Mapping[str, Any]:
        return TOKENS.jwks()

    async with serve(app) as server:
        yield server.address


@asynccontextmanager
async def running(
    home: Path, port: int, login: str, *, faults: Mapping[str, float] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process, from its start to its end."""
    environment = os.environ | {
        "ZHIYIN_HOME": str(home),
        "ZHIYIN_REGISTRY": "static",
        "ZHIYIN_STATIC_SERVICES": json.dumps({"login": login}),
        "ZHIYIN_INFERENCE_STREAMS": "2",
        "ZHIYIN_INFERENCE_BACKEND": "openvino",
        "ZHIYIN_FAULTS": json.dumps(faults or {}),
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


async def ready(calls: Calls) -> None:
    """Waits until the process answers."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                if (await calls.get("/health/ready")).status == 200:
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
