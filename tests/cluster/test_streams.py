"""Streams stay whole while the pods that they are read from come and go."""

import asyncio
import itertools

from tests.cluster.conftest import Note
from tests.cluster.installation import Installation
from tests.cluster.streams import Follower, following

STREAMS = 8
RESUMED_SECONDS = 10.0
SENTENCES = ("你好", "运费怎么算", "thanks")
PAUSE_SECONDS = 1.0


async def talk(followers: list[Follower]) -> None:
    """Sends messages at short intervals until it is cancelled."""
    for number in itertools.count():
        follower = followers[number % len(followers)]
        message = await follower.guest.say(SENTENCES[number % len(SENTENCES)])
        assert message.status == 200, message.failure
        await asyncio.sleep(PAUSE_SECONDS / len(followers))


async def test_dialogue_is_scaled_from_one_to_three_and_back_and_every_stream_is_whole(
    zhiyin: Installation, note: Note
) -> None:
    replicas = await zhiyin.replicas("dialogue")
    url = await zhiyin.url("dialogue")
    await zhiyin.scale("dialogue", 1)
    try:
        async with following(url, STREAMS) as early:
            talking = [asyncio.create_task(talk(early))]
            await zhiyin.scale("dialogue", 3)
            async with following(url, STREAMS) as late:
                talking.append(asyncio.create_task(talk(late)))
                await zhiyin.scale("dialogue", 1)
                for task in talking:
                    task.cancel()
                for ended in await asyncio.gather(*talking, return_exceptions=True):
                    assert isinstance(ended, asyncio.CancelledError), ended
                everybody = early + late
                for follower in everybody:
                    last = await follower.guest.say("你好")
                    await follower.until(last.replies[-1]["seq"])
                    follower.gapless()
                    assert follower.events == (await follower.guest.transcript())[: len(follower.events)]
                resumed = [seconds for follower in everybody for seconds in follower.resumed]
                refused = [why for follower in everybody for why in follower.refused]
                assert resumed, "no stream was cut, so none was resumed"
                note(
                    "dialogue 1→3→1",
                    f"{len(everybody)} streams, {len(resumed)} cut and resumed, "
                    f"the slowest after {max(resumed):.1f} s; {len(refused)} attempts refused",
                )
                assert max(resumed) < RESUMED_SECONDS
    finally:
        await zhiyin.scale("dialogue", replicas)
