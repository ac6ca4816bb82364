"""A folder as training exports one, for the tests of the libraries that compute it."""

import shutil
from pathlib import Path

import pytest

from tests.models import write_exported_model


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that no test changes."""
    return write_exported_model(tmp_path_factory.mktemp("models") / "shop" / "v1")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return shutil.copytree(exported, tmp_path / "v1")
