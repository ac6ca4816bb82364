"""One installation that most tests share, the figures that they note, and what they need of the machine."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest

from tests.cluster.edges import EdgeWatch, watching_edges
from tests.cluster.installation import Images, Installation
from tests.cluster.load import CutTwice, Guest, Refused
from tests.cluster.volumes import STORAGE_CLASS, local_volumes
from tests.kubernetes import CommandFailed
from tests.stack import eventually

__all__ = ["Note"]

NAMESPACE = "zhiyin-test"
FIRST_TURN_SECONDS = 240.0

Note = Callable[[str, object], None]

STORE_IMAGES = {"redis": "redis:7", "consul": "consul:1.8", "postgresql": "postgres:15"}

FIGURES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the list of figures."""
    config.stash[FIGURES] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the backup last: it takes the installation away that the others share."""
    items.sort(key=lambda item: item.path.name == "test_backup.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints what was measured."""
    terminalreporter.section("figures")
    for line in config.stash[FIGURES]:
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failure what the pods complained about."""
    report = yield
    arguments = getattr(item, "funcargs", {})
    installation = arguments.get("restored") or arguments.get("zhiyin") or arguments.get("plain")
    if report.failed and isinstance(installation, Installation):
        report.sections.append(("pods", installation.complaints()))
    return report


@pytest.fixture(scope="session")
def note(pytestconfig: pytest.Config) -> Note:
    """Notes a figure, which is printed at the end."""
    return lambda name, value: pytestconfig.stash[FIGURES].append(f"{name}: {value}")


@pytest.fixture(scope="session")
def images() -> Images:
    """The images under test, as `make test-cluster` names them."""
    missing = [name for name in ("KUBECONFIG", "IMAGE_PREFIX", "IMAGE_TAG", "NEXT_TAG") if not os.environ.get(name)]
    assert not missing, f"{', '.join(missing)} not set: run `make test-cluster`"
    return Images(
        prefix=os.environ["IMAGE_PREFIX"],
        tag=os.environ["IMAGE_TAG"],
        next_tag=os.environ["NEXT_TAG"],
        gpu_name=os.environ.get("GPU_IMAGE", "intent"),
    )


@pytest.fixture(scope="session")
def stores() -> Iterator[list[str]]:
    """Arguments of helm for the stores: images of one's own with STORE_PREFIX, volumes of one's own with VOLUMES."""
    arguments = []
    prefix = os.environ.get("STORE_PREFIX", "")
    for store, image in STORE_IMAGES.items() if prefix else ():
        repository, _, tag = image.partition(":")
        arguments += ["--set", f"{store}.image.repository={prefix}{repository}"]
        arguments += ["--set-string", f"{store}.image.tag={tag}"]
    folder = os.environ.get("VOLUMES", "")
    with local_volumes(Path(folder)) if folder else nullcontext():
        yield arguments + (["--set", f"global.storageClass={STORAGE_CLASS}"] if folder else [])


@pytest.fixture(scope="session")
async def edges() -> AsyncIterator[EdgeWatch]:
    """Every connection between pods of the shared installation, from before it was made."""
    async with watching_edges(NAMESPACE) as watch:
        yield watch


@pytest.fixture(scope="session")
async def zhiyin(images: Images, stores: list[str], edges: EdgeWatch, note: Note) -> AsyncIterator[Installation]:
    """Zhiyin, installed from nothing; tests leave it whole."""
    installation = Installation(NAMESPACE, images, stores)
    await installation.remove()
    try:
        began = time.monotonic()
        first_turn = asyncio.create_task(until_answered(installation))
        try:
            await installation.install()
            note("helm install --wait", f"{time.monotonic() - began:.1f} s")
            note("install → first answered turn", f"{await first_turn - began:.1f} s")
        finally:
            first_turn.cancel()
        yield installation
    finally:
        if not os.environ.get("KEEP_NAMESPACE"):
            await installation.remove()


async def until_answered(installation: Installation) -> float:
    """When the first turn was answered, in the event loop's monotonic time; tried from now on."""

    async def answered() -> bool:
        try:
            async with aiohttp.ClientSession(
                await installation.url("dialogue"), timeout=aiohttp.ClientTimeout(total=10)
            ) as session:
                guest = Guest(session, retry=False)
                await guest.enter([])
                message = await guest.say("订单 20261103001 到哪了")
        except (CommandFailed, Refused, CutTwice, TimeoutError):
            return False
        return any("SF1234567890" in reply["text"] for reply in message.replies)

    await eventually(answered, FIRST_TURN_SECONDS, what="the first answered turn")
    return time.monotonic()
