"""The audit log tells what was done, and nothing that was not."""

import pytest

from services.login.audit import Origin, record
from services.login.repository import events_before
from shared.storage.database import Database
from tests.clocks import Clock

HERE = Origin(address="203.0.113.7", actor="account-1")


async def test_an_event_says_who_did_what_to_whom_when_and_from_where(database: Database, clock: Clock) -> None:
    detail = {"roles": ["agent"]}
    async with database.transaction("default") as session:
        record(session, "account_changed", HERE, at=clock(), target="account-2", detail=detail)
        # What the caller goes on with is not what was written.
        detail["roles"] = ["admin"]
        record(session, "login_failed", Origin(address="unknown"), at=clock())
    async with database.reading("default") as session:
        failed, changed = await events_before(session, None, 10)
        told = (changed.event, changed.actor, changed.target, changed.address, changed.detail)
        assert told == ("account_changed", "account-1", "account-2", "203.0.113.7", {"roles": ["agent"]})
        assert changed.at == clock()
        assert (failed.actor, failed.target, failed.detail) == (None, None, {})


async def test_what_was_given_up_is_not_told(database: Database, clock: Clock) -> None:
    class GivenUp(Exception):
        pass

    async def give_up() -> None:
        async with database.transaction("default") as session:
            record(session, "password_changed", HERE, at=clock())
            raise GivenUp

    with pytest.raises(GivenUp):
        await give_up()
    async with database.reading("default") as session:
        assert await events_before(session, None, 10) == []
