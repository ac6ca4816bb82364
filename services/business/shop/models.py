"""The demo shop's tables; money is kept in fen, so that nothing is lost in rounding."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from services.business.models import Base
from shared.storage.database import TenantMixin, now

__all__ = ["Customer", "Invoice", "Order", "OrderEvent", "Refund", "Shipment", "Ticket"]

ACTIVE_REFUND = text("status IN ('pending', 'done')")


class Customer(TenantMixin, Base):
    """Somebody who buys."""

    __tablename__ = "customers"
    __table_args__ = (UniqueConstraint("tenant", "number", name="uq_customers_tenant_number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(64))
    name_zh: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    phone: Mapped[str] = mapped_column(String(20))


class Order(TenantMixin, Base):
    """One thing bought; money is kept in fen, so that nothing is lost in rounding."""

    __tablename__ = "orders"
    __table_args__ = (
        UniqueConstraint("tenant", "number", name="uq_orders_tenant_number"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("status IN ('paid', 'shipped', 'delivered', 'cancelled', 'refunded')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(32))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"), index=True)
    status: Mapped[str] = mapped_column(String(16))
    item_zh: Mapped[str] = mapped_column(String(200))
    item_en: Mapped[str] = mapped_column(String(200))
    amount_fen: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3), default="CNY")
    address: Mapped[str] = mapped_column(String(200))
    paid_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]

    shipment: Mapped["Shipment | None"] = relationship(lazy="selectin")
    events: Mapped[list["OrderEvent"]] = relationship(lazy="selectin", order_by="OrderEvent.at, OrderEvent.id")
    refunds: Mapped[list["Refund"]] = relationship(lazy="selectin", order_by="Refund.id")
    invoice: Mapped["Invoice | None"] = relationship(lazy="selectin")


class Shipment(TenantMixin, Base):
    """The parcel of an order."""

    __tablename__ = "shipments"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    carrier_zh: Mapped[str] = mapped_column(String(50))
    carrier_en: Mapped[str] = mapped_column(String(50))
    tracking_number: Mapped[str] = mapped_column(String(50))
    shipped_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]


class OrderEvent(TenantMixin, Base):
    """Something that happened to an order, as its customer reads it."""

    __tablename__ = "order_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    at: Mapped[datetime]
    text_zh: Mapped[str] = mapped_column(String(200))
    text_en: Mapped[str] = mapped_column(String(200))


class Refund(TenantMixin, Base):
    """Money given back, or waiting for a person to say so; an order has one of these at most."""

    __tablename__ = "refunds"
    __table_args__ = (
        Index("uq_refunds_active", "order_id", unique=True, sqlite_where=ACTIVE_REFUND, postgresql_where=ACTIVE_REFUND),
        CheckConstraint("status IN ('pending', 'done', 'rejected')", name="status_known"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    action_id: Mapped[str] = mapped_column(String(64))
    amount_fen: Mapped[int]
    reason: Mapped[str] = mapped_column(String(500))
    reason_code: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(default=now)
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(128))
    withdrawn_at: Mapped[datetime | None]
    """When the customer took it back, which closes it as a rejection does; nobody has decided then."""
    note: Mapped[str | None] = mapped_column(String(500))


class Invoice(TenantMixin, Base):
    """The invoice of an order."""

    __tablename__ = "invoices"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    action_id: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(String(100))
    tax_id: Mapped[str | None] = mapped_column(String(18))
    email: Mapped[str | None] = mapped_column(String(254))
    amount_fen: Mapped[int]
    issued_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def number(self) -> str:
        """What the customer calls it."""
        return f"INV{self.id:08d}"


class Ticket(TenantMixin, Base):
    """A complaint or a question that people work on."""

    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"), index=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"))
    conversation_id: Mapped[str] = mapped_column(String(64))
    action_id: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(500))
    sentiment: Mapped[str | None] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16), default="open")
    created_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def number(self) -> str:
        """What the customer calls it."""
        return f"T{self.id:06d}"
