import threading

import pytest

from services.dialogue.assistant.responses import Rendered, Replies
from services.dialogue.assistant.values import Say
from tests.calls import Calls
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT


async def test_every_turn_leaves_a_trace_with_its_trigger_and_stages(calls: Calls, guest: Customer) -> None:
    login = {"username": AGENT["username"], "password": AGENT["password"]}
    agent = (await calls.post("/v1/auth/login", json=login)).body["access_token"]
    replies = await guest.say("weather football")
    await guest.say(replies[-1]["options"][0]["title"], choice=replies[-1]["options"][0]["id"])
    await calls.post(f"{guest.path}/replies", json={"text": "I am here", "close": True}, token=agent)
    traces = (await calls.get(f"{guest.path}/traces", token=agent)).body
    assert [trace["trigger"] for trace in traces][:2] == ["opened", "message:2"]
    assert set(traces[1]["seconds"]) >= {"accept", "understand", "decide"}


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
