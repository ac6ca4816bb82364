"""Alembic's entry for the business service."""

from services.business.models import Base
from shared.storage.migrations import run

run(Base.metadata)
