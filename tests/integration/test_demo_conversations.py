"""The demo assistant's conversations, held with its model and a real shop."""

from pathlib import Path

import pytest

from cli.assistant_tests import hold_conversations
from shared.nlu.model import Model
from tests.demo import DEMO

WHOLE_MODEL_ONLY = frozenset({"Everything in one sentence", "税号等一下再给"})
"""What the first model does not understand; `make test-demo` holds these too."""


def test_the_demos_conversations_go_as_they_should(demo_model: Path, request: pytest.FixtureRequest) -> None:
    model = Model.load(demo_model)
    results = hold_conversations(DEMO, lambda text: model.understand([text])[0])
    allowed: frozenset[str] = frozenset() if request.config.getoption("--whole-model") else WHOLE_MODEL_ONLY
    assert {each.name for each in results} >= WHOLE_MODEL_ONLY
    assert not [(each.where, each.failures) for each in results if not each.passed and each.name not in allowed]
