"""Many assistants of many companies in one installation, published while their customers talk."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import async_playwright, expect

from services.dialogue.app import create_app
from tests.calls import calling
from tests.customers import Customer, texts
from tests.externals import find_chromium
from tests.integration.services.dialogue.assistant.companies import ASSISTANTS, TENANTS, Companies, companies
from tests.servers import serve

PUBLISHES = 5
"""Of each of the four assistants."""
DEADLINE_SECONDS = 60.0
BODIES = {
    "messages": {"message_id": "m", "text": "hello"},
    "replies": {"text": "hello"},
    "hand-on": {"agent": "me"},
    "close": {},
}


@pytest.fixture(scope="module")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Companies]:
    async with companies(tmp_path_factory.mktemp("companies")) as running:
        yield running


async def test_twenty_publishes_while_customers_talk(around: Companies) -> None:
    talking = {(tenant, name): await around.customer(tenant, name) for tenant in TENANTS for name in ASSISTANTS}
    last = dict.fromkeys(talking, 0)
    published = dict.fromkeys(talking, 0)
    answered = asyncio.Event()

    async def talk(tenant: str, assistant: str, customer: Customer) -> None:
        while last[tenant, assistant] < PUBLISHES:
            said = texts(await customer.say("hello"))
            answered.set()
            owner, name, number = said.split()
            assert (owner, name) == (tenant, assistant), "somebody else's assistant answered"
            assert last[tenant, assistant] <= int(number) <= published[tenant, assistant]
            last[tenant, assistant] = int(number)

    async def publish() -> None:
        for number in range(1, PUBLISHES + 1):
            for tenant, assistant in talking:
                published[tenant, assistant] = number
                around.publish(tenant, assistant, number)
                answered.clear()
                await answered.wait()

    async with asyncio.timeout(DEADLINE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(publish())
        for (tenant, assistant), customer in talking.items():
            tasks.create_task(talk(tenant, assistant, customer))
    # The trace says by which release.
    traces = await around.calls.get(
        f"{talking['acme', 'bank'].path}/traces", token=around.token("acme", roles=("agent",))
    )
    releases = [each["release"] for each in traces.body]
    assert releases[-1] == around.learning.aliases["acme", "bank", "production"].release.id
    assert len(set(releases)) > 1


async def test_a_conversation_names_its_assistant(around: Companies) -> None:
    token = around.token("acme")
    for path, body in (
        ("/v1/conversations", {}),
        ("/v1/visits", {"visit_id": "v" * 22}),
    ):
        refused = await around.calls.post(path, json={**body, "assistant": "mother"}, token=token)
        assert refused.status == 422
        assert refused.body["errors"][0]["field"] == "assistant"
    opened = await around.calls.post("/v1/conversations", json={"assistant": "bank"}, token=token)
    assert (opened.body["assistant"], opened.body["title"]["en"]) == ("bank", "bank of acme")
    usual = await around.calls.post("/v1/conversations", json={}, token=token)
    assert (usual.body["assistant"], usual.body["title"]["en"]) == ("mini", "Mini")


async def test_a_visit_goes_on_with_the_assistant_that_it_names(around: Companies) -> None:
    first = await around.calls.post("/v1/visits", json={"visit_id": "a" * 22, "assistant": "bank"})
    assert first.status == 201, first.text
    mine = first.body["conversation"]
    assert mine["assistant"] == "bank"
    again = await around.calls.post(
        "/v1/visits", json={"visit_id": "b" * 22, "assistant": "bank", "conversation_id": mine["id"]}
    )
    assert again.body["conversation"]["id"] == mine["id"]
    other = await around.calls.post(
        "/v1/visits", json={"visit_id": "c" * 22, "assistant": "shop", "conversation_id": mine["id"]}
    )
    assert other.body["conversation"]["assistant"] == "shop"
    taken = await around.calls.post("/v1/visits", json={"visit_id": "a" * 22, "assistant": "shop"})
    assert (taken.status, taken.body["errors"][0]["field"]) == (409, "visit_id")


def ways(around: Companies, conversation: str, handoff: int) -> list[tuple[str, str]]:
    """Every endpoint of dialogue that is about a conversation or a hand-off, with its method."""
    described = around.dialogue.app.openapi()["paths"]
    return [
        (method.upper(), path.format(conversation_id=conversation, handoff_id=handoff))
        for path, methods in described.items()
        for method in methods
        if "{conversation_id}" in path or "{handoff_id}" in path
    ]


def lists(around: Companies) -> list[str]:
    """Every endpoint of dialogue that lists what is a tenant's; log-ins are login's affair, releases learning's."""
    described = around.dialogue.app.openapi()["paths"]
    return [
        path for path, methods in described.items()
        if "get" in methods and "{" not in path and path.startswith("/v1/") and "/auth/" not in path
        and path != "/v1/assistants"
    ]  # fmt: skip


async def test_nobody_crosses_over(around: Companies) -> None:
    """Every way of dialogue to a conversation, tried by the other company, also by somebody of the same name."""
    for tenant, other in (TENANTS, TENANTS[::-1]):
        for assistant in ASSISTANTS:
            customer = await around.customer(tenant, assistant)
            assert await customer.say("a person", choice="intent:ask_human")
            agent = around.token(tenant, "agent", roles=("agent",))
            queue = (await around.calls.get("/v1/handoffs", token=agent)).body["handoffs"]
            [mine] = [each for each in queue if each["conversation_id"] == customer.conversation]
            assert mine["assistant"] == assistant
            visitor = around.token(other)
            staff = around.token(other, "agent", roles=("agent", "supervisor", "operator", "admin"))
            for method, path in ways(around, customer.conversation, mine["id"]):
                body = BODIES.get(path.rsplit("/", 1)[1])
                for stranger in (visitor, staff):
                    answer = await around.calls.send(method, path, json=body, token=stranger)
                    assert answer.status in (403, 404), (method, path, answer.status, answer.text)
            for path in lists(around):
                listed = await around.calls.get(path, token=staff)
                assert listed.status == 200, (path, listed.text)
                assert customer.conversation not in listed.text, path
            # The tenant of a person's token cannot be talked away.
            headers = {"X-Tenant": tenant}
            assert (await around.calls.send("GET", customer.path, token=visitor, headers=headers)).status == 403
            said = texts(await customer.events())
            assert "hello" not in said, "nothing of what strangers sent has come"
            assert (await around.calls.post(f"/v1/handoffs/{mine['id']}/claim", token=agent)).status == 200
            assert (await around.calls.post(f"/v1/handoffs/{mine['id']}/close", json={}, token=agent)).status == 200


async def test_business_answers_each_for_its_own(around: Companies) -> None:
    service = around.tokens.issue("service-dialogue", tenant="acme", roles=(), scopes=("business:lookup",))
    for tenant, assistant, release in (("acme", "mother", None), ("acme", "mother", "r1"), ("beta", "mother", None)):
        answer = await around.business.send(
            "POST", "/v1/lookups/anything", json={"assistant": assistant, "release": release}, token=service,
            headers={"X-Tenant": tenant},
        )  # fmt: skip
        assert answer.status == 404


async def test_a_start_without_learning_serves_what_was_published(around: Companies) -> None:
    published = around.learning.aliases["beta", "shop", "production"].release
    nobody = {**around.settings.static_services, "learning": "http://127.0.0.1:9"}
    alone = create_app(around.settings.model_copy(update={"static_services": nobody}))
    async with serve(alone) as running, calling(running.base_url) as calls:
        token = around.token("beta")
        opened = await calls.post("/v1/conversations", json={"assistant": "shop", "language": "en"}, token=token)
        assert opened.status == 201, opened.text
        customer = Customer(calls, token, opened.body["id"])
        assert texts(await customer.say("hello")).startswith("beta shop ")
        traces = await calls.get(f"{customer.path}/traces", token=around.token("beta", roles=("agent",)))
        assert traces.body[-1]["release"] == published.id


async def test_the_page_talks_with_the_assistant_of_its_address(around: Companies) -> None:
    home = around.dialogue.base_url
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = await (await browser.new_context(locale="en-US")).new_page()
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        for name in ("bank", "shop"):
            await page.goto(f"{home}/?assistant={name}")
            await expect(page).to_have_title(f"{name} of acme")
            await expect(page.locator("h1")).to_have_text(f"{name} of acme")
            await page.fill("#text", "hello")
            await page.press("#text", "Enter")
            await expect(page.locator("#log")).to_contain_text(f"acme {name} ")
        # Each has its own conversation, to which one comes back.
        await page.goto(f"{home}/?assistant=bank")
        await expect(page.locator("#log")).to_contain_text("acme bank ")
        await expect(page.locator("#log")).not_to_contain_text("acme shop ")
        await page.goto(f"{home}/?assistant=mother")
        await expect(page.locator("#log")).to_contain_text("There is no such assistant")
        await page.goto(f"{home}/")
        await expect(page).to_have_title("Mini")
        await browser.close()
        assert not broken
