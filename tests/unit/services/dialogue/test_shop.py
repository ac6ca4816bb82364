"""The demo assistant's own conversations, with a table instead of the model and the real rules of the shop."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.dialogue.assistant import load_assistant
from services.dialogue.conversation_tests import TestCase, load_conversations, run_conversation
from tests.unit.services.dialogue.business_shop import BusinessShop
from tests.unit.services.dialogue.understandings import read_table

HERE = Path(__file__).parent
FOLDER = Path(__file__).parents[4] / "assistants" / "shop"
ASSISTANT = load_assistant(FOLDER)
CASES = load_conversations(FOLDER, ASSISTANT)
TABLE = read_table(HERE / "shop_understandings.yml")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_there_are_conversations_for_everything() -> None:
    assert len(CASES) >= 45


def test_the_table_has_every_sentence_and_no_other() -> None:
    said = {turn.user for case in CASES for turn in case.conversation.turns if turn.user is not None}
    assert said == set(TABLE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.conversation.conversation)
def test_conversation(case: TestCase, runner: asyncio.Runner, tmp_path: Path) -> None:
    shop = BusinessShop(
        runner, f"sqlite+aiosqlite:///{tmp_path}/shop.sqlite", FOLDER / "rules", case.conversation.customer
    )
    try:
        result = run_conversation(ASSISTANT, case, TABLE.__getitem__, shop)
    finally:
        shop.close()
    assert result.passed, "\n".join([*result.failures, *result.transcript])
