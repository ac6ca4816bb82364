"""Alembic's entry for the login service."""

from services.login.store import Base
from shared.migrations import run

run(Base.metadata)
