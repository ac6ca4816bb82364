"""A pool of `intent` on GPUs, on a node that says that it has one."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.cluster.conftest import Note
from tests.cluster.installation import Installation, timed
from tests.cluster.load import steady_load
from tests.kubernetes import CommandFailed
from tests.stack import eventually

RESOURCE = "nvidia.com/gpu"
LABEL = "zhiyin.test/gpu"
POOL = "intent-gpu"
SEEN_SECONDS = 30.0
TRIES = 20


async def advertise(zhiyin: Installation, node: str, count: int | None) -> None:
    """Lets the node say that it has so many GPUs; none takes the word back."""
    for _ in range(TRIES):
        document = json.loads(await zhiyin.kubectl("get", "--raw", f"/api/v1/nodes/{node}"))
        for said in (document["status"]["capacity"], document["status"]["allocatable"]):
            said.pop(RESOURCE, None)
            if count is not None:
                said[RESOURCE] = str(count)
        try:
            await zhiyin.kubectl(
                "replace", "--raw", f"/api/v1/nodes/{node}/status", "--filename=-", stdin=json.dumps(document)
            )
        except CommandFailed as failure:
            # The kubelet was faster.
            if "Conflict" not in str(failure) and "modified" not in str(failure):
                raise
            continue
        return
    raise AssertionError(f"the status of {node} could not be written in {TRIES} tries")


@asynccontextmanager
async def gpu_pool(zhiyin: Installation, node: str) -> AsyncIterator[list[str]]:
    """Arguments of helm for the pool, on the nodes with a label that `node` has."""
    await zhiyin.kubectl("label", "node", node, f"{LABEL}=yes", "--overwrite")
    gpu = "components.intent.gpu"
    try:
        yield [
            *("--set", f"{gpu}.enabled=true"),
            *("--set-string", f"{gpu}.nodeSelector.zhiyin\\.test/gpu=yes"),
            *("--set", f"{gpu}.image.name={zhiyin.images.gpu_name}"),
        ]
    finally:
        await zhiyin.upgrade()
        await advertise(zhiyin, node, None)
        await zhiyin.kubectl("label", "node", node, f"{LABEL}-")


async def test_the_pool_waits_for_a_gpu_gets_it_and_is_rolled_out_on_it(zhiyin: Installation, note: Note) -> None:
    node = (await zhiyin.ready_pods("intent"))[0].node
    url = await zhiyin.url("dialogue")
    async with steady_load(url) as load, gpu_pool(zhiyin, node) as values:
        await zhiyin.upgrade(*values, wait=False)

        async def reported() -> bool:
            events = (await zhiyin.get("events", "--field-selector=reason=FailedScheduling"))["items"]
            return any(f"Insufficient {RESOURCE}" in event["message"] for event in events)

        await eventually(reported, SEEN_SECONDS, what=f"an event about missing {RESOURCE}")
        (waiting,) = await zhiyin.pods(POOL)
        assert waiting.phase == "Pending"
        await advertise(zhiyin, node, 1)
        await zhiyin.whole(POOL)
        (first,) = await zhiyin.pods(POOL)
        assert first.uid == waiting.uid
        assert first.node == node

        async def both_pools() -> bool:
            found = await zhiyin.registered("intent")
            pods = await zhiyin.ready_pods("intent") + await zhiyin.ready_pods(POOL)
            return found == {f"intent-{pod.uid}": pod.ip for pod in pods}

        await eventually(both_pools, SEEN_SECONDS, what="both pools as `intent` in Consul")
        took = await timed(zhiyin.upgrade(*values, "--set-string", "components.intent.gpu.env.ROLLOUT=2"))
        (second,) = await zhiyin.pods(POOL)
        assert second.uid != first.uid
        assert second.ready
        note("rollout on exactly one GPU", f"{took:.1f} s")
        await load.steady()
        report = await load.finish()
    note("GPU pool comes, waits, is replaced", report)
    report.nothing_failed()
