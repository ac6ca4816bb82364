"""Dead letters: what a service has given up, and what people decide about it, each of them once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import String

from shared.errors import Conflict, NotFound
from shared.storage.database import Database, TenantMixin, now

__all__ = ["DeadLetterMixin", "DeadLetters"]


class DeadLetterMixin(TenantMixin):
    """Columns of a service's table of dead letters: who had it tried again or dismissed it, when and why."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    retried_at: Mapped[datetime | None]
    retried_by: Mapped[str | None] = mapped_column(String(128))
    dismissed_at: Mapped[datetime | None]
    dismissed_by: Mapped[str | None] = mapped_column(String(128))
    dismissed_because: Mapped[str | None] = mapped_column(String(500))


L = TypeVar("L", bound=DeadLetterMixin)


class DeadLetters(Generic[L]):
    """A service's dead letters; the functions take a session that its caller commits."""

    def __init__(self, model: type[L]) -> None:
        self._model = model
        self.untouched: tuple[ColumnElement[bool], ...] = (model.retried_at.is_(None), model.dismissed_at.is_(None))
        """What holds of those that wait for somebody."""

    async def after(self, session: AsyncSession, after: int, limit: int, *, waiting: bool = False) -> Sequence[L]:
        """Dead letters, oldest first, from behind an id; all of them, or those that wait for somebody."""
        query = select(self._model).where(self._model.id > after).order_by(self._model.id).limit(limit)
        if waiting:
            query = query.where(*self.untouched)
        return (await session.scalars(query)).all()

    async def count(self, session: AsyncSession) -> int:
        """How many were neither retried nor dismissed."""
        return await session.scalar(select(func.count()).select_from(self._model).where(*self.untouched)) or 0

    async def by_id(self, session: AsyncSession, letter_id: int) -> L | None:
        """One dead letter, held until the unit of work ends."""
        return await session.scalar(select(self._model).where(self._model.id == letter_id).with_for_update())

    async def undecided(self, session: AsyncSession, letter_id: int) -> L:
        """The same, where nobody has decided on it.

        Raises:
            NotFound: there is no such dead letter.
            Conflict: it was tried again or dismissed already.
        """
        letter = await self.by_id(session, letter_id)
        if letter is None:
            raise NotFound("there is no such dead letter")
        if letter.retried_at is not None:
            raise Conflict(f"this dead letter was tried again already, by {letter.retried_by}")
        if letter.dismissed_at is not None:
            raise Conflict(f"this dead letter was dismissed already, by {letter.dismissed_by}")
        return letter

    async def dismiss(self, database: Database, tenant: str, letter_id: int, *, by: str, because: str) -> L:
        """Takes a dead letter off the list of those that wait; who did it, when and why is kept with it.

        Raises:
            NotFound: there is no such dead letter.
            Conflict: it was tried again or dismissed already.
        """
        async with database.transaction(tenant) as session:
            letter = await self.undecided(session, letter_id)
            letter.dismissed_at, letter.dismissed_by, letter.dismissed_because = now(), by, because
            return letter
