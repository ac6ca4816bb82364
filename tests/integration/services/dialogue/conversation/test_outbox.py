from typing import Any

from shared.contracts.actions import ActionRequest, ActionResult
from tests.customers import Customer, texts
from tests.integration.services.dialogue.neighbourhood import Neighbourhood

ITEM = {"zh": "机械键盘", "en": "mechanical keyboard"}


def result_of(action: ActionRequest, status: str, version: int, **data: Any) -> dict[str, Any]:
    result = ActionResult.model_validate(
        {
            "action_id": action.id,
            "tenant": action.tenant,
            "name": action.name,
            "conversation_id": action.conversation_id,
            "status": status,
            "version": version,
            "data": data,
        }
    )
    return result.model_dump(mode="json")


async def asked_for_a_refund(guest: Customer) -> int:
    await guest.say("refund money")
    await guest.say("20261103004")
    await guest.say("the keys stick")
    options = (await guest.events())[-1]["options"]
    return int((await guest.say(options[0]["title"], choice=options[0]["id"]))[-1]["seq"])


async def test_an_action_is_sent_until_its_final_result_is_here(around: Neighbourhood, guest: Customer) -> None:
    seq = await asked_for_a_refund(guest)
    action = await around.waiting_action()
    assert (action.name, action.customer) == ("refund", "C1001")
    assert (await around.waiting_action()).id == action.id, "no result yet, so it is sent again"
    await around.tell(result_of(action, "awaiting_approval", 1, order_number="20261103004", item=ITEM, amount=1299.0))
    events = await guest.until(lambda seen: len(seen) == seq + 1)
    await around.tell(result_of(action, "awaiting_approval", 1, order_number="20261103004", item=ITEM, amount=1299.0))
    await around.tell({"what": "ever"})
    await around.tell(result_of(action.model_copy(update={"id": "nobody.0"}), "succeeded", 1))
    await around.tell(result_of(action, "succeeded", 2, order_number="20261103004", item=ITEM, amount=1299.0))
    events = await guest.until(lambda seen: len(seen) >= seq + 2)
    assert [event["seq"] for event in events] == list(range(1, seq + 3)), "each result is told once"
    assert "1,299" in texts(events[-1:])
