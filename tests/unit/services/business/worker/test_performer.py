import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from services.business import repository
from services.business.models import ActionRecord
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.performer import Performer
from shared.storage.database import Database

Ask = Any


@pytest.fixture
def performer(settings: Settings, rules: RuleBook) -> Iterator[Performer]:
    performer = Performer(settings, rules)
    yield performer
    performer.close()


def test_an_unknown_action_is_not_a_label_of_its_own(performer: Performer, ask: Ask) -> None:
    done = performer.perform(ask("make_coffee").model_dump(mode="json"))

    assert (done.name, done.outcome) == ("unknown", "failed")


def test_what_is_given_up_is_reported_again_when_it_comes_again(settings: Settings, rules: RuleBook, ask: Ask) -> None:
    once = Performer(settings.model_copy(update={"action_seconds": 1e-9, "max_attempts": 1}), rules)
    payload = ask("refund").model_dump(mode="json")
    try:
        assert [once.perform(payload).outcome for _ in range(2)] == ["failed", "failed"]
    finally:
        once.close()


def test_a_result_that_cannot_be_published_is_left_to_the_outbox(
    performer: Performer, settings: Settings, ask: Ask
) -> None:
    request = ask("refund")

    assert performer.perform(request.model_dump(mode="json")).outcome == "succeeded"

    async def look() -> ActionRecord | None:
        database = Database(settings.business_database)
        try:
            async with database.reading(request.tenant) as session:
                return await repository.find_action(session, request.id)
        finally:
            await database.close()

    record = asyncio.run(look())
    assert record is not None
    assert (record.result_version, record.published_version) == (1, 0)
    assert record.resend_at is not None
