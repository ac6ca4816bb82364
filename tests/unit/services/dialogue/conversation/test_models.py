from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from services.dialogue.conversation.models import StoredState


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize(
    ("stored", "read"),
    [('{"turn": 1}', {"turn": 1}), ("[1]", [1]), (None, None), ('{"turn', '{"turn'), ("", "")],
)
def test_a_damaged_state_is_handed_on_as_it_stands(dialect: Any, stored: str | None, read: Any) -> None:
    assert StoredState(none_as_null=True).result_processor(dialect, None)(stored) == read
