from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from services.dialogue.assistant.assistants import Assistants
from services.dialogue.conversation.repository import ConversationRow, EntryRow
from services.dialogue.conversation.turn import TurnTaker
from services.dialogue.policy.decision import Understood
from services.dialogue.settings import Company, Settings
from shared.calls.client import ServiceClient
from shared.storage.database import Database
from tests.unit.services.dialogue.assistants import load
from tests.unit.services.dialogue.understandings import understanding


class Intent:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def post(self, service: str, path: str, *, json: Any, tenant: str, **_: Any) -> Any:
        self.asked.append((service, path, json, tenant))
        return understanding(json["text"], "book").model_dump(mode="json")


async def test_a_text_is_understood_as_one_of_its_conversation_where_the_company_is(tmp_path: Path) -> None:
    intent, assistant = Intent(), load(tmp_path)
    settings = Settings(companies={"acme": Company(timezone="America/New_York")})
    taker = TurnTaker(
        settings=settings,
        database=cast(Database, None),
        assistants=Assistants(assistant, settings.companies),
        client=cast(ServiceClient, intent),
        on_action=lambda: None,
    )
    theirs = cast(ConversationRow, SimpleNamespace(id="c2", tenant="acme", assistant="mini", owner="you"))
    conversation = cast(ConversationRow, SimpleNamespace(id="c1", tenant="default", assistant="mini", owner="me"))
    message = cast(EntryRow, SimpleNamespace(text="a table", choice=None))
    assert isinstance(await taker.understand(conversation, message, {}, taker.live(conversation)), Understood)
    asked = {"text": "a table", "assistant": "mini", "key": "c1", "timezone": assistant.timezone}
    assert intent.asked == [("intent", "/v1/understand", asked, "default")]
    assert isinstance(await taker.understand(theirs, message, {}, taker.live(theirs)), Understood)
    assert [each[1:] for each in intent.asked[1:]] == [
        ("/v1/understand", {**asked, "key": "c2", "timezone": "America/New_York"}, "acme")
    ]
