"""A company with a core system of its own: business, a worker and that system are programs, with Redis between them."""

import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from pydantic import SecretStr

from cli.process import Process, Program, wait_until
from cli.stack import http_answers
from services.business.app import create_app
from shared.storage.database import now
from tests.bank import BANK, KEY
from tests.calls import Calls, calling
from tests.externals import Redis
from tests.integration.services.business.shop import Shop
from tests.postgres import postgres
from tests.releases_server import ReleasesServer, releases_server
from tests.servers import free_port, serve
from tests.tokens import TokenFactory

SECONDS = 30.0
CUSTOMER = "C1001"
PAYMENT, LARGE_PAYMENT = "TX000002", "TX000006"
"""480 yuan with a credit card, and a transfer of 26,000."""


class Core:
    """The bank's core system, which is killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-m", "examples.bank", "--port", str(self.port), "--data", str(self._folder))
        program = Program(name="bank", command=(*command, "--key", KEY), ready=http_answers(f"{self.url}/openapi.json"))
        self._process = await Process.start(program, self._folder / "bank.log")
        await self._process.wait_ready()

    async def kill(self) -> None:
        if self._process is not None:
            await self._process.kill()
            self._process = None

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"}) as client:
            answer = await client.get(f"/v1/customers/{CUSTOMER}{path}")
        return answer.raise_for_status().json()


class Company:
    """What its assistant and its staff ask of business."""

    def __init__(self, calls: Calls, tokens: TokenFactory, core: Core, shop: Shop, learning: ReleasesServer) -> None:
        self.core = core
        self.shop = shop
        self.learning = learning
        self._calls = calls
        self._dialogue = tokens.issue("dialogue", roles=(), scopes={"business:lookup", "business:actions"})
        self._agent = tokens.issue("agent-7", roles={"agent"})

    async def look_up(self, name: str, *, release: str | None = None, **arguments: Any) -> Any:
        body = {
            "customer": CUSTOMER, "arguments": arguments, "language": "en", "assistant": "bank", "release": release,
        }  # fmt: skip
        answer = await self._calls.post(f"/v1/lookups/{name}", json=body, token=self._dialogue)
        return answer.body

    async def ask(self, name: str, *, release: str | None = None, **arguments: Any) -> dict[str, Any]:
        """Asks for an action; what has to be sent to ask for it again."""
        request = {
            "id": uuid.uuid4().hex, "tenant": "default", "name": name, "customer": CUSTOMER, "language": "en",
            "conversation_id": "conversation-1", "arguments": arguments, "requested_at": now().isoformat(),
            "assistant": "bank", "release": release,
        }  # fmt: skip
        await self.ask_again(request)
        return request

    async def ask_again(self, request: dict[str, Any]) -> Any:
        answer = await self._calls.post("/v1/actions", json=request, token=self._dialogue)
        assert answer.status == 202, answer.text
        return answer.body["result"]

    async def result(self, request: dict[str, Any], version: int = 1) -> Any:
        found: list[Any] = []

        async def there() -> bool:
            result = await self.ask_again(request)
            if result is not None and result["version"] >= version:
                found.append(result)
            return bool(found)

        assert await wait_until(there, SECONDS), self.shop.log[-5000:]
        return found[0]

    async def approvals(self) -> Any:
        return (await self._calls.get("/v1/approvals", token=self._agent)).body["approvals"]

    async def decide(self, request: dict[str, Any], decision: str) -> Any:
        answer = await self._calls.post(
            f"/v1/approvals/{request['id']}", json={"decision": decision}, token=self._agent
        )
        return answer.body


@asynccontextmanager
async def login(tokens: TokenFactory) -> AsyncIterator[str]:
    """Gives each service its token."""

    async def token(request: web.Request) -> web.Response:
        client = (await request.json())["client_id"]
        issued = tokens.issue(f"service-{client}", roles=(), scopes={"learning:read", "learning:report"})
        return web.json_response({"access_token": issued, "expires_in": 3600})

    app = web.Application()
    app.router.add_post("/v1/token", token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def company_in(folder: Path, **settings: Any) -> AsyncIterator[Company]:
    secret = folder / "secrets" / "default" / "bank" / "core-key"
    secret.parent.mkdir(parents=True)
    secret.write_text(KEY, encoding="utf-8")
    core = Core(folder)
    tokens = TokenFactory()
    async with Redis(folder / "redis") as redis, releases_server() as learning, login(tokens) as login_address:
        shop = Shop(
            folder,
            redis,
            assistant=BANK,
            connectors={"bank.core": {"url": core.url, "networks": ["127.0.0.0/8"]}},
            static_services={"login": login_address, "learning": learning.address},
            client_id="worker",
            client_secret=SecretStr("secret"),
            relay_seconds=0.2,
            longest_pause_seconds=0.3,
            **settings,
        )
        try:
            await core.start()
            await shop.open()
            await shop.start_worker()
            own = {"redis_url": redis.url_of("business"), "port": 0, "client_id": "business"}
            business = shop.settings.model_copy(update=own)
            async with serve(create_app(business, jwks=tokens.fetch)) as server, calling(server.base_url) as calls:
                yield Company(calls, tokens, core, shop, learning)
        finally:
            await shop.close()
            await core.kill()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
async def company(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Company]:
    """A company for all tests, each of which has cards or payments of its own."""
    folder = tmp_path_factory.mktemp("company")
    if request.param == "sqlite":
        async with company_in(folder) as company:
            yield company
    else:
        async with postgres() as server, company_in(folder, database_url=await server.new_database()) as company:
            yield company


async def test_a_look_up_is_what_the_system_says(company: Company) -> None:
    said = await company.look_up("card", card="8804")

    assert said["found"] is True
    assert said["data"]["name"]["en"] == "Credit card"
    assert (await company.look_up("card", card="3057")) == {"name": "card", "found": False, "data": {}}


async def test_an_action_is_done_once_however_often_it_is_asked_for(company: Company) -> None:
    request = await company.ask("replace_card", card="8804")
    for _ in range(3):
        await company.ask_again(request)

    result = await company.result(request)

    assert (result["status"], result["version"]) == ("succeeded", 1)
    assert result["data"]["replacement"]
    again = await company.result(await company.ask("replace_card", card="8804"))
    assert (again["status"], again["error_code"]) == ("rejected", "replacement_pending")


async def test_what_a_person_approves_is_done_then_and_not_before(company: Company) -> None:
    request = await company.ask("change_limit", card="8804", kind="transfer", amount=60_000)
    waiting = await company.result(request)
    assert (waiting["status"], waiting["data"]["amount"]) == ("awaiting_approval", 60_000)
    assert (await company.core.get("/cards/8804"))["transfer_limit"] != 60_000
    (shown,) = [each for each in await company.approvals() if each["id"] == request["id"]]
    assert shown["approval"]["title"] == {"zh": "调整限额", "en": "Change a limit"}
    assert shown["approval"]["arguments"] == {"card": "8804", "kind": "transfer", "amount": 60_000}

    await company.decide(request, "approve")

    assert (await company.result(request, 2))["status"] == "succeeded"
    assert (await company.core.get("/cards/8804"))["transfer_limit"] == 60_000


async def test_a_saga_answers_with_what_its_steps_gave(company: Company) -> None:
    result = await company.result(await company.ask("dispute_transaction", transaction=PAYMENT, reason="it was not me"))

    assert result["status"] == "succeeded"
    assert (result["data"]["amount"], result["data"]["currency"]) == (480, "CNY")
    assert result["data"]["dispute"] in [each["id"] for each in (await company.core.get("/disputes"))["disputes"]]


async def test_a_customer_sees_and_withdraws_what_waits_for_a_person(company: Company) -> None:
    request = await company.ask("dispute_transaction", transaction=LARGE_PAYMENT, reason="it was not me")
    assert (await company.result(request))["status"] == "awaiting_approval"
    submitted = (await company.look_up("submitted_actions"))["data"]
    assert request["id"] in [each["id"] for each in submitted["open"]]

    withdrawn = await company.result(await company.ask("withdraw_action", action=request["id"]))

    assert withdrawn["status"] == "succeeded"
    result = await company.result(request, 2)
    assert (result["status"], result["error_code"]) == ("rejected", "withdrawn")
    assert not any(each["transaction"] == LARGE_PAYMENT for each in (await company.core.get("/disputes"))["disputes"])


async def test_what_is_asked_for_while_the_system_is_down_is_done_when_it_is_back(company: Company) -> None:
    await company.core.kill()
    request = await company.ask("freeze_card", card="6621")
    assert (await company.look_up("card", card="6621"))["type"].endswith("system-away")
    await company.shop.until_logged("attempt_failed")
    assert await company.ask_again(request) is None

    await company.core.start()

    assert (await company.result(request))["status"] == "succeeded"
    assert (await company.core.get("/cards/6621"))["status"] == "frozen"


async def test_what_is_published_is_looked_up_and_done_by_its_own_connectors(company: Company, tmp_path: Path) -> None:
    folder = shutil.copytree(BANK, tmp_path / "bank")
    file = folder / "connectors" / "core.yml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("  unfreeze_card:", "  thaw_card:").replace("  branches:", "  offices:"), "utf-8")
    release = company.learning.publish("default", "bank", folder).id

    async def loaded() -> bool:
        return bool((await company.look_up("offices", release=release, city="北京")).get("found"))

    assert await wait_until(loaded, SECONDS)
    # The worker may not have it yet.
    result = await company.result(await company.ask("thaw_card", release=release, card="8804"))
    assert (result["status"], result["error_code"]) == ("rejected", "card_not_frozen")
    before = await company.result(await company.ask("unfreeze_card", release="", card="8804"))
    assert (before["status"], before["error_code"]) == ("rejected", "card_not_frozen")
