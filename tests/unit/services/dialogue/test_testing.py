from pathlib import Path
from typing import Any

import pytest

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.testing import ConversationResult, load_conversations, run
from shared.assistants.yaml_source import BrokenAssistant
from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus
from shared.contracts.lookups import LookupAnswer
from tests.unit.services.dialogue.assistants import load
from tests.unit.services.dialogue.understandings import understanding

MEANINGS = {
    each.text: each
    for each in (
        understanding("book [five](word)", "book"),
        understanding("for [six](word)", "inform"),
        understanding("window", "inform"),
        understanding("yes", "affirm"),
        understanding("a person", "ask_human"),
        understanding("hello", "greet"),
    )
}


class Restaurant:
    """A shop whose actions end as the customer's number says."""

    def __init__(self, customer: str) -> None:
        self.customer = customer

    def lookup(self, name: str, arguments: dict[str, Any]) -> LookupAnswer:
        found = self.customer != "nobody"
        tables = [{"number": "five", "seats": 2}, {"number": "six", "seats": 2}]
        return LookupAnswer(name=name, found=found, data={"tables": tables, "number": "five", "open": True})

    def perform(self, request: ActionRequest) -> ActionResult:
        status: ActionStatus = "awaiting_approval" if self.customer == "slow" else "succeeded"
        return self.result(request, status)

    def review(self, request: ActionRequest, *, approved: bool) -> ActionResult:
        return self.result(request, "succeeded" if approved else "rejected")

    def result(self, request: ActionRequest, status: ActionStatus) -> ActionResult:
        return ActionResult(
            action_id=request.id,
            tenant=request.tenant,
            name=request.name,
            conversation_id=request.conversation_id,
            status=status,
            data={"code": 7},
        )


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Assistant:
    return load(tmp_path_factory.mktemp("mini"))


def held(mini: Assistant, folder: Path, text: str) -> list[ConversationResult]:
    (folder / "tests").mkdir()
    (folder / "tests" / "all.yml").write_text(text)
    return run(mini, load_conversations(folder, mini), MEANINGS.__getitem__, Restaurant)


def test_a_conversation_that_goes_as_it_should(mini: Assistant, tmp_path: Path) -> None:
    [result] = held(
        mini,
        tmp_path,
        """
- conversation: Booking
  customer: slow
  turns:
    - user: book five
      intent: book
      expect: [good_choice, ask_note]
      contains: [Good choice]
      offers: [Skip]
      language: en
    - choose: Skip
      expect: [confirm_booking]
    - choose: 'yes'
      expect: [booked]
      action: {name: book, arguments: {table: five}}
    - result: awaiting_approval
      expect: []
    - review: approved
      expect: [booking_done]
      contains: [code 7]
    - user: a person
      handoff: asked
    - user: hello
      without: [understanding]
      expect: [handoff_waiting]
    - user: hello
      expect: []
""",
    )
    assert result.failures == []
    assert result.passed
    assert result.where == f"{tmp_path}/tests/all.yml:2"
    assert "> book five" in result.transcript
    assert "> [Skip]" in result.transcript
    assert "! book {'table': 'five'}" in result.transcript
    assert "~ book awaiting_approval" in result.transcript


@pytest.mark.parametrize(
    ("turn", "failure"),
    [
        ("{user: book five, intent: pay}", "should be understood as pay, is as book (0.95)"),
        ("{user: book five, expect: [hello]}", "should answer ['hello'], answers ['good_choice', 'ask_note']"),
        ("{user: hello, contains: [Goodbye]}", "should say 'Goodbye', says: H"),
        ("{user: hello, offers: [Tea]}", "should offer 'Tea', offers []"),
        ("{user: hello, language: zh}", "should speak zh, speaks ['en']"),
        ("{user: hello, action: {name: book}}", "should do book {}, does []"),
        ("{user: a person}", "should hand over nothing, hands over ['asked']"),
        ("{user: hello, handoff: asked}", "should hand over asked, hands over []"),
        ("{result: succeeded}", "there is no action whose result could arrive"),
        ("{review: approved}", "there is no action whose result could arrive"),
        ("{user: book five, without: [business], expect: []}", "should answer [], answers ['lookup_failed']"),
    ],
)
def test_what_went_wrong_is_reported_with_its_line(mini: Assistant, tmp_path: Path, turn: str, failure: str) -> None:
    text = f"- conversation: Once\n  turns:\n    - {turn}\n    - {{user: never said}}\n"
    [result] = held(mini, tmp_path, text)
    assert not result.passed
    [found] = result.failures
    assert found.startswith(f"{tmp_path}/tests/all.yml:3: {failure}")


def test_an_action_that_nobody_expected_and_one_that_ends_otherwise(mini: Assistant, tmp_path: Path) -> None:
    start = "- conversation: A\n  turns:\n    - user: book five\n    - choose: Skip\n    - choose: Do it\n"
    act = "      action: {name: book}\n"
    results = held(mini, tmp_path, start + start + act + "    - result: rejected\n")
    assert "should not do anything, does book {'table': 'five'}" in results[0].failures[0]
    assert "book should have rejected, is succeeded (None)" in results[1].failures[0]


def test_every_conversation_has_a_shop_of_its_own(mini: Assistant, tmp_path: Path) -> None:
    turns = "\n  turns:\n    - {user: book five, expect: [%s]}\n"
    results = held(
        mini,
        tmp_path,
        "- conversation: A"
        + turns % "good_choice, ask_note"
        + "- conversation: B\n  customer: nobody"
        + turns % "nothing_free",
    )
    assert [result.failures for result in results] == [[], []]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (
            "- conversation: A\n  turns:\n    - user: x\n      expct: []",
            "all.yml:4: 'expct' is not known here; did you mean 'expect'?",
        ),
        (
            "- conversation: A\n  turns:\n    - user: x\n      result: failed",
            "all.yml:3: 0.turns.0: a turn has one of: user",
        ),
        (
            "- conversation: A\n  turns:\n    - user: x\n      expect: [helo]",
            "all.yml:4: there is no reply 'helo'; did you mean 'hello'?",
        ),
        ("- conversation: A\n  turns: []", "all.yml:2: 0.turns: List should have at least 1 item"),
        ("conversation: A", "all.yml:1: Input should be a valid list"),
    ],
)
def test_a_mistake_in_a_test_is_named(mini: Assistant, tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(BrokenAssistant) as caught:
        held(mini, tmp_path, text)
    assert mistake in str(caught.value)
