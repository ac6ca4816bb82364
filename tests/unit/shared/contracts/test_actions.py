"""Actions as both sides write them down: ids that are safe to store, and results that are final or not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.actions import ActionRequest, ActionResult, ActionStatus

REQUEST: dict[str, Any] = {
    "id": "c1:7",
    "tenant": "default",
    "name": "refund",
    "conversation_id": "c1",
    "requested_at": datetime(2026, 11, 22, tzinfo=UTC),
}


@pytest.mark.parametrize(
    ("status", "final"), [("succeeded", True), ("failed", True), ("rejected", True), ("awaiting_approval", False)]
)
def test_only_what_a_person_has_yet_to_decide_is_followed_by_another_result(status: ActionStatus, final: bool) -> None:
    result = ActionResult(action_id="a", tenant="default", name="refund", conversation_id="c1", status=status)
    assert result.final is final


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "x" * 65),
        ("id", "a b"),
        ("id", "a\n"),
        ("tenant", "../other"),
        ("conversation_id", "订单"),
        ("name", "Refund"),
        ("name", "refund;drop"),
        ("customer", "x" * 65),
    ],
)
def test_what_could_not_be_stored_or_looked_up_safely_is_refused(field: str, value: str) -> None:
    ActionRequest.model_validate(REQUEST)
    with pytest.raises(ValidationError) as refused:
        ActionRequest.model_validate({**REQUEST, field: value})
    assert [each["loc"] for each in refused.value.errors()] == [(field,)]


def test_a_request_comes_through_the_queue_as_it_was() -> None:
    request = ActionRequest.model_validate({**REQUEST, "customer": "C1001", "arguments": {"items": [1, {"a": "坏"}]}})
    assert ActionRequest.model_validate_json(request.model_dump_json()) == request
