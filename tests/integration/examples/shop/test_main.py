"""The shop as it is started: killed, stopped, made new, and started where it cannot be."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.shop import KEY, run_shop
from tests.stack import eventually

REFUND = "/customers/C1001/orders/20261103003/refund"
ENVIRONMENT = {"SHOP_API_KEY": KEY, "PYTHONPATH": str(Path(__file__).parents[4])}
SENT = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "the-same"}


async def refund(url: str) -> tuple[int, Any, str | None]:
    async with (
        aiohttp.ClientSession(headers=SENT) as session,
        session.post(f"{url}{REFUND}", json={"reason": "太小了"}) as answer,
    ):
        return answer.status, await answer.json(content_type=None), answer.headers.get("Idempotency-Replayed")


async def test_what_was_answered_outlasts_a_kill(tmp_path: Path) -> None:
    async with run_shop(tmp_path) as shop:
        first = await refund(shop.url)
        shop.process.kill()
        await shop.process.wait()
    async with run_shop(tmp_path) as shop:
        again = await refund(shop.url)
    assert first[0] == 201
    assert again == (201, first[1], "true")


async def test_a_request_in_hand_is_answered_before_the_shop_stops(tmp_path: Path) -> None:
    async with run_shop(tmp_path, "--faults") as shop:
        async with (
            aiohttp.ClientSession(headers=SENT) as session,
            session.put(f"{shop.url}/faults", json={"fault": "slow", "seconds": 0.5}) as answer,
        ):
            assert answer.status == 200
        asked = asyncio.create_task(refund(shop.url))
        await eventually(lambda: is_slow(shop.url), what="the slow request")
        shop.process.send_signal(signal.SIGTERM)
        assert (await asked)[0] == 201
        assert await shop.process.wait() in (0, -signal.SIGTERM)


async def is_slow(url: str) -> bool:
    """Whether the request that is slow has come: then no fault is left."""
    async with (
        aiohttp.ClientSession(headers=SENT) as session,
        session.get(f"{url}/faults") as answer,
    ):
        return bool((await answer.json())["times"] == 0)


async def test_without_the_flag_nothing_can_be_made_to_go_wrong(tmp_path: Path) -> None:
    async with (
        run_shop(tmp_path) as shop,
        aiohttp.ClientSession(headers=SENT) as session,
        session.put(f"{shop.url}/faults", json={"fault": "error"}) as answer,
    ):
        assert answer.status == 404


async def test_the_data_is_made_new_beside_a_shop_that_runs(tmp_path: Path) -> None:
    async with run_shop(tmp_path) as shop:
        assert (await refund(shop.url))[0] == 201
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.shop", "--data", str(tmp_path), "--reset"),
            env=ENVIRONMENT,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asyncio.wait_for(process.communicate(), 20)
        assert (process.returncode, said) == (0, b"9 orders\n")
        async with (
            aiohttp.ClientSession(headers=SENT) as session,
            session.get(f"{shop.url}/customers/C1001/orders/20261103003") as answer,
        ):
            assert (await answer.json())["status"] == "delivered"


async def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    async with run_shop(tmp_path) as shop:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "examples.shop", "--port", shop.url.rpartition(":")[2], "--data", str(tmp_path)),
            env=ENVIRONMENT,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode != 0
    assert b"address already in use" in said
