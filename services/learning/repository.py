"""The queries over bundles, releases and aliases; each takes a session of a unit of work that its caller commits."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.learning.models import OPEN, AliasMove, AliasRow, BundleRow, Installation, ReleaseRow, ReportRow
from shared.contracts.releases import Release, ReleaseAlias, ReleaseReport

__all__ = [
    "add_bundle",
    "add_release",
    "add_report",
    "aliases_of",
    "assistants_of",
    "bundle_of",
    "change",
    "claim",
    "claimable",
    "delete_alias",
    "every_alias",
    "find_alias",
    "find_production",
    "find_release",
    "following_number",
    "hold",
    "is_lived_by",
    "known_versions",
    "latest_of_bundle",
    "let_go",
    "move_alias",
    "previous_of",
    "proving",
    "raise_wishes",
    "release_of",
    "releases_before",
    "reports_of",
    "set_registered",
    "unregistered",
    "update_release",
    "withdraw_wishes",
]

UNFINISHED = ReleaseRow.state.in_(OPEN)


def release_of(row: ReleaseRow) -> Release:
    """A row as others see it."""
    return Release.model_validate(row, from_attributes=True)


async def add_bundle(session: AsyncSession, digest: str, size: int, by: str) -> None:
    """Notes that the tenant has a bundle; a concurrent note makes the commit raise `IntegrityError`."""
    if await bundle_of(session, digest) is None:
        session.add(BundleRow(digest=digest, bytes=size, created_by=by))


async def bundle_of(session: AsyncSession, digest: str) -> BundleRow | None:
    """A bundle that the tenant has uploaded."""
    row: BundleRow | None = await session.scalar(select(BundleRow).where(BundleRow.digest == digest).limit(1))
    return row


async def add_release(session: AsyncSession, row: ReleaseRow) -> None:
    """Stores a release under the next number; a concurrent one with the same raises `IntegrityError`."""
    query = select(func.max(ReleaseRow.number))
    newest = await session.scalar(query.where(ReleaseRow.tenant == row.tenant, ReleaseRow.assistant == row.assistant))
    row.id, row.number = uuid.uuid4().hex, int(newest or 0) + 1
    session.add(row)
    await session.flush()


async def find_release(
    session: AsyncSession, release_id: str, *, assistant: str | None = None, lock: bool = False
) -> ReleaseRow | None:
    """A release by its id."""
    query = select(ReleaseRow).where(ReleaseRow.id == release_id)
    if assistant is not None:
        query = query.where(ReleaseRow.assistant == assistant)
    row: ReleaseRow | None = await session.scalar(query.with_for_update() if lock else query)
    return row


async def latest_of_bundle(session: AsyncSession, assistant: str, bundle: str) -> ReleaseRow | None:
    """The release of a bundle that was not refused: the newest that is ready, else the newest."""
    query = (
        select(ReleaseRow)
        .where(ReleaseRow.assistant == assistant, ReleaseRow.bundle == bundle, ReleaseRow.state != "refused")
        .order_by(case((ReleaseRow.state == "ready", 0), else_=1), ReleaseRow.number.desc())
        .limit(1)
    )
    row: ReleaseRow | None = await session.scalar(query)
    return row


async def raise_wishes(session: AsyncSession, row: ReleaseRow, *, live: bool, forced: bool) -> None:
    """Adds to what is wished of a release that is not ready yet."""
    row.live, row.forced = row.live or live, row.forced or forced
    await session.flush()


async def withdraw_wishes(session: AsyncSession, assistant: str) -> None:
    """No release of an assistant that is not ready yet is to be in production by itself."""
    query = update(ReleaseRow).where(ReleaseRow.assistant == assistant, UNFINISHED, ReleaseRow.whole.is_(False))
    await session.execute(query.values(live=False))


async def releases_before(
    session: AsyncSession, assistant: str, before: int | None, limit: int
) -> Sequence[ReleaseRow]:
    """An assistant's releases, the newest first, with smaller numbers than `before`."""
    query = select(ReleaseRow).where(ReleaseRow.assistant == assistant)
    if before is not None:
        query = query.where(ReleaseRow.number < before)
    return (await session.scalars(query.order_by(ReleaseRow.number.desc()).limit(limit))).all()


async def assistants_of(session: AsyncSession) -> Sequence[str]:
    """The assistants that have a release, by name."""
    query = select(ReleaseRow.assistant).distinct().order_by(ReleaseRow.assistant)
    return (await session.scalars(query)).all()


async def known_versions(session: AsyncSession, row: ReleaseRow) -> Sequence[str]:
    """The versions of models that an assistant's ready releases go by."""
    query = select(ReleaseRow.model_version).where(
        ReleaseRow.tenant == row.tenant, ReleaseRow.assistant == row.assistant, ReleaseRow.state == "ready"
    )
    return (await session.scalars(query.distinct())).all()


def _claimable(*, whole: bool, moment: datetime) -> ColumnElement[bool]:
    """Not held by anybody; and after what was published before it, unless it is the training of a whole model."""
    free = and_(UNFINISHED, ReleaseRow.whole.is_(whole), _free(moment))
    if whole:
        return free
    older = aliased(ReleaseRow)
    waits_for = exists().where(
        older.tenant == ReleaseRow.tenant,
        older.assistant == ReleaseRow.assistant,
        older.number < ReleaseRow.number,
        older.whole.is_(False),
        older.state.in_(OPEN),
    )
    return and_(free, ~waits_for)


def _free(moment: datetime) -> ColumnElement[bool]:
    return or_(ReleaseRow.held_until.is_(None), ReleaseRow.held_until <= moment)


async def claimable(session: AsyncSession, *, whole: bool, moment: datetime, limit: int) -> Sequence[str]:
    """The ids of releases of all tenants that somebody should go on with, the oldest first."""
    query = select(ReleaseRow.id).where(_claimable(whole=whole, moment=moment))
    return (await session.scalars(query.order_by(ReleaseRow.created_at, ReleaseRow.number).limit(limit))).all()


async def claim(
    session: AsyncSession, release_id: str, holder: str, moment: datetime, until: datetime
) -> ReleaseRow | None:
    """The release, if it is this replica's from now on."""
    query = (
        update(ReleaseRow)
        .where(ReleaseRow.id == release_id, UNFINISHED, _free(moment))
        .values(holder=holder, held_until=until)
        .returning(ReleaseRow)
    )
    row: ReleaseRow | None = await session.scalar(query)
    return row


async def hold(session: AsyncSession, release_id: str, holder: str, until: datetime) -> bool:
    """Whether the release is still this replica's, for longer now."""
    query = (
        update(ReleaseRow)
        .where(ReleaseRow.id == release_id, ReleaseRow.holder == holder, UNFINISHED)
        .values(held_until=until)
        .returning(ReleaseRow.id)
    )
    return await session.scalar(query) is not None


async def let_go(session: AsyncSession, release_id: str, holder: str) -> None:
    """Leaves a release to whoever comes first."""
    query = update(ReleaseRow).where(ReleaseRow.id == release_id, ReleaseRow.holder == holder)
    await session.execute(query.values(held_until=None))


async def update_release(session: AsyncSession, release_id: str, holder: str, **values: object) -> ReleaseRow | None:
    """Changes a release that this replica holds; none when it is another's."""
    query = (
        update(ReleaseRow)
        .where(ReleaseRow.id == release_id, ReleaseRow.holder == holder, UNFINISHED)
        .values(**values)
        .returning(ReleaseRow)
    )
    row: ReleaseRow | None = await session.scalar(query, execution_options={"populate_existing": True})
    return row


async def add_report(session: AsyncSession, row: ReleaseRow, report: ReleaseReport, at: datetime) -> None:
    """Keeps what an instance says, in the place of what it said before."""
    known: ReportRow | None = await session.scalar(
        select(ReportRow).where(
            ReportRow.release_id == row.id,
            ReportRow.service == report.service,
            ReportRow.instance == report.instance,
        )
    )
    if known is None:
        known = ReportRow(tenant=row.tenant, release_id=row.id, service=report.service, instance=report.instance)
        session.add(known)
    known.loaded, known.reason, known.at = report.loaded, report.reason, at


async def reports_of(session: AsyncSession, release_id: str) -> Sequence[ReportRow]:
    """What services say of a release, in the order in which they said it."""
    query = select(ReportRow).where(ReportRow.release_id == release_id).order_by(ReportRow.at, ReportRow.id)
    return (await session.scalars(query)).all()


async def find_alias(session: AsyncSession, assistant: str, alias: str, *, lock: bool = False) -> AliasRow | None:
    """What an alias of an assistant names."""
    query = select(AliasRow).where(AliasRow.assistant == assistant, AliasRow.alias == alias)
    row: AliasRow | None = await session.scalar(query.with_for_update() if lock else query)
    return row


async def find_production(session: AsyncSession, release: ReleaseRow) -> AliasRow | None:
    """What `production` of a release's assistant names, locked; for a session of all tenants."""
    query = select(AliasRow).where(
        AliasRow.tenant == release.tenant, AliasRow.assistant == release.assistant, AliasRow.alias == "production"
    )
    row: AliasRow | None = await session.scalar(query.with_for_update())
    return row


async def move_alias(
    session: AsyncSession, release: ReleaseRow, alias: str, share: float, by: str, at: datetime, known: AliasRow | None
) -> None:
    """Points an alias at a release, and keeps who did; `known` is the alias's row, locked, if there is one."""
    before = None if known is None else known.release_id
    if known is None:
        known = AliasRow(tenant=release.tenant, assistant=release.assistant, alias=alias)
        session.add(known)
    known.release_id, known.share = release.id, share
    _note_move(session, known, before, release.id, share, by, at)
    await session.flush()


async def delete_alias(session: AsyncSession, row: AliasRow, by: str, at: datetime) -> None:
    """Takes an alias away, and keeps who did."""
    _note_move(session, row, row.release_id, None, 0.0, by, at)
    await session.execute(delete(AliasRow).where(AliasRow.id == row.id))


def _note_move(
    session: AsyncSession, row: AliasRow, before: str | None, after: str | None, share: float, by: str, at: datetime
) -> None:
    session.add(
        AliasMove(
            tenant=row.tenant,
            assistant=row.assistant,
            alias=row.alias,
            from_release=before,
            to_release=after,
            share=share,
            moved_by=by,
            moved_at=at,
        )
    )


async def aliases_of(session: AsyncSession, assistant: str) -> list[ReleaseAlias]:
    """What the aliases of an assistant name."""
    return await _aliases(session, AliasRow.assistant == assistant)


async def every_alias(session: AsyncSession) -> list[ReleaseAlias]:
    """What every alias of the session's tenants names."""
    return await _aliases(session)


async def _aliases(session: AsyncSession, *where: ColumnElement[bool]) -> list[ReleaseAlias]:
    query = (
        select(AliasRow, ReleaseRow)
        .join(ReleaseRow, ReleaseRow.id == AliasRow.release_id)
        .where(*where)
        .order_by(AliasRow.tenant, AliasRow.assistant, AliasRow.alias)
    )
    return [
        ReleaseAlias(alias=row.alias, release=release_of(release), share=row.share)
        for row, release in (await session.execute(query)).all()
    ]


async def previous_of(session: AsyncSession, current: ReleaseRow) -> ReleaseRow | None:
    """The newest release before this one that was in production, of another bundle."""
    was_live = exists().where(AliasMove.alias == "production", AliasMove.to_release == ReleaseRow.id)
    query = (
        select(ReleaseRow)
        .where(
            ReleaseRow.assistant == current.assistant,
            ReleaseRow.number < current.number,
            ReleaseRow.bundle != current.bundle,
            ReleaseRow.state == "ready",
            was_live,
        )
        .order_by(ReleaseRow.number.desc())
        .limit(1)
    )
    row: ReleaseRow | None = await session.scalar(query)
    return row


async def is_lived_by(session: AsyncSession, row: ReleaseRow) -> bool:
    """Whether the assistant's production is of the same bundle as this release."""
    query = (
        select(ReleaseRow.id)
        .join(AliasRow, ReleaseRow.id == AliasRow.release_id)
        .where(
            AliasRow.tenant == row.tenant,
            AliasRow.assistant == row.assistant,
            AliasRow.alias == "production",
            ReleaseRow.bundle == row.bundle,
        )
    )
    return await session.scalar(query) is not None


async def proving(session: AsyncSession) -> list[Release]:
    """The releases that services are to load."""
    query = select(ReleaseRow).where(ReleaseRow.state == "proving").order_by(ReleaseRow.created_at, ReleaseRow.id)
    return [release_of(row) for row in (await session.scalars(query)).all()]


async def change(session: AsyncSession) -> None:
    """Counts that there is something new to follow; whoever counts next waits for this unit of work."""
    await session.execute(update(Installation).values(changes=Installation.changes + 1))


async def following_number(session: AsyncSession) -> int:
    """How often something changed."""
    return int(await session.scalar(select(Installation.changes)) or 0)


async def unregistered(session: AsyncSession) -> list[tuple[AliasRow, ReleaseRow]]:
    """Aliases `production` whose model the registry of models was not told yet."""
    query = (
        select(AliasRow, ReleaseRow)
        .join(ReleaseRow, ReleaseRow.id == AliasRow.release_id)
        .where(
            AliasRow.alias == "production",
            ReleaseRow.model_version != "",
            ReleaseRow.model_version != AliasRow.registered,
        )
    )
    return [(row, release) for row, release in (await session.execute(query)).all()]


async def set_registered(session: AsyncSession, alias: AliasRow, version: str) -> None:
    """Keeps that the registry of models was told."""
    await session.execute(update(AliasRow).where(AliasRow.id == alias.id).values(registered=version))
