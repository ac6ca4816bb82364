from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from services.dialogue.conversation.models import Conversation
from shared.storage.database import now
from tests.calls import calling
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import Neighbourhood, neighbourhood, new_guest
from tests.servers import serve
from tests.stack import eventually


async def test_neighbours_that_are_gone(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as around, calling(around.dialogue.base_url) as calls:
        guest = await new_guest(calls)
        await around.stop("business")
        assert texts(await guest.say("where is 20261103001"))
        await around.stop("intent")
        replies = await guest.say("hello")
        assert replies[-1]["options"], "a person is offered"
        handed = await guest.say(replies[-1]["options"][0]["title"], choice=replies[-1]["options"][0]["id"])
        assert handed
        view = await guest.calls.get(guest.path, token=guest.token)
        assert view.body["status"] == "waiting_for_agent"
        await around.stop("login")
        refused = await guest.calls.post("/v1/auth/guest", json={})
        assert refused.status == 503
        assert (await guest.events())[-1]["seq"] == handed[-1]["seq"], "who is logged in stays so while login is away"


async def test_the_chat_page_runs_nothing_from_elsewhere(guest: Customer) -> None:
    page = await guest.calls.get("/")
    assert page.status == 200
    policy = set(page.headers["Content-Security-Policy"].split("; "))
    assert {"default-src 'self'", "form-action 'self'", "frame-ancestors 'self'", "base-uri 'none'"} <= policy
    assert page.headers["Cache-Control"] == "no-cache"
    assert (await guest.calls.send("HEAD", "/")).status == 200


async def test_files_of_the_page_are_kept_and_asked_for_again(guest: Customer) -> None:
    for path in ("/static/chat.js", "/static/chat.css", "/static/icon.svg", "/favicon.ico"):
        got = await guest.calls.get(path)
        assert (got.status, got.headers["Cache-Control"]) == (200, "no-cache"), path
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert (await guest.calls.send("HEAD", path)).status == 200
    assert (await guest.calls.get("/favicon.ico")).content_type == "image/svg+xml"
    known = {"If-None-Match": (await guest.calls.get("/static/chat.js")).headers["ETag"]}
    again = await guest.calls.get("/static/chat.js", headers=known)
    assert (again.status, again.headers["Cache-Control"]) == (304, "no-cache")
    missing = await guest.calls.get("/static/nothing.js")
    assert (missing.status, missing.headers["Cache-Control"]) == (404, "no-store")
    refused = await guest.calls.post("/static/chat.js")
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_what_the_gateway_passes_on_is_kept_nowhere(guest: Customer) -> None:
    for path in ("/v1/auth/guest", "/v1/auth/login"):
        assert (await guest.calls.post(path, json={})).headers["Cache-Control"] == "no-store"
    transcript = await guest.calls.get(f"{guest.path}/events", token=guest.token)
    assert (transcript.status, transcript.headers["Cache-Control"]) == (200, "no-store")


async def test_conversations_are_kept_for_as_long_as_it_is_said(around: Neighbourhood, guest: Customer) -> None:
    await guest.say("hello")
    another = await new_guest(guest.calls)
    await another.say("hello")
    old = now() - timedelta(days=3)
    async with around.outbox.transaction("default") as session:
        aged = update(Conversation).where(Conversation.id == guest.conversation)
        await session.execute(aged.values(created_at=old, updated_at=old))
    async with serve(around.another(conversation_days=2)):

        async def gone() -> bool:
            return (await guest.calls.get(guest.path, token=guest.token)).status == 404

        await eventually(gone, what="the end of what is kept")
    assert await another.events()
