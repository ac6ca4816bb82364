"""An installation is backed up, removed with all that it had and restored elsewhere; then its secrets are changed."""

import base64
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.cluster.cancellations import Cancellation, cancelling, done_once
from tests.cluster.conftest import Note
from tests.cluster.installation import RELEASE, Images, Installation, timed
from tests.cluster.load import Guest, steady_load
from tests.cluster.runbook import follow

RESTORED = "zhiyin-test-restored"
ACCOUNT = {"username": "backed-up", "password": "a password of before"}
SERIES = itertools.count(980)
"""Of orders."""
RATE = 3.0
"""Turns a second: a light load."""
REFUSED_FOR_A_MOMENT = "postgresql-password"


@dataclass
class Before:
    """What there was before the backup."""

    done: list[Cancellation]
    waiting: list[Cancellation]
    transcripts: dict[str, list[dict[str, Any]]]


async def secrets(zhiyin: Installation) -> dict[str, str]:
    """What the chart's Secret holds."""
    data = (await zhiyin.get("secret", f"{RELEASE}-secrets"))["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


async def log_in(url: str, account: dict[str, str]) -> int:
    """The status of a log-in."""
    async with aiohttp.ClientSession(url) as session, session.post("/v1/auth/login", json=account) as answer:
        return answer.status


@pytest.fixture(scope="module")
async def before(zhiyin: Installation) -> AsyncIterator[Before]:
    """Customers whose order is cancelled, others who wait for that, and an account of somebody's own."""
    url = await zhiyin.url("dialogue")
    async with (
        aiohttp.ClientSession(url) as session,
        session.post("/v1/auth/register", json=ACCOUNT) as answer,
    ):
        assert answer.status in (200, 201), await answer.text()
    async with cancelling(zhiyin, 940, 2) as done, cancelling(zhiyin, 941, 2) as waiting:
        for each in done:
            await each.confirm()
        await done_once(zhiyin, done)
        await zhiyin.scale("worker", 0)
        for each in waiting:
            await each.confirm()
        transcripts = {each.guest.conversation: await each.guest.transcript() for each in [*done, *waiting]}
        yield Before(done, waiting, transcripts)


@pytest.fixture(scope="module")
async def restored(
    zhiyin: Installation,
    before: Before,
    images: Images,
    stores: list[str],
    tmp_path_factory: pytest.TempPathFactory,
    note: Note,
) -> AsyncIterator[Installation]:
    """The installation of the other tests in another namespace, out of a backup; its own is gone."""
    folder = tmp_path_factory.mktemp("backup")
    note("backup", f"{await timed(follow('backup', folder, namespace=zhiyin.namespace)):.1f} s")
    assert (folder / "backup").stat().st_mode & 0o077 == 0, "it has every secret"
    again = Installation(RESTORED, images, stores)
    await again.remove()
    await zhiyin.remove()
    try:
        took = await timed(follow("restore", folder, namespace=zhiyin.namespace, restored=RESTORED))
        note("restore", f"{took:.1f} s")
        yield again
    finally:
        await again.remove()


async def moved(guest: Guest, url: str) -> Guest:
    """The same customer with the same token, at another address."""
    await guest.session.close()
    guest.session = aiohttp.ClientSession(url, timeout=aiohttp.ClientTimeout(total=20))
    return guest


async def test_what_was_before_is_there_and_nothing_is_done_twice(before: Before, restored: Installation) -> None:
    url = await restored.url("dialogue")
    everybody = [*before.done, *before.waiting]
    for each in everybody:
        await moved(each.guest, url)
        transcript = await each.guest.transcript()
        known = before.transcripts[each.guest.conversation]
        assert transcript[: len(known)] == known, "with the token and in the words of before"
    await done_once(restored, everybody)
    for each in before.done:
        assert (await each.guest.say(f"取消订单 {each.number}")).status == 200
    await done_once(restored, everybody)
    accounts = await secrets(restored)
    assert await log_in(url, ACCOUNT) == 200
    assert await log_in(url, {"username": "admin", "password": accounts["admin-password"]}) == 200


PARTS = {"login-secret": "rotate-login", "bootstrap.json": "rotate-accounts"}
"""Parts of the page for what is not changed as the others are."""
STORES_AND_SERVICES = ("client-secret", "redis-password", "consul", "postgresql-password")
CHANGES = [
    pytest.param(("login-secret",), id="login-secret"),
    pytest.param(STORES_AND_SERVICES, id="stores and services"),
    pytest.param(("bootstrap.json",), id="accounts"),
    *(pytest.param((each,), id=each, marks=pytest.mark.long) for each in STORES_AND_SERVICES),
]
"""What the keys that are changed at once begin with."""


@pytest.mark.parametrize("kinds", CHANGES)
async def test_a_secret_is_changed_and_no_turn_is_lost(
    restored: Installation, kinds: tuple[str, ...], tmp_path: Path, note: Note
) -> None:
    url = await restored.url("dialogue")
    old = await secrets(restored)
    keys = [key for key in old if key.startswith(kinds) and key != "login-secret-accepted"]
    assert len(keys) >= len(kinds)
    async with steady_load(url, rate=RATE, customers=6) as load:
        await follow(PARTS.get(kinds[0], "rotate"), tmp_path, namespace=RESTORED, keys=keys)
        await restored.settled()
        await load.steady()
        report = await load.finish()
    note(f"change of {', '.join(kinds)}", report)
    new = await secrets(restored)
    assert {key for key in keys if new[key] == old[key]} == set()
    report.nothing_lost()
    if REFUSED_FOR_A_MOMENT in kinds:
        other = [str(failure) for failure in report.failed if failure.status != 503 and not failure.cut]
        assert not other, "requests that cannot be served are refused, with 503\n" + "\n".join(other[:10])
    else:
        report.nothing_failed()
    admin = {"username": "admin", "password": new["admin-password"]}
    assert await log_in(url, admin) == 200
    if "bootstrap.json" in kinds:
        assert await log_in(url, {**admin, "password": old["admin-password"]}) == 401
    assert await log_in(url, ACCOUNT) == 200
    async with cancelling(restored, next(SERIES), 1) as (customer,):
        await customer.confirm()
        await done_once(restored, [customer])
