"""One bank for all tests of it, as it was seeded at the start of each."""

from collections.abc import Iterator

import pytest

from tests.bank import RunningBank, running_bank


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBank]:
    with running_bank(tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture
def bank(seeded: RunningBank) -> RunningBank:
    seeded.reset()
    return seeded
