"""Publishers at once, and publishers that do not get to the end."""

import asyncio
from pathlib import Path

from shared.assistants.bundle import digest_of
from tests.integration.services.learning.publisher import Client, ScriptedTrainer, bundle_of, running


async def test_of_publishers_at_once_each_has_a_number_and_the_last_is_live(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        bundles = [bundle_of(tmp_path, f"{number}") for number in range(6)]
        made = await asyncio.gather(*(client.publish(data) for data in (*bundles, *bundles)))
        assert sorted({each["number"] for each in made}) == [1, 2, 3, 4, 5, 6]
        for data, once, again in zip(bundles, made[:6], made[6:], strict=True):
            assert once["id"] == again["id"]
            assert once["bundle"] == digest_of(data)
            await client.until(once, "ready")
        last = max(made, key=lambda each: int(each["number"]))
        assert await client.production() == last["id"]


async def test_what_is_published_again_is_not_replaced_by_what_was_published_before_that(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    first = bundle_of(tmp_path, "one")
    one = await client.live(first)
    trainer.go_on.clear()
    two = await client.publish(bundle_of(tmp_path, "two"))
    await client.until(two, "training")
    await client.publish(first)
    trainer.go_on.set()
    await client.until(two, "proving")
    for service in ("dialogue", "business", "intent"):
        await client.report(two["id"], service)
    await client.until(two, "ready")
    assert await client.production() == one["id"]


async def test_an_upload_that_is_cut_off_leaves_nothing(client: Client, tmp_path: Path) -> None:
    data = bundle_of(tmp_path, "hello")
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = f"PUT /v1/bundles/{digest_of(data)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.token}\r\n"
    writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[: len(data) // 2])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert not await reader.read()
    await client.call("GET", f"/v1/bundles/{digest_of(data)}", 404)
    await client.call("POST", "/v1/assistants/mini/releases", 422, json={"bundle": digest_of(data)})
    # Whoever had only uploaded goes on where they were.
    await client.upload(data)
    assert await client.production() is None
    await client.live(data)


async def test_wishes_that_are_said_later_count_while_it_is_not_ready(
    client: Client, trainer: ScriptedTrainer, tmp_path: Path
) -> None:
    trainer.go_on.clear()
    data = bundle_of(tmp_path, "hello")
    release = await client.publish(data, live=False)
    await client.publish(data)
    trainer.go_on.set()
    await client.live(data)
    assert await client.production() == release["id"]
