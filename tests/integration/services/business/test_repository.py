"""The ledger's queries on both databases."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.business import repository
from services.business.actions.ledger import Ledger
from services.business.models import ActionRecord, DeadLetter, Installation
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from shared.contracts.actions import ActionReference, ActionRequest
from shared.errors import Conflict
from shared.storage.database import ALL_TENANTS, Database, now
from shared.storage.installation import identity_of
from shared.storage.migrations import migrate
from tests.postgres import Postgres

MOMENT = now()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'business.sqlite'}"
    if request.param == "postgresql":
        url = await postgres.new_database()
    await asyncio.to_thread(migrate, "business", url)
    database = Database(url)
    yield database
    await database.close()


async def add(
    database: Database, action_id: str, status: str = "started", tenant: str = "default", **more: int
) -> None:
    async with database.transaction(tenant) as session:
        record = ActionRecord(
            action_id=action_id,
            name="refund",
            conversation_id="c1",
            request={},
            status=status,
            resend_at=MOMENT,
            **more,
        )
        repository.add_action(session, record)


async def find(database: Database, action_id: str) -> ActionRecord:
    async with database.reading("default") as session:
        record = await repository.find_action(session, action_id)
    assert record is not None
    return record


ACTION = ActionReference(id="a", tenant="default")


async def test_of_many_that_claim_an_action_at_once_one_gets_it(database: Database) -> None:
    await add(database, "a")

    async def claim() -> bool:
        async with database.transaction("default") as session:
            claimed = await repository.claim_action(session, "a", MOMENT)
            if claimed:
                record = await repository.find_action(session, "a")
                assert record is not None
                record.status = "succeeded"
            return claimed

    assert sorted(await asyncio.gather(*(claim() for _ in range(5)))) == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("status", "result_version", "marked", "published_version", "left"),
    [
        ("succeeded", 1, 1, 1, False),
        ("succeeded", 2, 1, 1, True),
        ("succeeded", 2, 2, 2, False),
        ("started", 1, 1, 1, True),
    ],
)
async def test_there_is_nothing_left_to_send_when_the_newest_result_is_marked(
    database: Database, status: str, result_version: int, marked: int, published_version: int, left: bool
) -> None:
    await add(database, "a", status, result_version=result_version)
    async with database.transaction("default") as session:
        await repository.mark_published(session, ACTION, marked)
    record = await find(database, "a")
    assert record.published_version == published_version
    assert (record.resend_at is not None) is left


async def test_an_older_mark_that_comes_late_changes_nothing(database: Database) -> None:
    await add(database, "a", "succeeded", result_version=2)
    for version in (2, 1):
        async with database.transaction("default") as session:
            await repository.mark_published(session, ACTION, version)
    assert (await find(database, "a")).published_version == 2


async def test_another_tenants_action_of_the_same_id_is_not_marked(database: Database) -> None:
    for tenant in ("default", "other"):
        await add(database, "a", "succeeded", tenant, result_version=1)
    async with database.transaction(ALL_TENANTS) as session:
        await repository.mark_published(session, ACTION, 1)
    for tenant, version in (("default", 1), ("other", 0)):
        async with database.reading(tenant) as session:
            record = await repository.find_action(session, "a")
        assert record is not None
        assert record.published_version == version


async def test_dead_letters_that_were_tried_again_are_listed_and_not_counted(database: Database) -> None:
    async with database.transaction("default") as session:
        for action_id in ("a", "b", "c"):
            letter = DeadLetter(action_id=action_id, payload="{}", error="x")
            letter.retried_at = MOMENT if action_id == "b" else None
            repository.add_dead_letter(session, letter)
            await repository.flush(session)
    async with database.reading("default") as session:
        letters = await repository.dead_letters_after(session, 0, 2)
        assert [letter.action_id for letter in letters] == ["a", "b"]
        assert [each.action_id for each in await repository.dead_letters_after(session, letters[-1].id, 2)] == ["c"]
        assert await repository.count_dead_letters(session) == 2
    async with database.reading("other") as session:
        assert await repository.count_dead_letters(session) == 0


async def test_what_is_due_is_what_has_its_moment_behind_it(database: Database) -> None:
    await add(database, "a")
    for moment, ids in ((MOMENT - timedelta(seconds=1), []), (MOMENT, ["a"])):
        async with database.transaction(ALL_TENANTS) as session:
            assert await repository.has_due_records(session, moment) is bool(ids)
            assert [each.action_id for each in await repository.due_rows(session, moment, 10)] == ids


BEFORE = MOMENT - timedelta(days=30)
OLD = BEFORE - timedelta(days=1)
ENDED: dict[str, Any] = {"status": "succeeded", "result_version": 1, "published_version": 1, "resend_at": None}
FORGOTTEN = ("done", "refused", "failed", "decided", "elsewhere")


def asked(action_id: str, at: datetime, tenant: str = "default") -> ActionRequest:
    return ActionRequest(id=action_id, tenant=tenant, name="open_ticket", conversation_id="c", requested_at=at)


async def remembered(database: Database) -> set[str]:
    async with database.reading(ALL_TENANTS) as session:
        return {each.action_id for each in await session.scalars(select(ActionRecord))}


async def test_what_ended_long_ago_is_forgotten_and_never_done_again(database: Database) -> None:
    await identity_of(database, Installation)
    rows: dict[str, dict[str, Any]] = {
        "done": {},
        "refused": {"status": "rejected"},
        "failed": {"status": "failed"},
        "decided": {"status": "failed"},
        "elsewhere": {},
        "recent": {"created_at": MOMENT, "updated_at": MOMENT},
        "changed": {"updated_at": MOMENT},
        "open": {"status": "started", "result_version": 0, "published_version": 0},
        "waits": {"status": "awaiting_approval"},
        "untold": {"published_version": 0},
        "told-again": {"resend_at": MOMENT},
        "undecided": {"status": "failed"},
    }
    for action_id, more in rows.items():
        tenant = "other" if action_id == "elsewhere" else "default"
        async with database.transaction(tenant) as session:
            request = asked(action_id, OLD, tenant)
            known = {"created_at": OLD, "updated_at": OLD} | ENDED | more
            repository.add_action(
                session,
                ActionRecord(
                    action_id=action_id,
                    name=request.name,
                    conversation_id="c",
                    request=request.model_dump(mode="json"),
                    **known,
                ),
            )
            if action_id in ("decided", "undecided"):
                letter = DeadLetter(action_id=action_id, payload="{}", error="x", created_at=OLD)
                letter.dismissed_at = OLD if action_id == "decided" else None
                repository.add_dead_letter(session, letter)
    before = await remembered(database)

    async with database.transaction(ALL_TENANTS) as session:
        assert len(await repository.delete_actions(session, BEFORE, None, 2)) == 2
    async with database.transaction(ALL_TENANTS) as session:
        assert await repository.delete_actions(session, BEFORE, OLD, 50) == [OLD] * (len(FORGOTTEN) - 2)
    async with database.transaction(ALL_TENANTS) as session:
        assert await repository.delete_dead_letters(session, BEFORE, None, 50) == [OLD]
        assert await repository.count_dead_letters(session) == 1
        assert await repository.forgotten_until(session) == OLD
    assert await remembered(database) == before - set(FORGOTTEN)

    settings = Settings()
    ledger = Ledger(database, RuleBook(settings.rules_dir), settings)
    for action_id in FORGOTTEN:
        with pytest.raises(Conflict, match="too old"):
            await ledger.accept(asked(action_id, OLD, "other" if action_id == "elsewhere" else "default"))
    assert await remembered(database) == before - set(FORGOTTEN), "nothing that may have been done is begun again"
    assert (await ledger.accept(asked("recent", OLD))).id == "recent"
    assert (await ledger.accept(asked("new", MOMENT))).id == "new"
