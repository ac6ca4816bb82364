"""Fault injection: named points where a test can delay a process, in order to kill it exactly there."""

import asyncio
from collections.abc import Mapping

import structlog

__all__ = ["configure", "point"]

log = structlog.get_logger(__name__)

_delays: dict[str, float] = {}


def configure(delays: Mapping[str, float]) -> None:
    """Sets the delays in seconds by point; settings refuse them in production."""
    _delays.clear()
    _delays.update(delays)


async def point(name: str) -> None:
    """Waits for the configured delay, if there is one."""
    delay = _delays.get(name)
    if delay:
        log.warning("fault_point_reached", point=name, seconds=delay)
        await asyncio.sleep(delay)
