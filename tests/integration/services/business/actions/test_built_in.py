"""Customers withdraw what waits, and see how far the rest has come."""

from typing import Any

import pytest

from services.business.actions.approvals import decide
from services.business.actions.built_in import submitted_actions
from shared.contracts.actions import ActionRequest
from shared.contracts.built_in import SubmittedActions, Withdrawn, fields_declared
from shared.contracts.lookups import LookupRequest
from shared.errors import Conflict
from tests.foreign.company import Company


async def seen(company: Company) -> dict[str, Any]:
    request = LookupRequest(customer="C1")
    answer = await company.database.read("default", lambda unit: submitted_actions(unit, request))
    assert answer.found
    return answer.data


async def waiting(company: Company) -> ActionRequest:
    request = company.request("idempotent_approved", amount=5)
    assert (await company.performed(request)).status == "awaiting_approval"
    return request


async def test_a_waiting_action_is_withdrawn_once_and_never_happens(company: Company) -> None:
    request = await waiting(company)
    withdrawal = await company.performed(company.request("withdraw_action", action=request.id))

    assert (withdrawal.status, withdrawal.data) == ("succeeded", {"action": request.id, "name": request.name})
    result = await company.result(request)
    assert result is not None
    assert (result.status, result.error_code, result.version) == ("rejected", "withdrawn", 2)
    again = await company.performed(company.request("withdraw_action", action=request.id))
    assert (again.status, again.error_code) == ("rejected", "already_withdrawn")
    with pytest.raises(Conflict, match="withdrawn"):
        await decide(company.database, "default", request.id, "approve", by="agent-7", note=None)
    assert await company.timers(days=30) == 0
    assert await company.foreign.effects(request.id) == 0


@pytest.mark.parametrize(
    ("customer", "action", "code"),
    [
        ("C2", None, "request_not_found"),
        (None, None, "request_not_found"),
        ("C1", "nobody.0", "request_not_found"),
        ("C1", "a b", "invalid_arguments"),
        ("C1", 5, "invalid_arguments"),
    ],
)
async def test_nobody_withdraws_what_is_not_theirs(company: Company, customer: Any, action: Any, code: str) -> None:
    request = await waiting(company)
    asked = company.request("withdraw_action", action=request.id if action is None else action)
    result = await company.performed(asked.model_copy(update={"customer": customer}))

    assert result.error_code == code
    assert (await company.record(request)).status == "awaiting_approval"


def fields_of(value: Any, prefix: str = "") -> set[str]:
    """The dotted names of an answer; what was given to an action and what it gave are not looked into."""
    if isinstance(value, list):
        return {name for each in value for name in fields_of(each, prefix)}
    if not isinstance(value, dict) or prefix.endswith(("arguments.", "data.")):
        return set()
    own = {f"{prefix}{name}" for name in value}
    return own | {field for name, below in value.items() for field in fields_of(below, f"{prefix}{name}.")}


async def test_an_answer_has_the_fields_that_flows_are_offered(company: Company) -> None:
    request = await waiting(company)
    assert fields_of(await seen(company)) == set(fields_declared(SubmittedActions))
    withdrawal = await company.performed(company.request("withdraw_action", action=request.id))
    assert fields_of(withdrawal.data) == set(fields_declared(Withdrawn))
    too_late = await company.performed(company.request("withdraw_action", action=request.id))
    assert fields_of(too_late.data) == set(fields_declared(Withdrawn))


async def test_how_far_an_action_has_come_needs_no_table_of_the_company(company: Company) -> None:
    request = await waiting(company)
    data = await seen(company)
    first = data["first"]
    assert (first["id"], first["name"], first["status"]) == (request.id, request.name, "awaiting_approval")
    assert first["arguments"] == {"amount": 5}
    assert (first["open"], data["count"], data["open_count"]) == (True, 1, 1)

    await decide(company.database, "default", request.id, "approve", by="agent-7", note=None)
    await company.performed(request)

    data = await seen(company)
    assert (data["actions"][0]["status"], data["open_count"], data["first"]) == ("succeeded", 0, None)
    assert data["actions"][0]["data"] == {"number": f"N-{request.id}"}
