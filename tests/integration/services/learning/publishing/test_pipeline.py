"""The pipeline of a release, cut off at every state, beside another replica, and with everything that can be away."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.learning import repository
from services.learning.models import ReleaseRow
from services.learning.publishing.pipeline import model_of
from services.learning.publishing.trainer import Say, Trained, Training, TrainingFailed
from shared.assistants.bundle import digest_of
from shared.storage.database import ALL_TENANTS, Database, now
from tests.integration.services.learning.publisher import SERVICES, Client, ScriptedTrainer, bundle_of, running
from tests.stack import eventually


async def change(url: str, release: dict[str, Any], **values: Any) -> None:
    """What another replica would write."""
    database = Database(url)
    async with database.transaction(ALL_TENANTS) as session:
        row = await repository.find_release(session, release["id"])
        assert row is not None
        for name, value in values.items():
            setattr(row, name, value)
    await database.close()


async def test_learning_that_is_started_again_goes_on_in_every_state(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    home, store = tmp_path / "home", tmp_path / "home" / "data" / "bundles"
    data = bundle_of(tmp_path, "hello")
    async with running(home, url, trainer) as client:
        await client.upload(data)
        os.rename(store, tmp_path / "aside")
        store.write_text("away")
        release = await client.publish_again(data)
    trainer.go_on.clear()
    store.unlink()
    os.rename(tmp_path / "aside", store)
    await change(url, release, held_until=None)
    async with running(home, url, trainer) as client:
        training = await client.until(release, "training")

        async def at_work() -> bool:
            return bool((await client.release(release))["reason"] == "training, 50 %")

        await eventually(at_work)
        assert training["model_version"] == ""
    trainer.go_on.set()
    async with running(home, url, trainer) as client:
        await client.until(release, "proving")
        await client.report(release["id"], SERVICES[0])
    async with running(home, url, trainer) as client:
        for service in SERVICES[1:]:
            await client.report(release["id"], service)
        await client.until(release, "ready")
        assert await client.production() == release["id"]
    assert len(trainer.trained) == 2


async def test_a_release_of_a_killed_replica_is_taken_over_when_its_time_is_up(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        trainer.go_on.clear()
        release = await client.publish(bundle_of(tmp_path, "hello"))
        await client.until(release, "training")
    trainer.go_on.set()
    await change(url, release, holder="killed", held_until=now() + timedelta(seconds=1))
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        await client.until(release, "ready")


async def test_of_two_replicas_one_works_and_both_know(tmp_path: Path, url: str) -> None:
    trainers = ScriptedTrainer(), ScriptedTrainer()
    home = tmp_path / "home"
    async with running(home, url, trainers[0]) as one, running(home, url, trainers[1]) as other:
        before = await other.service().call("GET", "/v1/following")
        release = await one.publish(bundle_of(tmp_path, "hello"))
        await other.until(release, "proving")
        for client, service in zip((one, other, one), SERVICES, strict=True):
            await client.report(release["id"], service)
        await other.until(release, "ready")
        assert len(trainers[0].trained) + len(trainers[1].trained) == 1
        path = f"/v1/following?after={before['cursor']}&wait=20"
        assert (await other.service().call("GET", path))["aliases"][0]["release"]["id"] == release["id"]


async def test_a_replica_that_lost_a_release_leaves_it_alone(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        trainer.go_on.clear()
        trainer.refuse = "worse"
        release = await client.publish(bundle_of(tmp_path, "hello"))
        await client.until(release, "training")
        await change(url, release, holder="another", held_until=now() + timedelta(hours=1))
        trainer.go_on.set()

        async def given_up() -> bool:
            return not any((tmp_path / "home" / "data" / "publishing").iterdir())

        await eventually(given_up)
        assert (await client.release(release))["state"] == "training"


async def test_a_training_that_breaks_refuses_its_release_and_others_go_on(tmp_path: Path, url: str) -> None:
    class Breaking(ScriptedTrainer):
        async def train(self, training: Training, say: Say) -> Trained:
            made = await super().train(training, say)
            if len(self.trained) == 1:
                raise TrainingFailed("the training ended with exit code -9")
            if len(self.trained) == 2:
                raise KeyError("a mistake of ours")
            return made

    async with running(tmp_path / "home", url, Breaking(), provers=()) as client:
        first, second, third = [await client.publish(bundle_of(tmp_path, f"{number}")) for number in range(3)]
        assert (await client.until(first, "refused"))["reason"] == "the training ended with exit code -9"
        assert "an unexpected KeyError" in (await client.until(second, "refused"))["reason"]
        await client.until(third, "ready")


async def test_a_bundle_that_was_lost_is_to_be_uploaded_again(
    tmp_path: Path, url: str, trainer: ScriptedTrainer
) -> None:
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        data = bundle_of(tmp_path, "hello")
        await client.upload(data)
        (tmp_path / "home" / "data" / "bundles" / digest_of(data)[:2] / digest_of(data)).unlink()
        release = await client.publish_again(data)
        assert "upload it again" in (await client.until(release, "refused"))["reason"]
        await client.live(data)


async def test_a_registry_of_models_that_is_away_is_told_later(tmp_path: Path, url: str) -> None:
    class Forgetful(ScriptedTrainer):
        async def point(self, name: str, version: str) -> None:
            await super().point(name, version)
            if len(self.pointed) == 1:
                raise TrainingFailed("MLflow does not answer")

    trainer = Forgetful()
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        await client.live(bundle_of(tmp_path, "one"))

        async def told() -> bool:
            return len(trainer.pointed) == 2

        await eventually(told)
        # The same model again is nothing new.
        await client.live(bundle_of(tmp_path, "two"))
        trainer.version = "v2"
        await client.live(bundle_of(tmp_path, "three"))

        async def told_of_another() -> bool:
            return trainer.pointed[2:] == [("mini", "v2")]

        await eventually(told_of_another)


async def test_a_whole_training_ends_when_other_files_are_in_production(tmp_path: Path, url: str) -> None:
    class Long(ScriptedTrainer):
        async def train(self, training: Training, say: Say) -> Trained:
            made = await super().train(training, say)
            while not training.soon:
                await say("training")
                await asyncio.sleep(0.05)
            return made

    trainer = Long()
    trainer.preliminary = True
    async with running(tmp_path / "home", url, trainer, provers=()) as client:
        await client.live(bundle_of(tmp_path, "one"))
        whole = (await client.call("GET", "/v1/assistants/mini/releases"))["releases"][0]
        await client.until(whole, "training")
        trainer.preliminary = False
        await client.live(bundle_of(tmp_path, "two"))
        assert (await client.until(whole, "refused"))["reason"] == "other files are in production by now"


async def test_names_of_models_that_are_too_long_are_refused_before_training(client: Client, tmp_path: Path) -> None:
    name = "x" * 40
    release = await client.of(tenant="t" * 40).publish(bundle_of(tmp_path, "hello", name=name), name=name)
    refused = await client.of(tenant="t" * 40).until(release, "refused")
    assert refused["reason"].endswith("has more than 64 characters")


def test_models_of_the_own_tenant_have_the_assistants_name() -> None:
    row = ReleaseRow(tenant="default", assistant="shop")
    assert (model_of(row, "default"), model_of(row, "acme")) == ("shop", "default.shop")
