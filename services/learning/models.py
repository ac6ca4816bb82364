"""Bundles, releases, what services say of them, and aliases with their history."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from shared.storage.database import TableBase, TenantMixin, new_metadata, now
from shared.storage.installation import InstallationMixin

__all__ = ["OPEN", "AliasMove", "AliasRow", "Base", "BundleRow", "Installation", "ReleaseRow", "ReportRow"]

OPEN = ("checking", "training", "proving")
"""The states of a release that the pipeline has still to do with."""
UNFINISHED = text(f"state IN {OPEN}")


class Base(TableBase):
    """Learning's tables."""

    __abstract__ = True
    metadata = new_metadata()


class BundleRow(TenantMixin, Base):
    """A bundle that a tenant has uploaded; its bytes are in the store, where all tenants' are found by digest."""

    __tablename__ = "bundles"
    __table_args__ = (UniqueConstraint("tenant", "digest", name="uq_bundles_tenant_digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    bytes: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(64))


class ReleaseRow(TenantMixin, Base):
    """A release, and how far the pipeline has come with it."""

    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("tenant", "assistant", "number", name="uq_releases_tenant_assistant_number"),
        Index("ix_releases_unfinished", "created_at", sqlite_where=UNFINISHED, postgresql_where=UNFINISHED),
        Index("ix_releases_bundle", "tenant", "assistant", "bundle"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    assistant: Mapped[str] = mapped_column(String(64))
    number: Mapped[int]
    bundle: Mapped[str] = mapped_column(String(64))
    bundle_bytes: Mapped[int]
    model: Mapped[str] = mapped_column(String(128), default="")
    model_version: Mapped[str] = mapped_column(String(128), default="")
    preliminary: Mapped[bool] = mapped_column(Boolean, default=False)
    knowledge: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(4000), default="")
    created_at: Mapped[datetime] = mapped_column(default=now)
    created_by: Mapped[str] = mapped_column(String(64))

    live: Mapped[bool]
    """Whether `production` is to name it once it is ready."""
    forced: Mapped[bool]
    whole: Mapped[bool]
    """Whether it is the whole model for a bundle whose first one serves already; such trainings wait for no other."""
    holder: Mapped[str] = mapped_column(String(128), default="")
    """The replica that works on it, until `held_until`; another one goes on after that."""
    held_until: Mapped[datetime | None]
    proven_by: Mapped[datetime | None]
    """When the services must have loaded it."""


class ReportRow(TenantMixin, Base):
    """The last thing that an instance of a service said of a release."""

    __tablename__ = "reports"
    __table_args__ = (UniqueConstraint("release_id", "service", "instance", name="uq_reports_of_instance"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    service: Mapped[str] = mapped_column(String(64))
    instance: Mapped[str] = mapped_column(String(128))
    loaded: Mapped[bool]
    reason: Mapped[str] = mapped_column(String(4000), default="")
    at: Mapped[datetime] = mapped_column(default=now)


class AliasRow(TenantMixin, Base):
    """What an alias names."""

    __tablename__ = "aliases"
    __table_args__ = (UniqueConstraint("tenant", "assistant", "alias", name="uq_aliases_tenant_assistant_alias"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    assistant: Mapped[str] = mapped_column(String(64))
    alias: Mapped[str] = mapped_column(String(16))
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    share: Mapped[float]
    registered: Mapped[str] = mapped_column(String(128), default="")
    """The version of the model that the registry of models was told last."""


class AliasMove(TenantMixin, Base):
    """Who moved an alias, when, and from where to where; nothing here is ever changed."""

    __tablename__ = "alias_moves"
    __table_args__ = (Index("ix_alias_moves_release", "tenant", "to_release"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    assistant: Mapped[str] = mapped_column(String(64))
    alias: Mapped[str] = mapped_column(String(16))
    from_release: Mapped[str | None] = mapped_column(String(32))
    to_release: Mapped[str | None] = mapped_column(String(32))
    share: Mapped[float]
    moved_at: Mapped[datetime] = mapped_column(default=now)
    moved_by: Mapped[str] = mapped_column(String(64))


class Installation(InstallationMixin, Base):
    """Whose database this is; `changes` counts what services follow, over all tenants."""

    __tablename__ = "installation"

    changes: Mapped[int] = mapped_column(default=0, server_default="0")
