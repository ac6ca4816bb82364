"""Held amounts and disputes."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.bank import LEI, RunningBank, problem


def test_many_at_once_with_one_key_are_one_effect(bank: RunningBank) -> None:
    def hold(_: int) -> httpx.Response:
        return bank.post(f"{LEI}/holds", {"transaction": "TX000001"})

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(hold, range(8)))
    assert {each.status_code for each in answers} == {200}
    assert {each.json()["id"] for each in answers} == {"H000001"}


def test_a_dispute_needs_a_held_amount_and_is_withdrawn_with_it(bank: RunningBank) -> None:
    new = {"transaction": "TX000001", "hold": "H000001", "reason": "not me"}
    assert problem(bank.post(f"{LEI}/disputes", new)) == (404, "hold_not_found")
    held = bank.post(f"{LEI}/holds", {"transaction": "TX000001"}, "h").json()
    assert (held["id"], held["amount"]) == ("H000001", 3200.0)
    assert problem(bank.post(f"{LEI}/holds", {"transaction": "TX000001"}, "i")) == (409, "already_held")
    wrong = bank.post(f"{LEI}/disputes", {**new, "transaction": "TX000002"}, "w")
    assert problem(wrong) == (409, "hold_missing")
    opened = bank.post(f"{LEI}/disputes", new).json()
    assert (opened["id"], opened["status"]) == ("D000001", "open")
    assert problem(bank.post(f"{LEI}/disputes", new, "again")) == (409, "already_disputed")
    assert problem(bank.post(f"{LEI}/holds/H000001/release", key="r")) == (409, "dispute_open")
    assert bank.post(f"{LEI}/disputes/D000001/withdraw", key="d").json()["status"] == "withdrawn"
    assert problem(bank.post(f"{LEI}/disputes/D000001/withdraw", key="e")) == (409, "dispute_not_open")
    assert problem(bank.post(f"{LEI}/holds/H000001/release", key="s")) == (409, "hold_not_active")


@pytest.mark.parametrize(
    ("transaction", "expected"),
    [
        ("TX000004", (409, "not_outgoing")),
        ("TX000008", (409, "dispute_window_over")),
        ("TX000009", (404, "transaction_not_found")),
    ],
    ids=["money that came in", "too old", "another customer's"],
)
def test_not_everything_can_be_held(bank: RunningBank, transaction: str, expected: tuple[int, str]) -> None:
    assert problem(bank.post(f"{LEI}/holds", {"transaction": transaction})) == expected
