from tests.calls import Calls
from tests.customers import Customer
from tests.integration.services.dialogue.neighbourhood import AGENT, logged_in


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
