"""A shop of its own for every test: SQLite in a temporary folder, the demo data, the shipped rules."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.business.actions.ledger import Ledger
from services.business.actions.results import AttemptFailed
from services.business.app import create_app
from services.business.rules.rule_book import RuleBook
from services.business.settings import Settings
from services.business.shop.seed import seed
from shared.contracts.actions import ActionRequest
from shared.storage.database import Database
from shared.storage.migrations import migrate
from tests.calls import Calls, calling
from tests.servers import RunningServer, serve
from tests.tokens import TokenFactory
from tests.unit.services.business.performing import perform

NO_REDIS = "redis://127.0.0.1:1/0"

Ask = Callable[..., ActionRequest]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with the demo data in it, to be copied."""
    file = tmp_path_factory.mktemp("business") / "template.sqlite"
    url = f"sqlite+aiosqlite:///{file}"
    migrate("business", url)

    async def fill() -> None:
        database = Database(url)
        await seed(database, "default")
        await database.close()

    asyncio.run(fill())
    return file


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    """Settings whose database is a fresh copy of the demo shop and whose rules may be edited."""
    return settings_in(tmp_path, template)


def settings_in(folder: Path, template: Path) -> Settings:
    """Settings of a demo shop in a folder."""
    shutil.copy(template, folder / "business.sqlite")
    shutil.copytree(Settings().rules_dir, folder / "shop" / "rules")
    return Settings(
        home=folder,
        database_url=f"sqlite+aiosqlite:///{folder / 'business.sqlite'}",
        assistant=folder / "shop",
        redis_url=NO_REDIS,
        migrate_on_start=False,
        seed_demo=False,
        retry_seconds=1e-9,
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The demo shop."""
    database = Database(settings.business_database)
    yield database
    await database.close()


@pytest.fixture
def rules(settings: Settings) -> RuleBook:
    """The shop's tables; the files are in `settings.rules_dir`."""
    return RuleBook(settings.rules_dir)


@pytest.fixture
def ledger(database: Database, rules: RuleBook, settings: Settings) -> Ledger:
    """The demo shop's ledger."""
    return Ledger(database, rules, settings)


@pytest.fixture
def ask() -> Ask:
    """Makes requests for actions, each with an id of its own unless one is given."""

    def make(
        name: str = "refund",
        *,
        id: str | None = None,
        customer: str | None = "C1001",
        tenant: str = "default",
        **arguments: Any,
    ) -> ActionRequest:
        if name == "refund":
            arguments = {"order_number": "20261103003", "reason": "太小了"} | arguments
        return ActionRequest(
            id=id or uuid.uuid4().hex,
            tenant=tenant,
            name=name,
            customer=customer,
            conversation_id="conversation-1",
            arguments=arguments,
            requested_at=datetime.now(UTC),
        )

    return make


@pytest.fixture
async def served(settings: Settings, tokens: TokenFactory) -> AsyncIterator[RunningServer]:
    """The real service on a real port, without a queue behind it."""
    async with serve(create_app(settings, jwks=tokens.fetch)) as server:
        yield server


@pytest.fixture
async def calls(served: RunningServer) -> AsyncIterator[Calls]:
    """Calls to it."""
    async with calling(served.base_url) as calls:
        yield calls


@pytest.fixture(scope="session")
def tokens() -> TokenFactory:
    """Signs tokens as login does."""
    return TokenFactory()


@pytest.fixture(scope="session")
async def untouched(
    template: Path, tmp_path_factory: pytest.TempPathFactory, tokens: TokenFactory
) -> AsyncIterator[Calls]:
    """Calls to one service for all tests that change nothing in it."""
    settings = settings_in(tmp_path_factory.mktemp("untouched"), template)
    async with serve(create_app(settings, jwks=tokens.fetch)) as server, calling(server.base_url) as calls:
        yield calls


@pytest.fixture
def agent(tokens: TokenFactory) -> str:
    """The token of somebody who decides."""
    return tokens.issue("agent-7", roles={"agent"})


@pytest.fixture
def operator(tokens: TokenFactory) -> str:
    """The token of somebody who looks after what was given up."""
    return tokens.issue("operator-1", roles={"operator"})


@pytest.fixture
async def waiting(ledger: Ledger, ask: Ask) -> ActionRequest:
    """A refund that waits for a person."""
    request: ActionRequest = ask("refund", order_number="20261103004", reason="按键失灵")
    await perform(ledger, request)
    return request


@pytest.fixture
async def given_up(database: Database, rules: RuleBook, settings: Settings, ask: Ask) -> ActionRequest:
    """A refund that failed as often as it may, and would succeed now."""
    request: ActionRequest = ask("refund")
    hopeless = Ledger(database, rules, settings.model_copy(update={"action_seconds": 1e-9}))
    for _ in range(settings.max_attempts - 1):
        with pytest.raises(AttemptFailed):
            await perform(hopeless, request)
    await perform(hopeless, request)
    return request
