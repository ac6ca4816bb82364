"""The shop's connector."""

import shutil
from pathlib import Path

import pytest

from shared.assistants.connectors import ConnectorFiles, read_connectors
from shared.assistants.yaml_source import Mistakes

SHOP = Path(__file__).parents[4] / "assistants" / "shop"


@pytest.fixture
def connectors(tmp_path: Path) -> ConnectorFiles:
    """The demo assistant's connectors, without a mistake in them."""
    shutil.copytree(SHOP / "connectors.next", tmp_path / "assistant" / "connectors")
    mistakes = Mistakes()
    files = read_connectors(tmp_path / "assistant", str, mistakes)
    assert not mistakes.found
    return files
