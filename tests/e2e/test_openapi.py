"""Every endpoint of every service under generated input, good and bad: no 5xx, nothing undocumented, only problems."""

import asyncio

import pytest

from tests.calls import calling
from tests.customers import log_in
from tests.openapi import explore
from tests.stack import RunningStack


async def tokens(stack: RunningStack) -> dict[str, str]:
    """One of each kind that some endpoint lets in."""
    secret = stack.bootstrap.client_secret("dialogue")
    client = {"grant_type": "client_credentials", "client_id": "dialogue", "client_secret": secret}
    async with calling(stack.url) as gateway, calling(stack.url_of("login")) as login:

        async def of_dialogue(audience: str) -> str:
            token: str = (await login.post("/v1/token", json={**client, "audience": audience})).body["access_token"]
            return token

        return {
            "guest": await log_in(stack, gateway),
            "agent": await log_in(stack, gateway, "agent"),
            "admin": await log_in(stack, gateway, "admin"),
            "service of intent": await of_dialogue("intent"),
            "service of business": await of_dialogue("business"),
        }


@pytest.mark.parametrize(
    ("service", "who"),
    [
        ("dialogue", "guest"),
        ("dialogue", "agent"),
        # These have such a test of their own.
        *(
            pytest.param(*each, marks=pytest.mark.long)
            for each in (
                ("login", "admin"),
                ("intent", "service of intent"),
                ("business", "service of business"),
                ("business", "agent"),
                ("business", "admin"),
            )
        ),
    ],
)
async def test_generated_input_finds_nothing(stack: RunningStack, service: str, who: str) -> None:
    headers = {"Authorization": f"Bearer {(await tokens(stack))[who]}"}
    assert await asyncio.to_thread(explore, stack.url_of(service), headers=headers) > 3
