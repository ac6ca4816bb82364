"""Publishing: bundles that are uploaded, and releases that are made of them."""

import asyncio

from sqlalchemy.exc import IntegrityError

from services.learning import repository
from services.learning.models import ReleaseRow
from services.learning.publishing.store import BundleStore
from shared.assistants.bundle import BundleError, digest_of, read
from shared.contracts.releases import NewRelease
from shared.errors import InvalidInput
from shared.storage.database import Database, now

__all__ = ["keep_bundle", "publish"]

ATTEMPTS = 5


async def keep_bundle(database: Database, store: BundleStore, tenant: str, digest: str, data: bytes, by: str) -> None:
    """Keeps a bundle of a tenant's; the same again changes nothing.

    Raises:
        InvalidInput: these bytes have another digest, or are no bundle.
        Unavailable: the store or the database takes nothing now.
    """
    if await asyncio.to_thread(digest_of, data) != digest:
        raise InvalidInput("the body has another SHA-256 than the address says", field="digest")
    try:
        await asyncio.to_thread(read, data)
    except BundleError as error:
        raise InvalidInput(str(error), field=error.file or "body") from None
    await store.put(digest, data)
    for attempt in range(ATTEMPTS):
        try:
            async with database.transaction(tenant) as session:
                await repository.add_bundle(session, digest, len(data), by)
            return
        except IntegrityError:
            # Somebody has uploaded the same at the same moment.
            if attempt == ATTEMPTS - 1:
                raise


async def publish(database: Database, tenant: str, assistant: str, wanted: NewRelease, by: str) -> ReleaseRow:
    """A release of a bundle: the one that there is, unless it was refused, else a new one that is checked first.

    Raises:
        InvalidInput: the tenant has not uploaded this bundle.
    """
    for attempt in range(ATTEMPTS):
        try:
            return await _publish(database, tenant, assistant, wanted, by)
        except IntegrityError:
            # Somebody else has published at the same moment, and has the number.
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


async def _publish(database: Database, tenant: str, assistant: str, wanted: NewRelease, by: str) -> ReleaseRow:
    async with database.transaction(tenant) as session:
        # Publishers of all assistants go one after another here, for as long as this takes.
        await repository.change(session)
        bundle = await repository.bundle_of(session, wanted.bundle)
        if bundle is None:
            raise InvalidInput("there is no such bundle; upload it first", field="bundle")
        known = await repository.latest_of_bundle(session, assistant, wanted.bundle)
        if known is None:
            row = ReleaseRow(
                tenant=tenant,
                assistant=assistant,
                bundle=bundle.digest,
                bundle_bytes=bundle.bytes,
                state="checking",
                created_by=by,
                live=wanted.live,
                forced=wanted.force,
                whole=False,
            )
            await repository.add_release(session, row)
            return row
        if wanted.live and known.state == "ready":
            # What was published before this and is not ready yet would take its place.
            await repository.withdraw_wishes(session, assistant)
            alias = await repository.find_alias(session, assistant, "production", lock=True)
            if alias is None or alias.release_id != known.id:
                await repository.move_alias(session, known, "production", 1.0, by, now(), alias)
        elif wanted.live or wanted.force:
            await repository.raise_wishes(session, known, live=wanted.live, forced=wanted.force)
        return known
