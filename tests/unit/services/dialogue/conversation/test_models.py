from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from services.dialogue.conversation.models import StoredState


@pytest.mark.parametrize(
    ("stored", "read"),
    [('{"turn": 1}', {"turn": 1}), ("[1]", [1]), (None, None), ('{"turn', '{"turn'), ("", "")],
)
def test_a_damaged_state_is_handed_on_as_it_stands(stored: str | None, read: Any) -> None:
    """SQLite takes any text there; PostgreSQL refuses what is no JSON."""
    assert StoredState(none_as_null=True).result_processor(sqlite.dialect(), None)(stored) == read
