"""Which installation a database belongs to: a random identity, made once, that no setting can confuse."""

import uuid

from sqlalchemy import String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import ALL_TENANTS, Database

__all__ = ["InstallationMixin", "identity_of"]

ONLY_ROW = 1


class InstallationMixin:
    """A table of one row, with the identity of the installation; of no tenant."""

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(String(32))


async def identity_of(database: Database, table: type[InstallationMixin]) -> str:
    """The identity in a service's table; made when there is none yet."""
    try:
        return await _read_or_make(database, table)
    except IntegrityError:
        # Another replica has just made it.
        return await _read_or_make(database, table)


async def _read_or_make(database: Database, table: type[InstallationMixin]) -> str:
    async with database.transaction(ALL_TENANTS) as session:
        row = await session.get(table, ONLY_ROW)
        if row is None:
            row = table()
            row.number, row.identity = ONLY_ROW, uuid.uuid4().hex
            session.add(row)
        return row.identity
