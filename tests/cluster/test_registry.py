"""A second installation, without Consul: it chats, its pods are replaced, and nothing of it is left afterwards."""

from collections.abc import AsyncIterator

import pytest

from tests.cluster.cancellations import cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.installation import Images, Installation, timed
from tests.cluster.load import steady_load

NAMESPACE = "zhiyin-test-plain"
BORN_WITH_A_NAMESPACE = ("configmap/kube-root-ca.crt", "serviceaccount/default", "secret/default-token-")
PASSING = ("event/", "event.events.k8s.io/")
"""Events go by themselves, an hour later."""
PROMISED = {"persistentvolumeclaim/zhiyin-postgresql", "secret/zhiyin-secrets"}
"""The volume that was asked to be kept, and what it is read with."""


@pytest.fixture(scope="module")
async def plain(images: Images, stores: list[str], note: Note) -> AsyncIterator[Installation]:
    """Services found by their names in the cluster's DNS."""
    installation = Installation(NAMESPACE, images, stores)
    await installation.remove()
    try:
        values = ("--set", "registry.mode=kubernetes", "--set", "postgresql.persistence.keep=true")
        took = await timed(installation.install(*values))
        note("helm install --wait with registry.mode=kubernetes", f"{took:.1f} s")
        yield installation
    finally:
        await installation.remove()


async def objects(zhiyin: Installation) -> set[str]:
    """The names of all objects in the namespace, but for those that every namespace has."""
    listed = await zhiyin.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name")
    kinds = ",".join(kind for kind in listed.split() if not kind.endswith("metrics.k8s.io"))
    names = (await zhiyin.kubectl("get", kinds, "--output=name", "--ignore-not-found")).split()
    return {name for name in names if not name.startswith((*BORN_WITH_A_NAMESPACE, *PASSING))}


async def test_without_consul_chat_and_actions_work_and_pods_are_replaced(plain: Installation, note: Note) -> None:
    names = {pod.component for pod in await plain.pods()}
    assert "consul" not in names
    async with cancelling(plain, 990, 1) as cancellations:
        await cancellations[0].confirm()
        await done_once(plain, cancellations)
    async with steady_load(await plain.url("dialogue")) as load:
        for component in ("intent", "business", "login", "dialogue"):
            victim = (await plain.ready_pods(component))[0]
            await plain.delete(victim)
            await plain.whole(component, without=[victim.uid])
        await load.steady()
        report = await load.finish()
    note("registry.mode=kubernetes, four pods deleted", report)
    report.nothing_failed()


async def test_uninstall_leaves_only_what_persistence_promises(plain: Installation) -> None:
    assert await objects(plain) > PROMISED
    await plain.uninstall()
    assert await objects(plain) == PROMISED
