"""Alembic's entry for the dialogue service."""

from services.dialogue.conversation.repository import Base
from shared.storage.migrations import run

run(Base.metadata)
