"""Cards: what of them can be changed, and when."""

import pytest

from tests.bank import LEI, RunningBank, problem


def test_a_key_has_one_effect_and_one_answer(bank: RunningBank) -> None:
    first = bank.post(f"{LEI}/cards/6621/freeze")
    assert first.status_code == 200
    assert first.json()["status"] == "frozen"
    assert bank.post(f"{LEI}/cards/6621/freeze").json() == first.json()
    assert problem(bank.post(f"{LEI}/cards/6621/freeze", key="other")) == (409, "card_already_frozen")
    assert problem(bank.post(f"{LEI}/cards/8804/freeze")) == (422, "key_reused")


def test_a_refusal_is_not_kept_under_its_key(bank: RunningBank) -> None:
    assert problem(bank.post(f"{LEI}/cards/6621/unfreeze")) == (409, "card_not_frozen")
    bank.post(f"{LEI}/cards/6621/freeze", key="freeze")
    assert bank.post(f"{LEI}/cards/6621/unfreeze").json()["status"] == "active"


@pytest.mark.parametrize(
    ("kind", "amount", "expected"),
    [
        ("spending", 100_001, "limit_too_high"),
        ("transfer", 99, "limit_too_low"),
        ("spending", 10_000, "limit_unchanged"),
    ],
)
def test_a_limit_has_limits(bank: RunningBank, kind: str, amount: float, expected: str) -> None:
    new = {"kind": kind, "amount": amount}
    answer = bank.http.put(f"{LEI}/cards/6621/limits", json=new, headers={"Idempotency-Key": "k"})
    assert problem(answer) == (409, expected)


def test_a_limit_is_changed(bank: RunningBank) -> None:
    new = {"kind": "transfer", "amount": 80_000}
    bank.http.put(f"{LEI}/cards/6621/limits", json=new, headers={"Idempotency-Key": "k"}).raise_for_status()
    assert bank.http.get(f"{LEI}/cards/6621").json()["transfer_limit"] == 80_000
    frozen = bank.http.put("/v1/customers/C1002/cards/3057/limits", json=new, headers={"Idempotency-Key": "l"})
    assert problem(frozen) == (409, "card_frozen")


def test_what_the_bank_blocked_stays_so(bank: RunningBank) -> None:
    for path in ("freeze", "unfreeze", "replacements"):
        assert problem(bank.post(f"/v1/customers/C1003/cards/7745/{path}", key=path)) == (409, "card_blocked")


def test_a_card_is_replaced_once_and_its_old_one_stays_frozen(bank: RunningBank) -> None:
    card = "/v1/customers/C1002/cards/3057"
    assert bank.http.post(f"{card}/replacements").json() == {"number": "R000001", "last4": "3057", "days": 5}
    assert problem(bank.http.post(f"{card}/replacements")) == (409, "replacement_pending")
    assert problem(bank.post(f"{card}/unfreeze")) == (409, "replacement_pending")
