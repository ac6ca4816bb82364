"""Which actions the outbox sends to business, when again, and what becomes of those that fail."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from services.dialogue.actions import dead_letters
from services.dialogue.actions import repository as outbox_repository
from services.dialogue.actions.outbox import ActionOutbox, action_relay
from services.dialogue.conversation import repository
from services.dialogue.conversation.models import Conversation, DeadLetter, OutboxRow
from services.dialogue.conversation.repository import StaleTurn
from services.dialogue.settings import Settings
from shared.calls.circuit_breaker import BreakerPolicy
from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.contracts.actions import ActionReference, ActionRequest, ActionResult, ActionStatus
from shared.errors import Conflict, NotFound, Unavailable
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.migrations import migrate
from tests.servers import serve

FIRST, MOST = 8.0, 20.0
LIMIT = 10
FAILURES = 3
OK = 202


class Business:
    """Business as far as the outbox sees it: what it was asked for, and what it answers."""

    def __init__(self) -> None:
        self.app = FastAPI()
        self.asked: list[str] = []
        self.request_ids: list[str | None] = []
        self.statuses: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.receipts: dict[str, Any] = {}

        @self.app.post("/v1/actions")
        async def accept(request: Request) -> JSONResponse:
            body = await request.json()
            self.asked.append(body["id"])
            self.request_ids.append(request.headers.get("X-Request-ID"))
            status = self.statuses.get(body["id"], OK)
            if status != OK:
                return JSONResponse({"detail": "no", "status": status}, status)
            receipt = {"id": body["id"], "result": self.results.get(body["id"])}
            return JSONResponse(self.receipts.get(body["id"], receipt), OK)


class Stage:
    """The outbox with a database of its own, and a conversation that takes results."""

    def __init__(self, database: Database, client: ServiceClient, business: Business) -> None:
        self.database = database
        self.business = business
        self.told: list[tuple[str, int]] = []
        self.refuses: dict[str, Exception | None] = {}
        settings = Settings(
            redis_url="redis://127.0.0.1:1/0",
            resend_first_seconds=FIRST,
            resend_most_seconds=MOST,
            max_failures=FAILURES,
        )
        self.outbox = ActionOutbox(settings, database, client, self.tell)
        self.relay = action_relay(database, self.outbox)

    async def tell(self, result: ActionResult) -> None:
        """What a turn does; `refuses` names actions whose result is not taken."""
        if result.action_id in self.refuses:
            error = self.refuses[result.action_id]
            if error is not None:
                raise error
            return
        self.told.append((result.action_id, result.version))
        await settle(self.database, result, now())

    async def add(self, *actions: str, request: dict[str, Any] | None = None) -> None:
        async with self.database.transaction("default") as session:
            for action in actions:
                row = OutboxRow(action_id=action, conversation_id="a", request=request or asked_for(action))
                session.add(row)

    async def make_due(self) -> None:
        async with self.database.transaction(ALL_TENANTS) as session:
            await session.execute(text("UPDATE outbox SET next_attempt_at = '2020-01-01 00:00:00'"))

    async def row(self, action: str) -> OutboxRow:
        async with self.database.reading("default") as session:
            row = await session.get(OutboxRow, action)
        assert row is not None
        return row

    async def letters(self, *, waiting: bool = False) -> list[DeadLetter]:
        async with self.database.reading("default") as session:
            return list(await outbox_repository.letters_after(session, 0, 100, waiting=waiting))

    async def looks(self, times: int = 1) -> None:
        """So many looks, each when everything is due again."""
        for _ in range(times):
            await self.make_due()
            await self.relay.look()


def asked_for(action: str, **changes: Any) -> dict[str, Any]:
    request = ActionRequest(
        id=action, tenant="default", name="refund", conversation_id="a", requested_at=now(), request_id=f"of-{action}"
    )
    return request.model_dump(mode="json") | changes


def result(version: int, status: ActionStatus, action: str = "a.0") -> ActionResult:
    return ActionResult(
        action_id=action, tenant="default", name="refund", conversation_id="a", status=status, version=version
    )


def stored(version: int, status: ActionStatus, action: str = "a.0", **changes: Any) -> dict[str, Any]:
    return result(version, status, action).model_dump(mode="json") | changes


async def settle(database: Database, settled: ActionResult, look_again_at: datetime) -> None:
    await database.write("default", lambda unit: repository.settle_action(unit, settled, again_at=look_again_at))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'dialogue.sqlite'}"
    await asyncio.to_thread(migrate, "dialogue", url)
    database = Database(url)
    async with database.transaction("default") as session:
        session.add(Conversation(id="a", owner="me", assistant="shop", language="zh"))
    business = Business()
    async with serve(business.app) as server:
        client = ServiceClient(FixedDiscovery({"business": server.address}), breaker=BreakerPolicy(failures=1000))
        yield Stage(database, client, business)
        await client.close()
    await database.close()


async def claimed(stage: Stage, moment: datetime) -> list[tuple[str, int]]:
    async with stage.database.transaction(ALL_TENANTS) as session:
        return [(item.id, item.attempts) for item in await stage.outbox.claim(session, moment, LIMIT)]


async def test_an_action_is_sent_again_after_growing_pauses(stage: Stage) -> None:
    await stage.add("a.0")
    moment = now()
    for attempts, pause in enumerate((FIRST, 2 * FIRST, MOST, MOST), start=1):
        assert await claimed(stage, moment) == [("a.0", attempts)]
        assert await claimed(stage, moment + timedelta(seconds=0.79 * pause)) == []
        moment += timedelta(seconds=pause)


async def test_an_interim_result_makes_it_wait_and_the_final_one_ends_it(stage: Stage) -> None:
    await stage.add("a.0")
    await stage.looks()
    assert (stage.told, stage.business.request_ids) == ([], ["of-a.0"])

    for version, status in ((1, "awaiting_approval"), (1, "awaiting_approval"), (2, "succeeded")):
        stage.business.results["a.0"] = stored(version, status)  # type: ignore[arg-type]
        await stage.looks()
    await stage.looks(3)

    assert stage.told == [("a.0", 1), ("a.0", 2)]
    assert len(stage.business.asked) == 4
    assert (await stage.row("a.0")).done


async def test_a_result_of_an_old_version_is_refused(stage: Stage) -> None:
    await stage.add("a.0")
    await settle(stage.database, result(2, "succeeded"), now())

    for version in (1, 2):
        with pytest.raises(StaleTurn):
            await settle(stage.database, result(version, "awaiting_approval"), now())


async def test_news_brings_an_action_forward_also_one_that_was_done(stage: Stage) -> None:
    """An action that was given up and is tried again by an operator has a second result."""
    await stage.add("a.0")
    stage.business.results["a.0"] = stored(1, "failed")
    await stage.looks()
    assert (await stage.row("a.0")).done
    stage.business.results["a.0"] = stored(2, "succeeded")

    assert await stage.outbox.news(ActionReference(id="a.0", tenant="default"))
    await stage.relay.look()

    assert stage.told == [("a.0", 1), ("a.0", 2)]
    assert (await stage.row("a.0")).done


@pytest.mark.parametrize("wrong", [{"id": "nobody.0"}, {"tenant": "other"}])
async def test_news_of_what_is_not_ours_is_none(stage: Stage, wrong: dict[str, str]) -> None:
    await stage.add("a.0")
    await claimed(stage, now())

    assert not await stage.outbox.news(ActionReference(id="a.0", tenant="default").model_copy(update=wrong))

    assert await claimed(stage, now()) == []


async def test_news_does_not_use_up_the_attempts_of_what_fails(stage: Stage) -> None:
    await stage.add("a.0")
    stage.business.statuses["a.0"] = 409
    await stage.looks()

    for _ in range(2 * FAILURES):
        assert not await stage.outbox.news(ActionReference(id="a.0", tenant="default"))
        await stage.relay.look()

    assert stage.business.asked == ["a.0"]
    assert await stage.letters() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 401, 403, 429])
async def test_that_business_is_away_is_no_failure_of_the_action(stage: Stage, status: int) -> None:
    await stage.add("a.0")
    stage.business.statuses["a.0"] = status
    for _ in range(2 * FAILURES):
        with pytest.raises(Unavailable):
            await stage.looks()
    stage.business.statuses.clear()
    stage.business.results["a.0"] = stored(1, "succeeded")

    await stage.looks()

    assert stage.told == [("a.0", 1)]
    assert await stage.letters() == []


Spoil = Callable[[Stage], Awaitable[None]]


async def refused(stage: Stage) -> None:
    stage.business.statuses["bad.0"] = 409


async def not_a_receipt(stage: Stage) -> None:
    stage.business.receipts["bad.0"] = ["what ever"]


async def anothers_result(stage: Stage) -> None:
    stage.business.results["bad.0"] = stored(1, "succeeded", "b.0")


async def anothers_conversation(stage: Stage) -> None:
    stage.business.results["bad.0"] = stored(1, "succeeded", "bad.0", conversation_id="another")


async def fault_in_the_turn(stage: Stage) -> None:
    stage.business.results["bad.0"] = stored(1, "succeeded", "bad.0")
    stage.refuses["bad.0"] = KeyError("a fault")


async def stale_for_ever(stage: Stage) -> None:
    stage.business.results["bad.0"] = stored(1, "succeeded", "bad.0")
    stage.refuses["bad.0"] = StaleTurn("a")


async def not_taken(stage: Stage) -> None:
    stage.business.results["bad.0"] = stored(1, "succeeded", "bad.0")
    stage.refuses["bad.0"] = None


def written(value: str) -> Spoil:
    async def write(stage: Stage) -> None:
        async with stage.database.transaction(ALL_TENANTS) as session:
            await session.execute(
                text("UPDATE outbox SET request = :value WHERE action_id = 'bad.0'"), {"value": value}
            )

    return write


@pytest.mark.parametrize(
    "spoil",
    [
        refused, not_a_receipt, anothers_result, anothers_conversation, fault_in_the_turn, stale_for_ever, not_taken,
        written("no json"), written("{}"), written("[]"), written('{"id": "another", "tenant": "default"}'),
    ],
    ids=lambda spoil: spoil.__name__,
)  # fmt: skip
async def test_what_always_fails_becomes_a_dead_letter_and_holds_up_nothing(stage: Stage, spoil: Spoil) -> None:
    await stage.add("bad.0", "good.0")
    await spoil(stage)
    stage.business.results["good.0"] = stored(1, "succeeded", "good.0")

    await stage.looks()
    assert stage.told == [("good.0", 1)]
    assert await stage.letters() == []
    await stage.looks(FAILURES - 1)

    (letter,) = await stage.letters(waiting=True)
    assert (letter.action_id, letter.conversation_id, letter.attempts) == ("bad.0", "a", FAILURES)
    assert letter.error
    asked = len(stage.business.asked)
    await stage.looks(3)
    assert len(stage.business.asked) == asked, "what was given up is not sent again"
    assert len(await stage.letters()) == 1


async def test_news_of_what_business_has_forgotten_by_now_is_no_failure(stage: Stage) -> None:
    """What was told long ago is over, whoever says that there is news of it."""
    await stage.add("a.0", "b.0")
    stage.business.results["a.0"] = stored(1, "succeeded")
    await stage.looks()
    stage.business.statuses = {"a.0": 409, "b.0": 409}
    for _ in range(FAILURES):
        await stage.outbox.news(ActionReference(id="a.0", tenant="default"))
        await stage.looks()
    row = await stage.row("a.0")
    assert (row.done, row.failures, row.status) == (True, 0, "succeeded")
    assert [each.action_id for each in await stage.letters()] == ["b.0"], "what was never told is no less a failure"


async def test_failures_that_pass_are_forgotten(stage: Stage) -> None:
    await stage.add("a.0")
    for _ in range(3):
        stage.business.statuses["a.0"] = 409
        await stage.looks(FAILURES - 1)
        stage.business.statuses.clear()
        await stage.looks()

    assert await stage.letters() == []


async def test_fifty_that_fail_do_not_starve_fifty_that_do_not(stage: Stage) -> None:
    bad, good = [f"bad.{number}" for number in range(50)], [f"good.{number}" for number in range(50)]
    await stage.add(*bad, *good)
    stage.business.statuses = dict.fromkeys(bad, 422)
    stage.business.results = {each: stored(1, "succeeded", each) for each in good}

    await stage.looks()
    await stage.relay.look()

    assert {action for action, _ in stage.told} == set(good)


async def test_a_dead_letter_is_tried_again_or_dismissed_and_keeps_who_and_why(stage: Stage) -> None:
    await stage.add("a.0", "b.0")
    stage.business.statuses = {"a.0": 409, "b.0": 409}
    await stage.looks(FAILURES)
    first, second = await stage.letters(waiting=True)
    stage.business.statuses.clear()
    stage.business.results = {each: stored(1, "succeeded", each) for each in ("a.0", "b.0")}

    await dead_letters.retry(stage.database, "default", first.id, by="operator-1")
    await dead_letters.dismiss(stage.database, "default", second.id, by="operator-2", because="done by hand")
    await stage.relay.look()

    assert stage.told == [(first.action_id, 1)]
    assert await stage.letters(waiting=True) == []
    retried, dismissed = await stage.letters()
    assert (retried.retried_by, dismissed.dismissed_by, dismissed.dismissed_because) == (
        "operator-1",
        "operator-2",
        "done by hand",
    )
    for letter in (first, second):
        with pytest.raises(Conflict):
            await dead_letters.retry(stage.database, "default", letter.id, by="late")
        with pytest.raises(Conflict):
            await dead_letters.dismiss(stage.database, "default", letter.id, by="late", because="late")
        with pytest.raises(NotFound):
            await dead_letters.retry(stage.database, "other", letter.id, by="stranger")
