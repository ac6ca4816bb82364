"""How conversations begin: opened with a greeting, and opened once however often the same visit is sent."""

import hashlib
import uuid
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from services.dialogue.assistant.assistant import Assistant
from services.dialogue.conversation import repository
from services.dialogue.conversation.repository import ConversationRow, StaleTurn
from services.dialogue.conversation.turn import TurnTaker
from services.dialogue.policy.decision import Opened
from shared.errors import InvalidInput
from shared.http.auth import Principal
from shared.storage.database import Database, now

__all__ = ["Openings"]

VISIT_LASTS = timedelta(minutes=10)
"""For so long the same visit may be sent again."""


class Openings:
    """Opens conversations with the assistant."""

    def __init__(self, database: Database, assistant: Assistant, taker: TurnTaker) -> None:
        self._database = database
        self._assistant = assistant
        self._taker = taker

    def check(self, *, assistant: str | None, language: str | None) -> None:
        """Whether a conversation can be opened with this assistant in this language.

        Raises:
            InvalidInput: there is no such assistant, or it does not speak the language.
        """
        mine = self._assistant
        if assistant not in (None, mine.name):
            raise InvalidInput(f"there is no assistant {assistant!r}, only {mine.name!r}", field="assistant")
        if language is not None and language not in mine.languages:
            raise InvalidInput(f"{mine.name} speaks {', '.join(mine.languages)}", field="language")

    async def open(
        self, principal: Principal, *, assistant: str | None, language: str | None, visit: str | None = None
    ) -> ConversationRow:
        """A new conversation of this customer; with a `visit` the one that the same visit has opened before.

        The first answer may not have reached the visitor, who has another session by now. So a conversation in which
        nobody has said anything yet is given to whoever knows the visit's name, for a while.

        Raises:
            InvalidInput: there is no such assistant, or it does not speak the language.
            Conflict: the visit is over: it has gone on in another session, or it is too old.
        """
        self.check(assistant=assistant, language=language)
        conversation = await self._add(principal, language, visit)
        if conversation.version == 0:
            # Who comes twice at once is greeted once.
            with suppress(StaleTurn):
                await self._taker.take(conversation, Opened(language=conversation.language), stages={})
        return await self._database.read(
            principal.tenant, lambda unit: repository.find_conversation(unit, conversation.id)
        )

    async def _add(self, principal: Principal, language: str | None, visit: str | None) -> ConversationRow:
        named = uuid.uuid4().hex if visit is None else _name_of(principal.tenant, visit)
        try:
            return await self._database.write(
                principal.tenant,
                lambda unit: repository.add_conversation(
                    unit,
                    named,
                    owner=principal.subject,
                    customer=principal.customer,
                    assistant=self._assistant.name,
                    language=language or self._assistant.default_language,
                ),
            )
        except IntegrityError:
            if visit is None:
                raise
        return await self._database.write(
            principal.tenant,
            lambda unit: repository.take_unused(
                unit, named, owner=principal.subject, customer=principal.customer, opened_after=now() - VISIT_LASTS
            ),
        )


def _name_of(tenant: str, visit: str) -> str:
    """The id of the conversation that a visit opens; ids are unique among all tenants."""
    return hashlib.sha256(f"{tenant}:{visit}".encode()).hexdigest()[:32]
