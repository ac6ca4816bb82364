"""What a conversation is in the middle of ends by itself, and a late yes confirms nothing."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select, update

from services.dialogue.conversation.models import Conversation, OutboxRow, Timer, Trace
from shared.storage.database import Database
from tests.calls import calling
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import Neighbourhood, neighbourhood, new_guest
from tests.stack import eventually


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Neighbourhood]:
    async with neighbourhood(tmp_path_factory.mktemp("sessions")) as running:
        yield running


@pytest.fixture
async def shopper(running: Neighbourhood) -> AsyncIterator[Customer]:
    async with calling(running.dialogue.base_url) as calls:
        yield await new_guest(calls)


class Store:
    """What dialogue has stored of one conversation."""

    def __init__(self, running: Neighbourhood, customer: Customer) -> None:
        self.database: Database = running.dialogue.app.state.database
        self.id = customer.conversation

    async def all(self, model: Any) -> list[Any]:
        key = Timer.key if model is Timer else Conversation.id if model is Conversation else model.conversation_id
        wanted = f"session:{self.id}" if model is Timer else self.id
        async with self.database.reading("default") as session:
            return list((await session.scalars(select(model).where(key == wanted))).all())

    async def conversation(self) -> Conversation:
        (row,) = await self.all(Conversation)
        assert isinstance(row, Conversation)
        return row

    async def long_ago(self, *, timer: bool = False) -> None:
        """As if the last turn had been long ago, and the timer were due."""
        (row,) = await self.all(Conversation)
        past = row.created_at.replace(year=row.created_at.year - 1)
        async with self.database.transaction("default") as session:
            await session.execute(update(Conversation).where(Conversation.id == self.id).values(turn_at=past))
            if timer:
                due = update(Timer).where(Timer.key == f"session:{self.id}").values(attempt_at=past)
                await session.execute(due)


async def asked_to_confirm(customer: Customer) -> dict[str, Any]:
    await customer.say("refund money")
    await customer.say("20261103004")
    replies = await customer.say("the keys stick")
    options = {option["id"]: option for option in replies[-1]["options"]}
    yes: dict[str, Any] = options["yes"]
    return yes


async def test_a_yes_on_the_next_day_confirms_nothing_and_is_told_so(running: Neighbourhood, shopper: Customer) -> None:
    store = Store(running, shopper)
    yes = await asked_to_confirm(shopper)
    await store.long_ago()
    replies = await shopper.say("yes")
    assert "submitted nothing" in replies[0]["text"]
    assert await store.all(OutboxRow) == []
    replies = await shopper.say(yes["title"], choice=yes["id"])
    assert "submitted nothing" not in texts(replies), "told once"
    assert await store.all(OutboxRow) == []


async def test_a_yes_in_time_is_a_yes(running: Neighbourhood, shopper: Customer) -> None:
    store = Store(running, shopper)
    yes = await asked_to_confirm(shopper)
    await shopper.say(yes["title"], choice=yes["id"])
    assert len(await store.all(OutboxRow)) == 1
    await running.waiting_action()


async def test_the_timer_drops_it_while_nobody_is_there(running: Neighbourhood, shopper: Customer) -> None:
    store = Store(running, shopper)
    await asked_to_confirm(shopper)
    events = await shopper.events()
    await store.long_ago(timer=True)

    async def dropped() -> bool:
        state = (await store.conversation()).state
        return state is not None and not state["frames"] and state["pending"] is None

    await eventually(dropped, what="the end of the session")
    assert await shopper.events() == events, "nobody is there to be told"
    assert await store.all(Timer) == []
    assert any(each.trigger.startswith("session_expired") for each in await store.all(Trace))
    assert "submitted nothing" in (await shopper.say("hello"))[0]["text"]
    await asked_to_confirm(shopper)
    await store.long_ago(timer=True)
    await eventually(dropped, what="the end of the next one")


async def test_a_session_has_one_timer_which_waits_on_while_turns_are_taken(
    running: Neighbourhood, shopper: Customer
) -> None:
    store = Store(running, shopper)
    await shopper.say("hello")
    assert await store.all(Timer) == [], "nothing is under way"
    await asked_to_confirm(shopper)
    (timer,) = await store.all(Timer)
    async with store.database.transaction("default") as session:
        past = timer.due_at.replace(year=timer.due_at.year - 1)
        await session.execute(update(Timer).where(Timer.key == timer.key).values(attempt_at=past))

    async def moved() -> bool:
        (now,) = await store.all(Timer)
        return bool(now.token != timer.token and now.attempts == 0 and now.due_at >= timer.due_at)

    await eventually(moved, what="the timer's next time")
    state = (await store.conversation()).state
    assert state is not None
    assert state["frames"], "the last turn was just now"


async def test_what_a_person_has_to_know_does_not_end(running: Neighbourhood, shopper: Customer) -> None:
    store = Store(running, shopper)
    await asked_to_confirm(shopper)
    async with store.database.transaction("default") as session:
        await session.execute(
            update(Conversation).where(Conversation.id == store.id).values(status="with_agent", floor="ben")
        )
    (timer,) = await store.all(Timer)
    await store.long_ago(timer=True)

    async def moved() -> bool:
        (now,) = await store.all(Timer)
        return bool(now.token != timer.token and now.attempts == 0)

    await eventually(moved, what="the timer's next time")
    state = (await store.conversation()).state
    assert state is not None
    assert state["frames"]
