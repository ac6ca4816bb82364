"""What becomes of the versions that aliases name: real models, a real MLflow store in SQLite."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.intent.batching.queue import BatchQueue
from services.intent.kinds.understanding.served import understand
from services.intent.limits import BatchPolicy
from services.intent.rollout.controller import FOLLOWING, REVIEWING, Rollout
from services.intent.rollout.loaded_models import LoadedModels
from services.intent.settings import Settings
from services.intent.versions.deployment import Deployment
from services.intent.versions.live import LiveModel
from services.intent.versions.model_registry import FileRegistry
from shared.contracts.understanding import Understanding
from shared.nlu.answers import Answer, Task
from shared.nlu.manifest import read_source
from shared.nlu.model import Model
from shared.nlu.tokenizer import Encoded
from tests.models import served
from tests.versions import Versions, damage

DEADLINE_SECONDS = 20.0


class Server:
    """A registry of models and its rollout, stepped by the test."""

    def __init__(self, models: LoadedModels, rollout: Rollout) -> None:
        self.models = models
        self.rollout = rollout

    @property
    def deployment(self) -> Deployment:
        """What serves `shop`."""
        [deployment] = self.models.deployments
        return deployment

    @property
    def version(self) -> str:
        """The version in production."""
        assert self.deployment.production is not None
        return self.deployment.production.version

    @property
    def refused(self) -> dict[str, str]:
        """Why what an alias names is not served."""
        return {alias: each.reason for alias, each in self.deployment.refusals.items()}

    async def ask(self, *texts: str, key: str | None = "", version: str | None = None) -> list[Understanding]:
        """What the texts mean."""
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        async with self.models.use("shop", tenant="default", key=key, version=version, deadline=deadline) as served:
            return await understand(served, texts or ("hello",), deadline=deadline)


@asynccontextmanager
async def running(home: Path, **changes: Any) -> AsyncIterator[Server]:
    settings = Settings(
        home=home, inference_streams=1, inference_backend="openvino", inference_precision="f32", **changes
    )
    registry = FileRegistry(home / "mlflow.db")
    models = LoadedModels(settings, registry)
    await models.load(settings)
    try:
        yield Server(models, Rollout(models, registry, settings))
    finally:
        await models.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


def figure(name: str, **labels: str) -> float:
    """A metric's value; none counts as 0."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def pointer(versions: Versions) -> str:
    return (versions.home / "models" / "shop" / "production").read_text().strip()


async def test_serves_what_the_alias_names_and_remembers_it_once_it_did_well(versions: Versions) -> None:
    versions.add("v2")
    async with running(versions.home, watch_seconds=0.2) as server:
        await server.rollout.follow()
        assert server.version == "v1"
        versions.point("production", "v2")
        await server.rollout.follow()
        assert server.version == "v2"
        [answer] = await server.ask("退款")
        assert (answer.intent.name, answer.model.version) == ("refund", "v2")
        # Until then a restart begins with what is known to be good.
        assert pointer(versions) == "v1"
        await until(lambda: server.deployment.watch_is_over)
        await server.rollout.review()
        assert (pointer(versions), server.deployment.previous) == ("v2", None)


async def test_without_a_store_the_last_good_version_serves(versions: Versions) -> None:
    (versions.home / "mlflow.db").unlink()
    shutil.rmtree(versions.home / "mlflow.aliases")
    async with running(versions.home) as server:
        await server.rollout.follow()
        assert server.version == "v1"


async def test_a_store_that_cannot_be_read_changes_nothing(versions: Versions) -> None:
    (versions.home / "mlflow.aliases" / "shop.json").write_bytes(b"no JSON" * 1000)
    failed = figure("zhiyin_intent_registry_reads_total", outcome="failed")
    async with running(versions.home) as server:
        await server.rollout.follow()
        assert server.version == "v1"
        assert (await server.ask())[0].intent.name == "greet"
    assert figure("zhiyin_intent_registry_reads_total", outcome="failed") == failed + 1


def corrupt(versions: Versions) -> None:
    damage(versions.add("v2") / "model.onnx")


def no_network(versions: Versions) -> None:
    versions.add("v2", network=b"no network")


def unchecked(versions: Versions) -> None:
    versions.add("v2", checked=False)


def worse_than_it_was(versions: Versions) -> None:
    versions.add("v2", worse=True, accuracy=1.0)


def worse_than_production(versions: Versions) -> None:
    versions.add("v2", worse=True, accuracy=0.0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (corrupt, "its SHA-256 differs"),
        (no_network, "no ONNX model that can be read"),
        (unchecked, "no golden set"),
        (worse_than_it_was, "gets 0.000 of its golden set right, after training it was 1.000"),
        (worse_than_production, "of the golden set of v1 right, which itself gets 1.000"),
    ],
)
async def test_a_bad_version_is_refused_while_the_good_one_serves(
    versions: Versions, make: Callable[[Versions], None], reason: str
) -> None:
    make(versions)
    versions.point("production", "v2")
    refused = figure("zhiyin_intent_rollouts_total", model="shop", alias="production", outcome="refused")
    async with running(versions.home) as server:
        await server.rollout.follow()
        assert reason in server.refused["production"]
        assert (await server.ask())[0].model.version == "v1"
        # It is not tried again and again ...
        await server.rollout.follow()
        now = figure("zhiyin_intent_rollouts_total", model="shop", alias="production", outcome="refused")
        assert now == refused + 1
        # ... and a good version is taken as ever.
        versions.add("v3")
        versions.point("production", "v3")
        await server.rollout.follow()
        assert (server.version, server.refused) == ("v3", {})
    assert pointer(versions) == "v1"


async def test_a_person_may_want_a_version_although_it_is_worse(versions: Versions) -> None:
    worse_than_production(versions)
    versions.point("production", "v2", forced=True)
    async with running(versions.home) as server:
        await server.rollout.follow()
        assert server.version == "v2"


class Moody(Model):
    """A model that fails when the test wants it to."""

    failing = False

    def answer_batch(self, batch: Sequence[Encoded], tasks: Sequence[Task], *, today: date) -> list[Answer]:
        if self.failing:
            raise RuntimeError("out of order")
        return super().answer_batch(batch, tasks, today=today)


@pytest.fixture
async def moody(versions: Versions) -> AsyncIterator[tuple[Server, Moody]]:
    """`v2`, watched in production after `v1`, and its model."""
    versions.add("v2")
    versions.point("production", "v2")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(versions.home))
        model = Moody(read_source(versions.home / "models" / "shop" / "v2"), streams=1)
        live = LiveModel(BatchQueue[Any, Any](served(model), BatchPolicy()))
        server.deployment.put_in_production(live, watch=True)
        yield server, model


async def test_a_version_that_fails_is_rolled_back(versions: Versions, moody: tuple[Server, Moody]) -> None:
    server, model = moody
    assert (await server.ask())[0].model.version == "v2"
    model.failing = True
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await server.ask()
    await server.rollout.review()
    assert (await server.ask())[0].model.version == "v1"
    assert pointer(versions) == "v1"
    # Callers are told by the model's name, and everybody else by the metric.
    assert figure("zhiyin_intent_rollouts_total", model="shop", alias="production", outcome="rolled_back") >= 1


async def test_a_canary_that_does_well_becomes_production_without_loading_it_again(versions: Versions) -> None:
    versions.add("v2")
    versions.point("canary", "v2")
    async with running(versions.home) as server:
        await server.rollout.follow()
        canary = server.deployment.canary
        versions.point("production", "v2")
        await server.rollout.follow()
        assert server.deployment.production is canary is not None
        assert server.deployment.canary is None


async def test_a_canary_goes_with_its_alias(versions: Versions) -> None:
    versions.add("v2")
    versions.point("canary", "v2")
    async with running(versions.home) as server:
        await server.rollout.follow()
        assert (await server.ask(version="v2"))[0].model.version == "v2"
        versions.tracker.clear("shop", "canary")
        await server.rollout.follow()
        assert [each.version for each in server.deployment.loaded()] == ["v1"]


async def test_a_canary_that_says_something_else_is_withdrawn(versions: Versions) -> None:
    versions.add("v2", worse=True, accuracy=0.0)
    versions.point("canary", "v2", forced=True)
    async with running(versions.home, canary_share=0.5) as server:
        await server.rollout.follow()
        mirroring = asyncio.create_task(server.models.mirror.run())
        try:
            for number in range(120):
                await server.ask("退款", key=str(number))
            judged = server.deployment.canary
            assert judged is not None
            await until(lambda: judged.compared >= 30)
        finally:
            mirroring.cancel()
        labels = {"model": "shop", "version": "v2", "role": "canary"}
        assert figure("zhiyin_intent_compared_total", agree="no", **labels) >= 30
        assert figure("zhiyin_intent_answer_seconds_count", **labels) >= 30
        assert (await server.ask("退款", version="v2"))[0].intent.name == "track_order"
        await server.rollout.review()
        assert server.deployment.canary is None
        assert "agrees with production on 0 of" in server.refused["canary"]
        await server.rollout.follow()
        assert server.deployment.canary is None
        assert server.version == "v1"


async def test_drift_shows_when_customers_ask_something_else(versions: Versions) -> None:
    async with running(versions.home) as server:
        for number in range(60):
            await server.ask(*(text for text in ("快递", "退款", "hello", "雨")), key=str(number))
        even = figure("zhiyin_intent_drift", model="shop", version="v1", of="intent")
        assert even < 0.05
        for number in range(300):
            await server.ask("雨", "雨", "雨", key=str(number))
        assert figure("zhiyin_intent_drift", model="shop", version="v1", of="intent") > 0.2 > even
        assert figure("zhiyin_intent_drift", model="shop", version="v1", of="confidence") < 0.05


async def test_its_loops_report_until_one_of_them_hangs(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(versions.home, model_poll_seconds=0.01) as server:
        beats: Counter[str] = Counter()
        rollout = Rollout(
            server.models,
            FileRegistry(versions.home / "mlflow.db"),
            Settings(home=versions.home, model_poll_seconds=0.01),
            beat=lambda loop: beats.update([loop]),
        )
        task = asyncio.create_task(rollout.run())
        try:
            await until(lambda: beats[FOLLOWING] > 5 and beats[REVIEWING] > 1)
            hung = asyncio.Event()

            async def hang(_name: str) -> None:
                hung.set()
                await asyncio.Event().wait()

            monkeypatch.setattr(FileRegistry, "aliases", lambda _self, name: hang(name))
            await hung.wait()
            silent, loud = beats[FOLLOWING], beats[REVIEWING]
            await until(lambda: beats[REVIEWING] > loud + 1)
            assert beats[FOLLOWING] == silent
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
