"""Runs and versions in a real MLflow store."""

from pathlib import Path

import pytest

from services.learning.artifacts.record import TrainingRecord
from services.learning.release.comparison import Comparison
from services.learning.release.gate import Difference
from services.learning.runs.tracking import Tracker
from shared.errors import ConfigurationError
from shared.nlu.manifest import read_manifest
from tests.versions import RECORD, Versions, copied


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return copied(tmp_path)


def aliases(tracker: Tracker) -> dict[str, tuple[str, ...]]:
    return {each.version: each.aliases for each in tracker.versions("shop")}


def test_a_folder_is_registered_once_and_the_latest_to_come_is_the_candidate(versions: Versions) -> None:
    tracker, first = versions.tracker, versions.add("v1")
    versions.add("v2")
    assert list(aliases(tracker).items()) == [("v2", ("candidate",)), ("v1", ())], "the newest first"
    tracker.register(first, read_manifest(first), RECORD)
    assert aliases(tracker) == {"v2": (), "v1": ("candidate",)}
    assert tracker.versions("other") == []


def test_figures_of_every_part_and_of_every_epoch_are_kept(versions: Versions) -> None:
    metrics = {"all": {"intent_accuracy": 0.75}, "zh": {"intent_accuracy": 0.5}}
    folder = versions.add("v1", name="other", metrics=metrics)
    epochs = [{"number": number, "loss": 1 / number, "validation_entity_f1": None} for number in (1, 2)]
    record = TrainingRecord.model_validate({**RECORD.model_dump(), "history": epochs})
    manifest = read_manifest(folder).model_copy(update={"name": "shop"})
    versions.tracker.register(folder, manifest, record)
    [version] = versions.tracker.versions("shop")
    assert version.figures == {"intent_accuracy": 0.75, "zh_intent_accuracy": 0.5, "loss": 0.5}


def test_how_a_version_compares_is_kept_for_all_parts_together(versions: Versions) -> None:
    versions.add("v1")
    parts = [
        Difference(part=part, figure="intent_accuracy", candidate=0.9, production=0.8, low=0.0, high=0.2)
        for part in ("all", "zh")
    ]
    comparison = Comparison(against="v0", differences=tuple(parts))
    versions.tracker.note("shop", "v1", comparison)
    versions.tracker.note("shop", "unknown", comparison)
    [version] = versions.tracker.versions("shop")
    assert version.comparison == Comparison(against="v0", differences=(parts[0],))


def test_versions_beyond_a_page_are_found(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.learning.runs.tracking.PAGE", 2)
    names = [f"v{number}" for number in range(5)]
    for name in names:
        versions.add(name)
    assert [each.version for each in versions.tracker.versions("shop")] == names[::-1]
    versions.tracker.point("shop", "canary", "v0")
    assert versions.tracker.version_at("shop", "canary") == "v0"


def test_an_alias_names_one_version_until_it_is_taken_away(versions: Versions) -> None:
    tracker = versions.tracker
    for name in ("v1", "v2"):
        versions.add(name)
    assert tracker.version_at("shop", "canary") is None
    tracker.point("shop", "canary", "v1")
    tracker.point("shop", "canary", "v2")
    assert tracker.version_at("shop", "canary") == "v2"
    assert aliases(tracker) == {"v2": ("canary", "candidate"), "v1": ()}
    tracker.clear("shop", "canary")
    tracker.clear("shop", "canary")
    assert tracker.version_at("shop", "canary") is None
    with pytest.raises(ConfigurationError, match=r"^no version v3 of shop is registered"):
        tracker.point("shop", "canary", "v3")


def test_what_a_person_took_out_stays_out_until_it_is_named_again(versions: Versions) -> None:
    tracker = versions.tracker
    versions.add("v1")
    tracker.withdraw("shop", "v1")
    tracker.withdraw("shop", "unknown")
    assert tracker.withdrawn("shop", "v1")
    assert [each.withdrawn for each in tracker.versions("shop")] == [True]
    assert not tracker.withdrawn("shop", "unknown")
    tracker.point("shop", "production", "v1")
    assert not tracker.withdrawn("shop", "v1")
