"""What pods use, idle and under load: what the chart's requests and limits were set from."""

import asyncio
import time
from dataclasses import dataclass

from tests.cluster.conftest import Note
from tests.cluster.installation import Installation, Pod
from tests.cluster.load import steady_load

RATES = (10, 30)
IDLE_SECONDS = 10.0
MEASURED_SECONDS = 20
HEADROOM = 0.9
MEBI = 2**20

# Control groups of version 2, then of version 1; CPU in micro- or nanoseconds, memory in bytes.
LOOK = """
cd /sys/fs/cgroup
if [ -e memory.current ]; then
  echo "cpu $(sed -n 's/^usage_usec //p' cpu.stat)000"
  echo "used $(cat memory.current)"
  echo "limit $(cat memory.max)"
  sed -n 's/^inactive_file /files /p' memory.stat
else
  echo "cpu $(cat cpuacct/cpuacct.usage)"
  echo "used $(cat memory/memory.usage_in_bytes)"
  echo "limit $(cat memory/memory.limit_in_bytes)"
  sed -n 's/^total_inactive_file /files /p' memory/memory.stat
fi
"""


@dataclass(frozen=True)
class Use:
    """CPU used so far, in seconds; memory in use without what is only cached of files, and what may be, in bytes."""

    cpu: float
    memory: int
    limit: int


async def use_of(zhiyin: Installation, pod: Pod) -> Use:
    """What a pod has used."""
    lines = (await zhiyin.execute(pod.name, "sh", "-c", LOOK)).splitlines()
    said = {name: int(number) for name, _, number in (line.partition(" ") for line in lines)}
    return Use(said["cpu"] / 1e9, said["used"] - said["files"], said["limit"])


async def uses_of(zhiyin: Installation, pods: list[Pod]) -> dict[str, Use]:
    """What each pod has used, by its name."""
    found = await asyncio.gather(*(use_of(zhiyin, pod) for pod in pods))
    return {pod.name: use for pod, use in zip(pods, found, strict=True)}


async def test_pods_stay_within_their_memory_under_three_times_the_load(zhiyin: Installation, note: Note) -> None:
    pods = await zhiyin.pods()
    cores: dict[str, list[str]] = {pod.component: [] for pod in pods}
    most: dict[str, int] = {}

    async def measure(name: str, seconds: float) -> None:
        began = time.monotonic()
        before = await uses_of(zhiyin, pods)
        await asyncio.sleep(seconds)
        after = await uses_of(zhiyin, pods)
        took = time.monotonic() - began
        for component, said in cores.items():
            its = [pod.name for pod in pods if pod.component == component]
            said.append(f"{name} {' + '.join(f'{1000 * (after[p].cpu - before[p].cpu) / took:.0f}' for p in its)} m")
        for pod, use in after.items():
            most[pod] = max(most.get(pod, 0), use.memory)

    await measure("idle", IDLE_SECONDS)
    for rate in RATES:
        async with steady_load(await zhiyin.url("dialogue"), rate=rate) as load:
            await measure(f"{rate} turns/s", MEASURED_SECONDS)
            report = await load.finish()
        note(f"load of {rate} turns/s", report)
        report.nothing_failed()
    limits = {pod: use.limit for pod, use in (await uses_of(zhiyin, pods)).items()}
    for component, said in cores.items():
        its = [pod.name for pod in pods if pod.component == component]
        memory = max(most[pod] for pod in its) / MEBI
        note(f"{component} uses", f"CPU {', '.join(said)}; memory {memory:.0f} of {limits[its[0]] / MEBI:.0f} MiB")
    near = {pod: most[pod] / limits[pod] for pod in most if most[pod] > HEADROOM * limits[pod]}
    assert not near, "pods near their limit of memory"
