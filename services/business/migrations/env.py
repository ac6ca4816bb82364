"""Alembic's entry for the business service."""

from services.business.models import Base
from services.business.shop import models as shop
from shared.storage.migrations import run

# The shop's tables are declared on the same base once their module is imported.
assert shop.Order.metadata is Base.metadata
run(Base.metadata)
