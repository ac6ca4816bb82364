"""Alembic's entry for the dialogue service."""

from services.dialogue.store import Base
from shared.migrations import run

run(Base.metadata)
