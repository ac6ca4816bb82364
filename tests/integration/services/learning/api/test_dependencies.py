"""Whose tokens open nothing."""

import pytest

from tests.integration.services.learning.publisher import Client


@pytest.mark.parametrize("path", ["/v1/assistants", "/v1/following", f"/v1/bundles/{'0' * 64}"])
async def test_readers_are_operators_and_services_with_the_scope(client: Client, path: str) -> None:
    for roles, scopes in ((("agent",), ()), (("customer",), ()), ((), ("learning:report",)), ((), ("intent:predict",))):
        await client.of(roles=roles, scopes=scopes).call("GET", path, 403)


async def test_a_token_of_all_tenants_is_good_for_none(client: Client) -> None:
    assert await client.of(tenant="*").status("GET", "/v1/assistants") == 403
