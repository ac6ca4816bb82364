from pathlib import Path

import pytest

from tests.versions import Versions, copied


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """A home with the version `v1` registered, named by `production`, and the last good one."""
    versions = copied(tmp_path)
    versions.add("v1", production=True)
    versions.point("production", "v1")
    return versions
