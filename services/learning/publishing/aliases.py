"""Moves of aliases by people: atomic, only to what is ready, with `expected` as a guard, and kept for good."""

from services.learning import repository
from services.learning.models import AliasRow, ReleaseRow
from shared.contracts.releases import AliasName, MoveAlias, ReleaseAlias
from shared.errors import Conflict, NotFound
from shared.storage.database import Database, now

__all__ = ["move", "remove"]


async def move(
    database: Database, tenant: str, assistant: str, alias: AliasName, wanted: MoveAlias, by: str
) -> ReleaseAlias:
    """Points an alias of an assistant at a release; what it names already stays, and nothing is noted.

    Raises:
        NotFound: the assistant has no such release.
        Conflict: the release is not ready, or the alias names another one than was expected.
        IntegrityError: somebody else has made the alias at the same moment.
    """
    share = 1.0 if alias == "production" else wanted.share
    async with database.transaction(tenant) as session:
        release = await repository.find_release(session, wanted.release, assistant=assistant)
        if release is None:
            raise NotFound("the assistant has no such release")
        _require_ready(release)
        # The counter is one row for all: whoever comes second sees what the first one did.
        await repository.change(session)
        known = await repository.find_alias(session, assistant, alias, lock=True)
        _require_expected(known, wanted.expected, alias)
        if known is None or (known.release_id, known.share) != (release.id, share):
            await repository.move_alias(session, release, alias, share, by, now(), known)
    return ReleaseAlias(alias=alias, release=repository.release_of(release), share=share)


async def remove(database: Database, tenant: str, assistant: str, alias: str, by: str) -> None:
    """Takes an alias away; one that is not there stays so."""
    async with database.transaction(tenant) as session:
        await repository.change(session)
        if (known := await repository.find_alias(session, assistant, alias, lock=True)) is not None:
            await repository.delete_alias(session, known, by, now())


def _require_ready(release: ReleaseRow) -> None:
    if release.state == "refused":
        raise Conflict(f"release {release.number} was refused: {release.reason}")
    if release.state != "ready":
        raise Conflict(f"release {release.number} is not ready: it is {release.state}")


def _require_expected(known: AliasRow | None, expected: str | None, alias: str) -> None:
    if expected is not None and expected != ("" if known is None else known.release_id):
        named = "no release" if known is None else f"release {known.release_id}"
        raise Conflict(f"{alias} names {named} by now; somebody else has moved it")
