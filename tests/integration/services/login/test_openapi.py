"""Login answers as its OpenAPI document says, whatever it is sent."""

import asyncio

from tests.calls import calling
from tests.integration.services.login.stage import ADMIN, Stage
from tests.openapi import OTHERS_DRAW, explore

PLENTY = 1_000_000


@OTHERS_DRAW
async def test_no_operation_answers_what_is_not_documented(stage: Stage) -> None:
    login, url = await stage.login_at(
        requests_per_address=PLENTY, registrations_per_address=PLENTY, failures_per_address=PLENTY
    )
    admin = (await login.post("/v1/login", json=ADMIN)).body["access_token"]
    for headers in ({}, {"Authorization": f"Bearer {admin}"}):
        assert await asyncio.to_thread(explore, url, headers=headers) == 23
    async with calling(url) as still:
        assert (await still.get("/health/ready")).status == 200
