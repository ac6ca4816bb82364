"""Alembic's entry for the learning service."""

from services.learning.models import Base
from shared.storage.migrations import run

run(Base.metadata)
