from pathlib import Path

from tests.calls import calling
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import neighbourhood, new_guest


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
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
