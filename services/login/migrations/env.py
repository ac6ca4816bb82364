"""Alembic's entry for the login service."""

from services.login.models import Base
from shared.storage.migrations import run

run(Base.metadata)
