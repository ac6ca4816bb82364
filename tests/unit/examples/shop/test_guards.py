from typing import Any

import aiohttp
import pytest

from tests.calls import Answer, Calls
from tests.shop import KEY

REFUND = "/customers/C1001/orders/20261103003/refund"


async def break_next(calls: Calls, fault: str, **more: Any) -> None:
    answer = await calls.send("PUT", "/faults", json={"fault": fault, **more}, token=KEY)
    assert answer.status == 200, answer.text


async def refund(calls: Calls) -> Answer:
    return await calls.post(REFUND, json={"reason": "太小了"}, token=KEY, headers={"Idempotency-Key": "k"})


async def refunded(calls: Calls) -> bool:
    return bool((await calls.get("/customers/C1001/orders/20261103003", token=KEY)).body["refunded"])


@pytest.mark.parametrize(("fault", "status"), [("error", 500), ("rate_limited", 429)])
async def test_what_goes_wrong_before_has_no_effect(calls: Calls, fault: str, status: int) -> None:
    await break_next(calls, fault)
    answer = await refund(calls)
    assert answer.status == status
    assert answer.content_type == "application/problem+json"
    assert not await refunded(calls)
    assert (await refund(calls)).status == 201


@pytest.mark.parametrize(("fault", "status"), [("error_after", 500), ("garbage", 200)])
async def test_what_goes_wrong_after_has_its_effect(calls: Calls, fault: str, status: int) -> None:
    await break_next(calls, fault)
    assert await status_of(calls) == status
    assert await refunded(calls)
    again = await refund(calls)
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")


async def status_of(calls: Calls) -> int:
    sent = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "k"}
    async with calls.session.post(REFUND, json={"reason": "太小了"}, headers=sent) as answer:
        return answer.status


async def test_an_answer_is_lost_after_the_effect(calls: Calls) -> None:
    await break_next(calls, "lose_answer", times=2)
    for _ in range(2):
        with pytest.raises(aiohttp.ClientError):
            await refund(calls)
    assert await refunded(calls)
    assert (await refund(calls)).status == 201


async def test_a_slow_shop_still_does_it_and_reading_is_not_meant_unless_said(calls: Calls) -> None:
    await break_next(calls, "slow", seconds=0.01)
    assert (await refund(calls)).status == 201
    await break_next(calls, "error", effects_only=False)
    assert (await calls.get("/customers/C1001", token=KEY)).status == 500
    assert (await calls.get("/customers/C1001", token=KEY)).status == 200


async def test_a_request_that_is_too_large_is_refused(calls: Calls) -> None:
    answer = await calls.post("/complaints", data="x" * 70_000, token=KEY, headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.body["code"]) == (413, "too_large")

    async def pieces() -> Any:
        for _ in range(70):
            yield b"x" * 1000

    answer = await calls.post("/complaints", data=pieces(), token=KEY, headers={"Idempotency-Key": "k"})
    assert answer.status == 400
