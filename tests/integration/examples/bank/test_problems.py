"""Every error is a problem with a code."""

import pytest

from tests.bank import LEI, RunningBank, problem


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"transaction": 5}', b'{"transaction": "' + b"x" * 100 + b'"}'])
def test_a_body_that_makes_no_sense_is_refused(bank: RunningBank, body: bytes) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    assert problem(bank.http.post(f"{LEI}/holds", content=body, headers=headers)) == (422, "invalid_request")


def test_a_method_that_is_not_there_is_a_problem(bank: RunningBank) -> None:
    assert problem(bank.http.delete(f"{LEI}/cards")) == (405, "method_not_allowed")


def test_an_operation_says_what_its_problems_look_like(bank: RunningBank) -> None:
    described = bank.http.get("/openapi.json").json()["paths"]
    answers = described["/v1/customers/{customer}/holds"]["post"]["responses"]
    assert {"401", "404", "409", "422"} <= set(answers)
    assert "code" in answers["409"]["content"]["application/problem+json"]["schema"]["properties"]
