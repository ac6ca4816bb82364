"""A hand-off is a state of the conversation, whatever happens at the same time and wherever it is interrupted."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.errors import Forbidden
from shared.http.auth import Principal
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.externals import Redis
from tests.integration.services.dialogue.desk.replicas import AGENTS, CUSTOMER, Course, Replicas, replicas, result_of
from tests.postgres import Postgres

STEPS = 16
AT_ONCE = 20


@pytest.fixture(params=["sqlite", "postgresql"])
async def around(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Replicas]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url, pool_size=20)
    async with Redis(tmp_path / "redis") as redis, replicas(tmp_path, database, redis.url_of("dialogue")) as running:
        yield running
    await database.close()


async def held(around: Replicas, courses: int) -> Counter[str]:
    """So many random courses, some at a time; what happened in them."""
    happened: Counter[str] = Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with places:
            # One customer waits for one person only.
            customer = replace(CUSTOMER, subject=f"customer-{seed}")
            course = Course(around, customer, await around.opened(customer), seed, happened)
            await course.run(STEPS)
            await course.check()

    failures = await asyncio.gather(*(one(seed) for seed in range(courses)), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
    return happened


async def test_what_became_of_a_former_customers_action_is_not_told(around: Replicas) -> None:
    """Also while a person has the floor; the action itself is settled, so that it is not asked for again."""
    turns, desk, nobody = around.turns[0], around.desks[0], replace(CUSTOMER, customer=None)
    conversation = await around.opened()

    async def say(principal: Principal, intent: str) -> list[str]:
        answer = await turns.say(
            principal, conversation, message_id=uuid.uuid4().hex, text=intent, choice=f"intent:{intent}"
        )
        return [event.data["reply"] for event in answer.replies]

    assert await say(CUSTOMER, "book") == ["booked"]
    assert await say(CUSTOMER, "book") == ["booked"]
    assert await say(nobody, "greet") == ["customer_changed", "hello"]
    assert await say(nobody, "book") == ["booked"]
    first, second, third = (f"{conversation}.{number}" for number in range(3))
    last = (await around.read(conversation))[0].last_seq
    await turns.finish_action(result_of(first, conversation))
    assert (await around.read(conversation))[0].last_seq == last
    await turns.finish_action(result_of(third, conversation))
    assert (await around.read(conversation))[0].last_seq == last + 1
    await say(nobody, "ask_human")
    _, handoff = await around.read(conversation)
    assert handoff is not None
    await desk.claim(AGENTS[0], handoff.id)
    last = (await around.read(conversation))[0].last_seq
    await turns.finish_action(result_of(second, conversation))
    assert (await around.read(conversation))[0].last_seq == last
    settled = await around.rows("SELECT done FROM outbox WHERE conversation_id = :id", id=conversation)
    assert [bool(row[0]) for row in settled] == [True, True, True]


async def test_a_person_is_told_of_whom_the_customer_speaks_now(around: Replicas) -> None:
    turns, desk = around.turns[0], around.desks[0]
    conversation = await around.opened()
    await turns.say(CUSTOMER, conversation, message_id="1", text="person", choice="intent:ask_human")
    _, handoff = await around.read(conversation)
    assert handoff is not None
    await desk.claim(AGENTS[0], handoff.id)
    other = replace(CUSTOMER, customer="C1002")
    answer = await turns.say(other, conversation, message_id="2", text="hello", choice=None)
    assert (answer.replies, answer.complete) == ([], True)
    assert (await around.read(conversation))[0].customer == "C1002"
    own = replace(AGENTS[0], customer="C1002")
    with pytest.raises(Forbidden):
        await desk.reply(own, conversation, "I help myself", close=False)
    await desk.close(AGENTS[0], handoff.id, note=None, read_to=None)
    said = await turns.say(other, conversation, message_id="3", text="hello", choice="intent:greet")
    assert [event.data["reply"] for event in said.replies] == ["hello"], "the assistant began anew anyhow"


@pytest.mark.budget(120, "some hundred courses of a conversation, each with sixteen things at once")
@pytest.mark.parametrize("courses", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_no_course_of_events_lets_the_assistant_talk_over_a_person_or_loses_anything(
    around: Replicas, courses: int
) -> None:
    happened = await held(around, courses)
    for what in ("claim", "close", "release", "hand_on", "take_over", "another hand-off", "notice", "killed in a turn"):
        assert happened[what], f"{what} is not among what happened: {happened}"
