from pathlib import Path

import pytest

from services.intent.model import Model
from services.learning.tracking import Tracker
from tests.models import write_model
from tests.versions import Versions, copied


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


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with its tables and nothing in them."""
    home = tmp_path_factory.mktemp("store")
    assert Tracker(home).versions("shop") == []
    return home / "mlflow.db"


@pytest.fixture
def versions(empty_store: Path, tmp_path: Path) -> Versions:
    """A home with the version `v1` registered, named by `production`, and the last good one."""
    versions = copied(empty_store, tmp_path)
    versions.add("v1", production=True)
    versions.point("production", "v1")
    return versions
