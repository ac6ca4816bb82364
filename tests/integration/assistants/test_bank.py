"""The bank's assistant: its files fit together, and its connector fits the bank that it calls."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.business.rules.rules import Rules
from services.dialogue.assistant.assistant import Assistant, load_assistant
from services.dialogue.testing import load_conversations, run
from services.learning.runs import runs
from shared.assistants.connectors import ConnectorFiles, Request, read_connectors
from shared.assistants.yaml_source import Mistakes
from shared.contracts.actions import ActionRequest
from shared.nlu.model import Model
from shared.nlu.training_data import load_training_data
from tests.bank import BANK, BankByHand, RunningBank, running_bank

TALKS_BY_ITSELF = {"ask_human", "greet", "goodbye", "thank", "ask_bot", "ask_capabilities", "small_talk"}
FEWEST_EXAMPLES, FEWEST_HELD_OUT = 40, 8


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return load_assistant(BANK)


@pytest.fixture(scope="module")
def connectors() -> ConnectorFiles:
    mistakes = Mistakes()
    found = read_connectors(BANK, str, mistakes)
    mistakes.raise_if_any()
    return found


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBank]:
    with running_bank(tmp_path_factory.mktemp("bank")) as bank:
        yield bank


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(BANK / "rules")


@pytest.fixture
def bank(seeded: RunningBank) -> RunningBank:
    seeded.reset()
    return seeded


def asked(name: str, number: int = 0, **arguments: Any) -> ActionRequest:
    """An action as dialogue asks for it."""
    return ActionRequest(
        id=f"test-{number}",
        tenant="default",
        name=name,
        conversation_id="test",
        arguments=arguments,
        requested_at=datetime.now(UTC),
    )


def test_every_flow_has_conversations_in_both_languages(assistant: Assistant) -> None:
    cases = load_conversations(BANK, assistant)
    assert len(cases) >= 60
    said: dict[str, set[str]] = {}
    for case in cases:
        language = "en" if case.conversation.conversation.isascii() or "’" in case.conversation.conversation else "zh"
        for turn in case.conversation.turns:
            said.setdefault(language, set()).update(turn.expect or ())
    for name, flow in assistant.flows.items():
        own = {step.reply for step in assistant.steps[name].values() if hasattr(step, "reply")}
        for language in ("zh", "en"):
            talked_of = own & said[language] or name in TALKS_BY_ITSELF or not flow.intents
            assert talked_of, f"{name} has no conversation in {language}"


def test_every_intent_is_taught_and_measured_in_both_languages() -> None:
    data = load_training_data(BANK)
    assert not data.warnings
    for intent in data.intents:
        for language in data.manifest.languages:
            taught = sum(each.intent == intent and each.language == language for each in data.utterances)
            held_out = sum(each.intent == intent and each.language == language for each in data.heldout)
            assert taught >= FEWEST_EXAMPLES, (intent, language)
            assert held_out >= FEWEST_HELD_OUT, (intent, language)


def test_every_request_is_an_operation_of_the_bank(connectors: ConnectorFiles, bank: RunningBank) -> None:
    described = bank.http.get("/openapi.json").json()
    requests: list[tuple[str, Request, bool]] = [
        (name, each.request, False) for name, (_, each) in connectors.lookups().items()
    ]
    for name, (_, action) in connectors.actions().items():
        requests += [(name, each, action.delivery == "idempotent") for each in [action.request] if each]
        requests += [(name, action.query.request, False)] if action.query else []
    names = {"card": "last4", "transaction": "transaction"}
    for name, request, keyed in requests:
        path = request.path
        for parameter in request.parameters:
            path = path.replace(f"{{{parameter}}}", f"{{{names.get(parameter, parameter)}}}")
        operation = described["paths"][path][request.method.lower()]
        parameters = {each["name"]: each for each in operation.get("parameters", ())}
        assert set(request.query) <= set(parameters), name
        assert keyed == ("Idempotency-Key" in parameters), name


def test_it_shows_all_three_ways_of_delivery(connectors: ConnectorFiles) -> None:
    ways = {name: action.delivery for name, (_, action) in connectors.actions().items()}
    assert {"once", "queryable"} == {way for way in ways.values() if way != "idempotent"}
    assert (ways["replace_card"], ways["book_appointment"]) == ("once", "queryable")


def test_no_card_number_is_longer_than_four_digits(bank: RunningBank) -> None:
    cards = BankByHand(bank, "C1001").lookup("cards", {}).data["cards"]
    assert [each["tail"] for each in cards] == ["6621", "8804"]


def test_a_disputed_payment_is_held_and_then_opened(bank: RunningBank) -> None:
    by_hand = BankByHand(bank, "C1001")
    done = by_hand.perform(asked("dispute_transaction", transaction="TX000001", reason="not me"))
    assert (done.status, done.data) == ("succeeded", {"dispute": "D000001", "amount": 3200, "currency": "CNY"})
    again = by_hand.perform(asked("dispute_transaction", 1, transaction="TX000001", reason="not me"))
    assert (again.status, again.error_code) == ("rejected", "already_disputed")
    assert by_hand.lookup("disputes", {}).data["open_count"] == 1


def test_a_large_dispute_waits_and_holds_nothing_until_a_person_agrees(bank: RunningBank) -> None:
    by_hand = BankByHand(bank, "C1001")
    request = asked("dispute_transaction", transaction="TX000006", reason="not me")
    assert by_hand.perform(request).status == "awaiting_approval"
    assert bank.http.get("/v1/customers/C1001/transactions/TX000006").json()["held"] is False
    assert by_hand.review(request, approved=True).data["dispute"] == "D000001"
    assert bank.http.get("/v1/customers/C1001/transactions/TX000006").json()["held"] is True


def test_what_was_held_for_a_dispute_that_cannot_be_opened_is_released(bank: RunningBank) -> None:
    by_hand = BankByHand(bank, "C1001")
    by_hand.perform(asked("dispute_transaction", transaction="TX000001", reason="not me"))
    # An open dispute without its own hold: the saga's second step is refused after the first was done.
    held = by_hand.perform(asked("hold_amount", 1, transaction="TX000002")).data["hold"]
    by_hand.perform(asked("open_dispute", 2, transaction="TX000002", hold=held, reason="twice"))
    refused = by_hand.perform(asked("open_dispute", 3, transaction="TX000002", hold=held, reason="twice"))
    assert (refused.status, refused.error_code) == ("rejected", "already_disputed")
    withdrawn = by_hand.perform(asked("withdraw_dispute", 4, dispute="D000002"))
    assert withdrawn.status == "succeeded"
    assert bank.http.get("/v1/customers/C1001/transactions/TX000002").json()["held"] is False


@pytest.mark.parametrize(
    ("amount", "requested"),
    [("20000", 20000), ("20,000", 20000), ("1,000,000", 1000000), ("2万", 20000), ("20k", 20000), ("300元", 300),
     ("20000.00 CNY", 20000)],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(bank: RunningBank, amount: str, requested: int) -> None:
    arguments = {"card": "6621", "kind": "transfer", "amount": amount}
    assert BankByHand(bank, "C1001").lookup("limit_terms", arguments).data["requested"] == requested


@pytest.mark.parametrize(
    ("rule", "facts", "outcome", "reason"),
    [
        ("limits", {"status": "active", "requested": 500}, "automatic", "lowered"),
        ("limits", {"status": "active", "requested": 50_000}, "automatic", "within_limits"),
        ("limits", {"status": "active", "requested": 50_001}, "approval", "amount_over_limit"),
        ("limits", {"status": "active", "requested": 100_001}, "refused", "limit_too_high"),
        ("limits", {"status": "active", "requested": 99}, "refused", "limit_too_low"),
        ("limits", {"status": "active", "requested": None}, "refused", "limit_too_low"),
        ("limits", {"status": "active", "requested": 10_000}, "refused", "limit_unchanged"),
        ("limits", {"status": "frozen", "requested": 500}, "refused", "card_frozen"),
        ("limits", {"status": "blocked", "requested": 500}, "refused", "card_blocked"),
        ("dispute", {}, "automatic", "within_limits"),
        ("dispute", {"amount": 5000}, "approval", "amount_over_limit"),
        ("dispute", {"currency": "USD"}, "approval", "foreign_currency"),
        ("dispute", {"days": 90}, "automatic", "within_limits"),
        ("dispute", {"days": 91}, "refused", "dispute_window_over"),
        ("dispute", {"amount": -5}, "refused", "not_outgoing"),
        ("dispute", {"disputed": True}, "refused", "already_disputed"),
    ],
)
def test_the_rules(rules: Rules, rule: str, facts: dict[str, Any], outcome: str, reason: str) -> None:
    usual: dict[str, Any] = (
        {"current": 10_000, "most": 100_000}
        if rule == "limits"
        else {"amount": 480, "currency": "CNY", "days": 4, "disputed": False}
    )
    assert rules.decide(rule, usual | facts) == {"outcome": outcome, "reason_code": reason}


@pytest.mark.long
@pytest.mark.budget(600, "a first model is made, and it holds a hundred conversations")
def test_the_conversations_go_as_they_should(assistant: Assistant, bank: RunningBank, tmp_path: Path) -> None:
    """With a first model, which takes a minute to make."""
    model = Model.load(runs.train(BANK, tmp_path, lambda _: None, soon=True).path)

    def fresh(customer: str) -> BankByHand:
        bank.reset()
        return BankByHand(bank, customer)

    results = run(assistant, load_conversations(BANK, assistant), lambda text: model.understand([text])[0], fresh)
    assert not [(each.where, each.failures) for each in results if not each.passed]
