import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from sqlalchemy import update

from services.business.app import create_app as create_business
from services.business.models import ActionRecord
from services.business.repository import records_after
from services.business.settings import Settings as BusinessSettings
from services.business.shop.models import Order
from services.business.shop.seed import seed
from services.dialogue.assistant.responses import Rendered, Replies
from services.dialogue.assistant.values import Say
from services.login.app import create_app as create_login
from services.login.settings import Settings as LoginSettings
from shared.http.auth import Principal, TokenVerifier
from shared.storage.database import ALL_TENANTS, Database
from tests.calls import Calls, calling
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import AGENT, Neighbourhood, logged_in, new_guest, opened_by
from tests.postgres import Postgres
from tests.servers import RunningServer, serve
from tests.stack import eventually


async def test_every_turn_leaves_a_trace_with_its_trigger_and_stages(calls: Calls, guest: Customer) -> None:
    agent = await logged_in(calls, AGENT)
    replies = await guest.say("weather football")
    await guest.say(replies[-1]["options"][0]["title"], choice=replies[-1]["options"][0]["id"])
    queue = (await calls.get("/v1/handoffs?limit=200", token=agent)).body["handoffs"]
    mine = next(each["id"] for each in queue if each["conversation_id"] == guest.conversation)
    await calls.post(f"/v1/handoffs/{mine}/claim", token=agent)
    traces = (await calls.get(f"{guest.path}/traces", token=agent)).body
    assert [trace["trigger"] for trace in traces][:2] == ["opened", "message:2"]
    assert set(traces[1]["seconds"]) >= {"accept", "understand", "decide"}


async def test_intent_is_told_for_whom_it_is_asked(around: Neighbourhood) -> None:
    told: list[str | None] = []
    intent = FastAPI()

    @intent.post("/v1/understand")
    async def understand(request: Request) -> None:
        """Notes who is named, and answers nothing that can be used."""
        told.append(request.headers.get("X-On-Behalf-Of"))

    async with serve(intent) as server:
        app = around.another(static_services={**around.addresses, "intent": server.address})
        async with serve(app) as dialogue, calling(dialogue.base_url) as calls:
            guests = [await new_guest(calls) for _ in range(2)]
            for guest in guests:
                await guest.say("hello")
            subjects = [(await verified(dialogue, guest.token)).subject for guest in guests]
    assert told == subjects


async def verified(dialogue: RunningServer, token: str) -> Principal:
    verifier: TokenVerifier = dialogue.app.state.verifier
    return await verifier.verify(token)


async def test_replies_are_rendered_outside_of_the_transaction(
    guest: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is one for all on SQLite, and PostgreSQL has few connections: neither waits for templates."""
    threads: set[str] = set()
    render = Replies.render

    def noted(self: Replies, say: Say) -> Rendered:
        threads.add(threading.current_thread().name)
        return render(self, say)

    monkeypatch.setattr(Replies, "render", noted)
    await guest.say("where is my parcel")
    assert threads == {threading.main_thread().name}


ACME = "acme"


@pytest.fixture(params=["sqlite", "postgresql"])
async def dialogue(
    request: pytest.FixtureRequest, around: Neighbourhood, postgres: Postgres, tmp_path: Path
) -> AsyncIterator[tuple[Calls, Database]]:
    """Dialogue and business with databases of their own, and business's: with the shop of two tenants in it."""
    own, ledger = (f"sqlite+aiosqlite:///{tmp_path / name}.sqlite" for name in ("own", "ledger"))
    if request.param == "postgresql":
        own, ledger = await postgres.new_database(), await postgres.new_database()
    # Prefixes in Redis belong to one database, and its users to one prefix.
    apart: dict[str, Any] = {"installation": request.param, "redis_url": around.redis.url}
    common: dict[str, Any] = {
        "home": tmp_path,
        "drain_seconds": 0,
        "static_services": around.addresses,
    }
    async with AsyncExitStack() as stack:
        business = await stack.enter_async_context(
            serve(create_business(BusinessSettings(**common, **apart, database_url=ledger, relay_seconds=0.1)))
        )
        addresses = {**around.addresses, "business": business.address}
        server = await stack.enter_async_context(
            serve(around.another(static_services=addresses, **apart, database_url=own))
        )
        database = Database(ledger)
        stack.push_async_callback(database.close)
        await seed(database, ACME)
        async with database.transaction(ACME) as session:
            await session.execute(update(Order).values(item_en="anvil", item_zh="铁砧", address="Elm Street 1"))
        yield await stack.enter_async_context(calling(server.base_url)), database


@asynccontextmanager
async def customer_of(around: Neighbourhood, calls: Calls, tenant: str) -> AsyncIterator[Customer]:
    """Somebody who is customer C1001 of a tenant: login's keys are the installation's, its people a tenant's."""
    settings = LoginSettings(
        home=around.settings.home, redis_url=around.redis.url, drain_seconds=0, tenant=tenant, guest_customer="C1001"
    )
    async with serve(create_login(settings)) as login, calling(login.base_url) as asked:
        token = (await asked.post("/v1/guest", json={})).body["access_token"]
    yield await opened_by(calls, token)


async def test_a_conversation_never_sees_what_another_tenant_has(
    around: Neighbourhood, dialogue: tuple[Calls, Database]
) -> None:
    calls, ledger = dialogue
    async with customer_of(around, calls, "default") as ours, customer_of(around, calls, ACME) as theirs:
        for _ in range(2):
            # The second look-up takes the direct route.
            answers = await asyncio.gather(*(each.say("where parcel 20261103001") for each in (ours, theirs)))
            assert "earphones" in texts(answers[0])
            assert "anvil" not in texts(answers[0])
            assert "anvil" in texts(answers[1])
            assert "earphones" not in texts(answers[1])
        for each in (ours, theirs):
            await each.say("refund money")
            await each.say("20261103003")
            await each.say("too small")
            options = (await each.events())[-1]["options"]
            await each.say(options[0]["title"], choice=options[0]["id"])

    async def accepted() -> bool:
        async with ledger.reading(ALL_TENANTS) as session:
            found: list[ActionRecord] = list(await records_after(session, "started", 0, 10))
        return {(each.tenant, each.conversation_id) for each in found} == {
            ("default", ours.conversation),
            (ACME, theirs.conversation),
        }

    await eventually(accepted, what="the action of each tenant in the ledger")
    # What is one's is not found for the other, by its own number.
    async with ledger.transaction("default") as session:
        await session.execute(update(Order).where(Order.number == "20261103002").values(number="20261103999"))
    async with customer_of(around, calls, ACME) as theirs, customer_of(around, calls, "default") as ours:
        assert "earphones" not in texts(await theirs.say("where parcel 20261103999"))
        assert "anvil" not in texts(await ours.say("where parcel 20261103002"))
