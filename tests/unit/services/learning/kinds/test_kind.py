"""A kind that learning does not know, through the real runs, cache, registry and gate."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from services.learning.artifacts.record import TrainingRecord
from services.learning.kinds.kind import AnyKind
from services.learning.kinds.known import KINDS
from services.learning.progress import Progress
from services.learning.runs.cache import UserCache
from services.learning.runs.runs import TrainedModel, evaluate, promote, train
from services.learning.runs.tracking import Tracker
from shared.nlu.manifest import ModelError, read_manifest, read_source
from shared.nlu.training_data import AssistantError
from tests.nearest.learned import (
    FARTHEST,
    HELDOUT,
    NEAREST,
    ROWS,
    Farthest,
    Nearest,
    NearestManifest,
    write_table,
)
from tests.versions import put_empty_store

SWAPPED = tuple((x, y, "high" if label == "low" else "low") for x, y, label in ROWS)
BETTER = (*ROWS, (9.0, 9.0, "high"))


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


@pytest.fixture
def nearest() -> Nearest:
    return Nearest()


@pytest.fixture
def kinds(nearest: Nearest) -> Mapping[str, AnyKind]:
    return {**KINDS, NEAREST: nearest, FARTHEST: Farthest()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    put_empty_store(tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "table")


@pytest.fixture
def model(table: Path, home: Path, kinds: Mapping[str, AnyKind]) -> TrainedModel:
    return train(table, home, quiet, kinds=kinds)


def aliases(home: Path) -> dict[str, tuple[str, ...]]:
    """The registered versions and their aliases."""
    return {each.version: each.aliases for each in Tracker(home).versions("shapes")}


def in_production(home: Path) -> str:
    return (home / "models" / "shapes" / "production").read_text(encoding="utf-8").strip()


def test_it_is_trained_measured_registered_and_put_in_production(model: TrainedModel, home: Path) -> None:
    assert (model.cached, model.held_back, model.metrics) == (False, "", {"all": {"accuracy": 1.0, "mistakes": 0}})
    source = read_source(model.path, NearestManifest)
    assert (source.manifest.kind, source.manifest.labels) == (NEAREST, ("high", "low"))
    assert (source.manifest.name, source.manifest.version) == ("shapes", model.version)
    assert source.manifest.metrics == model.metrics
    assert set(source.manifest.files) == {"centroids.json", "golden.json"}
    assert {each.name for each in model.path.iterdir()} == {
        *source.manifest.files,
        "manifest.json",
        "training.json",
        "metrics.json",
        "card.md",
    }
    record = TrainingRecord.read(model.path)
    assert (record.settings, record.sizes, record.history) == ({"metric": "euclidean"}, {"training_rows": 4}, ())
    [version] = Tracker(home).versions("shapes")
    assert (version.version, version.aliases) == (model.version, ("candidate", "production"))
    assert version.figures["accuracy"] == 1.0
    assert in_production(home) == model.version
    assert {each.name for each in model.path.parent.iterdir()} == {".lock", "production", model.version}


def test_the_same_data_is_trained_once(
    model: TrainedModel, table: Path, home: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    again = train(table, home, quiet, kinds=kinds)
    assert (again.cached, again.version) == (True, model.version)
    assert nearest.fits == ["new"]
    train(write_table(table, rows=BETTER), home, quiet, kinds=kinds)
    assert nearest.fits == ["new", "new"]


def test_another_home_takes_it_from_the_cache(
    table: Path, tmp_path: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    cache = UserCache(tmp_path / "cache", pytest.fail)
    found = []
    for name in ("one", "two"):
        put_empty_store(tmp_path / name)
        found.append(train(table, tmp_path / name, quiet, cache=cache, kinds=kinds))
    assert [each.cached for each in found] == [False, True]
    assert found[0].version == found[1].version == in_production(tmp_path / "two")
    assert nearest.fits == ["new"]


def test_a_damaged_one_is_trained_again(
    model: TrainedModel, table: Path, home: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    (model.path / "centroids.json").write_text("{}", encoding="utf-8")
    shutil.move(model.path, model.path.with_name(f"20200101T000000-{model.version.rpartition('-')[2]}"))
    assert not train(table, home, quiet, kinds=kinds).cached
    assert nearest.fits == ["new", "new"]


def test_a_stopped_fit_finds_what_it_left(
    table: Path, home: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    nearest.stopping = True
    with pytest.raises(KeyboardInterrupt):
        train(table, home, quiet, kinds=kinds)
    nearest.stopping = False
    assert not train(table, home, quiet, kinds=kinds).cached
    assert nearest.fits == ["new", "again"]


def test_a_worse_one_is_held_back(model: TrainedModel, table: Path, home: Path, kinds: Mapping[str, AnyKind]) -> None:
    worse = train(write_table(table, rows=SWAPPED), home, quiet, kinds=kinds)
    assert worse.held_back == "accuracy (all) is 0.0000, in production it is 1.0000: -100.0 (-100.0 to -100.0) points"
    assert aliases(home) == {worse.version: ("candidate",), model.version: ("production",)}
    with pytest.raises(ModelError, match=r"accuracy \(all\) is 0\.0000.*--force"):
        promote(table, home, worse.version, kinds=kinds)
    assert in_production(home) == model.version
    assert promote(table, home, "candidate", force=True, kinds=kinds) == worse.version
    assert in_production(home) == worse.version
    assert promote(table, home, model.version, kinds=kinds) == in_production(home) == model.version


def test_what_production_does_not_know_takes_no_part_in_the_comparison(
    model: TrainedModel, table: Path, home: Path, kinds: Mapping[str, AnyKind]
) -> None:
    far = (50.0, 50.0, "far")
    write_table(table, rows=(*SWAPPED, far), heldout=(*HELDOUT, far))
    before = (model.path / "metrics.json").read_bytes()
    worse = train(table, home, quiet, kinds=kinds)
    assert worse.metrics["all"]["accuracy"] == pytest.approx(0.2)
    assert "is 0.0000, in production it is 1.0000" in worse.held_back
    assert (model.path / "metrics.json").read_bytes() == before, "it was not measured on all of the data"
    write_table(table, rows=(*BETTER, far), heldout=(*HELDOUT, far))
    better = train(table, home, quiet, kinds=kinds)
    assert better.held_back == ""
    assert better.comparison is not None
    assert (better.comparison.against, in_production(home)) == (model.version, better.version)


def test_other_held_out_data_is_measured_without_a_fit(
    model: TrainedModel, table: Path, home: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    again = train(write_table(table, heldout=(*HELDOUT, (0.0, 0.0, "high"))), home, quiet, kinds=kinds)
    assert again.metrics == {"all": {"accuracy": pytest.approx(0.8), "mistakes": 1}}
    assert nearest.fits == ["new"]


def test_it_is_measured_by_what_its_manifest_names(
    model: TrainedModel, table: Path, kinds: Mapping[str, AnyKind]
) -> None:
    (model.path / "card.md").unlink()
    assert evaluate(table, model.path, kinds=kinds).summary() == model.metrics
    assert (model.path / "card.md").read_text(encoding="utf-8") == "0 of 4 are wrong\n"
    written = json.loads((model.path / "metrics.json").read_text(encoding="utf-8"))
    assert (written["summary"], written["mistakes"]) == (model.metrics, [])


def test_a_kind_that_is_not_known_is_refused(model: TrainedModel, table: Path, home: Path) -> None:
    with pytest.raises(ModelError, match="of the kind nearest, which is not known here; known: understanding"):
        evaluate(table, model.path)
    with pytest.raises(AssistantError, match=r"assistant\.yml"):
        train(table, home, quiet)


def test_a_version_of_another_kind_than_the_data_takes_no_place(
    model: TrainedModel, tmp_path: Path, home: Path, kinds: Mapping[str, AnyKind]
) -> None:
    other = write_table(tmp_path / "other", file=Farthest.data_file)
    with pytest.raises(ModelError, match="of the kind nearest, and the data is for farthest"):
        promote(other, home, model.version, kinds=kinds)
    # With the same name and rows, but another kind, it is another model; with what is there nothing can be compared.
    made = train(other, home, quiet, kinds=kinds)
    assert (made.cached, made.held_back, read_manifest(made.path, NearestManifest).kind) == (False, "", FARTHEST)


def test_what_a_kind_does_not_offer_is_not_asked_of_it(
    table: Path, home: Path, nearest: Nearest, kinds: Mapping[str, AnyKind]
) -> None:
    made = train(table, home, quiet, soon=True, kinds=kinds)
    assert (made.preliminary, made.cached) == (False, False)
    with pytest.raises(ModelError, match="of the kind nearest cannot be extended; train shapes as a whole"):
        train(table, home, quiet, quick=True, kinds=kinds)
    assert nearest.fits == ["new"]
