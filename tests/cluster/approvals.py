"""A refund that a person has to approve, from the customer's first word to the news."""

import base64
import json

import aiohttp

from tests.cluster.installation import RELEASE, Installation
from tests.cluster.load import Guest
from tests.stack import eventually

__all__ = ["approved_refund"]

# Above the amount that is given back without asking; an order of the demo's customer.
SAID = ("20261103004 我要退货退款", "质量问题", "确认")


async def approved_refund(zhiyin: Installation) -> None:
    """Asks for a refund as a guest, approves it as an agent, and waits until the guest is informed."""
    async with aiohttp.ClientSession(await zhiyin.url("dialogue")) as session:
        guest = Guest(session)
        await guest.enter([])
        for text in SAID:
            message = await guest.say(text)
            assert message.status == 200, message.failure

        async def arrived(reply: str) -> bool:
            return any(event["data"].get("reply") == reply for event in await guest.transcript())

        await eventually(lambda: arrived("refund_awaiting_approval"), what="the question to a person")
        await approve(zhiyin, session, guest.conversation)
        await eventually(lambda: arrived("refund_succeeded"), what="the news of the refund")


async def approve(zhiyin: Installation, gateway: aiohttp.ClientSession, conversation: str) -> None:
    """Says yes to what waits for a person in this conversation."""
    secret = (await zhiyin.get("secret", f"{RELEASE}-secrets"))["data"]["bootstrap.json"]
    accounts = json.loads(base64.b64decode(secret))["accounts"]
    agent = next(account for account in accounts if "agent" in account["roles"])
    body = {"username": agent["username"], "password": agent["password"]}
    async with gateway.post("/v1/auth/login", json=body) as answer:
        assert answer.status == 200, await answer.text()
        headers = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
    async with gateway.get("/v1/approvals", headers=headers) as answer:
        waiting = (await answer.json())["approvals"]
    (action,) = [each["id"] for each in waiting if each["conversation_id"] == conversation]
    decision = {"decision": "approve"}
    async with gateway.post(f"/v1/approvals/{action}", json=decision, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
