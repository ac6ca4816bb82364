"""Alembic's entry for the business service."""

from services.business.models import Base
from services.business.shop.models import Order
from shared.storage.migrations import run

# The shop's tables are declared on the same base once their module is imported.
assert Order.metadata is Base.metadata
run(Base.metadata)
