"""Every pod is replaced while customers chat, by a new image and back, and no customer notices."""

from tests.cluster.conftest import Note
from tests.cluster.installation import DEPLOYMENTS, Installation, timed
from tests.cluster.load import steady_load
from tests.cluster.streams import following


async def serving(zhiyin: Installation) -> tuple[set[str], set[str]]:
    """The tags of the images of all pods that stay, and the pods' uids."""
    pods = [pod for component in DEPLOYMENTS for pod in await zhiyin.ready_pods(component)]
    return {image.rpartition(":")[2] for pod in pods for image in pod.images}, {pod.uid for pod in pods}


async def test_upgrade_and_rollback_fail_no_turn(zhiyin: Installation, note: Note) -> None:
    url = await zhiyin.url("dialogue")
    _, before = await serving(zhiyin)
    async with following(url, 5) as followers, steady_load(url) as load:
        took = await timed(zhiyin.upgrade(tag=zhiyin.images.next_tag))
        await load.steady()
        tags, between = await serving(zhiyin)
        assert tags == {zhiyin.images.next_tag}
        assert not before & between, "every pod is a new one"
        note("helm upgrade of every image under load", f"{took:.1f} s")
        took = await timed(zhiyin.rollback())
        await load.steady()
        tags, after = await serving(zhiyin)
        assert tags == {zhiyin.images.tag}
        assert not between & after, "every pod is a new one"
        note("helm rollback under load", f"{took:.1f} s")
        report = await load.finish()
        for follower in followers:
            last = await follower.guest.say("你好")
            await follower.until(last.replies[-1]["seq"])
            follower.gapless()
            assert follower.resumed, "the pods that the stream was read from are gone"
    note("upgrade and rollback", report)
    report.nothing_failed()
