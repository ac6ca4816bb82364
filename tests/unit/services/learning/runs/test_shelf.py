"""The versions of one folder of data, of a small kind; what runs do with them is tested there."""

from pathlib import Path

import pytest

from services.learning.progress import Progress
from services.learning.runs.runs import train
from services.learning.runs.shelf import Shelf, recipe_of
from shared.nlu.manifest import ModelError
from tests.nearest.learned import HELDOUT, NEAREST, ROWS, Nearest, write_table
from tests.versions import put_empty_store

KINDS = {NEAREST: Nearest()}
FAR = (50.0, 50.0, "far")


def quiet(progress: Progress) -> None:
    """Wants to know nothing."""


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf.of(write_table(tmp_path / "table"), tmp_path / "home", KINDS)


@pytest.fixture
def model(shelf: Shelf, tmp_path: Path) -> Path:
    put_empty_store(shelf.home)
    return train(tmp_path / "table", shelf.home, quiet, kinds=KINDS).path


def test_what_was_measured_is_kept_until_the_held_out_data_changes(shelf: Shelf, model: Path, tmp_path: Path) -> None:
    (model / "card.md").unlink()
    assert shelf.measured(model) == KINDS[NEAREST].measured.read(model)
    assert not (model / "card.md").exists(), "nothing was measured"
    other = Shelf.of(write_table(tmp_path / "table", heldout=HELDOUT[1:]), shelf.home, KINDS)
    found = other.measured(model)
    assert found is not None
    assert len(found.rows) == len(HELDOUT) - 1
    assert (model / "card.md").exists()
    assert Shelf.of(write_table(tmp_path / "table", heldout=()), shelf.home, KINDS).measured(model) is None


def test_a_model_that_lacks_a_label_is_judged_on_the_rest(shelf: Shelf, model: Path, tmp_path: Path) -> None:
    larger = Shelf.of(write_table(tmp_path / "table", heldout=(*HELDOUT, FAR)), shelf.home, KINDS)
    with pytest.raises(ModelError, match="lacks the labels"):
        larger.measured(model)
    found = larger.judged(model)
    assert found is not None
    assert len(found.rows) == len(HELDOUT)
    assert shelf.judged(model) == shelf.measured(model)
    assert shelf.judged(tmp_path) is None, "no model is there"


def test_another_recipe_is_another_model(shelf: Shelf, model: Path, tmp_path: Path) -> None:
    assert shelf.obtain(shelf.whole(), None) == model
    other = Shelf.of(write_table(tmp_path / "table", rows=(*ROWS, FAR)), shelf.home, KINDS)
    assert other.obtain(other.whole(), None) is None
    assert recipe_of(shelf.prepared) == shelf.whole().recipe
    assert recipe_of(shelf.prepared, "more") != shelf.whole().recipe
    assert other.cache_key(other.whole()) != shelf.cache_key(shelf.whole())
