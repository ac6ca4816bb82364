"""Every endpoint of every service under bad and odd input: no 5xx, nothing undocumented, problems as problem+json."""

import asyncio
from typing import Any

import aiohttp
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.calls import calling
from tests.customers import log_in
from tests.stack import RunningStack

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25
STREAMS = "/stream"
LOGS_OUT_EVERYBODY = ("/v1/password", "/v1/logout")


async def token_for(stack: RunningStack, service: str) -> str:
    """A token that is let in at as many endpoints of the service as one can be."""
    async with calling(stack.url) as gateway, calling(stack.url_of("login")) as login:
        if service != "business":
            return await log_in(stack, gateway, "admin")
        secret = stack.bootstrap.client_secret("dialogue")
        body = {"grant_type": "client_credentials", "client_id": "dialogue", "client_secret": secret}
        token: str = (await login.post("/v1/token", json=body)).body["access_token"]
        return token


def attack(document: dict[str, Any], base_url: str, token: str) -> int:
    """Calls every operation with generated input; the number of calls."""
    schema = schemathesis.openapi.from_dict(document)
    calls = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith((STREAMS, *LOGS_OUT_EVERYBODY)):
            continue

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def run(case: Any) -> None:
            nonlocal calls
            calls += 1
            case.call_and_validate(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

        run()
    return calls


@pytest.mark.parametrize("service", ["login", "intent", "business", "dialogue"])
async def test_generated_input_finds_nothing(stack: RunningStack, service: str) -> None:
    base_url = stack.url_of(service)
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/openapi.json") as response:
        document = await response.json()
    calls = await asyncio.to_thread(attack, document, base_url, await token_for(stack, service))
    assert calls > len(document["paths"])
