from typing import Any

import pytest
from pydantic import ValidationError

from shared.contracts.approvals import DecisionRequest, Dismissal


@pytest.mark.parametrize(
    ("note", "kept"),
    [(None, None), ("", None), (" \t", None), (" 同意 ", "同意"), ("a\x00b\x1b[2J", "a b [2J"), ("x" * 500, "x" * 500)],
)
def test_a_note_is_plain_text_or_none(note: Any, kept: str | None) -> None:
    assert DecisionRequest(decision="approve", note=note).note == kept


@pytest.mark.parametrize(
    "body",
    [{}, {"decision": "maybe"}, {"decision": "approve", "by": "me"}, {"decision": "reject", "note": "x" * 501}],
)
def test_a_decision_is_a_yes_or_a_no(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DecisionRequest.model_validate(body)


@pytest.mark.parametrize("reason", ["", " ", "a\x00b", "x" * 501, None])
def test_a_dismissal_has_a_reason(reason: Any) -> None:
    with pytest.raises(ValidationError):
        Dismissal(reason=reason)
