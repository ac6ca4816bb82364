"""Branches, their free times, and appointments."""

import pytest

from tests.bank import LEI, RunningBank, problem


@pytest.mark.parametrize("city", ["上海", "上海市", "shanghai", " Shanghai "])
def test_branches_are_found_by_city(bank: RunningBank, city: str) -> None:
    found = bank.http.get("/v1/branches", params={"city": city}).json()["branches"]
    assert [each["id"] for each in found] == ["sh-lujiazui", "sh-xujiahui"]


def test_a_time_is_booked_once_found_by_its_reference_and_cancelled(bank: RunningBank) -> None:
    slot = bank.http.get("/v1/branches/sz-futian/slots").json()["slots"][0]["id"]
    new = {"branch": "sz-futian", "slot": slot, "topic": "贷款", "reference": "a-1"}
    booked = bank.http.post(f"{LEI}/appointments", json=new)
    assert booked.status_code == 201
    assert problem(bank.http.post(f"{LEI}/appointments", json=new)) == (409, "reference_used")
    taken = bank.http.post("/v1/customers/C1002/appointments", json={**new, "reference": "a-2"})
    assert problem(taken) == (409, "slot_taken")
    found = bank.http.get(f"{LEI}/appointments", params={"reference": "a-1"}).json()["appointments"]
    assert [each["id"] for each in found] == [booked.json()["id"]]
    assert bank.http.get(f"/v1/branches/sz-futian/slots/{slot}").json()["free"] is False
    cancel = f"{LEI}/appointments/{booked.json()['id']}/cancel"
    assert bank.post(cancel).json()["status"] == "cancelled"
    assert problem(bank.post(cancel, key="again")) == (409, "appointment_cancelled")
    assert bank.http.get(f"/v1/branches/sz-futian/slots/{slot}").json()["free"] is True


def test_nobody_has_more_than_three_appointments(bank: RunningBank) -> None:
    slots = [each["id"] for each in bank.http.get("/v1/branches/bj-chaoyang/slots").json()["slots"]]
    answers = [
        bank.http.post(
            f"{LEI}/appointments",
            json={"branch": "bj-chaoyang", "slot": slot, "topic": "开户", "reference": f"r{slot}"},
        )
        for slot in slots[:4]
    ]
    assert [each.status_code for each in answers] == [201, 201, 201, 409]
    assert problem(answers[-1]) == (409, "too_many_appointments")


@pytest.mark.parametrize("slot", ["20200101T0930", "20261301T0930", "99991231T2359"])
def test_a_time_that_the_branch_does_not_have_is_none(bank: RunningBank, slot: str) -> None:
    assert problem(bank.http.get(f"/v1/branches/hz-xihu/slots/{slot}")) == (404, "slot_unknown")
