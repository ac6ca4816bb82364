"""The demo assistant's own conversations, with a table instead of the model and the real rules of the shop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.assistant_tests import DemoShops
from services.dialogue.assistant.assistant import load_assistant
from services.dialogue.testing import TestCase, load_conversations, run_conversation
from tests.unit.services.dialogue.understandings import read_table

HERE = Path(__file__).parent
FOLDER = Path(__file__).parents[5] / "assistants" / "shop"
ASSISTANT = load_assistant(FOLDER)
CASES = load_conversations(FOLDER, ASSISTANT)
TABLE = read_table(HERE / "shop_understandings.yml")


@pytest.fixture(scope="module")
def shops() -> Iterator[DemoShops]:
    with DemoShops(FOLDER) as shops:
        yield shops


def test_there_are_conversations_for_everything() -> None:
    assert len(CASES) >= 45


def test_the_table_has_every_sentence_and_no_other() -> None:
    said = {turn.user for case in CASES for turn in case.conversation.turns if turn.user is not None}
    assert said == set(TABLE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.conversation.conversation)
def test_conversation(case: TestCase, shops: DemoShops) -> None:
    result = run_conversation(ASSISTANT, case, TABLE.__getitem__, shops.open(case.conversation.customer))
    assert result.passed, "\n".join([*result.failures, *result.transcript])
