"""What an installation is right after `helm install`."""

from tests.cluster.conftest import Note
from tests.cluster.installation import DEPLOYMENTS, Installation
from tests.stack import eventually

REGISTERED_SECONDS = 15.0


async def test_everything_runs_without_a_restart(zhiyin: Installation) -> None:
    pods = await zhiyin.pods()
    assert {pod.component for pod in pods} >= set(DEPLOYMENTS)
    assert {pod.name: pod.restarts for pod in pods if pod.restarts} == {}


async def test_every_service_is_passing_in_consul_under_its_pods_address(zhiyin: Installation) -> None:
    async def same() -> bool:
        return not await zhiyin.unregistered()

    await eventually(same, REGISTERED_SECONDS, what="the same pods in Consul and in the cluster")
    for component in DEPLOYMENTS:
        found = await zhiyin.registered(component)
        assert found == {f"{component}-{pod.uid}": pod.ip for pod in await zhiyin.ready_pods(component)}


async def test_helm_test_passes(zhiyin: Installation, note: Note) -> None:
    said = await zhiyin.test()
    assert "Phase:          Succeeded" in said, said
    note("helm test", "passes")
