"""Alembic's entry for the dialogue service."""

from services.dialogue.conversation.models import Base
from shared.storage.migrations import run

run(Base.metadata)
