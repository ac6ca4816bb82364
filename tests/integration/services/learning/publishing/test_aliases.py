"""Moves of aliases at once and in a row."""

import asyncio
from pathlib import Path
from typing import Any

from tests.integration.services.learning.publisher import Client, ScriptedTrainer, bundle_of, running

PATH = "/v1/assistants/mini/aliases/production"


async def two(client: Client, tmp_path: Path) -> list[dict[str, Any]]:
    return [await client.live(bundle_of(tmp_path, f"{number}")) for number in range(2)]


async def test_fifty_moves_in_a_row_are_each_followed(tmp_path: Path, url: str, trainer: ScriptedTrainer) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        made = await two(client, tmp_path)
        service = client.service()
        seen = await service.call("GET", "/v1/following")
        for number in range(50):
            target = made[number % 2]
            path = f"/v1/following?after={seen['cursor']}&wait=20"
            waiting = asyncio.create_task(service.call("GET", path))
            await client.call("PUT", PATH, json={"release": target["id"], "expected": made[1 - number % 2]["id"]})
            seen = await waiting
            if seen["aliases"][0]["release"]["id"] != target["id"]:
                seen = await service.call("GET", f"/v1/following?after={seen['cursor']}&wait=20")
            assert seen["aliases"][0]["release"]["id"] == target["id"]


async def test_of_moves_at_once_that_expect_the_same_one_is_made(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        first, second = await two(client, tmp_path)
        third = await client.live(bundle_of(tmp_path, "third"), live=False)
        wishes = [{"release": each["id"], "expected": second["id"]} for each in (first, third) for _ in range(4)]

        statuses = await asyncio.gather(*(client.status("PUT", PATH, json=wish) for wish in wishes))
        assert sorted(statuses) == [200, *[409] * 7]
        assert await client.production() == wishes[statuses.index(200)]["release"]
        # The first to be there at all is expected to replace nothing.
        canary = "/v1/assistants/mini/aliases/canary"
        await client.call("PUT", canary, json={"release": first["id"], "expected": ""})
        await client.call("PUT", canary, 409, json={"release": second["id"], "expected": ""})


async def test_only_what_is_ready_is_named(client: Client, trainer: ScriptedTrainer, tmp_path: Path) -> None:
    trainer.go_on.clear()
    release = await client.publish(bundle_of(tmp_path, "hello"))
    problem = await client.call("PUT", PATH, 409, json={"release": release["id"]})
    assert "release 1 is not ready" in problem["detail"]
    trainer.go_on.set()
