import threading

import pytest
from fastapi import FastAPI, Request

from services.dialogue.assistant.responses import Rendered, Replies
from services.dialogue.assistant.values import Say
from shared.http.auth import Principal, TokenVerifier
from tests.calls import Calls, calling
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT, Neighbourhood, logged_in, new_guest
from tests.servers import RunningServer, serve


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
