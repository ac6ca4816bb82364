"""An assistant's conversations with its system, and with the answers that were recorded of it."""

from pathlib import Path

import pytest
import yaml

from cli.assistant_tests import hold_conversations
from cli.new import new
from cli.recordings import FOLDER
from services.dialogue.testing import ConversationResult
from shared.contracts.understanding import IntentScore, ModelRef, OutOfScope, Sentiment, Understanding
from tests.unit.cli.library import library_system


@pytest.fixture
def library(tmp_path: Path) -> Path:
    new(tmp_path / "library")
    (tmp_path / "library" / "tests" / "talk.yml").unlink()
    return tmp_path / "library"


def understand(text: str) -> Understanding:
    """What the words of the template's conversations mean."""
    meanings = {"借了": "my_loans", "loans": "my_loans", "续借": "renew_loan", "renew": "renew_loan"}
    meanings |= {"hours": "faq_opening_hours", "不用": "deny", "第一": "inform"}
    name = next((intent for word, intent in meanings.items() if word in text), "affirm")
    intent = IntentScore(name=name, confidence=0.99)
    return Understanding(
        text=text,
        language="en" if text.isascii() else "zh",
        intent=intent,
        ranking=(intent,),
        entities=(),
        sentiment=Sentiment(label="neutral", confidence=1.0),
        out_of_scope=OutOfScope(detected=False, score=0.0),
        model=ModelRef(name="library", version="scripted"),
    )


def failures(results: list[ConversationResult]) -> list[str]:
    assert len(results) == 6
    return [line for each in results for line in each.failures]


def test_recorded_answers_are_enough(library: Path) -> None:
    assert failures(hold_conversations(library, understand)) == []


def test_what_a_system_answers_is_written_down_and_does_without_it(library: Path) -> None:
    recorded = library / FOLDER / "core.yml"
    recorded.unlink()
    found = failures(hold_conversations(library, understand))
    assert any("no answer was recorded for GET /members/C1001/loans of connectors/core.yml" in each for each in found)
    with library_system() as url:
        assert failures(hold_conversations(library, understand, answers="record", urls={"core": url})) == []
    assert failures(hold_conversations(library, understand)) == []
    # The third conversation found the book renewed by the second.
    entries = yaml.safe_load(recorded.read_text(encoding="utf-8"))["recorded"]
    assert {"不续了", "别人预约了，不能续借"} <= {each.get("conversation") for each in entries}


def test_a_system_that_fails_is_what_a_conversation_hears_of(library: Path) -> None:
    recorded = library / FOLDER / "core.yml"
    text = recorded.read_text(encoding="utf-8").replace("{body: {loans: []}}", "{status: 503}")
    recorded.write_text(text, encoding="utf-8")
    (found,) = failures(hold_conversations(library, understand))
    assert "should answer ['no_loans'], answers ['lookup_failed']" in found


def test_without_a_system_each_conversation_says_so(library: Path) -> None:
    found = failures(hold_conversations(library, understand, answers="real", urls={"core": "http://127.0.0.1:1"}))
    assert len({each.partition(": ")[0] for each in found}) == 5  # all but the one in which business is away
