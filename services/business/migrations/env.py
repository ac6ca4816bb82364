"""Alembic's entry for the business service."""

from services.business.models import Base
from shared.migrations import run

run(Base.metadata)
