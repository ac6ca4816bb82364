"""News of results on a real queue: nothing in it ends the reader, and what is no news is dropped."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis as RedisClient

from cli.process import wait_until
from services.dialogue.actions.results import follow_results
from shared.contracts.actions import ActionReference
from shared.errors import Unavailable
from shared.queue.references import RESULTS, References, queue_prefix
from tests.externals import Redis

KEY = queue_prefix("zhiyin") + RESULTS
ENVELOPE = {
    "body": "e30=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {},
    "properties": {"delivery_tag": "1", "body_encoding": "base64", "delivery_info": {}},
}
NO_NEWS: list[str | bytes] = [
    "not json", "", "null", "[1]", "{}", "7", b"\xff\xfe\x00", "[" * 50_000, "x" * 5_000_000,
    *(json.dumps({name: value for name, value in ENVELOPE.items() if name != left_out}) for left_out in ENVELOPE),
    json.dumps({**ENVELOPE, "content-type": "text/plain"}), json.dumps({**ENVELOPE, "content-encoding": "rot13"}),
    json.dumps({**ENVELOPE, "body": "%"}), json.dumps({**ENVELOPE, "body": 7}),
    json.dumps({"id": None, "tenant": "default"}), json.dumps({"id": "a.0"}), json.dumps({"id": ["a.0"], "tenant": 1}),
]  # fmt: skip


class Outbox:
    """Where news is passed on; each of `troubles` is raised once before."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.heard: list[str] = []
        self.kicks = 0
        self.beats = 0

    async def news(self, action: ActionReference) -> bool:
        if self.troubles:
            raise self.troubles.pop()
        self.heard.append(action.id)
        return action.id != "unknown"

    def kick(self) -> None:
        self.kicks += 1

    def beat(self) -> None:
        self.beats += 1

    async def until(self, holds: Callable[[], bool]) -> None:
        async def there() -> bool:
            return holds()

        assert await wait_until(there, 30), f"the news did not come true; heard {self.heard}"


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[Redis]:
    async with Redis(tmp_path / "redis") as running:
        yield running


@asynccontextmanager
async def followed(queue: Redis, outbox: Outbox) -> AsyncIterator[References]:
    references = References(queue.url, "zhiyin", RESULTS)
    reader = asyncio.create_task(follow_results(references, outbox.news, outbox.kick, outbox.beat))
    try:
        yield references
        assert not reader.done()
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await references.close()


def named(action: str) -> ActionReference:
    return ActionReference(id=action, tenant="default")


async def test_what_is_no_news_does_not_hold_up_what_is_behind_it(queue: Redis) -> None:
    outbox = Outbox()
    async with followed(queue, outbox) as references, RedisClient.from_url(queue.url) as stranger:
        await stranger.lpush(KEY, *NO_NEWS)
        await references.push(named("unknown"))
        await references.push(named("a.0"))
        await outbox.until(lambda: outbox.heard == ["unknown", "a.0"])
        assert await stranger.llen(KEY) == 0
    assert outbox.kicks == 1


@pytest.mark.parametrize("trouble", [Unavailable("the database"), ValueError("a fault")], ids=["away", "fault"])
async def test_a_failure_does_not_end_the_reader(queue: Redis, trouble: Exception) -> None:
    outbox = Outbox(trouble)
    async with followed(queue, outbox) as references:
        await references.push(named("lost.0"))
        await references.push(named("a.0"))
        await outbox.until(lambda: outbox.heard == ["a.0"])


@pytest.mark.parametrize("what", ["string", "hash", "wiped", "disconnected"])
async def test_it_goes_on_whatever_becomes_of_the_key(queue: Redis, what: str) -> None:
    outbox = Outbox()
    async with followed(queue, outbox) as references, RedisClient.from_url(queue.url) as stranger:
        await references.push(named("a.0"))
        await outbox.until(lambda: outbox.heard == ["a.0"])
        match what:
            case "string":
                await stranger.set(KEY, "a string")
            case "hash":
                await stranger.hset(KEY, "a", "hash")
            case "wiped":
                await stranger.flushall()
            case "disconnected":
                await stranger.client_kill_filter(_type="normal", skipme=True)
        await references.push(named("b.0"))
        await outbox.until(lambda: outbox.heard == ["a.0", "b.0"])


async def test_it_turns_while_the_queue_is_away_and_goes_on_when_it_is_back(queue: Redis) -> None:
    outbox = Outbox()
    async with followed(queue, outbox) as references:
        await references.push(named("a.0"))
        await outbox.until(lambda: outbox.heard == ["a.0"])
        await queue.kill()
        seen = outbox.beats
        await outbox.until(lambda: outbox.beats > seen + 1)
        await queue.start()
        await references.push(named("b.0"))
        await outbox.until(lambda: "b.0" in outbox.heard)
    # A Redis that is killed may forget what it took off a list last (appendfsync everysec): a hint can come twice.
    assert set(outbox.heard) == {"a.0", "b.0"}
