"""Following releases: whatever fails, the last good ones serve and nothing is half live."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from shared.assistants.bundle import pack
from shared.calls.circuit_breaker import BreakerPolicy
from shared.calls.client import ServiceClient
from shared.calls.discovery import FixedDiscovery
from shared.contracts.releases import Release, ReleaseAlias
from shared.errors import Unavailable
from shared.releases import follower as followers
from shared.releases.follower import Follower, has_learning
from shared.releases.shelf import Shelf
from shared.settings import ServiceSettings
from tests.releases_server import ReleasesServer, releases_server
from tests.stack import eventually


class Loaded:
    """What a service makes of a release."""

    def __init__(self, text: str) -> None:
        self.text = text


@dataclass
class Service:
    """Serves the word in `assistant.yml` of what production names; refuses a folder that says `bad`."""

    loaded: dict[str, Loaded] = field(default_factory=dict)
    aliases: dict[tuple[str, str, str], ReleaseAlias] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    away: bool = False

    async def load(self, release: Release, folder: Path) -> None:
        if self.away:
            raise Unavailable("the model registry is away")
        text = (folder / "assistant.yml").read_text(encoding="utf-8")
        if text == "bad":
            raise ValueError(f"{folder / 'assistant.yml'}:1: this is bad")
        if text == "broken":
            raise RuntimeError("a fault of the program")
        self.loaded[release.id] = Loaded(text)

    def serve(self, aliases: Sequence[ReleaseAlias]) -> None:
        assert all(alias.release.id in self.loaded for alias in aliases), "something is half live"
        self.aliases = {(alias.release.tenant, alias.release.assistant, alias.alias): alias for alias in aliases}

    def forget(self, release: Release) -> None:
        self.loaded.pop(release.id)
        self.forgotten.append(release.id)

    def says(self, tenant: str = "acme", assistant: str = "bank", alias: str = "production") -> str | None:
        """What the assistant's alias stands for now."""
        named = self.aliases.get((tenant, assistant, alias))
        return None if named is None else self.loaded[named.release.id].text


@dataclass
class World:
    """A learning, and the place where a service keeps releases."""

    learning: ReleasesServer
    folder: Path
    count: int = 0

    def text(self, words: str) -> Path:
        """An assistant's folder with these words."""
        self.count += 1
        folder = self.folder / "written" / str(self.count)
        folder.mkdir(parents=True)
        (folder / "assistant.yml").write_text(words, encoding="utf-8")
        return folder

    @asynccontextmanager
    async def following(self, service: Service, *, linger: float = 0.0) -> AsyncIterator[Follower]:
        """The service at work, from its start to its end."""
        client = ServiceClient(
            FixedDiscovery({"learning": self.learning.address}), breaker=BreakerPolicy(failures=10_000)
        )
        follower = Follower("dialogue", "pod-1", Shelf(self.folder / "shelf"), service, client, linger_seconds=linger)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(client.close)
            await follower.begin()
            running = asyncio.create_task(follower.run())

            async def end() -> None:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                await follower.close()

            stack.push_async_callback(end)
            yield follower


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followers, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(followers, "MOST_PAUSE_SECONDS", 0.05)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with releases_server() as learning:
        yield World(learning, tmp_path)


async def comes_true(condition: Callable[[], object]) -> None:
    """Waits for it, with a deadline."""

    async def check() -> bool:
        return bool(condition())

    await eventually(check, 10.0)


async def test_what_is_published_is_served_and_rolled_back(world: World) -> None:
    service = Service()
    async with world.following(service):
        assert service.says() is None
        first = world.learning.publish("acme", "bank", world.text("one"))
        await comes_true(lambda: service.says() == "one")
        world.learning.publish("acme", "bank", world.text("two"))
        await comes_true(lambda: service.says() == "two")
        world.learning.move(first)
        await comes_true(lambda: service.says() == "one")
        world.learning.publish("beta", "bank", world.text("theirs"))
        await comes_true(lambda: service.says("beta") == "theirs")
        assert service.says() == "one"
    assert not world.learning.reports


async def test_a_release_is_proven_and_reported_once(world: World) -> None:
    service = Service()
    async with world.following(service):
        good = world.learning.add("acme", "bank", world.text("good"), proving=True)
        await comes_true(lambda: world.learning.reports)
        assert service.says() is None
        world.learning.move(good)
        await comes_true(lambda: service.says() == "good")
        [(identity, report)] = world.learning.reports
        assert (identity, report.service, report.instance, report.loaded) == (good.id, "dialogue", "pod-1", True)


@pytest.mark.parametrize(
    ("words", "reason"), [("bad", "assistant.yml:1: this is bad"), ("broken", "it cannot be loaded: RuntimeError")]
)
async def test_a_release_that_cannot_be_loaded_is_refused_with_the_reason(
    world: World, words: str, reason: str
) -> None:
    service = Service()
    async with world.following(service):
        world.learning.publish("acme", "bank", world.text("good"))
        bad = world.learning.add("acme", "bank", world.text(words), proving=True)
        await comes_true(lambda: world.learning.reports and service.says() == "good")
        [(identity, report)] = world.learning.reports
        assert (identity, report.loaded, report.reason) == (bad.id, False, reason)
        world.learning.move(bad)
        await comes_true(lambda: REGISTRY.get_sample_value("zhiyin_releases_behind") == 1)
        assert service.says() == "good"


async def test_a_canary_comes_with_its_share_and_goes(world: World) -> None:
    service = Service()
    async with world.following(service):
        world.learning.publish("acme", "bank", world.text("old"))
        fresh = world.learning.add("acme", "bank", world.text("new"))
        world.learning.move(fresh, "canary", share=0.25)
        await comes_true(lambda: service.says(alias="canary") == "new")
        assert service.aliases["acme", "bank", "canary"].share == 0.25
        world.learning.move(fresh, "canary", share=0.5)
        await comes_true(lambda: service.aliases["acme", "bank", "canary"].share == 0.5)
        world.learning.remove(fresh, "canary")
        await comes_true(lambda: service.says(alias="canary") is None)
        assert service.says() == "old"


async def test_a_start_without_learning_serves_what_served_last(world: World) -> None:
    async with world.following(Service()) as follower:
        world.learning.publish("acme", "bank", world.text("last"))
        await comes_true(lambda: follower.shelf.recall().aliases)
    port = world.learning.port
    asked = len(world.learning.requests)

    async def down(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    world.learning.fault = down
    again = Service()
    async with world.following(again):
        assert again.says() == "last"
        assert all(request.path == "/v1/following" for request in world.learning.requests[asked:])
        world.learning.fault = None
        world.learning.publish("acme", "bank", world.text("next"))
        await comes_true(lambda: again.says() == "next")
    assert world.learning.port == port


async def test_a_folder_that_was_tampered_with_is_fetched_again(world: World) -> None:
    async with world.following(Service()) as follower:
        release = world.learning.publish("acme", "bank", world.text("true"))
        await comes_true(lambda: follower.shelf.recall().aliases)
    (world.folder / "shelf" / release.bundle / "assistant.yml").write_text("false", encoding="utf-8")
    again = Service()
    async with world.following(again):
        assert again.says() == "true"


async def test_a_wrong_bundle_never_serves(world: World) -> None:
    service = Service()
    async with world.following(service):
        world.learning.publish("acme", "bank", world.text("good"))
        await comes_true(lambda: service.says() == "good")
        bad = world.learning.add("acme", "bank", world.text("other"), proving=True)
        world.learning.bundles[bad.bundle] = pack(world.text("something else"))
        await comes_true(lambda: world.learning.reports)
        [(_, report)] = world.learning.reports
        assert not report.loaded
        assert "digest" in report.reason
        assert service.says() == "good"


async def test_a_full_disk_keeps_the_last_good_one_until_there_is_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service()
    async with world.following(service):
        world.learning.publish("acme", "bank", world.text("good"))
        await comes_true(lambda: service.says() == "good")
        fails = 0
        written = Path.write_bytes

        def full(path: Path, data: bytes) -> int:
            nonlocal fails
            if "shelf" in path.parts:
                fails += 1
                raise OSError(28, "No space left on device")
            return written(path, data)

        monkeypatch.setattr(Path, "write_bytes", full)
        world.learning.publish("acme", "bank", world.text("next"))
        await comes_true(lambda: fails > 2)
        assert service.says() == "good"
        monkeypatch.setattr(Path, "write_bytes", written)
        await comes_true(lambda: service.says() == "next")


async def test_who_is_needed_and_away_is_no_reason_to_refuse(world: World) -> None:
    service = Service(away=True)
    async with world.following(service):
        world.learning.add("acme", "bank", world.text("fine"), proving=True)
        failed = REGISTRY.get_sample_value("zhiyin_releases_loads_total", {"outcome": "failed"}) or 0.0
        await comes_true(
            lambda: (REGISTRY.get_sample_value("zhiyin_releases_loads_total", {"outcome": "failed"}) or 0) > failed + 8
        )
        assert not world.learning.reports
        service.away = False
        await comes_true(lambda: world.learning.reports)
        assert world.learning.reports[0][1].loaded


async def test_a_learning_that_has_lost_everything_takes_nothing_away(world: World) -> None:
    service = Service()
    async with world.following(service):
        release = world.learning.publish("acme", "bank", world.text("good"))
        await comes_true(lambda: service.says() == "good")
        world.learning.remove(release, "production")
        asked = len(world.learning.requests)
        await comes_true(lambda: len(world.learning.requests) > asked)
        assert service.says() == "good"


async def test_many_publishes_leave_nothing_behind(world: World) -> None:
    service = Service()
    seen: list[weakref.ref[Loaded]] = []
    async with world.following(service):
        for number in range(50):
            release = world.learning.publish("acme", "bank", world.text(f"{number}"))
            await comes_true(lambda number=number: service.says() == f"{number}")  # type: ignore[misc]
            seen.append(weakref.ref(service.loaded[release.id]))
        await comes_true(lambda: len(service.loaded) == 1)
        gc.collect()
        assert sum(each() is not None for each in seen) == 1


async def test_what_began_with_a_release_finds_it_for_a_while(world: World) -> None:
    service = Service()
    async with world.following(service, linger=0.2) as follower:
        first = world.learning.publish("acme", "bank", world.text("one"))
        await comes_true(lambda: service.says() == "one")
        world.learning.publish("acme", "bank", world.text("two"))
        await comes_true(lambda: service.says() == "two")
        assert first.id in service.loaded
        await comes_true(lambda: [release.id for release in follower.shelf.recall().kept] == [first.id])
        await comes_true(lambda: service.forgotten == [first.id])
        await comes_true(lambda: not follower.shelf.recall().kept)


@pytest.mark.parametrize("path", ["/v1/following", "/v1/bundles", "/v1/releases"])
@pytest.mark.parametrize("harm", ["cut", "garbage", "refused", "closed"])
async def test_an_answer_that_fails_at_any_request_is_asked_again(world: World, path: str, harm: str) -> None:
    service = Service()
    left = 3

    async def fault(request: web.Request) -> web.StreamResponse | None:
        nonlocal left
        if not request.path.startswith(path) or not left:
            return None
        left -= 1
        if harm == "garbage":
            return web.Response(body=b"\xff{", status=200)
        if harm == "refused":
            return web.Response(status=500)
        assert request.transport is not None
        if harm == "closed":
            request.transport.close()
            return web.Response()
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"{")
        request.transport.close()
        return answer

    world.learning.fault = fault
    async with world.following(service):
        world.learning.publish("acme", "bank", world.text("good"))
        proven = world.learning.add("acme", "bank", world.text("next"), proving=True)
        await comes_true(lambda: service.says() == "good")
        # A report whose answer cannot be read has arrived, or not.
        await comes_true(lambda: harm == "garbage" or any(each[0] == proven.id for each in world.learning.reports))


@pytest.mark.parametrize("request_number", range(1, 8))
async def test_a_service_that_is_ended_at_any_request_goes_on_when_it_starts_again(
    world: World, request_number: int
) -> None:
    world.learning.publish("acme", "bank", world.text("old"))
    world.learning.publish("beta", "shop", world.text("other"))
    reached = asyncio.Event()
    count = 0

    async def fault(_request: web.Request) -> None:
        nonlocal count
        count += 1
        if count == request_number:
            reached.set()
            await asyncio.sleep(0.05)

    world.learning.fault = fault
    service = Service()
    client = ServiceClient(FixedDiscovery({"learning": world.learning.address}))
    follower = Follower("dialogue", "pod-1", Shelf(world.folder / "shelf"), service, client)

    async def live() -> None:
        await follower.begin()
        world.learning.add("acme", "bank", world.text("new"), proving=True)
        await follower.run()

    living = asyncio.create_task(live())
    await comes_true(lambda: reached.is_set() or world.learning.reports)
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    await follower.close()
    await client.close()
    again = Service()
    async with world.following(again):
        await comes_true(lambda: again.says() == "old" and again.says("beta", "shop") == "other")


async def test_who_proves_nothing_loads_and_says_nothing_of_it(world: World) -> None:
    service = Service()
    async with world.following(service) as follower:
        follower.proves = False
        world.learning.add("acme", "bank", world.text("next"), proving=True)
        world.learning.publish("acme", "bank", world.text("good"))
        await comes_true(lambda: service.says() == "good")
        assert [each.text for each in service.loaded.values()] == ["good"]
    assert not world.learning.reports


async def test_two_releases_of_the_same_files_are_fetched_once(world: World) -> None:
    service = Service()
    async with world.following(service):
        folder = world.text("same")
        world.learning.add("acme", "bank", folder, proving=True)
        world.learning.publish("acme", "bank", folder)
        await comes_true(lambda: len(service.loaded) == 2)
    bundles = [request.path for request in world.learning.requests if "bundles" in request.path]
    assert len(bundles) == 1


async def test_without_a_learning_there_is_nothing_to_follow(tmp_path: Path) -> None:
    client = ServiceClient(FixedDiscovery({}))
    follower = Follower("dialogue", "pod-1", Shelf(tmp_path / "shelf"), Service(), client, follows=False)
    await follower.begin()
    await follower.run()
    await client.close()
    assert not (tmp_path / "shelf").exists()
    alone = ServiceSettings(environment="development", client_id="dialogue")
    assert not has_learning(alone)
    assert has_learning(alone.model_copy(update={"static_services": {"learning": "http://127.0.0.1:1"}}))
    assert has_learning(alone.model_copy(update={"registry": "consul"}))
    assert not has_learning(alone.model_copy(update={"registry": "consul", "client_id": ""}))
