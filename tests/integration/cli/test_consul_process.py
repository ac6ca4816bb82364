"""What a real Consul knows, as the command line shows it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.consul_process import Registered, Registry, passing, registered
from cli.errors import NotReachable
from cli.process import wait_until
from tests.externals import Consul
from tests.servers import free_port

CHECKS: dict[str, list[dict[str, Any]]] = {
    "well": [{"TTL": "1h", "Status": "passing"}],
    "slow": [{"TTL": "1h", "Status": "passing"}, {"TTL": "1h", "Status": "warning", "Notes": ""}],
    "ill": [{"TTL": "1h", "Status": "warning"}, {"TTL": "1h", "Status": "critical"}],
}


@pytest.fixture
async def consul(tmp_path: Path) -> AsyncIterator[Consul]:
    async with Consul(tmp_path) as running:
        yield running


async def register(consul: Consul, service: str, number: int, **more: Any) -> None:
    entry = {"Name": f"zhiyin-{service}", "ID": f"{service}-{number}", "Port": 8000 + number, **more}
    assert (await consul.call("PUT", "/v1/agent/service/register", entry))[0] == 200


async def test_every_instance_is_listed_with_what_it_registered_and_its_worst_check(consul: Consul) -> None:
    about = {"version": "1.2.3", "model": "shop@v1"}
    await register(consul, "well", 2, Address="10.0.0.2", Meta=about, Checks=CHECKS["well"])
    await register(consul, "well", 1, Address="10.0.0.1")
    await register(consul, "slow", 1, Checks=CHECKS["slow"])
    assert (await consul.call("PUT", "/v1/agent/service/register", {"Name": "other-well", "ID": "of-others"}))[0] == 200
    await register(consul, "ill", 1, Address="10.0.0.1", Checks=CHECKS["ill"])

    async def known() -> bool:
        return len(await registered(consul.stack.registry)) == 4

    assert await wait_until(known, 30.0)
    ill, slow, first, second = await registered(consul.stack.registry)
    assert (first.id, first.address, first.version, first.model, first.health) == (
        "well-1",
        "10.0.0.1:8001",
        "",
        "",
        "passing",
    )
    assert second == Registered(
        service="well", id="well-2", address="10.0.0.2:8002", version="1.2.3", model="shop@v1", health="passing"
    )
    assert (ill.health, slow.health) == ("critical", "warning")
    assert slow.address.endswith(":8001")
    assert slow.address != ":8001", "without an address of its own it has the node's"
    assert await passing(consul.stack.registry, ["well", "slow", "ill", "unknown"]) == {"well"}


async def test_a_consul_that_does_not_answer_is_named_and_nothing_passes() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NotReachable, match=f"^Consul does not answer at {url} "):
        await registered(Registry(url))
    assert await passing(Registry(url), ["login"]) == set()
