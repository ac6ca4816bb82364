"""The tiny model that unit tests of inference share."""

from pathlib import Path

import pytest

from shared.nlu.model import Model
from tests.models import write_model


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the tiny model `shop` in production."""
    home = tmp_path_factory.mktemp("home")
    write_model(home)
    return home


@pytest.fixture(scope="session")
def model(home: Path) -> Model:
    """The tiny model, loaded once."""
    return Model.load(next((home / "models" / "shop").glob("*/")), streams=2)
