import asyncio

from services.business.actions.approvals import decide
from shared.contracts.actions import ActionRequest
from shared.contracts.approvals import Verdict
from shared.errors import Conflict
from shared.storage.database import Database


async def test_contrary_decisions_at_once_leave_one_of_them(database: Database, waiting: ActionRequest) -> None:
    verdicts: list[Verdict] = ["approve", "reject"] * 3
    outcomes = await asyncio.gather(
        *(decide(database, "default", waiting.id, verdict, by="agent-7", note=None) for verdict in verdicts),
        return_exceptions=True,
    )

    assert outcomes.count(None) == 3
    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [Conflict] * 3
