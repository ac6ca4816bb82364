"""Every pod is replaced while customers chat, by the next release and back, and no customer notices.

The next release is a program of its own (`tests/next_release.py`): all that it writes has fields and members of
enumerations that this one does not know.
"""

import base64
import json

from tests.cluster.cancellations import cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.installation import DEPLOYMENTS, Installation, timed
from tests.cluster.load import Guest, steady_load
from tests.cluster.streams import following
from tests.next_release import ADDED, COLUMN, MEMBER

WRITTEN = {
    "conversations": ("dialogue", f"SELECT count(*) FROM conversations WHERE state::text LIKE '%{ADDED}%'"),
    "outbox": ("dialogue", f"SELECT count(*) FROM outbox WHERE request::text LIKE '%{ADDED}%'"),
    "traces": ("dialogue", f"SELECT count(*) FROM traces WHERE understanding::text LIKE '%{MEMBER}%'"),
    "actions": ("business", f"SELECT count(*) FROM actions WHERE request::text LIKE '%{ADDED}%'"),
    "results": ("business", f"SELECT count(*) FROM actions WHERE result::text LIKE '%{ADDED}%'"),
}
COLUMNS = f"SELECT table_name FROM information_schema.columns WHERE column_name = '{COLUMN}'"


async def serving(zhiyin: Installation) -> tuple[dict[str, set[str]], set[str]]:
    """The tags of the images of each component's pods that stay, and the pods' uids."""
    tags, uids = {}, set()
    for component in DEPLOYMENTS:
        pods = await zhiyin.ready_pods(component)
        tags[component] = {image.rpartition(":")[2] for pod in pods for image in pod.images}
        uids |= {pod.uid for pod in pods}
    return tags, uids


async def written(zhiyin: Installation) -> dict[str, int]:
    """How many rows of each kind have what only the next release writes."""
    return {name: int(await zhiyin.sql(*query)) for name, query in WRITTEN.items()}


def claims(guest: Guest) -> dict[str, object]:
    """What the guest's token says."""
    part = guest.token.split(".")[1]
    found: dict[str, object] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return found


async def test_upgrade_and_rollback_fail_no_turn(zhiyin: Installation, note: Note) -> None:
    url = await zhiyin.url("dialogue")
    this, following_release = zhiyin.images.tag, zhiyin.images.next_tag
    first = await zhiyin.revision()
    _, before = await serving(zhiyin)
    assert not any((await written(zhiyin)).values())
    async with (
        cancelling(zhiyin, 960, 10) as customers,
        following(url, 5) as followers,
        steady_load(url) as load,
    ):
        # Dialogue of this release asks services of the next one.
        took = await timed(
            zhiyin.upgrade("--set-string", f"components.dialogue.image.tag={this}", tag=following_release)
        )
        note("helm upgrade of all but dialogue to the next release under load", f"{took:.1f} s")
        await load.steady()
        tags, _ = await serving(zhiyin)
        assert tags == {name: {this if name == "dialogue" else following_release} for name in DEPLOYMENTS}
        for customer in customers[:2]:
            await customer.confirm()
        await done_once(zhiyin, customers[:2])

        # All of it is the next one, and what it puts into the queue stays there.
        took = await timed(zhiyin.upgrade("--set", "components.worker.replicas=0", tag=following_release))
        note("helm upgrade of dialogue to the next release under load", f"{took:.1f} s")
        await load.steady()
        tags, between = await serving(zhiyin)
        assert tags == {name: set() if name == "worker" else {following_release} for name in DEPLOYMENTS}
        assert not before & between, "every pod is a new one"
        for customer in customers[2:5]:
            await customer.confirm()
        async with cancelling(zhiyin, 961, 3) as later:
            assert ADDED in claims(later[0].guest)
            assert all((await written(zhiyin)).values()), await written(zhiyin)
            for service, table in (("login", "accounts"), ("dialogue", "conversations"), ("business", "actions")):
                assert await zhiyin.sql(service, COLUMNS) == table

            # Dialogue of the next release asks services of this one, and its actions are done by this one's worker.
            took = await timed(
                zhiyin.upgrade("--set-string", f"components.dialogue.image.tag={following_release}", tag=this)
            )
            note("helm upgrade of all but dialogue back to this release under load", f"{took:.1f} s")
            await load.steady()
            for customer in customers[5:7]:
                await customer.confirm()
            await done_once(zhiyin, customers[2:7])

            # Of the next release there is only what it has written.
            took = await timed(zhiyin.rollback(first))
            note("helm rollback under load", f"{took:.1f} s")
            await load.steady()
            tags, after = await serving(zhiyin)
            assert tags == {name: {this} for name in DEPLOYMENTS}
            assert not between & after, "every pod is a new one"
            for customer in [*customers[7:], *later]:
                await customer.confirm()
            await done_once(zhiyin, [*customers, *later])
        report = await load.finish()
        for follower in followers:
            last = await follower.guest.say("你好")
            await follower.until(last.replies[-1]["seq"])
            follower.gapless()
            assert follower.resumed, "the pods that the stream was read from are gone"
    note("upgrade and rollback", report)
    report.nothing_failed()
