"""Transactions a page at a time."""

from typing import Any

import pytest

from tests.bank import LEI, RunningBank


def test_transactions_come_a_page_at_a_time(bank: RunningBank) -> None:
    ids, cursor = [], None
    while True:
        query: dict[str, Any] = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = bank.http.get(f"{LEI}/transactions", params=query).json()
        ids += [each["id"] for each in page["transactions"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(ids) == len(set(ids)) == 24
    of_one = bank.http.get(f"{LEI}/transactions", params={"last4": "9017"}).json()["transactions"]
    assert [(each["amount"], each["currency"]) for each in of_one] == [(-129.99, "USD")]


@pytest.mark.parametrize(
    "query", [{"cursor": "%%%"}, {"cursor": "/////"}, {"limit": "0"}, {"limit": "x"}, {"last4": "12"}]
)
def test_a_page_that_makes_no_sense_is_refused(bank: RunningBank, query: dict[str, str]) -> None:
    assert bank.http.get(f"{LEI}/transactions", params=query).status_code == 422


def test_what_can_be_spent_is_the_balance_with_the_credit(bank: RunningBank) -> None:
    accounts = bank.http.get(f"{LEI}/accounts").json()["accounts"]
    assert [(each["kind"], each["balance"], each["available"]) for each in accounts] == [
        ("current", 28_416.35, 28_416.35),
        ("savings", 2350, 2350),
        ("credit", -2310.5, 27_689.5),
    ]
