"""Alembic's entry for the login service."""

from services.login.repository import Base
from shared.storage.migrations import run

run(Base.metadata)
