from typing import Any

import pytest

from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.actions.letters import dismiss, try_again
from services.business.models import DeadLetter
from shared.contracts.actions import ActionRequest
from shared.errors import Conflict
from shared.storage.database import Database
from tests.unit.services.business.performing import perform

Ask = Any


@pytest.mark.parametrize("arguments", [{}, {"reason": " "}], ids=["succeeded", "refused"])
async def test_only_what_was_given_up_is_tried_again(
    ledger: Ledger, database: Database, ask: Ask, arguments: dict[str, str]
) -> None:
    request = ask(**arguments)
    await perform(ledger, request)
    async with database.transaction("default") as session:
        letter = DeadLetter(action_id=request.id, payload="", error="somebody wrote it by hand", attempts=0)
        repository.add_dead_letter(session, letter)
    async with database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, 10)
        before = await repository.find_action(session, request.id)

    with pytest.raises(Conflict, match="not about an action that was given up"):
        await try_again(database, "default", letter.id, by="operator-1")

    async with database.reading("default") as session:
        after = await repository.find_action(session, request.id)
        (untouched,) = await repository.dead_letters_after(session, 0, 10)
    assert before is not None
    assert after is not None
    assert (after.status, after.attempts, after.result_version) == (before.status, before.attempts, 1)
    assert untouched.retried_at is None


async def test_what_is_tried_again_has_all_its_attempts(database: Database, given_up: ActionRequest) -> None:
    async with database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, 10)

    await try_again(database, "default", letter.id, by="operator-1")

    async with database.reading("default") as session:
        record = await repository.find_action(session, given_up.id)
        assert await repository.count_dead_letters(session) == 0
    assert record is not None
    assert (record.status, record.attempts, record.running_until) == ("started", 0, None)


async def test_what_is_dismissed_is_kept_with_its_reason_and_stays_given_up(
    database: Database, given_up: ActionRequest
) -> None:
    async with database.reading("default") as session:
        (letter,) = await repository.dead_letters_after(session, 0, 10)

    await dismiss(database, "default", letter.id, by="operator-1", because="the customer was paid by hand")

    with pytest.raises(Conflict, match="dismissed already, by operator-1"):
        await try_again(database, "default", letter.id, by="operator-2")
    with pytest.raises(Conflict, match="dismissed already, by operator-1"):
        await dismiss(database, "default", letter.id, by="operator-2", because="twice")
    async with database.reading("default") as session:
        (kept,) = await repository.dead_letters_after(session, 0, 10)
        record = await repository.find_action(session, given_up.id)
        assert await repository.count_dead_letters(session) == 0
        assert await repository.dead_letters_after(session, 0, 10, waiting=True) == []
    assert (kept.dismissed_by, kept.dismissed_because) == ("operator-1", "the customer was paid by hand")
    assert kept.dismissed_at is not None
    assert record is not None
    assert record.status == "failed"
