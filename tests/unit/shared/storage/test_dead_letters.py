"""What was given up is decided on once, by one person."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import Conflict, NotFound
from shared.storage.database import Database, TableBase, new_metadata, now
from shared.storage.dead_letters import DeadLetterMixin, DeadLetters


class Base(TableBase):
    __abstract__ = True
    metadata = new_metadata()


class Letter(DeadLetterMixin, Base):
    __tablename__ = "letters"


LETTERS = DeadLetters(Letter)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'letters.sqlite'}")
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with database.transaction("default") as session:
        session.add_all([Letter(), Letter(retried_at=now(), retried_by="ann"), Letter()])
    yield database
    await database.close()


async def test_letters_are_listed_in_pages_and_those_that_wait_are_counted(database: Database) -> None:
    async with database.reading("default") as session:
        assert [each.id for each in await LETTERS.after(session, 0, 2)] == [1, 2]
        assert [each.id for each in await LETTERS.after(session, 2, 2)] == [3]
        assert [each.id for each in await LETTERS.after(session, 0, 9, waiting=True)] == [1, 3]
        assert await LETTERS.count(session) == 2
    async with database.reading("other") as session:
        assert (await LETTERS.after(session, 0, 9), await LETTERS.count(session)) == ([], 0)


async def test_of_many_who_dismiss_one_does_and_the_others_hear_of_it(database: Database) -> None:
    people = [f"person-{number}" for number in range(5)]
    asked = [LETTERS.dismiss(database, "default", 1, by=each, because="by hand") for each in people]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    (done,) = [each for each in answers if isinstance(each, Letter)]
    assert done.dismissed_because == "by hand"
    refused = [each for each in answers if isinstance(each, Conflict)]
    assert {each.detail for each in refused} == {f"this dead letter was dismissed already, by {done.dismissed_by}"}
    assert len(refused) == 4


async def test_what_was_tried_again_or_is_not_there_cannot_be_dismissed(database: Database) -> None:
    with pytest.raises(Conflict, match="by ann"):
        await LETTERS.dismiss(database, "default", 2, by="ben", because="x")
    for tenant, letter in (("default", 9), ("other", 1)):
        with pytest.raises(NotFound):
            await LETTERS.dismiss(database, tenant, letter, by="ben", because="x")
