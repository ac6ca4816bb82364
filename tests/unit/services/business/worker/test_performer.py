import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.models import ActionRecord
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.worker.performer import Performer
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database

Ask = Any


@pytest.fixture
def performer(settings: Settings, rules: RuleBook) -> Iterator[Performer]:
    performer = Performer(settings, rules)
    yield performer
    performer.close()


def accepted(settings: Settings, rules: RuleBook, request: ActionRequest) -> ActionRequest:
    async def write() -> None:
        database = Database(settings.business_database)
        try:
            await Ledger(database, rules, settings).accept(request)
        finally:
            await database.close()

    asyncio.run(write())
    return request


def test_an_unknown_action_is_not_a_label_of_its_own(
    performer: Performer, settings: Settings, rules: RuleBook, ask: Ask
) -> None:
    done = performer.perform(accepted(settings, rules, ask("make_coffee")))

    assert (done.name, done.outcome) == ("unknown", "failed")


def test_what_is_given_up_is_counted_once_however_often_it_comes(settings: Settings, rules: RuleBook, ask: Ask) -> None:
    once = Performer(settings.model_copy(update={"action_seconds": 1e-9, "max_attempts": 1}), rules)
    request = accepted(settings, rules, ask("refund"))
    try:
        done = [once.perform(request) for _ in range(3)]
    finally:
        once.close()

    assert [(each.outcome, each.dead) for each in done] == [("failed", True), ("done", False), ("done", False)]


def test_a_result_that_cannot_be_announced_is_left_to_the_outbox(
    performer: Performer, settings: Settings, rules: RuleBook, ask: Ask
) -> None:
    request = accepted(settings, rules, ask("refund"))

    assert performer.perform(request).outcome == "succeeded"

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
