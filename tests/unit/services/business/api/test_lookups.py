import json

import pytest

from tests.calls import Answer, Calls
from tests.tokens import TokenFactory


@pytest.mark.parametrize(
    ("path", "arguments", "status"),
    [
        ("/v1/lookups/order", {"order_number": "20261103001"}, 200),
        ("/v1/lookups/order", {"order_number": "1"}, 200),
        ("/v1/lookups/order", {"number": "1"}, 422),
        ("/v1/lookups/nothing", {}, 404),
    ],
)
async def test_a_lookup_is_answered_the_same_with_and_without_the_framework(
    calls: Calls, tokens: TokenFactory, path: str, arguments: dict[str, str], status: int
) -> None:
    token = tokens.issue("dialogue", roles=(), scopes={"business:lookup"})
    body = json.dumps({"customer": "C1001", "arguments": arguments})

    async def ask(content_type: str) -> Answer:
        headers = {"Content-Type": content_type, "X-Request-ID": "mine"}
        return await calls.post(path, data=body, token=token, headers=headers)

    # The framework verifies a token that comes for the first time.
    ordinary = await ask("application/json; charset=utf-8")
    direct = await ask("application/json")
    assert (direct.status, direct.content_type, direct.body) == (status, ordinary.content_type, ordinary.body)
    assert set(direct.headers) == set(ordinary.headers)
