"""`zhiyin publish`, `releases` and `rollback` against a learning that runs."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli import publish as command
from cli.desk import Staff
from cli.errors import CommandError, NotReachable, UsageError
from cli.gateway import Refused
from cli.publish import publish, releases, rollback
from tests.integration.services.learning.gateway import PASSWORD, gateway
from tests.integration.services.learning.publisher import Client, ScriptedTrainer, running
from tests.stack import eventually

SHOP = Path(__file__).parents[3] / "assistants" / "shop"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An assistant in which nothing is wrong."""
    return Path(shutil.copytree(SHOP, tmp_path / "shop"))


@pytest.fixture
def trainer() -> ScriptedTrainer:
    return ScriptedTrainer()


@pytest.fixture
async def learning(tmp_path: Path, trainer: ScriptedTrainer) -> AsyncIterator[Client]:
    url = f"sqlite:///{tmp_path / 'learning.sqlite'}"
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        yield client


@pytest.fixture
async def staff(learning: Client) -> AsyncIterator[Staff]:
    async with gateway(learning) as url:
        yield Staff(username="operator", password=PASSWORD, url=url)


async def published(staff: Staff, folder: Path, **wishes: Any) -> None:
    """As the command line does it, in a thread of its own: it brings an event loop."""
    chosen = {"name": "", "live": True, "force": False, "as_json": False, **wishes}
    await asyncio.to_thread(publish, staff, folder, **chosen)


def changed(folder: Path) -> None:
    replies = folder / "replies" / "zh.yml"
    replies.write_text(replies.read_text(encoding="utf-8").replace("您好", "您好呀", 1), encoding="utf-8")


async def test_publish_change_publish_and_roll_back(
    staff: Staff, folder: Path, learning: Client, trainer: ScriptedTrainer, capsys: pytest.CaptureFixture[str]
) -> None:
    await published(staff, folder)
    told = capsys.readouterr().err
    for line in ("The files are good", "The model is there", "Every service can use it", "Release 1 of shop is live."):
        assert line in told
    assert "Its model is v1." in told
    changed(folder)
    trainer.preliminary, trainer.version = True, "v2"
    await published(staff, folder)
    told = capsys.readouterr().err
    assert "Release 2 of shop is live." in told or "Release 3 of shop is live." in told
    assert "`zhiyin rollback shop` goes back to release 1." in told

    await asyncio.to_thread(rollback, staff, "shop", None, as_json=False)
    assert "Release 1 of shop is live." in capsys.readouterr().err
    await asyncio.to_thread(releases, staff, "shop", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert [each["release"]["number"] for each in found["aliases"]] == [1]
    await asyncio.to_thread(releases, staff, "shop", as_json=False)
    assert "production" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no release to go back to"):
        await asyncio.to_thread(rollback, staff, "shop", None, as_json=False)
    await asyncio.to_thread(rollback, staff, "shop", "2", as_json=True)
    assert json.loads(capsys.readouterr().out)["release"]["number"] == 2
    with pytest.raises(CommandError, match="has no release 77"):
        await asyncio.to_thread(rollback, staff, "shop", "77", as_json=False)


async def test_without_live_it_is_ready_and_named(
    staff: Staff, folder: Path, learning: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    await published(staff, folder, live=False, as_json=True)
    told = capsys.readouterr()
    assert "Release 1 of shop is ready and not live." in told.err
    assert json.loads(told.out)["state"] == "ready"
    assert await learning.production("shop") is None


async def test_a_refusal_is_told_with_its_reason(staff: Staff, folder: Path, trainer: ScriptedTrainer) -> None:
    trainer.refuse = "its model is not good enough: intent accuracy fell"
    with pytest.raises(CommandError, match=r"^Release 1 of shop was refused: its model is not good enough"):
        await published(staff, folder)
    await published(staff, folder, force=True)


async def test_mistakes_and_secrets_do_not_leave_the_machine(
    staff: Staff, folder: Path, learning: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "notes.yml").write_text("password: hunter2\n", encoding="utf-8")
    with pytest.raises(CommandError, match="shop was not published: there is a mistake in its files"):
        await published(staff, folder)
    assert "notes.yml:1: this looks like a password" in capsys.readouterr().err
    (folder / "notes.yml").write_text("intent: [", encoding="utf-8")
    (folder / "notes.yml").rename(folder / "nlu" / "notes.yml")
    with pytest.raises(CommandError, match="mistake"):
        await published(staff, folder)
    with pytest.raises(UsageError, match="is the assistant shop, not bank"):
        await published(staff, folder, name="bank")
    assert (await learning.call("GET", "/v1/assistants"))["assistants"] == []


async def test_those_who_may_not_and_what_does_not_answer(staff: Staff, folder: Path) -> None:
    agent = Staff(username="agent", password=PASSWORD, url=staff.url)
    with pytest.raises(Refused, match="role"):
        await published(agent, folder)
    wrong = Staff(username="operator", password="wrong", url=staff.url)
    with pytest.raises(Refused, match="the name or the password is wrong"):
        await published(wrong, folder)
    nobody = Staff(username="operator", password=PASSWORD, url="http://127.0.0.1:1")
    with pytest.raises(NotReachable, match="nothing listens there"):
        await published(nobody, folder)
    with pytest.raises(CommandError, match="bank was never published"):
        await asyncio.to_thread(releases, staff, "bank", as_json=False)
    async with gateway(None) as url:
        away = Staff(username="operator", password=PASSWORD, url=url)
        with pytest.raises(Refused, match="learning cannot be reached"):
            await published(away, folder)


async def test_a_server_that_goes_away_meanwhile_is_waited_for_and_then_told(
    learning: Client, folder: Path, trainer: ScriptedTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PATIENCE_SECONDS", 0.5)
    trainer.go_on.clear()
    async with gateway(learning) as url:
        staff = Staff(username="operator", password=PASSWORD, url=url)
        publishing = asyncio.create_task(published(staff, folder))

        async def begun() -> bool:
            return bool(trainer.trained)

        await eventually(begun)
    with pytest.raises(NotReachable, match="It may be going on with release 1 of shop; `zhiyin releases shop`"):
        await publishing
    trainer.go_on.set()
