import asyncio
from typing import Any

import pytest

from services.business import repository
from services.business.actions.approvals import Verdict, decide, try_again
from services.business.actions.ledger import Ledger
from services.business.models import ActionRecord
from shared.contracts.actions import ActionRequest
from shared.errors import Conflict
from shared.storage.database import Database

Ask = Any


async def test_contrary_decisions_at_once_leave_one_of_them(database: Database, waiting: ActionRequest) -> None:
    verdicts: list[Verdict] = ["approve", "reject"] * 3
    outcomes = await asyncio.gather(
        *(decide(database, "default", waiting.id, verdict, by="agent-7", note=None) for verdict in verdicts),
        return_exceptions=True,
    )

    decided = [each.status for each in outcomes if isinstance(each, ActionRecord)]
    assert len(decided) == 3
    assert len(set(decided)) == 1
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [Conflict] * 3


@pytest.mark.parametrize("arguments", [{}, {"reason": " "}], ids=["succeeded", "refused"])
async def test_only_what_was_given_up_is_tried_again(
    ledger: Ledger, database: Database, ask: Ask, arguments: dict[str, str]
) -> None:
    request = ask(**arguments)
    await ledger.perform(request)
    await ledger.bury({"id": request.id, "tenant": "default"}, "name: Field required")
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
