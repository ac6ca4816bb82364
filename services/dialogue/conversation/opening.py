"""How conversations begin: opened with a greeting, and opened once however often the same visit is sent."""

import hashlib
import uuid
from contextlib import suppress
from datetime import timedelta

from sqlalchemy.exc import IntegrityError

from services.dialogue.assistant.assistants import Assistants
from services.dialogue.conversation import repository
from services.dialogue.conversation.repository import ConversationRow, StaleTurn
from services.dialogue.conversation.turn import TurnTaker
from services.dialogue.policy.decision import Opened
from shared.errors import Conflict, Unavailable
from shared.http.auth import Principal
from shared.storage.database import Database, now

__all__ = ["Openings"]

VISIT_LASTS = timedelta(minutes=10)
"""For so long the same visit may be sent again."""


class Openings:
    """Opens conversations with the assistants."""

    def __init__(self, database: Database, assistants: Assistants, taker: TurnTaker) -> None:
        self._database = database
        self._assistants = assistants
        self._taker = taker

    def check(self, tenant: str | None, *, assistant: str | None, language: str | None) -> None:
        """Whether a conversation can be opened with this assistant in this language; of whom, may not be known yet.

        Raises:
            InvalidInput: there is no such assistant, or it does not speak the language.
        """
        self._assistants.require(tenant, assistant, language)

    def title(self, tenant: str, assistant: str, conversation: str) -> dict[str, str]:
        """What a conversation's assistant is called, by language; nothing while no release of it has come here."""
        with suppress(Unavailable):
            titles = self._assistants.of(tenant, assistant, conversation).assistant.title
            return {str(language): title for language, title in titles.items()}
        return {}

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
        self.check(principal.tenant, assistant=assistant, language=language)
        conversation = await self._add(principal, assistant or self._assistants.default, language, visit)
        if conversation.version == 0:
            # Who comes twice at once is greeted once.
            with suppress(StaleTurn):
                await self._taker.take(conversation, Opened(language=conversation.language), stages={})
        return await self._database.read(
            principal.tenant, lambda unit: repository.find_conversation(unit, conversation.id)
        )

    async def _add(
        self, principal: Principal, assistant: str, language: str | None, visit: str | None
    ) -> ConversationRow:
        live = self._assistants.of(principal.tenant, assistant)
        named = uuid.uuid4().hex if visit is None else _name_of(principal.tenant, visit)
        try:
            return await self._database.write(
                principal.tenant,
                lambda unit: repository.add_conversation(
                    unit,
                    named,
                    owner=principal.subject,
                    customer=principal.customer,
                    assistant=assistant,
                    language=language or live.assistant.default_language,
                ),
            )
        except IntegrityError:
            if visit is None:
                raise
        found = await self._database.write(
            principal.tenant,
            lambda unit: repository.take_unused(
                unit, named, owner=principal.subject, customer=principal.customer, opened_after=now() - VISIT_LASTS
            ),
        )
        if found.assistant != assistant:
            raise Conflict("this visit_id was used before for another assistant", field="visit_id")
        return found


def _name_of(tenant: str, visit: str) -> str:
    """The id of the conversation that a visit opens; ids are unique among all tenants."""
    return hashlib.sha256(f"{tenant}:{visit}".encode()).hexdigest()[:32]
