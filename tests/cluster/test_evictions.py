"""Evictions, as a node's drain makes them, leave enough pods."""

import json

import pytest

from tests.cluster.conftest import Note
from tests.cluster.installation import Installation, Pod
from tests.cluster.load import steady_load
from tests.kubernetes import CommandFailed

EVICTED = ("dialogue", "intent", "business", "login")


async def evict(zhiyin: Installation, pod: Pod) -> None:
    """As `kubectl drain` does it."""
    resources = json.loads(await zhiyin.kubectl("get", "--raw", "/api/v1"))["resources"]
    (kind,) = [each for each in resources if each["name"] == "pods/eviction"]
    eviction = {
        "apiVersion": f"{kind['group']}/{kind['version']}",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": zhiyin.namespace},
    }
    path = f"/api/v1/namespaces/{zhiyin.namespace}/pods/{pod.name}/eviction"
    await zhiyin.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))


async def test_one_pod_may_be_evicted_and_the_other_not_until_it_is_replaced(zhiyin: Installation, note: Note) -> None:
    async with steady_load(await zhiyin.url("dialogue")) as load:
        for component in EVICTED:
            first, second = await zhiyin.ready_pods(component)
            await evict(zhiyin, first)
            with pytest.raises(CommandFailed, match="disruption budget"):
                await evict(zhiyin, second)
            await zhiyin.whole(component, without=[first.uid])
            assert second.uid in {pod.uid for pod in await zhiyin.ready_pods(component)}
        await load.steady()
        report = await load.finish()
    note("one eviction of each", report)
    report.nothing_failed()
