"""What every operation asks for: a customer who is there, and a key for an effect."""

import pytest

from tests.bank import LEI, RunningBank, problem


def test_effects_need_a_key(bank: RunningBank) -> None:
    assert problem(bank.http.post(f"{LEI}/cards/6621/freeze")) == (422, "invalid_request")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/customers/C9999/accounts",
        "/v1/customers/C9999/cards",
        "/v1/customers/C9999/disputes",
        f"{LEI}/cards/3057",
        f"{LEI}/appointments/A000001",
        f"{LEI}/disputes/D999999999999",
        "/v1/branches/nowhere",
        "/v1/nothing",
    ],
)
def test_what_does_not_exist_or_is_somebody_elses_is_not_found(bank: RunningBank, path: str) -> None:
    answer = bank.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
