"""Policies and tokens of a real Consul: made, kept, made again, replaced."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cli.process import wait_until
from shared.calls.consul_acl import ensure, rules
from tests.externals import Consul

TOKENS = {"business": str(uuid.uuid4()), "intent": str(uuid.uuid4())}
DEADLINE = 60.0


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[Consul]:
    async with Consul(tmp_path) as running:
        yield running


async def may_register(consul: Consul, token: str, name: str) -> bool:
    status, _ = await consul.call("PUT", "/v1/agent/service/register", {"Name": name}, token=token)
    return status == 200


async def known_to(consul: Consul) -> list[tuple[str, str]]:
    _, tokens = await consul.call("GET", "/v1/acl/tokens")
    return sorted((each["Description"], each["AccessorID"]) for each in tokens)


async def test_made_once_and_left_alone_when_all_is_right(consul: Consul) -> None:
    await ensure(consul.url, consul.management, "shop", TOKENS)
    before = await known_to(consul)
    await ensure(consul.url, consul.management, "shop", TOKENS)
    assert await known_to(consul) == before
    assert await may_register(consul, TOKENS["business"], "shop-business")
    assert not await may_register(consul, TOKENS["business"], "shop-intent")
    assert not await may_register(consul, TOKENS["business"], "business")


async def test_a_replaced_token_is_good_and_the_old_one_is_not(consul: Consul) -> None:
    await ensure(consul.url, consul.management, "shop", TOKENS)
    new = {**TOKENS, "business": str(uuid.uuid4())}
    await ensure(consul.url, consul.management, "shop", new)
    assert await may_register(consul, new["business"], "shop-business")
    assert await may_register(consul, TOKENS["business"], "shop-business"), "pods that have it leave by it"
    await ensure(consul.url, consul.management, "shop", new, overlap=0)
    assert await may_register(consul, new["business"], "shop-business")
    assert not await may_register(consul, TOKENS["business"], "shop-business")
    assert await may_register(consul, TOKENS["intent"], "shop-intent")


async def test_a_management_token_that_was_replaced_is_good_no_more(consul: Consul) -> None:
    await ensure(consul.url, consul.management, "shop", TOKENS)
    # As Consul makes the one of its configuration at its start; it keeps the one before.
    everything = [{"ID": "00000000-0000-0000-0000-000000000001"}]
    new, others = str(uuid.uuid4()), str(uuid.uuid4())
    for secret, description in ((new, "Master Token"), (others, "an operator's")):
        token = {"SecretID": secret, "Description": description, "Policies": everything}
        assert (await consul.call("PUT", "/v1/acl/token", token))[0] == 200
    await ensure(consul.url, new, "shop", TOKENS)
    assert (await consul.call("GET", "/v1/acl/tokens"))[0] == 403
    assert (await consul.call("GET", "/v1/acl/tokens", token=others))[0] == 200
    assert await may_register(consul, TOKENS["business"], "shop-business")


async def test_an_instance_whose_token_was_replaced_leaves_the_catalog(consul: Consul) -> None:
    await ensure(consul.url, consul.management, "shop", TOKENS)
    assert await may_register(consul, TOKENS["business"], "shop-business")

    async def listed() -> bool:
        return bool((await consul.call("GET", "/v1/catalog/service/shop-business"))[1])

    assert await wait_until(listed, DEADLINE)
    await ensure(consul.url, consul.management, "shop", {**TOKENS, "business": str(uuid.uuid4())})
    assert (await consul.call("PUT", "/v1/agent/service/deregister/shop-business"))[0] == 200

    async def gone() -> bool:
        return not await listed()

    assert await wait_until(gone, DEADLINE)


async def test_a_policy_that_was_changed_is_put_right(consul: Consul) -> None:
    await ensure(consul.url, consul.management, "shop", TOKENS)
    _, policies = await consul.call("GET", "/v1/acl/policies")
    (policy,) = (each["ID"] for each in policies if each["Name"] == "shop-intent")
    wide = {"ID": policy, "Name": "shop-intent", "Rules": 'service_prefix "" { policy = "write" }'}
    assert (await consul.call("PUT", f"/v1/acl/policy/{policy}", wide))[0] == 200
    await ensure(consul.url, consul.management, "shop", TOKENS)
    assert (await consul.call("GET", f"/v1/acl/policy/{policy}"))[1]["Rules"] == rules("shop", "intent")


async def test_two_installations_see_nothing_of_each_other(consul: Consul) -> None:
    others = {"business": str(uuid.uuid4())}
    await ensure(consul.url, consul.management, "shop", TOKENS)
    await ensure(consul.url, consul.management, "bank", others)
    assert await may_register(consul, TOKENS["business"], "shop-business")
    assert not await may_register(consul, others["business"], "shop-business")
    for token, count in ((TOKENS["intent"], 1), (others["business"], 0)):
        _, found = await consul.call("GET", "/v1/health/service/shop-business", token=token)
        assert len(found) == count


async def test_who_is_not_the_manager_is_refused(consul: Consul) -> None:
    with pytest.raises(aiohttp.ClientResponseError):
        await ensure(consul.url, TOKENS["business"], "shop", TOKENS)


async def test_as_a_program_it_makes_them_again_when_consul_forgot(consul: Consul) -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.calls.consul_acl"),
        env={
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "ZHIYIN_CONSUL_URL": consul.url,
            "ZHIYIN_INSTALLATION": "shop",
            "ZHIYIN_CONSUL_MANAGEMENT_TOKEN": consul.management,
            **{f"ZHIYIN_CONSUL_TOKENS__{name.upper()}": token for name, token in TOKENS.items()},
        },
    )
    try:

        async def made() -> bool:
            return await may_register(consul, TOKENS["business"], "shop-business")

        assert await wait_until(made, DEADLINE)
        await consul.kill()
        await consul.start(wipe=True)
        assert await wait_until(made, DEADLINE)
    finally:
        program.terminate()
        assert await program.wait() == 0, "it ends when it is asked to"


async def test_without_its_settings_the_program_says_what_is_missing() -> None:
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.calls.consul_acl"),
        env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await program.communicate()
    assert program.returncode == 1
    assert "ZHIYIN_CONSUL_MANAGEMENT_TOKEN" in said.decode()
    assert "Traceback" not in said.decode()
