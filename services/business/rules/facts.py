"""What a rule may ask about an order, and what it answers."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["NUMBER_FACTS", "TEXT_FACTS", "OrderFacts", "Permission", "RefundDecision", "whole_days"]

OrderStatus = Literal["paid", "shipped", "delivered", "cancelled", "refunded"]
RefundStatus = Literal["none", "pending", "done", "rejected"]
InvoiceStatus = Literal["none", "issued"]

ReasonCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_]*$")]


@dataclass(frozen=True, kw_only=True)
class OrderFacts:
    """An order as the tables see it: `days` since delivery (since payment while under way), `amount` in yuan."""

    status: OrderStatus
    refund_status: RefundStatus
    invoice_status: InvoiceStatus
    days: int
    amount: Decimal

    def context(self) -> dict[str, Any]:
        """The facts as the rules engine takes them."""
        return asdict(self) | {"amount": float(self.amount)}


TEXT_FACTS: dict[str, tuple[str, ...]] = {
    "status": get_args(OrderStatus),
    "refund_status": get_args(RefundStatus),
    "invoice_status": get_args(InvoiceStatus),
}
"""Every value that a fact in words can have."""

NUMBER_FACTS = ("days", "amount")


class _Answer(BaseModel):
    # Strict, so that a table cannot say "yes" where true is meant.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RefundDecision(_Answer):
    """Whether a refund is paid at once, looked at by a person, or refused."""

    outcome: Literal["automatic", "approval", "refused"]
    reason_code: ReasonCode


class Permission(_Answer):
    """Whether something may be done with an order."""

    allowed: bool
    reason_code: ReasonCode


def whole_days(since: datetime, until: datetime) -> int:
    """Full days between two moments, never negative."""
    return max(0, (until - since) // timedelta(days=1))
