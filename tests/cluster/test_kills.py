"""Any one pod goes away while customers chat ten times a second, and no customer notices."""

import pytest

from tests.cluster.cancellations import cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.installation import DEPLOYMENTS, Installation
from tests.cluster.load import steady_load
from tests.stack import eventually

HOW = ("deleted", "forced", "crashed")
TURNS_AFTERWARDS = 40


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("component", [*DEPLOYMENTS, "consul", "redis"])
async def test_a_pod_goes_away_and_no_request_fails(zhiyin: Installation, note: Note, component: str, how: str) -> None:
    async with steady_load(await zhiyin.url("dialogue")) as load:
        await take_away(zhiyin, component, how)
        await load.steady(TURNS_AFTERWARDS)
        report = await load.finish()
    note(f"{component} {how}", report)
    report.nothing_failed()


@pytest.mark.parametrize("how", HOW)
async def test_postgresql_goes_away_and_nothing_accepted_is_lost(zhiyin: Installation, note: Note, how: str) -> None:
    async with steady_load(await zhiyin.url("dialogue")) as load:
        await take_away(zhiyin, "postgresql", how)
        await load.steady(TURNS_AFTERWARDS)
        report = await load.finish()
    note(f"postgresql {how}", report)
    report.nothing_lost()
    # Where no pod is ready, the Service itself refuses connections; an ingress in front of it says 503 then.
    other = [str(failure) for failure in report.failed if failure.status != 503 and not failure.cut]
    assert not other, "requests that cannot be served are refused, with 503\n" + "\n".join(other[:10])
    # Without their database services are not ready, and Consul asks every few seconds only whether they are again.
    await zhiyin.settled()


@pytest.mark.parametrize("series", range(len(HOW)), ids=HOW)
async def test_the_worker_goes_away_and_every_action_is_done_once(zhiyin: Installation, series: int) -> None:
    async with cancelling(zhiyin, 900 + series, 6) as cancellations:
        for cancellation in cancellations[:3]:
            await cancellation.confirm()
        (victim,) = await zhiyin.ready_pods("worker")
        await take_away(zhiyin, "worker", HOW[series], wait=False)
        for cancellation in cancellations[3:]:
            await cancellation.confirm()
        await done_once(zhiyin, cancellations)
        await zhiyin.whole("worker", without=[victim.uid] if HOW[series] != "crashed" else [])


async def take_away(zhiyin: Installation, component: str, how: str, *, wait: bool = True) -> None:
    """Deletes a pod, with or without grace, or kills its processes; then waits until the component is whole again."""
    victim = (await zhiyin.ready_pods(component))[0]
    if how == "crashed":
        await zhiyin.crash(victim)

        async def begun_anew() -> bool:
            return any(pod.uid == victim.uid and pod.restarts > victim.restarts for pod in await zhiyin.pods(component))

        if wait:
            await eventually(begun_anew, what=f"a new container in {victim.name}")
            await zhiyin.whole(component)
        return
    await zhiyin.delete(victim, force=how == "forced")
    if wait:
        await zhiyin.whole(component, without=[victim.uid])
