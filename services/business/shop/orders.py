"""An order as the world sees it: facts for the rules, and JSON in both languages for customers."""

from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from services.business.rules.facts import InvoiceStatus, OrderFacts, OrderStatus, RefundStatus, whole_days
from services.business.shop.models import Order
from services.business.shop.repository import OrderRow

__all__ = ["amount_in_yuan", "facts_of", "item_of", "money_of", "order_details", "order_line", "refund_status_of"]

STATUS_TEXT: dict[str, dict[str, str]] = {
    "paid": {"zh": "已付款，待发货", "en": "paid, not shipped yet"},
    "shipped": {"zh": "已发货，运输中", "en": "shipped, on its way"},
    "delivered": {"zh": "已送达", "en": "delivered"},
    "cancelled": {"zh": "已取消", "en": "cancelled"},
    "refunded": {"zh": "已退款", "en": "refunded"},
}


def refund_status_of(order: Order | OrderRow) -> RefundStatus:
    """How far the order's last refund has come."""
    return cast(RefundStatus, order.refunds[-1].status) if order.refunds else "none"


def facts_of(order: Order | OrderRow, moment: datetime) -> OrderFacts:
    """The order as the rules see it at a moment."""
    invoice: InvoiceStatus = "none" if order.invoice is None else "issued"
    delivered = None if order.shipment is None else order.shipment.delivered_at
    return OrderFacts(
        status=cast(OrderStatus, order.status),
        refund_status=refund_status_of(order),
        invoice_status=invoice,
        days=whole_days(delivered or order.paid_at, moment),
        amount=Decimal(order.amount_fen) / 100,
    )


def amount_in_yuan(fen: int) -> float:
    """Fen as a JSON number of yuan; two decimals survive this exactly as they are written."""
    return float(Decimal(fen) / 100)


def item_of(order: Order | OrderRow) -> dict[str, str]:
    """The thing that was bought, in both languages."""
    return {"zh": order.item_zh, "en": order.item_en}


def money_of(order: Order | OrderRow) -> dict[str, Any]:
    """What an order is about and what it cost; part of most answers."""
    return {
        "order_number": order.number,
        "item": item_of(order),
        "amount": amount_in_yuan(order.amount_fen),
        "currency": order.currency,
    }


def order_line(order: Order | OrderRow) -> dict[str, Any]:
    """An order in a list."""
    return money_of(order) | {"status": order.status, "status_text": STATUS_TEXT[order.status]}


def order_details(order: Order | OrderRow) -> dict[str, Any]:
    """Everything that its customer may know."""
    shipment, last = order.shipment, order.events[-1] if order.events else None
    return order_line(order) | {
        "paid_at": _iso(order.paid_at),
        "shipped_at": _iso(shipment.shipped_at if shipment else None),
        "delivered_at": _iso(shipment.delivered_at if shipment else None),
        "carrier": {"zh": shipment.carrier_zh, "en": shipment.carrier_en} if shipment else None,
        "tracking_number": shipment.tracking_number if shipment else None,
        "last_event": {"zh": last.text_zh, "en": last.text_en, "at": _iso(last.at)} if last else None,
        "address": order.address,
        "refund_status": refund_status_of(order),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")
