"""What is sent to the shop and what it answers; money is in fen, moments are UTC."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

__all__ = [
    "AddressAnswer",
    "AddressChecked",
    "Case",
    "CaseList",
    "ChangeAddress",
    "CheckAddress",
    "CheckInvoice",
    "Complain",
    "Complaint",
    "Customer",
    "Faulty",
    "Health",
    "History",
    "Invoice",
    "InvoiceCheck",
    "InvoiceChecked",
    "Order",
    "OrderEvent",
    "OrderList",
    "PlaceOrder",
    "Refund",
    "RefundOrder",
    "RequestInvoice",
    "Text",
]

OrderStatus = Literal["paid", "shipped", "delivered", "cancelled", "refunded"]
ITEM = {"zh": "T恤", "en": "T-shirt"}
MOMENT = "2026-11-03T08:30:00Z"


def one_line(value: object) -> object:
    """A text without control characters; an empty one is none."""
    if not isinstance(value, str):
        return value
    return "".join(each if each.isprintable() else " " for each in value).strip() or None


def line(longest: int) -> StringConstraints:
    """One line of so many characters at most."""
    return StringConstraints(min_length=1, max_length=longest)


Words = Annotated[str, line(500), BeforeValidator(one_line)]
Line = Annotated[str, line(1000), BeforeValidator(one_line)]
OptionalLine = Annotated[Annotated[str, line(1000)] | None, BeforeValidator(one_line)]
Number = Annotated[Annotated[str, line(64)] | None, BeforeValidator(one_line)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Answered):
    """A text in both languages of the shop."""

    zh: str
    en: str


class Health(_Answered):
    """The shop can be reached and reads its data."""

    status: Literal["ok"] = "ok"


class Customer(_Answered):
    """Somebody who buys here."""

    number: str = Field(examples=["C1001"])
    name: Text
    phone: str = Field(examples=["13800000001"])


class OrderEvent(Text):
    """Something that happened to an order."""

    at: str = Field(examples=[MOMENT])


class Order(_Answered):
    """One thing bought."""

    number: str = Field(examples=["20261103003"])
    status: OrderStatus
    status_text: Text = Field(description="The status as customers read it")
    item: Text = Field(examples=[ITEM])
    amount_fen: int = Field(description="What it cost, in hundredths of the currency", examples=[8990])
    currency: str = Field(examples=["CNY"])
    address: str = Field(examples=["上海市浦东新区世纪大道100号"])
    paid_at: str = Field(examples=[MOMENT])
    shipped_at: str | None
    delivered_at: str | None
    cancelled_at: str | None
    carrier: Text | None
    tracking_number: str | None = Field(examples=["SF1234567891"])
    last_event: OrderEvent | None
    refunded: bool = Field(description="Whether the money went back")
    invoiced: bool = Field(description="Whether there is an invoice")


class OrderList(_Answered):
    """A page of a customer's orders, the newest first."""

    orders: list[Order]
    total: int = Field(description="How many there are in all")


class History(_Answered):
    """What happened to an order, the oldest first."""

    events: list[OrderEvent]


class Item(_Sent):
    """A thing to buy, in both languages of the shop."""

    zh: Annotated[str, line(200), BeforeValidator(one_line)]
    en: Annotated[str, line(200), BeforeValidator(one_line)]


class PlaceOrder(_Sent):
    """Buy something; it is paid with that."""

    number: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z-]{1,32}$")] = Field(examples=["20261103010"])
    item: Item = Field(examples=[ITEM])
    amount_fen: Annotated[int, Field(ge=1, le=1_000_000_000)] = Field(examples=[8990])
    address: Line = Field(examples=["上海市浦东新区世纪大道100号"])


class RefundOrder(_Sent):
    """Give the money of an order back."""

    reason: Words = Field(examples=["太小了"])


class Refund(_Answered):
    """Money that went back."""

    number: str = Field(examples=["R000012"])
    order: Order
    reason: str


class ChangeAddress(_Sent):
    """Send an order somewhere else."""

    address: Line = Field(examples=["北京市朝阳区建国路88号"])


class RequestInvoice(_Sent):
    """Issue the invoice of an order; without a tax number it is a person's."""

    title: Line = Field(examples=["北京知音科技有限公司"])
    tax_id: OptionalLine = Field(
        default=None, description="A unified social credit code, or a number of before", examples=["91110108MA01ABCD5X"]
    )
    email: Annotated[
        Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")] | None,
        BeforeValidator(one_line),
    ] = Field(default=None, description="Where it is sent, too", examples=["lilei@example.com"])


class Invoice(_Answered):
    """The invoice of an order."""

    number: str = Field(examples=["INV00000001"])
    order: Order
    title: str
    tax_id: str | None
    email: str | None
    issued_at: str = Field(examples=[MOMENT])


class Complain(_Sent):
    """Have people look at something. It is taken in any case: who or what is not known is just not attached to it."""

    subject: Words = Field(examples=["快递态度很差"])
    customer: Number = Field(default=None, examples=["C1001"])
    order_number: Number = Field(default=None, examples=["20261103001"])
    sentiment: Literal["negative", "neutral", "positive"] | None = None
    reference: Number = Field(default=None, description="The caller's own name for what it belongs to")


class Complaint(_Answered):
    """A complaint that was taken."""

    number: str = Field(examples=["T000001"])
    order_number: str | None = Field(description="The order that it is attached to")


class Case(_Answered):
    """A refund or a complaint of a customer, and how far it has come."""

    number: str = Field(description="`R…` is a refund, `T…` a complaint", examples=["T000001"])
    kind: Literal["refund", "complaint"]
    status: Literal["done", "open", "withdrawn"]
    status_text: Text = Field(description="The status as customers read it")
    submitted_at: str = Field(examples=[MOMENT])
    summary: str | None = Field(description="Of a complaint: how it begins")
    order_number: str | None
    item: Text | None
    amount_fen: int | None = Field(description="Of a refund")
    currency: str | None
    reason: str | None = Field(description="Of a refund")


class CaseList(_Answered):
    """A customer's newest refunds and complaints."""

    cases: list[Case]


class CheckAddress(_Sent):
    """A question about an order's delivery, about an address, or about both."""

    customer: Number = Field(default=None, examples=["C1001"])
    order_number: Number = Field(default=None, examples=["20261103002"])
    address: OptionalLine = Field(default=None, examples=["北京市朝阳区建国路88号"])


class AddressAnswer(_Answered):
    """Whether a parcel could get to an address, as far as its text says."""

    valid: bool
    problem: Literal["address_too_short", "address_too_long", "address_incomplete"] | None
    normalized: str = Field(description="As it would be kept")


class AddressChecked(_Answered):
    """What was asked about."""

    order: Order | None
    address: AddressAnswer | None


class CheckInvoice(_Sent):
    """A question about an order, about an invoice's details, or about both."""

    customer: Number = Field(default=None, examples=["C1001"])
    order_number: Number = Field(default=None, examples=["20261103002"])
    title: OptionalLine = None
    tax_id: OptionalLine = Field(default=None, examples=["91110108MA01ABCD5X"])


class InvoiceCheck(_Answered):
    """Whether an invoice could have these details."""

    valid: bool
    problem: Literal["title_invalid", "tax_id_invalid"] | None


class InvoiceChecked(_Answered):
    """What was asked about."""

    order: Order | None
    details: InvoiceCheck | None


class Faulty(_Sent):
    """What goes wrong with the next requests, for tests.

    `slow` waits before anything happens, `error` and `rate_limited` answer without an effect; `error_after`, `garbage`
    and `lose_answer` (the connection is cut) come after the effect.
    """

    fault: Literal["slow", "error", "rate_limited", "error_after", "garbage", "lose_answer"]
    times: Annotated[int, Field(ge=0, le=1_000_000)] = 1
    seconds: Annotated[float, Field(ge=0, le=600)] = 1.0
    """How long `slow` waits."""
    effects_only: bool = True
    """Whether only requests that change something are meant."""
