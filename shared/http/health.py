"""Liveness and readiness of a process."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter

from shared.errors import Unavailable, responses

__all__ = ["Health", "ReadyCheck"]

CHECK_SECONDS = 1.5

ReadyCheck = Callable[[], Awaitable[object]]
"""Returns when the dependency works, raises when it does not."""


class Health:
    """Alive: the event loop runs and background loops have reported lately. Ready: alive, checks pass, not stopping."""

    def __init__(self, checks: Mapping[str, ReadyCheck]) -> None:
        self._checks = dict(checks)
        self._beats: dict[str, tuple[float, float]] = {}
        self.stopping = asyncio.Event()

    def add(self, name: str, check: ReadyCheck) -> None:
        """One check more."""
        self._checks[name] = check

    def beat(self, loop: str, *, max_age: float) -> None:
        """Records that a background loop is running and will report again within `max_age` seconds."""
        self._beats[loop] = (time.monotonic(), max_age)

    def stalled(self) -> list[str]:
        """The background loops that have not reported in time; none while the process stops, which ends them."""
        if self.stopping.is_set():
            return []
        moment = time.monotonic()
        return [loop for loop, (at, max_age) in self._beats.items() if moment - at > max_age]

    async def problems(self) -> dict[str, str]:
        """Why this process is not ready; empty when it is."""
        if self.stopping.is_set():
            return {"process": "stopping"}
        names = list(self._checks)
        outcomes = await asyncio.gather(*(self._run(self._checks[name]) for name in names))
        problems = {name: problem for name, problem in zip(names, outcomes, strict=True) if problem}
        # Who is to be restarted should not be sent anything meanwhile.
        return problems | dict.fromkeys(self.stalled(), "stalled")

    async def require_ready(self) -> None:
        """Returns when this process is ready.

        Raises:
            Unavailable: it is not; the detail says why.
        """
        problems = await self.problems()
        if problems:
            raise Unavailable("; ".join(f"{name}: {why}" for name, why in sorted(problems.items())), retry_after=1)

    async def _run(self, check: ReadyCheck) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await check()
        except TimeoutError:
            return "no answer in time"
        except Exception as error:
            return type(error).__name__
        return None

    def router(self) -> APIRouter:
        """`/health/live` and `/health/ready`."""
        router = APIRouter(tags=["health"])

        @router.get("/health/live", responses=responses(503))
        async def live() -> dict[str, Any]:
            """Whether this process works; if not, it should be restarted."""
            stalled = self.stalled()
            if stalled:
                raise Unavailable(f"stalled: {', '.join(sorted(stalled))}")
            return {"status": "alive"}

        @router.get("/health/ready", responses=responses(503))
        async def ready() -> dict[str, Any]:
            """Whether this process should get traffic."""
            await self.require_ready()
            return {"status": "ready"}

        return router
