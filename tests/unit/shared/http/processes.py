"""Services as processes of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ended", "ended", "running"]

PROJECT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a process ended, and all that it said."""

    code: int
    out: str
    err: str


async def ended(process: asyncio.subprocess.Process, seconds: float = 30) -> Ended:
    """Waits for the end of a process."""
    async with asyncio.timeout(seconds):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


@asynccontextmanager
async def running(service: str, home: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A service in development, with settings of its own; killed if it still runs in the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZHIYIN_")}
    whole = {"environment": "development", "home": str(home), **settings}
    given = {f"ZHIYIN_{name.upper()}": value for name, value in whole.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.http", service),
        env=inherited | given,
        cwd=PROJECT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
