"""Drills slow down exactly the place they name."""

import asyncio

import pytest

from shared import faults


async def test_a_place_waits_only_when_it_has_to() -> None:
    faults.configure({"here": 60})
    try:
        await asyncio.wait_for(faults.point("elsewhere"), 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(faults.point("here"), 0.05)
    finally:
        faults.configure({})
    await asyncio.wait_for(faults.point("here"), 1)
