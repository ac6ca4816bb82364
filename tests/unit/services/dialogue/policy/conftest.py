"""The small assistant, and somebody who talks to it."""

from collections.abc import Iterator

import pytest

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.policy.state import State
from tests.unit.services.dialogue.assistants import load
from tests.unit.services.dialogue.talker import Talker


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    """The small assistant; nothing in it changes."""
    return load(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def talk(mini: Assistant) -> Iterator[Talker]:
    """A conversation with it, whose state survives JSON in the end."""
    talker = Talker(mini)
    yield talker
    assert State.model_validate_json(talker.state.model_dump_json()) == talker.state
