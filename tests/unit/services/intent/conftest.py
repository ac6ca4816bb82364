from pathlib import Path

import pytest

from services.learning.runs.tracking import Tracker
from tests.versions import Versions, copied


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
