"""A hand-off is a state of the conversation, whatever happens at the same time and wherever it is interrupted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.externals import Redis
from tests.integration.services.dialogue.desk.replicas import Course, Replicas, replicas
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
    async with Redis(tmp_path / "redis") as redis, replicas(tmp_path, database, redis.url) as running:
        yield running
    await database.close()


async def held(around: Replicas, courses: int) -> Counter[str]:
    """So many random courses, some at a time; what happened in them."""
    happened: Counter[str] = Counter()
    places = asyncio.Semaphore(AT_ONCE)

    async def one(seed: int) -> None:
        async with places:
            course = Course(around, await around.opened(), seed, happened)
            await course.run(STEPS)
            await course.check()

    failures = await asyncio.gather(*(one(seed) for seed in range(courses)), return_exceptions=True)
    for failure in failures:
        if failure is not None:
            raise failure
    return happened


@pytest.mark.parametrize("courses", [100, pytest.param(1000, marks=pytest.mark.long)])
async def test_no_course_of_events_lets_the_assistant_talk_over_a_person_or_loses_anything(
    around: Replicas, courses: int
) -> None:
    happened = await held(around, courses)
    for what in ("claim", "close", "release", "hand_on", "take_over", "another hand-off", "notice", "killed in a turn"):
        assert happened[what], f"{what} is not among what happened: {happened}"
