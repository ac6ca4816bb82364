"""Named places where a drill may slow a process down, so that it can be killed exactly there."""

import asyncio
from collections.abc import Mapping

import structlog

__all__ = ["configure", "point"]

log = structlog.get_logger(__name__)

_delays: dict[str, float] = {}


def configure(delays: Mapping[str, float]) -> None:
    """Sets the delays in seconds by place; settings refuse them outside development."""
    _delays.clear()
    _delays.update(delays)


async def point(name: str) -> None:
    """Waits here as long as the drill says; costs nothing when there is none."""
    delay = _delays.get(name)
    if delay:
        log.warning("fault_point_reached", point=name, seconds=delay)
        await asyncio.sleep(delay)
